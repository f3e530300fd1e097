"""One feeder for all trainings: arrays in, `tf.data` batches out, the same ones for the same seed and epoch.

Each caller keeps its own order of pictures and its own seeds, so that a recipe still gives the same weights.
"""

import numpy as np
import tensorflow as tf

mirror = tf.image.stateless_random_flip_left_right  # pictures [B, H, W, 3], each at random; seed: two integers


def batches(arrays, batch_size, order=None, prepare=None):
    """One epoch of `arrays` (a tuple [N, ...], arrays or tensors) as a `tf.data.Dataset`; the last batch may be short.

    order: int [N], default: as they are. prepare: f(step, *rows of the arrays) -> an element of the data set, all
    inside the graph; step is the batch's number, int64. Raises ValueError for arrays of different lengths.
    """
    arrays = [tf.constant(array) for array in arrays]
    if len({len(array) for array in arrays}) != 1:
        counts = ", ".join(str(len(array)) for array in arrays)
        raise ValueError(f"arrays of {counts} rows: each picture needs its label or answer")
    order = np.arange(len(arrays[0])) if order is None else order

    def gather(step, places):
        rows = [tf.gather(array, places) for array in arrays]
        return prepare(step, *rows) if prepare else tuple(rows)

    steps = tf.data.Dataset.from_tensor_slices(order).batch(batch_size).enumerate()
    return steps.map(gather, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def pictures(images, labels, batch_size=15, seed=None, epoch=0, mirrored=False):
    """One epoch of (float32 [B, H, W, 3] in [0, 1], int64 [B]) for a classifier.

    images: uint8 [N, H, W, 3], an array or (saves copying it each epoch) a tensor; labels: int [N]. With a seed the
    order follows from (seed, epoch) alone, so training resumed at an epoch sees what unbroken training would have seen;
    without one it is the arrays' order. mirrored (needs a seed): flip pictures left to right at random. ValueError for
    other dtypes or lengths.
    """
    images, labels = tf.constant(images), tf.convert_to_tensor(labels)
    if not labels.dtype.is_integer:
        raise ValueError(f"labels: {labels.dtype.name}; expected integers [N]")
    labels = tf.cast(labels, tf.int64)
    if images.dtype != tf.uint8:
        raise ValueError(f"images: {images.dtype.name}; expected uint8 from 0 to 255")
    order = None if seed is None else tf.random.experimental.stateless_shuffle(tf.range(len(labels)), [seed, epoch])

    def prepare(step, images, labels):
        images = unit(images)
        return (mirror(images, batch_seed(seed, epoch, step)) if mirrored else images), labels

    return batches((images, labels), batch_size, order, prepare)


def scenes(arrays, batch_size, example, epoch=None):
    """One epoch of scenes for the language networks; arrays: pictures uint8 [N, H, W, 3] first, then what is asked.

    example: f(pictures float32 in [0, 1], *others) -> an element. Shuffled and mirrored for an epoch, as they are
    without one.
    """
    if epoch is None:
        return batches(arrays, batch_size, prepare=lambda step, images, *others: example(unit(images), *others))
    order = tf.data.Dataset.range(len(arrays[0])).shuffle(len(arrays[0]), seed=epoch, reshuffle_each_iteration=False)

    def prepare(step, images, *others):
        return example(mirror(unit(images), [epoch, step]), *others)

    return batches(arrays, batch_size, next(iter(order.batch(len(arrays[0])))), prepare)


def unit(images):
    """Pictures uint8 as float32 in [0, 1]."""
    return tf.cast(images, tf.float32) / 255


def batch_seed(seed, epoch, step):
    """The stateless seed of batch `step` of an epoch: two integers."""
    return tf.stack([tf.constant(seed * 100_003 + epoch, tf.int64), step])


def predict_all(predict, images, batch_size=32):
    """predict(images) for any number of pictures, a batch at a time: float64 [B, N]. Raises ValueError for none."""
    return np.concatenate([np.asarray(predict(images[batch]), np.float64) for batch in slices(len(images), batch_size)])


def slices(length, batch_size):
    """The slices that cut `length` pictures into batches. Raises ValueError for no pictures."""
    if not length:
        raise ValueError("images: an empty batch; expected at least one picture")
    return [slice(start, start + batch_size) for start in range(0, length, batch_size)]
