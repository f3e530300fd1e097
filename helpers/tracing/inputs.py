"""The inputs of a model: which of them are pictures, and what to do with those in another shape than it takes."""

import tensorflow as tf

PICTURES = "[B, H, W, C]"


def pictures(inputs):
    """Those of {name: tensor} that are pictures [B, H, W, C]; without any the signals, those of the highest rank."""
    floats = {name: tensor for name, tensor in inputs.items() if tensor.dtype.is_floating or tensor.shape.rank == 4}
    highest = max(tensor.shape.rank for tensor in (floats or inputs).values())
    return {name: tensor for name, tensor in (floats or inputs).items() if tensor.shape.rank == highest}


def check_shapes(flat, model):
    """Raise ValueError, with what to do, for inputs [B, ...] whose rank is not the one that the model takes."""
    wanted = _wanted(model)
    if wanted:
        fits = len(flat) == len(wanted) and all(map(_fits, flat, wanted))
    else:  # not called yet, or with several inputs that a subclassed model does not tell
        fits = any(leaf.shape.rank == 4 or (model.built and leaf.shape.rank) for leaf in flat)
    if fits:
        return
    given = ", ".join(dict.fromkeys(str(leaf.shape) for leaf in flat))
    shapes = " and ".join(map(_in_words, wanted)) or PICTURES
    advice = _advice(flat[0].shape, wanted[0] if wanted else tf.TensorShape([None] * 4))
    first = "" if wanted else "; for signals [B, T, C] call the model once before"
    raise ValueError(f"images: shape {given}; float32 {shapes} is wanted{advice}{first}")


def _wanted(model):
    """The shapes of the model's inputs; an empty list where it does not say."""
    if tensors := getattr(model, "inputs", None):
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
