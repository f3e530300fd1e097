"""Which feature map an explanation is asked for, and how its values lie in the picture or signal.

Tokens are rows [B, T, K], as Vision Transformers make them; (rows, columns) says how they lie in the picture, row by
row. Up to FURTHER tokens may stand before them: the class token, and the distillation token of a DeiT.
"""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers.tracing.recording import ancestors, find_layer

FURTHER = 2
SLICING = ("StridedSlice", "Slice", "GatherV2")  # may take the further tokens out
# what a token takes from the others
ATTENTION_PRODUCTS = ("Einsum", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")


class Place(NamedTuple):
    """Which feature map is meant: whose, None for the last one; in which of that layer's calls, counted from 0, None
    for the last one; how its tokens lie in the picture, (rows, columns), None for a map that consists of none."""

    layer: keras.Layer | None = None
    call: int | None = None
    tokens: tuple | None = None


def place(model, layer, call, tokens):
    """The `Place` meant by an explainer's options. Raises ValueError for those that mean none."""
    if call is not None and layer is None:
        raise ValueError(f"call: {call!r} given without layer=, the one that is called more than once")
    if tokens is not None:
        sides = np.asarray(tokens)
        if sides.shape != (2,) or sides.dtype.kind not in "iu" or sides.min() < 1:
            raise ValueError(f"tokens: {tokens!r}; expected (rows, columns), how the tokens lie in the picture")
        tokens = tuple(sides.tolist())
    return Place(None if layer is None else find_layer(model, layer), call, tokens)


def is_map(value, place, seen):
    """Whether a layer's output has values for each place: of pictures, of tokens or of signals. seen: {name: input}."""
    if not tf.is_tensor(value) or value.shape.rank not in ranks(place, seen):
        return False
    count = place.tokens and place.tokens[0] * place.tokens[1]
    if not count or value.shape[1] is None:  # known when it runs, see `in_places`
        return True
    return count <= value.shape[1] <= count + FURTHER


def ranks(place, seen):
    """How many axes a map has: 4 of pictures, 3 of tokens; of signals 3, or 4 where they become pictures."""
    if place.tokens:
        return (3,)
    return (4,) if all(tensor.shape.rank == 4 for tensor in seen.values()) else (3, 4)


def map_in_words(place, seen, traced):
    """What `is_map` asks for, in words."""
    if place.tokens:
        count = place.tokens[0] * place.tokens[1]
        rows = (call.output for call in traced.calls if tf.is_tensor(call.output) and call.output.shape.rank == 3)
        lengths = sorted({row.shape[1] for row in rows if row.shape[1]})
        found = f"the model's rows of tokens have the lengths {lengths}"
        return f"map of tokens [B, {count} to {count + FURTHER}, K] ({found})"
    return "feature map [B, t, K]" if 3 in ranks(place, seen) else "4-D feature map [B, h, w, K]"


def in_places(tensor, tokens):
    """[B, T, K] as [B, rows, columns, K], the further tokens left out."""
    rows, columns = tokens
    before = tf.shape(tensor)[1] - rows * columns
    fits = tf.debugging.Assert((before >= 0) & (before <= FURTHER), [f"tokens more than {rows} x {columns}:", before])
    with tf.control_dependencies([fits]):
        return tf.reshape(tensor[:, before:], [-1, rows, columns, tensor.shape[-1]])


def reaching(score, place, seen):
    """The operations between the inputs in `seen` and the symbolic `score`, and of tokens those that all have a part.

    Behind the last attention a network that reads its class token has no use for the others.
    """
    before = ancestors(score)
    if not place.tokens:
        return before
    given = {tensor.op for tensor in seen.values()}
    found = ancestors(score, lambda operation: _picks_further(operation, place.tokens))
    found -= {operation for operation in before if _picks_further(operation, place.tokens)}
    for operation in before:
        if operation.type in ATTENTION_PRODUCTS and len(operation.inputs) == 2:
            first, second = (ancestors(tensor) for tensor in operation.inputs)
            if first & given and second & given:
                found |= first & second
    return found


def unweighted(traced, score, seen):
    """The operations between the inputs in `seen` and `score` on a way without a softmax: no weights of attention."""
    operations = score.graph.get_operations()
    softmax = {operation for operation in operations if operation.type == "Softmax"}
    inside = (call.operations for call in traced.calls if isinstance(call.layer, keras.layers.Softmax))
    softmax.update(operations[index] for indices in inside for index in indices)  # over two axes it is others
    before, found = ancestors(score, softmax.__contains__) - softmax, {tensor.op for tensor in seen.values()}
    for operation in operations:
        if operation in before and any(tensor.op in found for tensor in operation.inputs):
            found.add(operation)
    return found


def _picks_further(operation, tokens):
    """Whether a graph operation takes one token, or no more than the further ones, out of all of them."""
    if operation.type not in SLICING or operation.inputs[0].shape.rank != 3:
        return False
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    further = FURTHER if before[1] is None else before[1] - tokens[0] * tokens[1]
    if further not in range(1, FURTHER + 1):
        return False
    return after[1:] == before[2:] or (after[2:] == before[2:] and after[1] in range(1, further + 1))
