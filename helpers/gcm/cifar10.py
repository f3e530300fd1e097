"""CIFAR-10 from the official binary files or Keras' download, and the paper's augmentation."""

import os
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from helpers import paths
from helpers.training import batches, runs

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD = 1 + 32 * 32 * 3  # a label byte, then the R, G and B planes, row by row
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILE = "test_batch.bin"
ORIGINALS = "72c15e60c081b70e"  # the digest of the 50,000 official training pictures and labels, in their order
EXAMPLES = paths.NOTEBOOKS / "pictures" / "cars_bird_truck.png"  # three test pictures, side by side
HOW_TO_GET_IT = (
    "CIFAR-10 is not here, so a drawn stand-in is used. Two ways to get it: set CIFAR10_DIR to the "
    "unpacked binary version (cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html), "
    "or go online once and let Keras download it."
)


class Cifar10(NamedTuple):
    """Pictures uint8 [N,32,32,3], labels int32 [N]; `source` says in words where they come from."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    source: str

    @property
    def contents(self):
        """The source and how many pictures it has, in words: every accuracy depends on them."""
        return f"{self.source}: {len(self.train_images):,} training and {len(self.test_images):,} test pictures"

    @property
    def is_real(self):
        """False for the drawn stand-in."""
        return not self.source.startswith("drawn")

    @property
    def are_originals(self):
        """True for the 50,000 official training pictures in their order: no copies, none missing."""
        return runs.digest(self.train_images, self.train_labels) == ORIGINALS

    def first(self, train=None, test=None):
        """The same data with only the first pictures of each part (None: all of them). ValueError below zero."""
        if min(train or 0, test or 0) < 0:
            raise ValueError(f"first(train={train}, test={test}): a number of pictures is at least 0")
        training = self.train_images[:train], self.train_labels[:train]
        return Cifar10(*training, self.test_images[:test], self.test_labels[:test], self.source)

    def held_out(self, count):
        """The last `count` training pictures in place of the test pictures, for choosing a recipe.

        ValueError unless 1 <= count < the number of training pictures.
        """
        images, labels = self.train_images, self.train_labels
        if not 1 <= count < len(images):
            raise ValueError(
                f"held_out({count}): hold out 1 to {len(images) - 1} of the {len(images)} training pictures"
            )
        source = f"{self.source}, the last {count:,} training pictures held out"
        return Cifar10(images[:-count], labels[:-count], images[-count:], labels[-count:], source)

    def compressed(self):
        """The same data as JPEG copies."""
        copies = {"train_images": jpeg_copies(self.train_images), "test_images": jpeg_copies(self.test_images)}
        return self._replace(**copies, source=f"{self.source}, as JPEG copies")


def load(folder=None):
    """CIFAR-10 from `folder`, else CIFAR10_DIR, else data/cifar-10-batches-bin, else by Keras' download.

    Where none of them works a message says how to get it, and the drawn stand-in of `drawn()` is returned: `.is_real`
    is False and `.source` says so.
    Raises FileNotFoundError (a batch is missing) and ValueError (wrong size, label out of range) for a folder that
    is there and is not CIFAR-10: such a folder is never passed over in silence.
    """
    folder = folder or os.environ.get("CIFAR10_DIR")
    if folder or (paths.DATA / "cifar-10-batches-bin").is_dir():
        return read_binary(folder or paths.DATA / "cifar-10-batches-bin")
    try:
        (train_images, train_labels), (test_images, test_labels) = keras.datasets.cifar10.load_data()
    except Exception as error:  # Keras raises a bare Exception when the network or the server is away
        print(f"{HOW_TO_GET_IT} (Keras' download: {error})")
        return drawn()
    train_labels, test_labels = (column[:, 0].astype("int32") for column in (train_labels, test_labels))
    return Cifar10(train_images, train_labels, test_images, test_labels, "CIFAR-10 by Keras' download")


def read_binary(folder):
    """CIFAR-10 from a folder in the official binary layout (no pickle is read). Errors as in `load`.

    A file may hold fewer pictures than the official one, as where only the first 1,000 test pictures were passed on.
    """
    folder = paths.given(folder).resolve()
    train = map(np.concatenate, zip(*[_records(folder / name) for name in TRAIN_FILES], strict=True))
    return Cifar10(*train, *_records(folder / TEST_FILE), f"CIFAR-10 binary files in {folder.name}")


def drawn(train=500, test=100):
    """A drawn stand-in with ten classes (a shape and a colour each), so that everything runs without CIFAR-10.

    train, test: pictures per class. It says nothing about CIFAR-10 and is labelled so in `source`.
    """
    rng = np.random.default_rng(10)
    return Cifar10(*_draw(rng, train), *_draw(rng, test), "drawn stand-in (no CIFAR-10 here)")


def jpeg_copies(images):
    """Pictures uint8 [N,H,W,3] after JPEG compression (quality 75, colours at half the resolution): same shape."""
    copies = [tf.io.decode_jpeg(tf.io.encode_jpeg(image, quality=75)).numpy() for image in images]
    return np.array(copies, np.uint8).reshape(images.shape)


def find_examples(images):
    """Where among `images`, uint8 [N,32,32,3], the notebooks' cars, bird and truck are: three ints.

    They are found by their looks, as the most alike, because copies of CIFAR-10 differ in order and compression.
    """
    with Image.open(EXAMPLES) as strip:
        wanted = np.split(np.asarray(strip, np.float32), 3, axis=1)
    return [int(np.argmin([np.abs(part - one).mean() for part in images])) for one in wanted]


def augment(images, seed):
    """The paper's augmentation (Table 2): zero-pad by 4, crop 32x32 at random, flip left-right at random.

    images [B,H,W,3] of any dtype -> the same shape and dtype; seed: two integers, the same seed the same crops.
    """
    batch, height, width = tf.shape(images)[0], tf.shape(images)[1], tf.shape(images)[2]
    padded = tf.pad(images, [[0, 0], [4, 4], [4, 4], [0, 0]])
    draws = tf.random.stateless_uniform([3, batch], seed, maxval=18, dtype=tf.int32)
    rows = draws[0][:, None] % 9 + tf.range(height)
    columns = draws[1][:, None] % 9 + tf.range(width)
    columns = tf.where(draws[2][:, None] % 2 == 1, columns[:, ::-1], columns)
    return tf.gather(tf.gather(padded, rows, batch_dims=1), columns, axis=2, batch_dims=1)


def training_batches(images, labels, batch_size=128, seed=0):
    """The function epoch -> tf.data of (float32 [B,32,32,3] in [0,1], int32 [B]), a pure function of (seed, epoch).

    images: uint8 [N,32,32,3]; labels: int [N]. Raises ValueError for others.
    """
    _check(images, labels)
    arrays = tf.constant(images), tf.constant(labels)

    def epoch_batches(epoch):
        def prepare(step, images, labels):
            return batches.unit(augment(images, batches.batch_seed(seed, epoch, step))), labels

        order = np.random.default_rng([seed, epoch]).permutation(len(images))
        return batches.batches(arrays, batch_size, order, prepare)

    return epoch_batches


def test_batches(images, labels):
    """tf.data of (float32 [B,32,32,3] in [0,1], int32 [B]) in the given order; images and labels as above."""
    _check(images, labels)
    return batches.batches((images, labels), 500, prepare=lambda _, *rows: (batches.unit(rows[0]), rows[1]))


def _check(images, labels):
    if images.dtype != np.uint8 or labels.shape != (len(images),):
        given = f"images: {images.dtype} {images.shape}, labels: {labels.shape}"
        raise ValueError(f"{given}; expected uint8 [N,32,32,3] in 0 to 255 and one label for each")


def _records(path):
    """The pictures uint8 [N,32,32,3] and labels int32 [N] of one file."""
    if not path.exists():
        wanted = f"the binary version has {', '.join(TRAIN_FILES)} and {TEST_FILE}"
        raise FileNotFoundError(f"{path.name} is missing in {path.parent}: {wanted}; unpack the archive again")
    raw = np.fromfile(path, dtype=np.uint8)
    if raw.size == 0 or raw.size % RECORD:
        size = f"{raw.size} bytes is not a whole number of records of {RECORD} bytes"
        raise ValueError(f"{path.name}: {size}; is this the *binary* version, and was the download complete?")
    labels, pixels = raw.reshape(-1, RECORD)[:, 0], raw.reshape(-1, RECORD)[:, 1:]
    if labels.max() >= len(CLASSES):
        known = "CIFAR-10 has the labels 0 to 9 (CIFAR-100 files have two label bytes)"
        raise ValueError(f"{path.name}: label {labels.max()}; {known}")
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels.astype("int32")


def _draw(rng, per_class):
    labels = np.tile(np.arange(10, dtype="int32"), per_class)
    rows, columns = np.mgrid[:32, :32]
    images = np.empty((len(labels), 32, 32, 3), np.uint8)
    for index, label in enumerate(labels):
        centre = rng.uniform(12, 20, 2)
        y, x = (rows - centre[0]) / rng.uniform(6, 10), (columns - centre[1]) / rng.uniform(6, 10)
        shape = _SHAPES[label % 5](x, y)
        colour = np.array([220, 90, 60] if label < 5 else [60, 110, 220]) * rng.uniform(0.7, 1.1)
        background = rng.uniform(60, 200) + rng.normal(0, 12, (32, 32, 3))
        images[index] = np.clip(np.where(shape[..., None], colour + rng.normal(0, 12, (32, 32, 3)), background), 0, 255)
    return images, labels


_SHAPES = (
    lambda x, y: x**2 + y**2 < 1,  # disc
    lambda x, y: np.maximum(abs(x), abs(y)) < 0.9,  # square
    lambda x, y: abs(x) + abs(y) < 1.1,  # diamond
    lambda x, y: np.minimum(abs(x), abs(y)) < 0.3,  # cross
    lambda x, y: (x**2 + y**2 < 1.1) & (x**2 + y**2 > 0.4),  # ring
)
