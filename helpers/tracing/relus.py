"""Another gradient rule for every ReLU of a model, for as long as the model is traced (see `recording`)."""

import contextlib
import functools
import sys
import types

import keras
import tensorflow as tf

from helpers.tracing.recording import ancestors, gradient, layer_paths

RELU_OPS = ("Relu", "Relu6")
_LIBRARIES = (keras.activations, keras.ops, tf.nn)
MAX_VALUES = {library.relu: None for library in _LIBRARIES} | {library.relu6: 6.0 for library in _LIBRARIES}
# made of a ReLU, but another non-linearity
OWN_GRADIENT = {function for library in _LIBRARIES[:2] for function in (library.hard_sigmoid, library.hard_silu)}
_HANDLED, _SWAPPED = "handled_relu", "helpers.SwappedReLU"  # its name scope; its gradient's name in TensorFlow


class NoReLU(ValueError):
    """No ReLU lies between picture and score, so a rule for ReLUs changes nothing."""


class SwappedReLUs:
    """The ReLUs of `part`, a model, sub-model or layer, whose rule can be exchanged in the graph of one trace.

    A rule is a function (passed, gradient) -> gradient; passed: bool, where the ReLU's input lay in its open range
    (above zero, below `max_value`); gradient: what comes from above. Covers `relu` and `relu6` as any layer's
    activation, and `ReLU` layers; leaky ones and other non-linearities keep their own gradient.
    """

    current = None  # the one whose rule counts in the gradient that is being made; without one, each ReLU's own

    def __init__(self, part):
        self._part = part
        layers = [part, *layer_paths(part).values()]
        self.replacements = [swap for layer in layers for swap in self._swaps(layer)]

    def gradient(self, traced, score, tensor, rule):
        """d score / d tensor by `rule` at every ReLU, as `tracing.gradient` gives it; traced: the model, with these.

        Raises ValueError if a ReLU on the path to `score` [B] kept its own gradient, or if there is none.
        """
        self._rule, self._count, SwappedReLUs.current = rule, 0, self
        try:
            found = gradient(score, tensor)
        finally:
            SwappedReLUs.current = None
        self._check(traced, score)
        return found

    def _swaps(self, layer):
        """[(layer, attribute, replacement)] for one layer."""
        if isinstance(layer, keras.layers.ReLU) and layer.negative_slope == 0:
            return [(layer, "call", self._with_rule(layer.call, layer.max_value))]
        if isinstance(layer, (keras.layers.ReLU, keras.layers.PReLU)):
            return [(layer, "call", _named(layer.call))]
        functions = [(name, value) for name, value in vars(layer).items() if isinstance(value, types.FunctionType)]
        others = [(layer, name, _named(other)) for name, other in functions if other in OWN_GRADIENT]
        relus = [(name, relu) for name, relu in functions if relu in MAX_VALUES]
        return others + [(layer, name, self._with_rule(relu, MAX_VALUES[relu])) for name, relu in relus]

    def _with_rule(self, relu, max_value):
        """Not by `tf.custom_gradient`: TensorFlow would keep each ReLU's graph, and with it the model, for ever."""

        def with_rule(inputs):
            outputs = _named(relu)(inputs)
            passed = outputs > 0
            if max_value is not None:
                passed &= outputs < tf.cast(max_value, outputs.dtype)
            with tf.compat.v1.get_default_graph().gradient_override_map({"IdentityN": _SWAPPED}):
                return tf.identity_n([tf.stop_gradient(outputs), inputs, passed])[0]

        return with_rule

    def backward(self, passed, from_above):
        """The gradient on a ReLU's input, by the rule."""
        self._count += 1
        return self._rule(passed, from_above)

    def _check(self, traced, score):
        """Raise ValueError if a ReLU on the path to `score` kept its own gradient, or if the rule was never used."""
        before_score = ancestors(score)
        inside = {index for call in traced.calls if call.layer is self._part for index in call.operations}
        library = {function.signature.name: function for function in score.graph.as_graph_def().library.function}
        for index, operation in enumerate(score.graph.get_operations()):
            if index not in inside or operation not in before_score:
                continue
            nodes = [operation.node_def, *_called(operation.node_def, library)]
            escaped = [node.name for node in nodes if node.op in RELU_OPS and _HANDLED not in node.name]
            if escaped:
                callers = [call for call in traced.calls if index in call.operations]
                caller = min(callers, key=lambda call: len(call.operations))  # the innermost one
                called_by = f"{caller.path or caller.layer.name!r} ({type(caller.layer).__name__}) calls"
                advice = "so its rule cannot be swapped; use a layer, keras.layers.ReLU(), there"
                raise ValueError(f"model: the ReLU {escaped[0]!r} is a function that {called_by}, {advice}")
        if not self._count:
            instead = "guided backpropagation and deconvnet would equal the plain gradient"
            where = f"no ReLU in {self._part.name!r} lies between picture and score"
            raise NoReLU(f"model: {where}, so {instead}: use Gradient")


def own_rule(passed, gradient):
    """What a ReLU's own gradient does: it passes where the ReLU's input was in its open range."""
    return tf.where(passed, gradient, 0)


def _swapped_gradient(operation, from_above, *_):
    current = sys.modules[__name__].SwappedReLUs.current  # of the module as it is now, also after a reload
    return [None, (current.backward if current else own_rule)(operation.inputs[2], from_above), None]


with contextlib.suppress(KeyError):  # a reloaded module has it registered already
    tf.RegisterGradient(_SWAPPED)(_swapped_gradient)


def _called(node, library):
    """The nodes of the functions that a graph node calls: a condition's branches, a loop's body, a saved model."""
    waiting, seen = [node], set()
    while waiting:
        values = waiting.pop().attr.values()
        names = {function.name for value in values for function in (value.func, *value.list.func)}
        for name in names & library.keys() - seen:
            seen.add(name)
            yield from library[name].node_def
            waiting.extend(library[name].node_def)


def _named(function):
    """`function` in a name scope that tells its ReLUs from those that escaped."""

    @functools.wraps(function)
    def scoped(*args, **kwargs):
        with tf.name_scope(_HANDLED):
            return function(*args, **kwargs)

    return scoped
