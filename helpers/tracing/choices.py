"""Which of a model's several inputs or outputs is meant, by name or number."""

import keras
import numpy as np

from helpers.tracing.outputs import shapes


def named(structure, layer_names=()):
    """{name: tensor} of a structure of inputs or outputs, in Keras' order (a dict's by its sorted keys).

    A name is the tensor's key in a dict, "outer/inner" in a nested one, or its field in a named tuple, else its
    layer's, if `layer_names` has one for each; its number where that is no name of its own.
    """
    layer_names = getattr(structure, "_fields", layer_names)
    leaves = [(path, leaf) for path, leaf in keras.tree.flatten_with_path(structure) if leaf is not None]
    names = list(layer_names) if len(layer_names) == len(leaves) else [None] * len(leaves)
    for number, (path, _) in enumerate(leaves):
        if any(isinstance(key, str) for key in path):
            names[number] = "/".join(map(str, path))
    unique = [name if name and names.count(name) == 1 else number for number, name in enumerate(names)]
    return dict(zip(unique, (leaf for _, leaf in leaves), strict=True))


def chosen(tensors, which, option):
    """The tensor that `which` means among `tensors`, {name: tensor}: a name or a number, counted from 0.

    option: how the choice is called in the message. Raises ValueError that lists them.
    """
    if isinstance(which, str) and which in tensors:
        return tensors[which]
    if isinstance(which, (int, np.integer)) and not isinstance(which, bool) and 0 <= which < len(tensors):
        return list(tensors.values())[which]
    raise ValueError(f"{option}: {which!r} is none of this model's {option}s: {listed(tensors)}")


def listed(tensors):
    """`tensors`, {name: tensor}, for a message: 0 'species' ['B', 3], 1 'age' ['B', 1]."""
    names = [f"{number}" if name == number else f"{number} {name!r}" for number, name in enumerate(tensors)]
    return ", ".join(f"{name} {shapes(tensor)}" for name, tensor in zip(names, tensors.values(), strict=True))
