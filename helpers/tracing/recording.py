"""Running a model once while every layer's output is recorded; the model is not touched.

It runs on symbolic inputs inside a `tf.function`, each layer's `call` replaced by one that records what it gave; then
everything is put back, also after an exception. Nothing is cloned, so all kinds of Keras models are the same here.
Models are traced one at a time; none may be used elsewhere while it is traced. Derived in notebooks 03 and 04.
"""

import contextlib
import functools
import itertools
import threading
from typing import Any, NamedTuple

import keras
import tensorflow as tf

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


def trace(model, inputs, replacements=()):
    """Run `model` for inference on symbolic `inputs`, inside a `tf.function`, and record every layer's call: a `Trace`.

    replacements: what else is replaced meanwhile, as `replaced` takes it; those of `relus.SwappedReLUs`.
    """
    calls = []
    layers = {**layer_paths(model), "": model}
    losses = [(layer, "_losses", []) for layer in layers.values()]
    loss_ids = [(layer, "_loss_ids", set()) for layer in layers.values()]
    with TRACING, contextlib.ExitStack() as undo:
        undo.callback(tf.config.run_functions_eagerly, tf.config.functions_run_eagerly())
        tf.config.run_functions_eagerly(True)  # a layer's own @tf.function joins this graph
        undo.enter_context(replaced([*replacements, *losses, *loss_ids]))
        recordings = [(layer, "call", _recording(path, layer, calls)) for path, layer in layers.items()]
        undo.enter_context(replaced(recordings))
        return Trace(inputs, model(inputs, training=False), calls)


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
        operations = tf.compat.v1.get_default_graph().get_operations
        start, output = len(operations()), call(*args, **kwargs)
        inputs = next(iter([*args, *kwargs.values()]), None)
        calls.append(Call(path, layer, inputs, output, range(start, len(operations()))))
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
                name = prefix + layer.name
                numbered = itertools.chain([name], (f"{name}#{number}" for number in itertools.count(2)))
                path = next(unused for unused in numbered if unused not in paths)
                paths[path] = layer
                waiting.append((f"{path}/", layer))
    return paths


def find_layer(model, layer):
    """The layer of `model` meant by `layer`: a layer of it, a path such as "outer/inner", or a name if it is unique.

    Raises ValueError for a layer that is not in the model, and for an unknown or ambiguous name.
    """
    paths = layer_paths(model)
    if not isinstance(layer, str):
        if any(layer is own for own in paths.values()):
            return layer
        raise ValueError(f"layer: {layer!r} is not in the model {model.name!r}; choose one of {shortened(paths)}")
    found = [layer] if layer in paths else [path for path in paths if path.endswith(f"/{layer}")]
    if len(found) == 1:
        return paths[found[0]]
    problem = "ambiguous" if found else "unknown"
    first = "" if model.built else "call the model once, so that all its layers exist, or "
    raise ValueError(f"layer: {layer!r} is {problem}; {first}choose one of {shortened(found or paths)}")


def ancestors(tensor, without=()):
    """All graph operations that the symbolic `tensor` is computed from, not going through those in `without`."""
    found, waiting = set(), [tensor.op]
    while waiting:
        operation = waiting.pop()
        if operation not in found and operation not in without:
            found.add(operation)
            waiting.extend(source.op for source in operation.inputs)
    return found


def descendants(tensors):
    """All graph operations that the symbolic `tensors` go into, their own ones too."""
    found, waiting = set(), [tensor.op for tensor in tensors]
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            waiting.extend(consumer for output in operation.outputs for consumer in output.consumers())
    return found


def gradient(score, tensor):
    """d score / d tensor, float32, in the shape of `tensor`; score: [B]. Differentiates only what lies between them.

    Raises ValueError if `tensor` has no influence on the score.
    """
    (scaled,) = tf.gradients(score, tensor, grad_ys=tf.fill(tf.shape(score), tf.cast(LOSS_SCALE, score.dtype)))
    if scaled is None:
        wanted = "compute it from the model's outputs, without argmax or rounding"
        raise ValueError(f"score: it has no gradient with respect to {tensor.name!r}; {wanted}")
    return tf.cast(tf.convert_to_tensor(scaled), tf.float32) / LOSS_SCALE


def shortened(paths):
    names = list(paths)
    return ", ".join(names if len(names) <= 40 else [*names[:20], "…", *names[-20:]])
