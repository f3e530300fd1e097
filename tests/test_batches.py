"""One feeder for all trainings: in order, shuffled by seed and epoch, mirrored by lot."""

import numpy as np
import pytest

from helpers.training import batches


def numbered(count):
    images = np.zeros((count, 4, 4, 3), np.uint8) + np.arange(count, dtype=np.uint8)[:, None, None, None]
    return images, np.arange(count)


def labels_of(dataset):
    return [labels.numpy().tolist() for _, labels in dataset]


def test_batches_are_unit_range_floats_in_order():
    images, labels = numbered(7)
    (first, numbers), (last, _) = batches.pictures(images, labels, batch_size=4)
    assert first.shape == (4, 4, 4, 3) and last.shape == (3, 4, 4, 3) and first.dtype == np.float32
    np.testing.assert_array_equal(first.numpy()[:, 0, 0, 0], np.float32([0, 1, 2, 3]) / np.float32(255))
    assert numbers.numpy().tolist() == [0, 1, 2, 3]


def test_a_picture_without_label_is_an_error():
    with pytest.raises(ValueError, match="3 images and 2 labels: each picture needs one"):
        batches.pictures(numbered(3)[0], [0, 1])


def test_the_order_of_an_epoch_follows_from_seed_and_epoch():
    def order(seed, epoch):
        return [n for batch in labels_of(batches.pictures(*numbered(20), 6, seed, epoch)) for n in batch]

    assert order(5, 2) == order(5, 2) and sorted(order(5, 2)) == list(range(20))
    assert len({tuple(order(seed, epoch)) for seed in (5, 6) for epoch in range(4)}) == 8
    assert len(batches.pictures(*numbered(20), 6)) == 4


def test_pictures_and_labels_stay_together_when_shuffled():
    for pixels, numbers in batches.pictures(*numbered(50), batch_size=7, seed=1):
        np.testing.assert_array_equal((pixels.numpy()[:, 0, 0, 0] * 255).round(), numbers)


def test_mirrored_pictures_are_the_same_for_the_same_epoch():
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)

    def epoch(number):
        made = batches.pictures(images, np.arange(12), 4, 0, number, mirrored=True)
        pictures, labels = (np.concatenate(column) for column in zip(*made.as_numpy_iterator(), strict=True))
        return pictures[np.argsort(labels)]

    plain = images / np.float32(255)
    kept = np.isclose(epoch(0), plain).all(axis=(1, 2, 3))
    turned = np.isclose(epoch(0), plain[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ turned).all() and 0 < kept.sum() < 12
    np.testing.assert_array_equal(epoch(0), epoch(0))
    assert not np.array_equal(epoch(0), epoch(1))
