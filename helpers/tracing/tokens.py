"""Feature maps that are rows of tokens [B, T, K], as Vision Transformers make them, and their places in the picture.

tokens: (rows, columns), how they lie there, row by row; one further token may stand before them, the class token.
"""

import tensorflow as tf

from helpers.tracing.recording import ancestors

PICKING = ("StridedSlice", "Slice", "GatherV2")  # may take the class token out
PRODUCTS = ("Einsum", "BatchMatMulV2", "BatchMatMulV3")  # attention: what one token takes over from another


def lie_in(tensor, tokens):
    """Whether a symbolic tensor is [B, T, K] with a token for each place, and at most the class token before them."""
    places = tokens[0] * tokens[1]
    return tensor.shape.rank == 3 and tensor.shape[1] in (places, places + 1)


def in_places(tensor, tokens):
    """[B, T, K] as [B, rows, columns, K], the class token left out."""
    rows, columns = tokens
    return tf.reshape(tensor[:, -rows * columns :], [-1, rows, columns, tensor.shape[-1]])


def reached(score, inputs, tokens):
    """The operations whose tokens reach the symbolic `score` from all places, not through the class token alone.

    Behind the last attention a network that reads its class token has no use for the others. inputs: the symbolic ones.
    """
    before, given = ancestors(score), {tensor.op for tensor in inputs}
    found = ancestors(score, without={operation for operation in before if _picks_one(operation, tokens)})
    for operation in before:
        if operation.type in PRODUCTS and len(operation.inputs) == 2:
            first, second = (ancestors(tensor) for tensor in operation.inputs)
            if first & given and second & given:
                found |= first & second
    return found


def _picks_one(operation, tokens):
    """Whether a graph operation takes one token out of as many as there are places, and the class token."""
    if operation.type not in PICKING or operation.inputs[0].shape.rank != 3:
        return False
    before, after = operation.inputs[0].shape, operation.outputs[0].shape
    return before[1] == tokens[0] * tokens[1] + 1 and after[1:] in (before[2:], [1, before[2]])
