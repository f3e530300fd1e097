"""Running a model once while every layer's output is recorded; the model is not touched.

It runs on symbolic inputs inside a `tf.function`, each layer's `call` replaced by one that records what it gave; then
everything is put back, also after an exception. Nothing is cloned, so all kinds of Keras models are the same here.
Models are traced one at a time; other threads may use them meanwhile. Derived in notebooks 03 and 04.
"""

import contextlib
import functools
import itertools
import threading
from typing import Any, NamedTuple

import keras
import tensorflow as tf

# of float16 gradients: the largest that does not overflow is used, so that the fewest underflow; they change no digit
LOSS_SCALES = (2.0**15, 2.0**8, 1.0, 2.0**-8, 2.0**-16)
TRACING = threading.RLock()  # a trace changes the model, and TensorFlow's functions, for a moment: one at a time
_FUNCTION = type(tf.function(lambda: None))
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
        undo.enter_context(_functions_inlined())
        undo.enter_context(replaced([*map(_in_this_thread, replacements), *losses, *loss_ids]))
        recordings = [_recording(path, layer, calls) for path, layer in layers.items()]
        undo.enter_context(replaced(map(_in_this_thread, recordings)))
        return Trace(inputs, model(inputs, training=False), calls)


@contextlib.contextmanager
def _functions_inlined():
    """In this thread a layer's own @tf.function joins the graph; TensorFlow's switch for it is for all threads."""
    thread, call = threading.get_ident(), _FUNCTION.__call__

    @functools.wraps(call)
    def inlined(function, *args, **kwargs):
        if threading.get_ident() == thread and type(function) is _FUNCTION:  # one that was loaded has no Python left
            return function.python_function(*args, **kwargs)
        return call(function, *args, **kwargs)

    _FUNCTION.__call__ = inlined
    try:
        yield
    finally:
        _FUNCTION.__call__ = call


def _in_this_thread(replacement):
    """The same replacement, but others that use the model meanwhile, as `predict` may, get what was there before."""
    owner, name, value = replacement
    thread, before = threading.get_ident(), getattr(owner, name)

    @functools.wraps(value)
    def chosen(*args, **kwargs):
        return (value if threading.get_ident() == thread else before)(*args, **kwargs)

    return owner, name, chosen


@contextlib.contextmanager
def replaced(replacements):
    """Give objects other attributes for a while; replacements: [(object, attribute name, value)]."""
    replacements = list(replacements)
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
    """The replacement of a layer's `call` by one that records it."""
    name = "quantized_call" if layer.quantization_mode else "call"
    call, operations = getattr(layer, name), tf.compat.v1.get_default_graph().get_operations

    @functools.wraps(call)
    def record(*args, **kwargs):
        start, output = len(operations()), call(*args, **kwargs)
        inputs = next(iter([*args, *kwargs.values()]), None)
        calls.append(Call(path, layer, inputs, output, range(start, len(operations()))))
        return output

    return layer, name, record


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


def ancestors(tensor, until=lambda operation: False):
    """All graph operations that the symbolic `tensor` is computed from, none behind those with until(operation)."""
    found, waiting = set(), [tensor.op]
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            if not until(operation):
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

    In a float16 network each picture's gradient is computed again, at smaller scales, where it is infinite or NaN.
    Raises ValueError if `tensor` has no influence on the score, or holds whole numbers.
    """
    if not tensor.dtype.is_floating:
        found = f"the model takes {tensor.dtype.name}, and there is no gradient with respect to whole numbers"
        raise ValueError(f"images: {found}; use GradCAM, which needs none")
    results = (result for operation in ancestors(score) for result in operation.outputs)
    if not any(result.dtype == tf.float16 for result in results):
        return _scaled_gradient(score, tensor, 1.0)
    found = _scaled_gradient(score, tensor, LOSS_SCALES[0])
    for scale in LOSS_SCALES[1:]:
        found = _where_finite(found, functools.partial(_scaled_gradient, score, tensor, scale))
    return found


def _where_finite(found, again):
    """`found`, but again() for the pictures where it is infinite or NaN."""
    finite = tf.reduce_all(tf.math.is_finite(found), axis=range(1, found.shape.rank), keepdims=True)
    return tf.cond(tf.reduce_all(finite), lambda: found, lambda: tf.where(finite, found, again()))


def _scaled_gradient(score, tensor, scale):
    (scaled,) = tf.gradients(score, tensor, grad_ys=tf.fill(tf.shape(score), tf.cast(scale, score.dtype)))
    if scaled is None:
        wanted = "compute it from the model's outputs, without argmax or rounding"
        raise ValueError(f"score: it has no gradient with respect to {tensor.name!r}; {wanted}")
    return tf.cast(tf.convert_to_tensor(scaled), tf.float32) / scale


def shortened(paths):
    names = list(paths)
    return ", ".join(names if len(names) <= 40 else [*names[:20], "…", *names[-20:]])
