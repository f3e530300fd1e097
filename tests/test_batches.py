"""One feeder for all trainings: in order, shuffled by seed and epoch, mirrored by lot."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from helpers.training import batches


def numbered(count):
    images = np.zeros((count, 4, 4, 3), np.uint8) + np.arange(count, dtype=np.uint8)[:, None, None, None]
    return images, np.arange(count)


def columns(*arguments, **options):
    """The pictures and the labels of all batches."""
    made = batches.pictures(*arguments, **options).as_numpy_iterator()
    return [np.concatenate(column) for column in zip(*made, strict=True)]


def test_batches_are_unit_range_floats_in_order():
    images, labels = numbered(7)
    (first, numbers), (last, _) = batches.pictures(images, labels, batch_size=4)
    assert first.shape == (4, 4, 4, 3) and last.shape == (3, 4, 4, 3) and first.dtype == np.float32
    np.testing.assert_array_equal(first.numpy()[:, 0, 0, 0], np.float32([0, 1, 2, 3]) / np.float32(255))
    assert numbers.numpy().tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="arrays of 7, 2 rows: each picture needs its label or answer"):
        batches.pictures(images, [0, 1])


def test_the_order_of_an_epoch_follows_from_seed_and_epoch():
    orders = set()
    for seed, epoch in itertools.product((5, 6), range(4)):
        pixels, labels = columns(*numbered(20), 6, seed, epoch)
        orders.add(tuple(labels))
        np.testing.assert_array_equal((pixels[:, 0, 0, 0] * 255).round(), labels)  # they stay together
        np.testing.assert_array_equal(columns(*numbered(20), 6, seed, epoch)[1], labels)
        assert sorted(labels) == list(range(20))
    assert len(orders) == 8 and len(batches.pictures(*numbered(20), 6)) == 4


def test_mirrored_pictures_are_the_same_for_the_same_epoch():
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)

    def epoch(number):
        pictures, labels = columns(images, np.arange(12), 4, 0, number, mirrored=True)
        return pictures[np.argsort(labels)]

    plain = images / np.float32(255)
    kept = np.isclose(epoch(0), plain).all(axis=(1, 2, 3))
    turned = np.isclose(epoch(0), plain[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ turned).all() and 0 < kept.sum() < 12
    np.testing.assert_array_equal(epoch(0), epoch(0))
    assert not np.array_equal(epoch(0), epoch(1))


def test_each_batch_has_a_seed_of_its_own():
    assert batches.batch_seed(2, 3, tf.constant(4, tf.int64)).numpy().tolist() == [200_009, 4]


def test_scenes_are_shuffled_and_mirrored_with_what_is_asked_about_them():
    images = np.zeros((40, 1, 2, 3), np.uint8)
    images[:, 0, 0] = 255

    def epoch(number):
        made = batches.scenes((images, np.arange(40)), 8, lambda *both: both, epoch=number).as_numpy_iterator()
        return [np.concatenate(column) for column in zip(*made, strict=True)]

    (pictures, numbers), again = epoch(1), epoch(1)
    assert sorted(numbers) == list(range(40)) != list(numbers) and list(numbers) != list(epoch(2)[1])
    assert 0 < pictures[:, 0, 0, 0].sum() < 40 and (pictures.sum(axis=(1, 2, 3)) == 3).all()
    np.testing.assert_array_equal(pictures, again[0])
    np.testing.assert_array_equal(numbers, again[1])
    plain = next(iter(batches.scenes((images, np.arange(40)), 40, lambda *both: both)))
    assert plain[1].numpy().tolist() == list(range(40)) and (plain[0].numpy()[:, 0, 0] == 1).all()


def test_other_dtypes_are_refused():
    images, labels = numbered(3)
    with pytest.raises(ValueError, match="images: float64; expected uint8 from 0 to 255"):
        batches.pictures(images / 255, labels)
    with pytest.raises(ValueError, match="labels: float64; expected integers"):
        batches.pictures(images, labels / 2)
