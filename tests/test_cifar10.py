"""CIFAR-10: the binary layout byte by byte, its faults, the augmentation pixel by pixel, the drawn stand-in."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from helpers import paths
from helpers.gcm import cifar10


def write_batches(folder, records=3, label=None):
    """Six small files in the official layout; returns their raw bytes [6, records, 3073]."""
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 256, (6, records, cifar10.RECORD), dtype=np.uint8)
    raw[:, :, 0] = rng.integers(0, 10, (6, records)) if label is None else label
    for content, name in zip(raw, (*cifar10.TRAIN_FILES, cifar10.TEST_FILE), strict=True):
        (folder / name).write_bytes(content.tobytes())
    return raw


@pytest.fixture
def nothing_here(monkeypatch, tmp_path):
    """No CIFAR10_DIR, an empty data folder, and no network."""
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    (tmp_path / "data").mkdir()

    def offline():
        raise Exception("URL fetch failure")  # what Keras raises

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", offline)
    return tmp_path / "data"


def test_a_record_is_a_label_and_three_planes(tmp_path):
    raw = write_batches(tmp_path)
    data = cifar10.read_binary(tmp_path)
    assert data.train_images.shape == (15, 32, 32, 3) and data.test_images.shape == (3, 32, 32, 3)
    assert data.train_images.dtype == np.uint8 and data.train_labels.dtype == np.int32
    for file, record, row, column in [(0, 0, 0, 0), (2, 1, 31, 0), (4, 2, 5, 30)]:
        picture = data.train_images[file * 3 + record]
        for channel in range(3):
            assert picture[row, column, channel] == raw[file, record, 1 + channel * 1024 + row * 32 + column]
    np.testing.assert_array_equal(data.train_labels, raw[:5, :, 0].ravel())
    np.testing.assert_array_equal(data.test_labels, raw[5, :, 0])


def test_the_first_pictures_only():
    data = cifar10.drawn(train=2, test=2)
    part = data.first(train=7)
    assert [len(array) for array in part[:4]] == [7, 7, 20, 20] and part.source == data.source
    np.testing.assert_array_equal(part.train_images, data.train_images[:7])
    assert [len(array) for array in data.first(test=3)[:4]] == [20, 20, 3, 3]
    assert len(data.first(train=0).train_images) == 0
    with pytest.raises(ValueError, match="train=-5"):
        data.first(train=-5)


def test_examples_are_found_by_their_looks():
    data, rng = cifar10.drawn(train=1, test=20), np.random.default_rng(0)
    with Image.open(cifar10.EXAMPLES) as strip:
        wanted = np.split(np.asarray(strip, float), 3, axis=1)
    images, places = data.test_images.copy(), [150, 3, 77]
    for place, picture in zip(places, wanted, strict=True):
        images[place] = np.clip(picture + rng.normal(0, 10, picture.shape), 0, 255)  # another compression
    assert cifar10.find_examples(images) == places


def test_where_it_is_looked_for(nothing_here, monkeypatch, tmp_path):
    assert not cifar10.load().is_real
    (nothing_here / "cifar-10-batches-bin").mkdir()
    write_batches(nothing_here / "cifar-10-batches-bin", records=1)
    assert len(cifar10.load().train_images) == 5
    (tmp_path / "elsewhere").mkdir()
    write_batches(tmp_path / "elsewhere", records=2)
    monkeypatch.setenv("CIFAR10_DIR", str(tmp_path / "elsewhere"))
    data = cifar10.load()
    assert len(data.train_images) == 10 and data.is_real and "elsewhere" in data.source
    assert len(cifar10.load(nothing_here / "cifar-10-batches-bin").train_images) == 5
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv("CIFAR10_DIR", "elsewhere")  # from the project's folder, wherever the notebook runs
    assert len(cifar10.load().train_images) == 10
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cifar10.read_binary(".").source.endswith("in elsewhere")


def test_keras_download_is_used_where_there_is_one(nothing_here, monkeypatch):
    images = np.arange(2 * 32 * 32 * 3, dtype="uint8").reshape(2, 32, 32, 3)
    labels = np.array([[3], [9]], "uint8")
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: ((images, labels), (images[:1], labels[:1])))
    data = cifar10.load()
    assert data.is_real and "Keras" in data.source and data.train_labels.dtype == np.int32
    np.testing.assert_array_equal(data.train_labels, [3, 9])
    np.testing.assert_array_equal(data.test_images, images[:1])


def test_the_way_out_names_both_ways_and_the_reason(nothing_here, capsys):
    assert cifar10.load().source.startswith("drawn stand-in")
    printed = capsys.readouterr().out
    assert "CIFAR10_DIR" in printed and "Keras download" in printed and "URL fetch failure" in printed


# --- Faults ----------------------------------------------------------------------------------------------------------


def test_a_missing_batch_is_named(tmp_path):
    write_batches(tmp_path)
    (tmp_path / "data_batch_4.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_4\.bin is missing"):
        cifar10.read_binary(tmp_path)


def test_an_empty_folder_is_no_fallback(nothing_here):
    (nothing_here / "cifar-10-batches-bin").mkdir()
    with pytest.raises(FileNotFoundError, match="unpack the archive again"):
        cifar10.load()
    with pytest.raises(FileNotFoundError, match=r"data_batch_1\.bin is missing in .*nowhere"):
        cifar10.load(nothing_here / "nowhere")


@pytest.mark.parametrize("name", ["data_batch_2.bin", "test_batch.bin"])
@pytest.mark.parametrize("size", [0, 1, 3072, 3 * 3073 - 5, 3 * 3074])
def test_wrong_sizes(tmp_path, name, size):
    write_batches(tmp_path)
    (tmp_path / name).write_bytes(bytes(size))
    with pytest.raises(ValueError, match=f"{name}: {size} bytes .*records of 3073"):
        cifar10.read_binary(tmp_path)


def test_labels_out_of_range(tmp_path):
    raw = write_batches(tmp_path)
    raw[3, 2, 0] = 10
    (tmp_path / "data_batch_4.bin").write_bytes(raw[3].tobytes())
    with pytest.raises(ValueError, match=r"data_batch_4\.bin: label 10; CIFAR-10 has the labels 0 to 9"):
        cifar10.read_binary(tmp_path)


# --- Augmentation ----------------------------------------------------------------------------------------------------


def all_crops(image):
    """The 2 * 81 pictures the paper's augmentation can make of one, as bytes."""
    padded = np.pad(image, [(4, 4), (4, 4), (0, 0)])
    crops = [padded[row : row + 32, column : column + 32] for row in range(9) for column in range(9)]
    return [crop.tobytes() for crop in crops] + [np.ascontiguousarray(crop[:, ::-1]).tobytes() for crop in crops]


def test_augmentation_makes_the_papers_crops_and_all_of_them_equally_often():
    image = np.random.default_rng(0).integers(1, 256, (32, 32, 3), dtype=np.uint8)
    possible = {crop: number for number, crop in enumerate(all_crops(image))}
    assert len(possible) == 162
    batch = cifar10.augment(tf.constant(np.repeat(image[None], 8100, axis=0)), (1, 2)).numpy()
    assert batch.dtype == np.uint8
    counts = np.bincount([possible[crop.tobytes()] for crop in batch], minlength=162)
    chi_squared = np.sum((counts - 50) ** 2 / 50)
    assert 100 < chi_squared < 240  # 161 degrees of freedom: mean 161, four deviations of 18


def test_augmentation_is_seeded():
    images = np.random.default_rng(0).random((16, 32, 32, 3), dtype="float32")
    first, again, other = (cifar10.augment(images, seed).numpy() for seed in [(3, 4), (3, 4), (3, 5)])
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other, axis=(1, 2, 3)).mean() > 0.9


def test_batches_are_a_pure_function_of_seed_and_epoch():
    data = cifar10.drawn(train=4, test=1)

    def epoch(number, **options):
        made = cifar10.training_batches(data.train_images, data.train_labels, batch_size=16, **options)(number)
        assert made.cardinality() == 3
        pictures, labels = zip(*made.as_numpy_iterator(), strict=True)
        assert [len(batch) for batch in labels] == [16, 16, 8]
        return np.concatenate(pictures), np.concatenate(labels)

    pictures, labels = epoch(0, seed=1)
    assert pictures.dtype == np.float32 and labels.dtype == np.int32 and 0 <= pictures.min() < pictures.max() <= 1
    np.testing.assert_array_equal(pictures, epoch(0, seed=1)[0])
    assert (pictures != epoch(1, seed=1)[0]).any() and (pictures != epoch(0, seed=2)[0]).any()
    plain, plain_labels = epoch(3, augmented=False)
    order = np.lexsort(plain.reshape(40, -1).T)
    wanted = data.train_images.astype("float32") / 255
    wanted_order = np.lexsort(wanted.reshape(40, -1).T)
    np.testing.assert_allclose(plain[order], wanted[wanted_order], rtol=1e-6)  # every picture exactly once
    np.testing.assert_array_equal(plain_labels[order], data.train_labels[wanted_order])


def test_test_batches_keep_the_order():
    data = cifar10.drawn(train=1, test=3)
    batches = cifar10.test_batches(data.test_images, data.test_labels, 7)
    pictures, labels = zip(*batches.as_numpy_iterator(), strict=True)
    np.testing.assert_allclose(np.concatenate(pictures), data.test_images / np.float32(255), rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate(labels), data.test_labels)


def test_pictures_divided_by_255_already_and_columns_of_labels_are_refused():
    data = cifar10.drawn(train=1, test=1)
    for images, labels in [
        (data.test_images / np.float32(255), data.test_labels),
        (data.test_images, data.test_labels[:, None]),
        (data.test_images, data.test_labels[:5]),
    ]:
        for make in (cifar10.training_batches, cifar10.test_batches):
            with pytest.raises(ValueError, match=r"uint8 \[N,32,32,3\] in 0 to 255 and one label for each"):
                make(images, labels)


# --- The drawn stand-in ----------------------------------------------------------------------------------------------


def test_drawn_pictures_are_balanced_repeatable_and_learnable():
    data, again = cifar10.drawn(train=30, test=20), cifar10.drawn(train=30, test=20)
    for ours, other in zip(data[:4], again[:4], strict=True):
        np.testing.assert_array_equal(ours, other)
    assert np.bincount(data.train_labels).tolist() == [30] * 10 and np.bincount(data.test_labels).tolist() == [20] * 10
    assert data.train_images.shape == (300, 32, 32, 3) and data.train_images.dtype == np.uint8
    redder = data.test_images[..., 0].mean((1, 2)) > data.test_images[..., 2].mean((1, 2))
    assert np.mean(redder == (data.test_labels < 5)) > 0.95  # the colour tells half of the class
    means = np.stack([data.train_images[data.train_labels == j].mean(0) for j in range(10)])
    distance = ((data.test_images[:, None] - means) ** 2).mean((2, 3, 4))
    assert 0.25 < np.mean(distance.argmin(1) == data.test_labels) < 0.95  # the shape is there, and not for free
