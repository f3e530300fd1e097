"""CIFAR-10: the binary layout byte by byte, its faults, the augmentation pixel by pixel, the drawn stand-in."""

import hashlib
import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from helpers import paths
from helpers.gcm import cifar10


def write_batches(folder, records=3):
    """Six small files in the official layout; returns their raw bytes [6, records, 3073]."""
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 256, (6, records, cifar10.RECORD), dtype=np.uint8)
    raw[:, :, 0] = rng.integers(0, 10, (6, records))
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
        planes = raw[file, record, 1 + row * 32 + column :: 1024]
        np.testing.assert_array_equal(data.train_images[file * 3 + record, row, column], planes)
    np.testing.assert_equal([data.train_labels, data.test_labels], [raw[:5, :, 0].ravel(), raw[5, :, 0]])


def test_a_test_file_may_be_shorter_and_the_pictures_are_counted(tmp_path):
    raw = write_batches(tmp_path, records=4)
    (tmp_path / cifar10.TEST_FILE).write_bytes(raw[5, :1].tobytes())
    data = cifar10.read_binary(tmp_path)
    np.testing.assert_array_equal(data.test_labels, raw[5, :1, 0])
    assert data.contents == f"CIFAR-10 binary files in {tmp_path.name}: 20 training and 1 test pictures"


def test_originals_are_told_from_copies_and_from_another_order(tmp_path, monkeypatch):
    raw = write_batches(tmp_path)[:5].reshape(15, -1)
    planes, labels = raw[:, 1:].reshape(15, 3, 32, 32), raw[:, 0].astype("<i4")
    written = hashlib.sha256(planes.transpose(0, 2, 3, 1).tobytes() + labels.tobytes()).hexdigest()
    data = cifar10.read_binary(tmp_path)
    assert not data.are_originals
    monkeypatch.setattr(cifar10, "ORIGINALS", written[:16])
    assert data.are_originals and data.first(test=0).are_originals
    turned = data._replace(train_images=data.train_images[::-1], train_labels=data.train_labels[::-1])
    for other in (turned, data.compressed(), data.first(train=14)):
        assert not other.are_originals


def test_the_first_pictures_only_and_the_last_held_out():
    data = cifar10.drawn(train=2, test=2)
    part = data.first(train=7)
    assert [len(array) for array in part[:4]] == [7, 7, 20, 20] and part.source == data.source
    np.testing.assert_array_equal(part.train_images, data.train_images[:7])
    assert [len(array) for array in data.first(test=3)[:4]] == [20, 20, 3, 3]
    assert len(data.first(train=0).train_images) == 0
    with pytest.raises(ValueError, match="train=-5"):
        data.first(train=-5)
    held, many = data.held_out(6), data._replace(train_images=np.zeros(2000)).held_out(1234)
    np.testing.assert_equal(held[:4], [*(whole[:14] for whole in data[:2]), *(whole[14:] for whole in data[:2])])
    assert many.source == f"{data.source}, the last 1,234 training pictures held out" and not held.is_real
    for count in (-1, 0, 20):
        with pytest.raises(ValueError, match=rf"held_out\({count}\): hold out 1 to 19 of the 20"):
            data.held_out(count)


def test_jpeg_copies_are_those_that_pillow_makes():
    data = cifar10.drawn(train=2, test=1)
    copies = data.compressed()
    for images, own in ((data.train_images, copies.train_images), (data.test_images, copies.test_images)):
        for image, copy in zip(images, own, strict=True):
            Image.fromarray(image).save(file := io.BytesIO(), "JPEG", quality=75, subsampling="4:2:0")
            np.testing.assert_allclose(copy, np.asarray(Image.open(file)), atol=6)  # another quality: 24 and more
            assert np.abs(copy.astype(int) - image).mean() > 5
    assert len(data.first(train=0).compressed().train_images) == 0
    assert copies.source == f"{data.source}, as JPEG copies" and copies.train_labels is data.train_labels


def test_examples_are_found_by_their_looks():
    data, rng = cifar10.drawn(train=1, test=20), np.random.default_rng(0)
    with Image.open(cifar10.EXAMPLES) as strip:
        wanted = np.split(np.asarray(strip, float), 3, axis=1)
    images, places = data.test_images.copy(), [150, 3, 77]
    for place, picture in zip(places, wanted, strict=True):
        images[place] = np.clip(picture + rng.normal(0, 10, picture.shape), 0, 255)  # another compression
    assert cifar10.find_examples(images) == places


def test_where_it_is_looked_for(nothing_here, monkeypatch, tmp_path, capsys):
    missing, printed = cifar10.load(), capsys.readouterr().out
    assert not missing.is_real and missing.source.startswith("drawn stand-in")
    assert "CIFAR10_DIR" in printed and "Keras download" in printed and "URL fetch failure" in printed
    images, labels = np.arange(2 * 32 * 32 * 3, dtype="uint8").reshape(2, 32, 32, 3), np.array([[3], [9]], "uint8")
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", lambda: ((images, labels), (images[:1], labels[:1])))
    data = cifar10.load()
    assert data.is_real and "Keras" in data.source and data.train_labels.dtype == np.int32
    np.testing.assert_equal([data.train_labels, data.test_images], [labels[:, 0], images[:1]])
    for folder, records in ((nothing_here / "cifar-10-batches-bin", 1), (tmp_path / "elsewhere", 2)):
        folder.mkdir()
        write_batches(folder, records)
    assert len(cifar10.load().train_images) == 5
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


def test_a_missing_batch_is_named_and_no_fallback_taken(nothing_here, tmp_path):
    write_batches(tmp_path)
    (tmp_path / "data_batch_4.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_4\.bin is missing"):
        cifar10.read_binary(tmp_path)
    (nothing_here / "cifar-10-batches-bin").mkdir()
    with pytest.raises(FileNotFoundError, match="unpack the archive again"):
        cifar10.load()
    with pytest.raises(FileNotFoundError, match=r"data_batch_1\.bin is missing in .*nowhere"):
        cifar10.load(nothing_here / "nowhere")


@pytest.mark.parametrize("name", ["data_batch_2.bin", "test_batch.bin"])
def test_wrong_sizes_and_labels_out_of_range(tmp_path, name):
    write_batches(tmp_path)
    for size in (0, 1, 3072, 3 * 3073 - 5, 3 * 3074):
        (tmp_path / name).write_bytes(bytes(size))
        with pytest.raises(ValueError, match=f"{name}: {size} bytes .*records of 3073"):
            cifar10.read_binary(tmp_path)
    (tmp_path / name).write_bytes(bytes(2 * 3073) + bytes([10]) + bytes(3072))
    with pytest.raises(ValueError, match=f"{name}: label 10; CIFAR-10 has the labels 0 to 9"):
        cifar10.read_binary(tmp_path)


def test_augmentation_makes_the_papers_crops_and_all_of_them_equally_often():
    image = np.random.default_rng(0).integers(1, 256, (32, 32, 3), dtype=np.uint8)
    padded = np.pad(image, [(4, 4), (4, 4), (0, 0)])
    crops = np.lib.stride_tricks.sliding_window_view(padded, image.shape).reshape(81, *image.shape)
    possible = {crop.tobytes(): number for number, crop in enumerate([*crops, *crops[:, :, ::-1]])}
    assert len(possible) == 162
    images = tf.constant(np.repeat(image[None], 8100, axis=0))
    batch, again, other = (cifar10.augment(images, seed).numpy() for seed in [(1, 2), (1, 2), (1, 3)])
    assert batch.dtype == np.uint8
    counts = np.bincount([possible[crop.tobytes()] for crop in batch], minlength=162)
    chi_squared = np.sum((counts - 50) ** 2 / 50)
    assert 100 < chi_squared < 240  # 161 degrees of freedom: mean 161, four deviations of 18
    np.testing.assert_array_equal(batch, again)
    assert np.any(batch != other, axis=(1, 2, 3)).mean() > 0.9
    assert cifar10.augment(images[:1] / 255, (1, 2)).dtype == "float32"  # any dtype stays


def columns(batches):
    """The pictures and the labels of all batches."""
    return [np.concatenate(column) for column in zip(*batches.as_numpy_iterator(), strict=True)]


def test_batches_are_a_pure_function_of_seed_and_epoch(monkeypatch):
    data = cifar10.drawn(train=4, test=1)

    def epoch(number, seed=0):
        made = cifar10.training_batches(data.train_images, data.train_labels, 16, seed)(number)
        assert [len(labels) for _, labels in made] == [16, 16, 8] and made.cardinality() == 3
        return columns(made)

    pictures, labels = epoch(0, seed=1)
    assert pictures.dtype == np.float32 and labels.dtype == np.int32 and 0 <= pictures.min() < pictures.max() <= 1
    np.testing.assert_array_equal(pictures, epoch(0, seed=1)[0])
    assert (pictures != epoch(1, seed=1)[0]).any() and (pictures != epoch(0, seed=2)[0]).any()
    monkeypatch.setattr(cifar10, "augment", lambda images, seed: images)
    plain, plain_labels = epoch(3)
    assert not np.array_equal(plain_labels, data.train_labels) and not np.array_equal(plain_labels, epoch(4)[1])
    order = np.lexsort(plain.reshape(40, -1).T)
    wanted = data.train_images.astype("float32") / 255
    wanted_order = np.lexsort(wanted.reshape(40, -1).T)
    np.testing.assert_allclose(plain[order], wanted[wanted_order], rtol=1e-6)  # every picture exactly once
    np.testing.assert_array_equal(plain_labels[order], data.train_labels[wanted_order])


def test_test_batches_keep_the_order():
    data = cifar10.drawn(train=1, test=51)
    pictures, labels = columns(cifar10.test_batches(data.test_images, data.test_labels))
    np.testing.assert_allclose(pictures, data.test_images / np.float32(255), rtol=1e-6)
    np.testing.assert_array_equal(labels, data.test_labels)


def test_pictures_divided_by_255_already_and_columns_of_labels_are_refused():
    images, labels = cifar10.drawn(train=1, test=1)[2:4]
    for wrong in [(images / np.float32(255), labels), (images, labels[:, None]), (images, labels[:5])]:
        for make in (cifar10.training_batches, cifar10.test_batches):
            with pytest.raises(ValueError, match=r"uint8 \[N,32,32,3\] in 0 to 255 and one label for each"):
                make(*wrong)


def test_drawn_pictures_are_balanced_repeatable_and_learnable():
    data = cifar10.drawn(train=30, test=20)
    np.testing.assert_equal(data, cifar10.drawn(train=30, test=20))
    assert np.bincount(data.train_labels).tolist() == [30] * 10 and np.bincount(data.test_labels).tolist() == [20] * 10
    assert data.train_images.shape == (300, 32, 32, 3) and data.train_images.dtype == np.uint8
    redder = data.test_images[..., 0].mean((1, 2)) > data.test_images[..., 2].mean((1, 2))
    assert np.mean(redder == (data.test_labels < 5)) > 0.95  # the colour tells half of the class
    means = np.stack([data.train_images[data.train_labels == j].mean(0) for j in range(10)])
    distance = ((data.test_images[:, None] - means) ** 2).mean((2, 3, 4))
    assert 0.25 < np.mean(distance.argmin(1) == data.test_labels) < 0.95  # the shape is there, and not for free
