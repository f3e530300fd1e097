"""The inputs of a model: as tensors it takes, which of them are pictures, and what to do with those of other shapes."""

import keras
import numpy as np
import tensorflow as tf

PICTURES = "[B, H, W, C]"


def as_inputs(model, images):
    """`images`, in their structure, as tensors that `model` takes: float32, or the dtype of its own input layers."""
    leaves, own = keras.tree.flatten(images), [getattr(tensor, "dtype", None) for tensor in _own(model, images)]
    own = own if len(own) == len(leaves) else [None] * len(leaves)
    return keras.tree.pack_sequence_as(images, list(map(_as_input, leaves, own)))


def _own(model, images):
    """The model's own symbolic inputs, in the order of the leaves of `images`; an empty list where it does not say."""
    own = keras.tree.flatten(getattr(model, "inputs", None) or [])
    by_name = {tensor.name: tensor for tensor in own}
    named = isinstance(images, dict) and by_name.keys() == images.keys()
    return [by_name[name] for name in sorted(images)] if named else own


def input_specs(inputs):
    """What a graph for pictures of this shape takes, in the structure of `inputs`; the batch size is left open."""
    return keras.tree.map_structure(lambda leaf: tf.TensorSpec([None, *leaf.shape[1:]], leaf.dtype), inputs)


def _as_input(leaf, own):
    tensor = tf.identity(leaf)  # two inputs are two, even if they are given the same tensor
    if tensor.dtype == own:
        return tensor
    if own is not None and tf.as_dtype(own).is_integer and tensor.shape.rank == 4:
        whole = tf.cast(tensor, own)
        if not tf.reduce_all(tf.cast(whole, tf.float64) == tf.cast(tensor, tf.float64)):
            wanted = f"the {own} that the model takes; give whole numbers in its range, as 0 to 255"
            raise ValueError(f"images: {tensor.dtype.name} with other values than {wanted}")
        return whole
    if tensor.dtype.is_floating:
        return tf.cast(tensor, tf.float32)
    if tensor.shape.rank == 4 or (tensor.shape.rank == 3 and own is not None and tf.as_dtype(own).is_floating):
        advice = "images.astype('float32') and, where it was trained so, / 255"
        raise ValueError(f"images: {tensor.dtype.name}; the model takes float32, scaled as in its training: {advice}")
    return tf.cast(tensor, tf.int32) if tensor.dtype.is_integer else tensor


def batch_size(model, inputs):
    """The number of pictures. ValueError for inputs that cannot be explained."""
    flat = keras.tree.flatten(inputs)
    _check_shapes(flat, _wanted(model, inputs), model.built)
    sizes = {leaf.shape[0] if leaf.shape.rank else None for leaf in flat}
    if 0 in sizes:
        raise ValueError("images: an empty batch; expected at least one picture")
    if len(sizes) != 1:
        raise ValueError(f"images: the inputs' batch sizes differ: {', '.join(str(leaf.shape) for leaf in flat)}")
    if not all(np.isfinite(leaf).all() for leaf in flat if leaf.dtype.is_floating):
        raise ValueError("images: they hold NaN or infinite values; clean them first, e.g. with numpy.nan_to_num")
    return sizes.pop()


def pictures(inputs):
    """Those of {name: tensor} that are pictures [B, H, W, C]; without any the signals, those of the highest rank."""
    floats = {name: tensor for name, tensor in inputs.items() if tensor.dtype.is_floating or tensor.shape.rank == 4}
    highest = max(tensor.shape.rank for tensor in (floats or inputs).values())
    return {name: tensor for name, tensor in (floats or inputs).items() if tensor.shape.rank == highest}


def _check_shapes(flat, wanted, is_built):
    """Raise ValueError, with what to do, for inputs [B, ...] whose ranks are not those of the `wanted` shapes."""
    if wanted:
        fits = len(flat) == len(wanted) and all(map(_fits, flat, wanted))
    else:  # not called yet, or with several inputs that a subclassed model does not tell
        fits = any(leaf.shape.rank == 4 or (is_built and leaf.shape.rank) for leaf in flat)
    if fits:
        return
    given = ", ".join(dict.fromkeys(str(leaf.shape) for leaf in flat))
    shapes = " and ".join(map(_in_words, wanted)) or PICTURES
    advice = _advice(flat[0].shape, wanted[0] if wanted else tf.TensorShape([None] * 4))
    first = "" if wanted else "; for signals [B, T, C] call the model once before"
    raise ValueError(f"images: shape {given}; expected float32 {shapes}{advice}{first}")


def _wanted(model, inputs):
    """The shapes of the model's inputs; an empty list where it does not say."""
    if tensors := _own(model, inputs):
        return [tf.TensorShape(tensor.shape) for tensor in tensors]
    shape = (model.get_build_config() or {}).get("input_shape") if model.built else None
    known = isinstance(shape, (tuple, list)) and all(size is None or isinstance(size, int) for size in shape)
    return [tf.TensorShape(shape)] if known else []


def _fits(leaf, wanted):
    """As Keras takes it: of the same rank, or with an axis of length 1 behind."""
    return leaf.shape.rank == wanted.rank or (leaf.shape.rank == wanted.rank + 1 and leaf.shape[-1] == 1)


def _in_words(shape):
    return PICTURES if shape.rank == 4 else str(["B", *shape[1:]]).replace("'", "").replace("None", "T")


def _advice(given, wanted):
    one, channel = wanted[1:], given.concatenate([1])
    if given.is_compatible_with(one):
        return "; for one picture give image[None], for a list of them numpy.stack(images)"
    if channel.is_compatible_with(wanted):
        return "; give the one channel an axis, images[..., None]"
    if channel.is_compatible_with(one):
        return "; for one picture give image[None, ..., None]"
    return "; its first axis is one too many: images[0]" if given[1:].is_compatible_with(wanted) else ""
