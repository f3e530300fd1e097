"""What all explainers share: pictures and classes in, one traced graph per shape, maps out."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers.tracing.choices import chosen, listed, named
from helpers.tracing.composition import Composition
from helpers.tracing.inputs import as_inputs, batch_size, input_specs, pictures
from helpers.tracing.outputs import logits
from helpers.tracing.recording import TRACING, layer_paths, trace

_PREDICTED = -1


class Found(NamedTuple):
    """What a method finds in one trace: symbolic maps, the number of classes (None: a score's), the layer's path."""

    maps: Any
    num_classes: int | None
    layer_path: str | None = None


class Explainer:
    """`explain(images, classes=None)` for a Keras model; a method says in `_maps` what it computes.

    model: any Keras model; it is not changed. score: None for a classifier, else f(outputs) -> [B], what to explain.
    output: which of several outputs is the classifier, or goes to `score`; its name (in a dict its key, else its
    layer's name) or its number, from 0. input: likewise which of several pictures is explained.
    `traces` counts the graphs made so far: one for each shape of picture, whatever the batch, classes and weights are;
    they are made anew when the model has changed: a layer exchanged, quantised, another activation.
    Raises TypeError for what is no Keras 3 model, ValueError for a channels_first one.
    """

    def __init__(self, model, score=None, output=None, input=None):
        if not isinstance(model, keras.Layer):
            raise TypeError(f"model: {_kind(model)}; expected a Keras model")
        for layer in [model, *layer_paths(model).values()]:
            if getattr(layer, "data_format", None) == "channels_first":
                advice = "the explainers read feature maps as [B, h, w, K]: build the network channels_last"
                raise ValueError(f"model: {layer.name!r} is channels_first; {advice}")
        self.model, self.score, self.output, self.input = model, score, output, input
        self._given = None  # the pictures of the call for which a graph is being traced
        self._composition = None  # of the model when the graphs were traced
        self._graphs = {}  # for each shape of picture: (the compiled explanation, what was found when it was traced)
        self.layer_path = None  # of the layer whose feature map the last call weighted

    @property
    def traces(self):
        return len(self._graphs)

    def __call__(self, images, classes=None):
        """Explain a batch.

        images: float32 [B, H, W, C] (the dtype of the model's input layer, if that is another), signals [B, T, C], or
        the model's own list, tuple or dict of inputs. classes: int, [B] ints, or None for the predicted class of each
        picture; a network with a single unit has two, 0 with minus its logit and 1 with its logit. Returns a float32
        array, [B, h, w] or [B, H, W, C] as the method says; for signals [B, t] or [B, T, C]. Raises ValueError for
        inputs that are not pictures, uint8, not finite or without batch axis, for classes out of range, for an
        explanation that is NaN or infinite, and where one of several outputs or pictures has to be chosen.
        """
        inputs = as_inputs(self.model, images)
        batch, specs = batch_size(self.model, inputs), input_specs(inputs)
        with TRACING:
            if self._graphs and not self._composition.is_still_that_of(self.model):
                self._graphs.clear()
            if repr(specs) not in self._graphs:
                self._graphs[repr(specs)] = self._traced(inputs, specs)
                self._composition = Composition(self.model)
            run, found = self._graphs[repr(specs)]
        self.layer_path = found.layer_path
        explanation = run(inputs, self._class_vector(classes, batch, found.num_classes)).numpy()
        if not explanation.any():
            _check_weights(self.model)  # compiled operations may make a zero of what is no number
        return _checked(explanation, batch, found.layer_path)

    def _traced(self, inputs, specs):
        if not self.model.built:
            self.model(keras.tree.map_structure(lambda leaf: leaf[:1], inputs), training=False)
        _check_weights(self.model)
        found, self._given = [], inputs

        def explain(inputs, classes):
            found.append(self._maps(inputs, classes))
            return found[-1].maps

        run = tf.function(explain, autograph=False).get_concrete_function(specs, tf.TensorSpec([None], tf.int32))
        self._given = None
        return run, found[-1]._replace(maps=None)

    def _maps(self, inputs, classes):
        """`Found`, with symbolic maps of symbolic inputs; classes: int32 [B], -1 for the predicted class."""
        raise NotImplementedError

    def _trace(self, inputs, replacements=()):
        """The model's `Trace`, with the one of its outputs that is explained."""
        traced = trace(self.model, inputs, replacements)
        return traced._replace(outputs=self._chosen(traced.outputs))

    def _chosen(self, outputs):
        """The one of the model's outputs that is explained; all of them for a score, if none was chosen."""
        if self.output is None and self.score is not None:
            return outputs
        tensors = named(outputs, getattr(self.model, "output_names", ()))
        if self.output is None and len(tensors) > 1:
            message = "model: it has several outputs; choose one, output=, by name or number"
            raise ValueError(f"{message}: {listed(tensors)}")
        return chosen(tensors, 0 if self.output is None else self.output, "output")

    def _seen(self, inputs):
        """{name: symbolic input} of what is explained: the chosen input, else all pictures."""
        inputs = named(inputs, [tensor.name for tensor in getattr(self.model, "inputs", ())])
        if self.input is None:
            return pictures(inputs)
        found = chosen(inputs, self.input, "input")
        return {name: tensor for name, tensor in inputs.items() if tensor is found}

    def _picture(self, inputs):
        """The one (symbolic) picture that is explained pixel by pixel. Raises ValueError for several."""
        seen = self._seen(inputs)
        if len(seen) > 1:
            names = ", ".join(map(repr, seen))
            raise ValueError(f"images: {len(seen)} inputs are pictures [B, H, W, C]; choose one, input=: {names}")
        return next(iter(seen.values()))

    def _traced_score(self, inputs, classes, replacements=()):
        """A `Trace`; what is explained, float32 [B]; among how many classes (None: it is the explainer's own score)."""
        traced = self._trace(inputs, replacements)
        if self.score is None:
            scores = logits(traced.outputs, self._examples)
            explained = tf.gather(scores, chosen_or_predicted(scores, classes), axis=1, batch_dims=1)
            return traced, explained, scores.shape[-1]
        scores = tf.convert_to_tensor(self.score(traced.outputs))
        if scores.shape.rank != 1:
            raise ValueError(f"score: it gives shape {scores.shape}; expected one number per picture, [B]")
        return traced, tf.cast(scores, tf.float32), None

    def _examples(self):
        """What the model gives for the first pictures, and for the first one made dark, negative and far too bright."""

        def varied(leaf):
            first = leaf[:1]
            if not leaf.dtype.is_floating:
                others = [first, tf.ones_like(first) if leaf.shape.rank == 4 else first] * 3
            else:  # a black picture tells nothing, however bright it is made
                base = tf.ones_like(first) if tf.reduce_max(tf.abs(first)) < 1e-3 else first
                others = [base * factor for factor in (0, -1, 100, -100, 1e6, -1e6)]
            return tf.concat([leaf[:8], *others], axis=0)

        with tf.init_scope():
            return self._chosen(self.model(keras.tree.map_structure(varied, self._given), training=False))

    def _class_vector(self, classes, batch, num_classes):
        """`classes` as int32 [batch], -1 for the predicted class."""
        if classes is None:
            return tf.fill([batch], _PREDICTED)
        if self.score is not None:
            raise ValueError(f"classes: {classes!r} given, but this explainer has a score of its own; leave them out")
        return tf.constant(class_vector(classes, batch, num_classes), tf.int32)


def _checked(explanation, batch, layer_path):
    if len(explanation) != batch:
        found = f"{len(explanation)} maps for {batch} pictures"
        raise ValueError(f"layer: {layer_path!r} gives {found}, maps of windows or crops; name another layer")
    finite = np.isfinite(explanation).reshape(batch, -1).all(axis=-1)
    if not finite.all():
        where = ", ".join(map(str, np.flatnonzero(~finite)[:10]))
        advice = "check its weights and the pictures' scaling, or build it in float32"
        raise ValueError(f"model: its explanation of images {where} is NaN or infinite; {advice}")
    return explanation


def _check_weights(model):
    """ValueError where weights are NaN, or trained ones infinite: some compiled operations hide it from the maps."""
    for weight in model.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            broken = keras.ops.isnan(weight) | (weight.trainable & keras.ops.isinf(weight))  # a mask may be -inf
            if keras.ops.any(broken):
                raise ValueError(
                    f"model: its weights {weight.path!r} are NaN or infinite; train it anew, or load others"
                )


def _kind(model):
    """What it is that is no model of Keras 3, in words."""
    modules = [ancestor.__module__ for ancestor in type(model).__mro__]
    old = any(module.startswith(("tf_keras", "tensorflow.python.keras", "tensorflow_hub")) for module in modules)
    advice = ", which is Keras 2 (tf_keras): build the network with Keras 3 and give it the weights"
    return f"{type(model).__module__}.{type(model).__name__}{advice}" if old else type(model).__name__


def chosen_or_predicted(class_scores, classes):
    """`classes` int32 [B] where they are not -1, elsewhere those with the highest of `class_scores` [B, N]."""
    return tf.where(classes == _PREDICTED, tf.argmax(class_scores, axis=-1, output_type=tf.int32), classes)


def class_vector(classes, batch, num_classes=None, known="this model's are"):
    """`classes`, an int or one for each of `batch` pictures, as ints [batch]. ValueError for others, and for those that
    are not among num_classes where this is told."""
    chosen = np.asarray(classes)
    if chosen.dtype.kind not in "iu" or chosen.shape not in ((), (batch,)):
        raise ValueError(f"classes: {classes!r}; expected an int, {batch} ints for {batch} pictures, or None")
    if num_classes is not None and chosen.size and not (chosen.min() >= 0 and chosen.max() < num_classes):
        raise ValueError(f"classes: {classes!r}; {known} 0 to {num_classes - 1}")
    return np.broadcast_to(chosen, [batch])
