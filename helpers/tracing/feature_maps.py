"""Which feature map of a recorded model an explanation weights."""

import keras
import numpy as np
import tensorflow as tf

from helpers.tracing.calls import as_written
from helpers.tracing.outputs import before_activation, is_constant, shapes, source
from helpers.tracing.places import is_map, map_in_words, ranks, reaching, unweighted
from helpers.tracing.recording import ancestors, descendants, layer_paths, shortened

CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput")
PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum")
POOLINGS = ("Mean", "Max", "Min", "Sum", "Prod", "AvgPool", "MaxPool", "MaxPoolV2")
REARRANGING_OPS = {  # operators that make no map of their own, as the layers of REARRANGING
    *PRODUCTS, *POOLINGS, "SquaredDifference", "Identity", "Cast", "StopGradient", "Reshape", "Transpose", "Squeeze",
    "ExpandDims", "Pad", "PadV2", "MirrorPad", "Slice", "StridedSlice", "Split", "SplitV", "GatherV2", "Tile",
    "BroadcastTo", "Roll", "ReverseV2", "DepthToSpace", "SpaceToDepth", "SpaceToBatchND", "BatchToSpaceND",
    "ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea", "ScaleAndTranslate", "EnsureShape",
    "ImageProjectiveTransformV2", "ImageProjectiveTransformV3",
}  # fmt: skip
ROOTS = {"Pow": "Pow", "Square": "Sqrt", "Exp": "Log"}  # of a mean of powers, which is one pooling
REDUCING = ("/reduce_std", "/reduce_variance", "/ReduceLogSumExp")  # poolings of several operations
ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)  # inside: queries, keys, values
REARRANGING = ("keras.src.layers.pooling", "keras.src.layers.reshaping", "keras.src.layers.preprocessing")
POOLED = "defined for networks that end in GlobalAveragePooling2D"
NEEDED = {  # without and with a dense layer behind the average
    False: f"class maps are {POOLED}; use CAM for a dense layer behind it, GradCAM for any other",
    True: f"CAM is {POOLED} and Dense; use GradCAM",
}


def feature_map(traced, score, place, seen):
    """The path and the symbolic output [B, h, w, K] of a place's layer; default: the last feature map after its ReLU.

    The default has several places, lies over the picture and is not the model's own output. An operator between layers
    (x * gate, ops.silu) makes one like a layer; its path is TensorFlow's name for it. Pooling, padding, cropping,
    reshaping and preprocessing make none of their own, nor does what happens inside a layer of Keras or one without
    inner layers; weights that a softmax makes of places count where there is nothing else. A layer called more than
    once counts with its last call. Tokens and signals have maps [B, T, K].
    score: the symbolic [B] that the map has to lead to. seen: {name: symbolic input} of those it has to come from.
    Raises ValueError if there is no such map, and if several inputs are seen and the map shows by chance not all.
    """
    between = descendants(seen.values()) & reaching(score, place, seen)
    maps = [call for call in traced.calls if call.path and is_map(call.output, place, seen)]
    maps = [call for call in maps if call.output.op in between]
    if place.layer is None:
        path, output = _last(traced, maps, place, seen, (between & unweighted(traced, score, seen), between))
    else:
        path, output = _chosen(traced, maps, place, seen)
    calls = [call for call in traced.calls if call.layer is place.layer]
    if place.call is None and len(calls) != 1 and not {given.op for given in seen.values()} <= ancestors(output):
        names = ", ".join(map(repr, seen))
        raise ValueError(f"images: the map of {path!r} shows not all of the inputs; choose one, input=: {names}")
    return path, output


def _last(traced, maps, place, seen, between):
    operations, the_model = next(iter(seen.values())).graph.get_operations(), traced.calls[-1]
    whole = [call for call in traced.calls if call.path and _is_whole(call.layer)]
    inside = {operations[index]: call for call in whole for index in call.operations}
    of_its_own = _output_itself(traced)
    for candidates in (some - of_its_own for some in between):
        for operation in (operations[index] for index in reversed(the_model.operations)):
            for tensor in operation.outputs if operation in candidates else ():
                if (
                    is_map(tensor, place, seen)
                    and _makes_map(tensor, inside.get(operation))
                    and _lies_over_the_picture(tensor, inside, ranks(place, seen))
                ):
                    named = (call.path for call in maps if call.output is tensor)  # a sub-model gives its last layer's
                    return next(named, operation.name), tensor
    kind = f"{map_in_words(place, seen, traced)} of several places over the picture that is not the output"
    advice = f"name a layer that suits: {_candidates(maps)}{_tokens(place, seen)}"
    raise ValueError(f"model: no layer on the path to the score gives a {kind}; {advice}")


def pooled_feature_map(traced, before_dense):
    """The symbolic feature map [B, h, w, K] whose global averages are the logits, and None.

    before_dense: the one whose averages go into the dense layer that gives the logits, and that layer.
    Raises ValueError for a network that does not end so.
    """
    end = source(before_activation(keras.tree.flatten(traced.outputs)[0]))
    denses = [call for call in traced.calls if isinstance(call.layer, keras.layers.Dense)]
    last = [call for call in denses if source(before_activation(call.output)) is end]
    inputs, dense = (last[-1].inputs, last[-1].layer) if last else (end, None)
    average = source(inputs).op
    if not _averages_places(average) or (dense is not None) != before_dense:
        raise ValueError(f"model: {NEEDED[before_dense]}")
    if before_dense:
        _check_linear(dense, end)
    return average.inputs[0], dense


def _check_linear(dense, logits):
    """ValueError unless `logits` are averages times the weights of `dense` plus its bias, as CAM reads them."""
    if dense.quantization_mode:
        found = f"the weights of its dense layer {dense.name!r} are quantised ({dense.quantization_mode})"
        raise ValueError(f"model: {found}, and CAM reads them; use CAM before `quantize`, or GradCAM")
    if type(dense).call is not keras.layers.Dense.call:
        found = f"its dense layer {dense.name!r} has a `call` of its own, and CAM reads its weights"
        raise ValueError(f"model: {found}; use GradCAM")
    if logits.op.type not in ("BiasAdd", "AddV2", "MatMul"):
        found = f"its dense layer {dense.name!r} has an activation, after which the maps' averages are not the scores"
        raise ValueError(f"model: {found}; use GradCAM")


def _averages_places(operation):
    if operation.type != "Mean" or operation.inputs[0].shape.rank != 4:
        return False
    return {axis % 4 for axis in np.ravel(tf.get_static_value(operation.inputs[1]))} == {1, 2}


def _chosen(traced, maps, place, seen):
    name, candidates = place.layer.name, _candidates(maps)
    calls = [call for call in traced.calls if call.layer is place.layer]
    if not calls:
        raise ValueError(f"layer: {name!r} is not called when the model runs; {candidates}")
    if place.call is not None and place.call not in range(len(calls)):
        raise ValueError(f"call: {place.call!r}; {name!r} is called {len(calls)} times, from 0 to {len(calls) - 1}")
    meant = calls if place.call is None else [as_written(traced, place.layer)[place.call]]
    if not is_map(meant[-1].output, place, seen):
        given = shapes(meant[-1].output)
        kind = map_in_words(place, seen, traced)
        raise ValueError(f"layer: {name!r} gives {given}, no {kind}; {candidates}{_tokens(place, seen)}")
    leading = [call for call in meant if any(call is one for one in maps)]
    if not leading:
        only = " with more than its further tokens" if place.tokens else ""
        which = "" if place.call is None else f"in its call {place.call} "
        raise ValueError(f"layer: {name!r} is {which}not on the path to the score{only}; {candidates}")
    return leading[-1].path, leading[-1].output


def _rearranges(call):
    modules = [ancestor.__module__ for ancestor in type(call.layer).__mro__]
    return call.output is not call.inputs and any(module.startswith(REARRANGING) for module in modules)


def _is_whole(layer):
    """Whether what happens inside a layer is its own matter, not a row of layers and operators."""
    of_keras = isinstance(layer, ATTENTION) or type(layer).__module__.startswith("keras.src.layers")
    return (of_keras or not layer_paths(layer)) and not isinstance(layer, keras.layers.Lambda)


def _makes_map(tensor, call):
    """Whether an operation, in a layer's `call` or (None) between layers, gives a map of several places."""
    if not tensor.dtype.is_floating or all(side == 1 for side in tensor.shape[1:-1]):
        return False
    if call is not None:
        return call.output is tensor and not _rearranges(call)
    if tensor.op.type in REARRANGING_OPS or any(name in tensor.op.name for name in REDUCING):
        return _dense_input(tensor) is not None or bool(_joined(tensor))
    return all(map(_is_learned, tensor.op.inputs)) and not _is_averaged_power(tensor)


def _is_averaged_power(tensor):
    """Whether places are averaged as powers of which then the root is taken: generalised mean pooling (GeM)."""
    waiting, after = [consumer for consumer in tensor.consumers() if consumer.type in POOLINGS], set()
    while waiting:
        consumers = waiting.pop().outputs[0].consumers()
        after |= {consumer.type for consumer in consumers}
        waiting += [one for one in consumers if one.type in ("AddV2", "Cast", "Identity", "Reshape", "Squeeze")]
    return ROOTS.get(tensor.op.type) in after


def _is_learned(operand):
    """Whether weights or numbers went into an operand, not the picture alone: no scaled picture, no product with it."""
    types = {operation.type for operation in ancestors(operand)}
    return "ReadVariableOp" in types or "Placeholder" not in types


def _output_itself(traced):
    """The operations between the last convolution, product or pooling and the model's outputs, that one included."""
    outputs = {output.op: output for output in keras.tree.flatten(traced.outputs) if output is not None}
    behind = {operation: ancestors(output) - {operation} for operation, output in outputs.items()}
    last = [output for operation, output in outputs.items() if not any(operation in other for other in behind.values())]
    weighing = (*CONVOLUTIONS, *PRODUCTS, *POOLINGS, "Shape")
    return set().union(*(ancestors(output, lambda operation: operation.type in weighing) for output in last))


def _lies_over_the_picture(tensor, inside, ranks):
    """Whether `tensor` has the places of a convolution or the picture: no attention matrix, no windows.

    One of rank 3, tokens or a signal's, may also have those of a layer with weights, or of what was laid out anew.
    """
    waiting, seen = [tensor], set()
    while waiting:
        tensor = waiting.pop()
        made_by, call = tensor.op, inside.get(tensor.op)
        if tensor.shape.rank not in ranks or made_by in seen:
            continue
        seen.add(made_by)
        in_a_row = tensor.shape.rank == 3 and (made_by.type == "Reshape" or (call is not None and call.layer.weights))
        if made_by.type in (*CONVOLUTIONS, "Placeholder") or _makes_grid(made_by) or in_a_row:
            return True
        if made_by.type == "Transpose":
            continue
        if call is not None:  # a normalisation, or a dense layer for each place
            waiting.extend(leaf for leaf in keras.tree.flatten(call.inputs) if tf.is_symbolic_tensor(leaf))
        if made_by.type not in (*PRODUCTS, "Reshape"):
            waiting.extend([*made_by.inputs, *_joined(tensor)])
        elif (places := _dense_input(tensor)) is not None:
            waiting.append(places)
    return False


def _joined(tensor):
    """The maps of which `tensor` is the mean, sum or maximum, stacked before, or the one whose channels it joins."""
    if tensor.op.type not in POOLINGS or tensor.op.inputs[0].shape.rank != tensor.shape.rank + 1:
        return []
    stacked = source(tensor.op.inputs[0])
    maps = stacked.op.inputs if stacked.op.type == "Pack" else [stacked]
    return [one for one in maps if one.shape.rank == tensor.shape.rank and one.shape[1:-1] == tensor.shape[1:-1]]


def _dense_input(tensor):
    """The map whose places, each by itself, were multiplied with weights to give `tensor`; None for other products."""
    product = tensor.op.inputs[0].op if tensor.op.type == "Reshape" else tensor.op
    data = [operand for operand in product.inputs if not is_constant(operand)]
    if product.type not in PRODUCTS or len(data) != 1:
        return None
    rank = tensor.shape.rank
    places = data[0] if data[0].shape.rank == rank else source(data[0])
    return places if places.shape.rank == rank and places.shape[1:-1] == tensor.shape[1:-1] else None


def _makes_grid(operation):
    """Whether an operation lays tokens [B, h * w, K] out as [B, h, w, K]."""
    if operation.type != "Reshape" or operation.inputs[0].shape.rank != 3:
        return False
    (_, tokens, channels), (_, height, width, kept) = operation.inputs[0].shape, operation.outputs[0].shape
    return channels == kept and None not in (height, width) and tokens == height * width and min(height, width) > 1


def _tokens(place, seen):
    """Advice for a network that reads pictures as tokens."""
    return "" if 3 in ranks(place, seen) else "; tokens [B, T, K] have maps by tokens=(rows, columns)"


def _candidates(maps):
    return f"these do: {shortened([call.path for call in maps])}" if maps else "no layer of the model does"
