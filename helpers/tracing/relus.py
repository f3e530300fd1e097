"""Another gradient rule for every ReLU of a model, for as long as the model is traced (see `recording`)."""

import functools
import types

import keras
import tensorflow as tf

from helpers.tracing.recording import ancestors, gradient, layer_paths, replaced

RELU_OPS = ("Relu", "Relu6")
_LIBRARIES = (keras.activations, keras.ops, tf.nn)
MAX_VALUES = {library.relu: None for library in _LIBRARIES} | {library.relu6: 6.0 for library in _LIBRARIES}
# made of a ReLU, but another non-linearity
OWN_GRADIENT = {function for library in _LIBRARIES[:2] for function in (library.hard_sigmoid, library.hard_silu)}
_HANDLED = "handled_relu"


class SwappedReLUs:
    """The ReLUs of `part`, a model, sub-model or layer, whose rule can be exchanged in the graph of one trace.

    A rule is a function (passed, gradient) -> gradient; passed: bool, where the ReLU's input lay in its open range
    (above zero, below `max_value`); gradient: what comes from above. Covers `relu` and `relu6` as any layer's
    activation, and `ReLU` layers; leaky ones and other non-linearities keep their own gradient.
    """

    def __init__(self, part):
        self._part, self._rule, self._count = part, own_rule, 0
        layers = [part, *layer_paths(part).values()]
        self.replacements = [swap for layer in layers for swap in self._swaps(layer)]

    def gradient(self, traced, score, tensor, rule):
        """d score / d tensor by `rule` at every ReLU, as `tracing.gradient` gives it; traced: the model, with these.

        Raises ValueError if a ReLU on the path to `score` [B] kept its own gradient, or if there is none.
        """
        with replaced([(self, "_rule", rule), (self, "_count", 0)]):
            found = gradient(score, tensor)
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
        @tf.custom_gradient
        def with_rule(inputs):
            outputs = _named(relu)(inputs)

            def backward(from_above):
                self._count += 1
                passed = outputs > 0
                if max_value is not None:
                    passed &= outputs < tf.cast(max_value, outputs.dtype)
                return self._rule(passed, from_above)

            return outputs, backward

        return with_rule

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
            raise ValueError(f"model: {where}, so {instead}: use Gradient")


def own_rule(passed, gradient):
    """What a ReLU's own gradient does: it passes where the ReLU's input was in its open range."""
    return tf.where(passed, gradient, 0)


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
