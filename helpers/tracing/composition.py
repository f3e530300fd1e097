"""Has a model become another one since it was traced: a layer exchanged, quantised, adapted, another activation?"""

import itertools
import operator

import keras
import tensorflow as tf

# attributes that training and use of a model change, and not what it computes
_OF_TRAINING = {"optimizer", "history", "stop_training", "stop_predicting", "stop_evaluating"}
_OF_TRAINING |= {"_compile_config", "_compiled_trainable_state", "_eval_epoch_iterator"}
CONTAINERS = (list, tuple, dict)
_PASSING = vars(keras.Model(name="any")).keys() - {"_dtype_policy"} | _OF_TRAINING


class Composition:
    """What makes `model` compute what it does, weights' values apart: its layers and what they hold, by identity."""

    def __init__(self, model):
        layers = model._flatten_layers()
        items = (item for layer in layers for item in vars(layer).copy().items())
        own = (value for name, value in items if name not in _PASSING and not name.startswith("_self_"))  # TensorFlow's
        self._own = [*layers, *map(type, layers), *own]
        self._containers = [value for value in self._own if isinstance(value, CONTAINERS)]
        self._parts, self._held = _parts(self._containers), _held(layers)

    def is_still_that_of(self, model):
        held = _held(model._flatten_layers())
        if _identical(held, self._held) and _identical(_parts(self._containers), self._parts):
            return True  # the quick way, for each call of an explainer
        now, before = Composition(model), _lasting(self._own + self._parts)
        self._held, self._parts = held, _parts(self._containers)
        return _identical(_lasting(now._own + now._parts), before)


def _held(layers):
    """The layers, their classes and all that they hold."""
    return [*layers, *map(type, layers), *itertools.chain.from_iterable(map(list, map(dict.values, map(vars, layers))))]


def _parts(containers):
    """What lists and dicts hold now, and those inside of them, which an author may exchange in there."""
    found, waiting, seen = [], list(containers), set()
    while waiting:
        held = waiting.pop()
        if id(held) not in seen:
            seen.add(id(held))
            values = list(held.values()) if isinstance(held, dict) else list(held)
            found += values
            waiting += [value for value in values if isinstance(value, CONTAINERS)]
    return found


def _lasting(parts):
    """Without the symbolic tensors that a model may keep of each tracing."""
    return [part for part in parts if not tf.is_symbolic_tensor(part)]


def _identical(these, those):
    return len(these) == len(those) and all(map(operator.is_, these, those))
