"""Which feature map of a recorded model an explanation weights."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers.tracing.calls import as_written
from helpers.tracing.outputs import before_activation, shapes, source
from helpers.tracing.recording import ancestors, descendants, find_layer, shortened
from helpers.tracing.tokens import lie_in, reached

MAP_ENDING_OPS = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Add", "AddV2")  # functions after the last layer's map
POOLING_OPS = ("Mean", "Max", "AvgPool", "MaxPool")
ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)  # inside: queries, keys, values
REARRANGING = ("keras.src.layers.pooling", "keras.src.layers.reshaping", "keras.src.layers.preprocessing")
POOLED = "defined for networks that end in GlobalAveragePooling2D"
NEEDED = {  # without and with a dense layer behind the average
    False: f"class maps are {POOLED}; use CAM for a dense layer behind it, GradCAM for any other",
    True: f"CAM is {POOLED} and Dense; use GradCAM",
}


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
            raise ValueError(f"tokens: {tokens!r}; (rows, columns) is wanted, how the tokens lie in the picture")
        tokens = tuple(sides.tolist())
    return Place(None if layer is None else find_layer(model, layer), call, tokens)


def feature_map(traced, score, place, seen):
    """The path and the symbolic output [B, h, w, K] of a place's layer; default: the last feature map after its ReLU.

    Pooling, padding, cropping, reshaping and preprocessing layers make no feature map of their own, nor do the layers
    inside an attention layer. Tokens and signals have maps [B, T, K]. score: the symbolic [B] that the map has to lead
    to. seen: {name: symbolic input} of those it has to come from. Raises ValueError if there is no such map, and if
    several inputs are seen and the map shows by chance not all of them.
    """
    between = descendants(seen.values())
    between &= reached(score, seen.values(), place.tokens) if place.tokens else ancestors(score)
    maps = [call for call in traced.calls if call.path and _is_map(call.output, place, seen)]
    maps = [call for call in maps if call.output.op in between]
    path, output = (
        _last(traced, maps, place, seen, between) if place.layer is None else _chosen(traced, maps, place, seen)
    )
    calls = [call for call in traced.calls if call.layer is place.layer]
    if place.call is None and len(calls) != 1 and not {given.op for given in seen.values()} <= ancestors(output):
        names = ", ".join(map(repr, seen))
        raise ValueError(
            f"images: the feature map of {path!r} shows only some of the inputs; choose one, input=: {names}"
        )
    return path, output


def _last(traced, maps, place, seen, between):
    rearranged = {id(call.output) for call in traced.calls if _rearranges(call)}
    in_attention = tuple(f"{call.path}/" for call in _calls(traced, ATTENTION))
    maps = [call for call in maps if id(call.output) not in rearranged and not call.path.startswith(in_attention)]
    maps = [call for call in maps if not _behind_pooling(call.output, traced)]
    if not maps:
        raise ValueError(f"model: no layer on the path to the score gives a {_wanted(place, seen, traced)}")
    first = next(call for call in maps if call.output is maps[-1].output)  # a sub-model gives its last layer's map
    return first.path, _finished(first.output, between)


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


def _chosen(traced, maps, place, seen):
    name, candidates = place.layer.name, _candidates(maps)
    calls = [call for call in traced.calls if call.layer is place.layer]
    if not calls:
        raise ValueError(f"layer: {name!r} is not called when the model runs; {candidates}")
    if place.call is not None and place.call not in range(len(calls)):
        raise ValueError(f"call: {place.call!r}; {name!r} is called {len(calls)} times, from 0 to {len(calls) - 1}")
    meant = calls if place.call is None else [as_written(traced, place.layer)[place.call]]
    if not _is_map(meant[-1].output, place, seen):
        given = shapes(meant[-1].output)
        raise ValueError(f"layer: {name!r} gives {given}, no {_wanted(place, seen, traced)}; {candidates}")
    leading = [call for call in meant if any(call is one for one in maps)]
    if not leading:
        only = " with more than its class token" if place.tokens else ""
        raise ValueError(f"layer: {name!r} is not on the path to the score{only}; {candidates}")
    return leading[-1].path, leading[-1].output


def _is_map(output, place, seen):
    """Whether a layer's output is one value a channel for each place: of a picture, of tokens, or of a signal."""
    if place.tokens:
        return tf.is_tensor(output) and lie_in(output, place.tokens)
    return _rank(output) in ((4,) if _are_pictures(seen) else (3, 4))


def _wanted(place, seen, traced):
    """What `_is_map` asks for, in words."""
    if place.tokens:
        places = place.tokens[0] * place.tokens[1]
        lengths = sorted({call.output.shape[1] or 0 for call in traced.calls if _rank(call.output) == 3})
        return f"map of tokens [B, {places} or {places + 1}, K]; its rows of tokens have the lengths {lengths}"
    if _are_pictures(seen):
        return "4-D feature map [B, h, w, K]; tokens [B, T, K] become one by tokens=(rows, columns)"
    return "feature map [B, t, K] or [B, h, w, K]"


def _are_pictures(seen):
    return all(tensor.shape.rank == 4 for tensor in seen.values())


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


def _finished(tensor, between):
    """`tensor` after the ReLU and the residual sum that are functions in a subclassed `call`, not layers."""
    for operation in tensor.consumers():
        if (
            operation.type in MAP_ENDING_OPS
            and operation in between
            and operation.outputs[0].shape.rank == tensor.shape.rank
        ):
            return _finished(_outside(operation.outputs[0]), between)
    return tensor


def _outside(tensor):
    """Where the result of a swapped ReLU goes on: it leaves its function, as the first, through an IdentityN."""
    leaving = (operation for operation in tensor.consumers() if operation.type == "IdentityN")
    return next((operation.outputs[0] for operation in leaving if operation.inputs[0] is tensor), tensor)


def _rank(value):
    return value.shape.rank if tf.is_tensor(value) else None


def _candidates(maps):
    return f"these do: {shortened([call.path for call in maps])}" if maps else "no layer of the model does"
