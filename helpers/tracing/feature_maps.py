"""Which feature map of a recorded model an explanation weights."""

import keras
import tensorflow as tf

from helpers.tracing.outputs import before_activation, shapes, source
from helpers.tracing.recording import ancestors, shortened

MAP_ENDING_OPS = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Add", "AddV2")  # functions after the last layer's map
POOLING_OPS = ("Mean", "Max", "AvgPool", "MaxPool")
ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)  # inside: queries, keys, values
REARRANGING = ("keras.src.layers.pooling", "keras.src.layers.reshaping", "keras.src.layers.preprocessing")
POOLED = "defined for networks that end in GlobalAveragePooling2D"
NEEDED = {  # without and with a dense layer behind the average
    False: f"class maps are {POOLED}; use CAM for a dense layer behind it, GradCAM for any other",
    True: f"CAM is {POOLED} and Dense; use GradCAM",
}


def feature_map(traced, score, layer=None):
    """The path and the symbolic output [B, h, w, K] of `layer`; default: the last feature map after its ReLU.

    Pooling, padding, cropping, reshaping and preprocessing layers make no feature map of their own, nor do the layers
    inside an attention layer. A layer called more than once counts with its last call. score: the symbolic [B] that
    the map has to lead to. Raises ValueError if there is no such map.
    """
    before_score = ancestors(score)
    maps = [call for call in traced.calls if call.path and _rank(call.output) == 4 and call.output.op in before_score]
    if layer is not None:
        return _chosen(traced, layer, maps)
    rearranged = {id(call.output) for call in traced.calls if _rearranges(call)}
    in_attention = tuple(f"{call.path}/" for call in _calls(traced, ATTENTION))
    maps = [call for call in maps if id(call.output) not in rearranged and not call.path.startswith(in_attention)]
    maps = [call for call in maps if not _behind_pooling(call.output, traced)]
    if not maps:
        raise ValueError("model: no layer on the path to the score gives a 4-D feature map [B, h, w, K]")
    first = next(call for call in maps if call.output is maps[-1].output)  # a sub-model gives its last layer's map
    return first.path, _finished(first.output, before_score)


def pooled_feature_map(traced, before_dense):
    """The symbolic feature map [B, h, w, K] whose global averages are the logits, and None.

    before_dense: the one whose averages go into the dense layer that gives the logits, and that layer.
    Raises ValueError for a network that does not end so.
    """
    end = before_activation(keras.tree.flatten(traced.outputs)[0])
    last = [call for call in _calls(traced, keras.layers.Dense) if before_activation(call.output) is end]
    inputs, dense = (last[-1].inputs, last[-1].layer) if last else (end, None)
    pooling = _calls(traced, keras.layers.GlobalAveragePooling2D)
    pooled = [call.inputs for call in pooling if source(call.output) is source(inputs)]
    if not pooled or (dense is not None) != before_dense:
        raise ValueError(f"model: {NEEDED[before_dense]}")
    return pooled[-1], dense


def _calls(traced, kind):
    return [call for call in traced.calls if isinstance(call.layer, kind)]


def _chosen(traced, layer, maps):
    calls = [call for call in traced.calls if call.layer is layer]
    if not calls:
        raise ValueError(f"layer: {layer.name!r} is not called when the model runs; {_candidates(maps)}")
    if _rank(calls[-1].output) != 4:
        given = shapes(calls[-1].output)
        raise ValueError(f"layer: {layer.name!r} gives {given}, no 4-D feature map [B, h, w, K]; {_candidates(maps)}")
    if not any(call is calls[-1] for call in maps):
        raise ValueError(f"layer: {layer.name!r} is not on the path to the score; {_candidates(maps)}")
    return calls[-1].path, calls[-1].output


def _rearranges(call):
    modules = [ancestor.__module__ for ancestor in type(call.layer).__mro__]
    return call.output is not call.inputs and any(module.startswith(REARRANGING) for module in modules)


def _behind_pooling(tensor, traced):
    """Whether a tensor [B, 1, 1, K] sees the picture only through a pooling to one place, as in a squeezed head."""
    if tensor.shape[1:3] != [1, 1]:
        return False
    pooling = {operation for operation in ancestors(tensor) if operation.type in POOLING_OPS}
    to_one_place = {operation for operation in pooling if operation.outputs[0].shape[1:3] == [1, 1]}
    return not ancestors(tensor, without=to_one_place) & {leaf.op for leaf in keras.tree.flatten(traced.inputs)}


def _finished(tensor, before_score):
    """`tensor` after the ReLU and the residual sum that are functions in a subclassed `call`, not layers."""
    for operation in tensor.consumers():
        if operation.type in MAP_ENDING_OPS and operation in before_score and operation.outputs[0].shape.rank == 4:
            return _finished(_outside(operation.outputs[0]), before_score)
    return tensor


def _outside(tensor):
    """Where the result of a swapped ReLU goes on: it leaves its function, as the first, through an IdentityN."""
    leaving = (operation for operation in tensor.consumers() if operation.type == "IdentityN")
    return next((operation.outputs[0] for operation in leaving if operation.inputs[0] is tensor), tensor)


def _rank(value):
    return value.shape.rank if tf.is_tensor(value) else None


def _candidates(maps):
    return f"these do: {shortened([call.path for call in maps])}" if maps else "no layer of the model does"
