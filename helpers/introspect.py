"""Model surgery without touching the model: every layer's output, the last feature map, the logits.

A Keras model is run once on symbolic inputs inside a `tf.function`. While it runs, each layer's `call` is replaced by
one that records what it gave; afterwards everything is put back, also after an exception. Nothing is cloned, so
Sequential, functional, nested and subclassed models are all the same here. Models are traced one at a time, whatever
the threads; a model must not be used elsewhere while it is traced. Derived in notebooks 03 and 04.
"""

import contextlib
import functools
import itertools
import threading
from typing import Any, NamedTuple

import keras
import tensorflow as tf

RELU_OPS = ("Relu", "Relu6")
MAP_ENDING_OPS = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Add", "AddV2")  # functions after the last layer's map
POOLING_OPS = ("Mean", "Max", "AvgPool", "MaxPool")
FINAL_ACTIVATIONS = ("Softmax", "LogSoftmax", "Sigmoid")
ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)  # inside: queries, keys, values
REARRANGING = ("keras.src.layers.pooling", "keras.src.layers.reshaping", "keras.src.layers.preprocessing")
LOSS_SCALE = 256.0  # a power of two changes no digit, and float16 gradients do not underflow
TRACING = threading.RLock()  # a trace changes the model, and a switch of TensorFlow's, for a moment: one at a time
_ABSENT = object()


class Call(NamedTuple):
    """One call of a layer: its path in the model, what went in and came out, and which graph operations it made."""

    path: str
    layer: keras.Layer
    inputs: Any
    output: Any
    operations: range


class Trace(NamedTuple):
    """A forward pass in a graph: the model's inputs and outputs, and its layers' calls in order of execution."""

    inputs: Any
    outputs: Any
    calls: list


def trace(model, inputs, relus=None):
    """Run `model` for inference on symbolic `inputs`, inside a `tf.function`, and record every layer's call.

    relus: a `relus.SwappedReLUs`, whose rule takes the place of the ReLUs' gradient. Returns a `Trace`.
    """
    calls = []
    layers = {**layer_paths(model), "": model}
    with TRACING, contextlib.ExitStack() as undo:
        undo.callback(tf.config.run_functions_eagerly, tf.config.functions_run_eagerly())
        tf.config.run_functions_eagerly(True)  # a layer's own @tf.function joins this graph
        undo.enter_context(replaced(relus.replacements if relus else []))
        undo.enter_context(replaced([(layer, "_losses", []) for layer in layers.values()]))
        undo.enter_context(replaced([(layer, "_loss_ids", set()) for layer in layers.values()]))
        recordings = [(layer, "call", _recording(path, layer, calls)) for path, layer in layers.items()]
        undo.enter_context(replaced(recordings))
        outputs = model(inputs, training=False)
    return Trace(inputs, outputs, calls)


@contextlib.contextmanager
def replaced(replacements):
    """Give objects other attributes for a while; replacements: [(object, attribute name, value)]."""
    before = [(owner, name, vars(owner).get(name, _ABSENT)) for owner, name, _ in replacements]
    try:
        for owner, name, value in replacements:
            vars(owner)[name] = value  # not setattr: Keras would track or refuse it
        yield
    finally:
        for owner, name, value in before:
            if value is _ABSENT:
                vars(owner).pop(name, None)
            else:
                vars(owner)[name] = value


def _recording(path, layer, calls):
    call = layer.call

    @functools.wraps(call)
    def record(*args, **kwargs):
        start = len(tf.compat.v1.get_default_graph().get_operations())
        output = call(*args, **kwargs)
        made = range(start, len(tf.compat.v1.get_default_graph().get_operations()))
        calls.append(Call(path, layer, next(iter([*args, *kwargs.values()]), None), output, made))
        return output

    return record


def layer_paths(model):
    """All layers inside `model` as {path: layer}; a layer `inner` of a sub-model `outer` has the path "outer/inner".

    Namesakes side by side, as subclassed models may hold them, are told apart: "block", "block#2", "block#3".
    """
    paths, seen, waiting = {}, set(), [("", model)]
    while waiting:
        prefix, parent = waiting.pop(0)
        for layer in parent._flatten_layers(include_self=False, recursive=False):
            if id(layer) not in seen:
                seen.add(id(layer))
                path = _unused(prefix + layer.name, paths)
                paths[path] = layer
                waiting.append((f"{path}/", layer))
    return paths


def _unused(path, paths):
    numbered = (path if number == 1 else f"{path}#{number}" for number in itertools.count(1))
    return next(name for name in numbered if name not in paths)


def find_layer(model, layer):
    """The layer of `model` meant by `layer`: a layer of it, a path such as "outer/inner", or a name if it is unique.

    Raises ValueError for a layer that is not in the model, and for an unknown or ambiguous name.
    """
    paths = layer_paths(model)
    if not isinstance(layer, str):
        if any(layer is own for own in paths.values()):
            return layer
        raise ValueError(f"layer: {layer!r} is not in the model {model.name!r}; choose one of {_shortened(paths)}")
    if layer in paths:
        return paths[layer]
    found = [path for path in paths if path.endswith(f"/{layer}")]
    if len(found) == 1:
        return paths[found[0]]
    problem = "ambiguous" if found else "unknown"
    first = "" if model.built else "call the model once, so that all its layers exist, or "
    raise ValueError(f"layer: {layer!r} is {problem}; {first}choose one of {_shortened(found or paths)}")


def logits(outputs):
    """The classifier's scores [B, N] before the softmax (or sigmoid) that made `outputs`, float32.

    Only the activation that gives the output itself is left out: softmax layer, `activation="softmax"` or a function.
    A single unit is a binary classifier: [B, 2] with minus its logit for class 0 and its logit for class 1.
    Raises ValueError if the outputs are not one tensor [B, N].
    """
    flat = keras.tree.flatten(outputs)
    if len(flat) != 1 or flat[0].shape.rank != 2:
        given = ", ".join(str(_shape(tensor)) for tensor in flat)
        raise ValueError(f"model: its output {given} is no classifier's [B, N]; pass score=f(outputs) -> [B]")
    scores = tf.cast(tf.reshape(before_activation(flat[0]), tf.shape(flat[0])), tf.float32)
    return both_classes(tf.ensure_shape(scores, flat[0].shape))


def both_classes(values):
    """`values` [..., N] of N units as they are; of a single unit as [..., 2]: minus them for class 0, and them."""
    return tf.concat([-values, values], axis=-1) if values.shape[-1] == 1 else values


def probabilities(outputs):
    """The classifier's class probabilities [B, N], float32, whatever its `outputs` are: logits, softmax or sigmoid.

    Outputs that end in a sigmoid, and a single unit's, are taken each by itself; all others share one softmax. A
    single unit gives [B, 2]. Raises ValueError as `logits` does.
    """
    scores, output = logits(outputs), keras.tree.flatten(outputs)[0]
    each_by_itself = output.shape[-1] == 1 or _source(output).op.type == "Sigmoid"
    return tf.sigmoid(scores) if each_by_itself else tf.nn.softmax(scores)


def before_activation(tensor):
    """The input of the softmax or sigmoid that made the symbolic `tensor`; `tensor` itself if none did."""
    source = _source(tensor)
    return source.op.inputs[0] if source.op.type in FINAL_ACTIVATIONS else tensor


def _source(tensor):
    while tensor.op.type in ("Identity", "Cast", "Reshape", "Squeeze"):
        tensor = tensor.op.inputs[0]
    return tensor


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
    attention = [call for call in traced.calls if isinstance(call.layer, ATTENTION)]
    maps = [call for call in maps if id(call.output) not in rearranged and not _behind_pooling(call.output, traced)
            and not any(_inside(call, other) for other in attention)]
    if not maps:
        raise ValueError("model: no layer on the path to the score gives a 4-D feature map [B, h, w, K]")
    first = next(call for call in maps if call.output is maps[-1].output)  # a sub-model gives its last layer's map
    return first.path, _finished(first.output, before_score)


def pooled_feature_map(traced):
    """The symbolic feature map [B, h, w, K] and the dense layer that gives the logits from its global average.

    Raises ValueError for a network that does not end in GlobalAveragePooling2D and Dense.
    """
    end = before_activation(keras.tree.flatten(traced.outputs)[0])
    dense = [call for call in traced.calls if isinstance(call.layer, keras.layers.Dense)
             and before_activation(call.output) is end]
    pooled = [call for call in traced.calls if isinstance(call.layer, keras.layers.GlobalAveragePooling2D)
              and dense and _source(call.output) is _source(dense[-1].inputs)]
    if not pooled:
        raise ValueError("model: CAM is defined for networks that end in GlobalAveragePooling2D and Dense; use GradCAM")
    return pooled[-1].inputs, dense[-1].layer


def class_feature_map(traced):
    """The symbolic class maps [B, h, w, N] whose global averages are the logits.

    Raises ValueError for a network that does not end in GlobalAveragePooling2D.
    """
    end = _source(before_activation(keras.tree.flatten(traced.outputs)[0]))
    pooled = [call for call in traced.calls if isinstance(call.layer, keras.layers.GlobalAveragePooling2D)
              and _source(call.output) is end]
    if not pooled:
        raise ValueError("model: class maps are defined for networks that end in GlobalAveragePooling2D; use CAM for "
                         "a dense layer behind it, GradCAM for any other")
    return pooled[-1].inputs


def _chosen(traced, layer, maps):
    calls = [call for call in traced.calls if call.layer is layer]
    if not calls:
        raise ValueError(f"layer: {layer.name!r} is not called when the model runs; {_candidates(maps)}")
    if _rank(calls[-1].output) != 4:
        given = ", ".join(str(_shape(tensor)) for tensor in keras.tree.flatten(calls[-1].output))
        raise ValueError(f"layer: {layer.name!r} gives {given}, no 4-D feature map [B, h, w, K]; {_candidates(maps)}")
    if not any(call is calls[-1] for call in maps):
        raise ValueError(f"layer: {layer.name!r} is not on the path to the score; {_candidates(maps)}")
    return calls[-1].path, calls[-1].output


def _rearranges(call):
    modules = [ancestor.__module__ for ancestor in type(call.layer).__mro__]
    return call.output is not call.inputs and any(module.startswith(REARRANGING) for module in modules)


def _inside(call, other):
    """Whether `call` was made by another layer's call `other`."""
    return call is not other and call.operations.start >= other.operations.start \
        and call.operations.stop <= other.operations.stop


def _behind_pooling(tensor, traced):
    """Whether a tensor [B, 1, 1, K] sees the picture only through a pooling to one place, as in a squeezed head."""
    if tensor.shape[1:3] != [1, 1]:
        return False
    pooling = {operation for operation in ancestors(tensor)
               if operation.type in POOLING_OPS and operation.outputs[0].shape[1:3] == [1, 1]}
    return not ancestors(tensor, without=pooling) & {leaf.op for leaf in keras.tree.flatten(traced.inputs)}


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


def innermost_call(traced, index):
    """The innermost layer's call that made the graph operation number `index`."""
    return min((call for call in traced.calls if index in call.operations), key=lambda call: len(call.operations))


def ancestors(tensor, without=()):
    """All graph operations that the symbolic `tensor` is computed from, not going through those in `without`."""
    found, waiting = set(), [tensor.op]
    while waiting:
        operation = waiting.pop()
        if operation not in found and operation not in without:
            found.add(operation)
            waiting.extend(source.op for source in operation.inputs)
    return found


def gradient(score, tensor):
    """d score / d tensor, float32, in the shape of `tensor`; score: [B]. Differentiates only what lies between them.

    Raises ValueError if `tensor` has no influence on the score.
    """
    scaled, = tf.gradients(score, tensor, grad_ys=tf.fill(tf.shape(score), tf.cast(LOSS_SCALE, score.dtype)))
    if scaled is None:
        raise ValueError(f"score: it has no gradient with respect to {tensor.name!r}; compute it from the model's "
                         "outputs, without argmax or rounding")
    return tf.cast(tf.convert_to_tensor(scaled), tf.float32) / LOSS_SCALE


def _rank(value):
    return value.shape.rank if tf.is_tensor(value) else None


def _shape(tensor):
    return ["B", *tensor.shape[1:]] if tensor.shape.rank else []


def _candidates(maps):
    return f"these do: {_shortened([call.path for call in maps])}" if maps else "no layer of the model does"


def _shortened(paths, most=40):
    names = list(paths)
    return ", ".join(names if len(names) <= most else [*names[:most // 2], "…", *names[-most // 2:]])
