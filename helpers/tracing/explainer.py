"""What all explainers share: pictures and classes in, one traced graph per shape, maps out."""

from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from helpers.tracing.composition import Composition
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
    `traces` counts the graphs made so far: one for each shape of picture, whatever the batch, classes and weights are;
    they are made anew when the model has changed: a layer exchanged, quantised, another activation.
    Raises TypeError for what is no Keras model, ValueError for a channels_first one.
    """

    def __init__(self, model, score=None):
        if not isinstance(model, keras.Layer):
            raise TypeError(f"model: {type(model).__name__}; a Keras model is wanted")
        for layer in [model, *layer_paths(model).values()]:
            if getattr(layer, "data_format", None) == "channels_first":
                advice = "the explainers read feature maps as [B, h, w, K]: build the network channels_last"
                raise ValueError(f"model: {layer.name!r} is channels_first; {advice}")
        self.model, self.score = model, score
        self._given = None  # the pictures of the call for which a graph is being traced
        self._composition = None  # of the model when the graphs were traced
        self._graphs = {}  # for each shape of picture: (the compiled explanation, what was found when it was traced)

    @property
    def traces(self):
        return len(self._graphs)

    @property
    def layer_path(self):
        """The path of the layer whose feature map the newest graph weights; None before the first call."""
        return next((found.layer_path for _, found in reversed(self._graphs.values())), None)

    def __call__(self, images, classes=None):
        """Explain a batch.

        images: float32 [B, H, W, C] (the dtype of the model's input layer, if that is another), or the model's own
        list, tuple or dict of inputs. classes: int, [B] ints, or None
        for the predicted class of each picture; a network with a single unit has two, 0 with minus its logit and 1 with
        its logit. Returns a float32 array, [B, h, w] or [B, H, W, C] as the method says.
        Raises ValueError for pictures that are none, uint8, not finite or without batch axis, classes out of range, and
        an explanation that is NaN or infinite.
        """
        inputs = as_inputs(self.model, images)
        batch, specs = _batch_size(keras.tree.flatten(inputs)), input_specs(inputs)
        with TRACING:
            if self._graphs and not self._composition.is_still_that_of(self.model):
                self._graphs.clear()
            if repr(specs) not in self._graphs:
                self._graphs[repr(specs)] = self._traced(inputs, specs)
                self._composition = Composition(self.model)
            run, found = self._graphs[repr(specs)]
        explanation = run(inputs, self._class_vector(classes, batch, found.num_classes)).numpy()
        return _checked(explanation, batch, found.layer_path)

    def _traced(self, inputs, specs):
        if not self.model.built:
            self.model(keras.tree.map_structure(lambda leaf: leaf[:1], inputs), training=False)
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

    def _traced_score(self, inputs, classes, replacements=()):
        """A `Trace`; what is explained, float32 [B]; among how many classes (None: it is the explainer's own score)."""
        traced = trace(self.model, inputs, replacements)
        if self.score is None:
            scores = logits(traced.outputs, self._examples)
            return traced, tf.gather(scores, wanted(scores, classes), axis=1, batch_dims=1), scores.shape[-1]
        scores = tf.convert_to_tensor(self.score(traced.outputs))
        if scores.shape.rank != 1:
            raise ValueError(f"score: it gives shape {scores.shape}; one number a picture, [B], is wanted")
        return traced, tf.cast(scores, tf.float32), None

    def _examples(self):
        """What the model gives for the first pictures, and for the first one made dark, negative and far too bright."""

        def varied(leaf):
            first = leaf[:1]
            others = [first * factor if leaf.dtype.is_floating else first for factor in (0, -1, 100, -100, 1e6, -1e6)]
            return tf.concat([leaf[:8], *others], axis=0)

        with tf.init_scope():
            return self.model(keras.tree.map_structure(varied, self._given), training=False)

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


def wanted(class_scores, classes):
    """`classes` int32 [B] where they are not -1, elsewhere those with the highest of `class_scores` [B, N]."""
    return tf.where(classes == _PREDICTED, tf.argmax(class_scores, axis=-1, output_type=tf.int32), classes)


def class_vector(classes, batch, num_classes, known="this model's are"):
    """`classes`, an int or one for each of `batch` pictures, as ints [batch]. ValueError for others."""
    chosen = np.asarray(classes)
    if chosen.dtype.kind not in "iu" or chosen.shape not in ((), (batch,)):
        raise ValueError(f"classes: {classes!r}; an int, {batch} ints for {batch} pictures, or None are wanted")
    if chosen.size and not (chosen.min() >= 0 and chosen.max() < num_classes):
        raise ValueError(f"classes: {classes!r}; {known} 0 to {num_classes - 1}")
    return np.broadcast_to(chosen, [batch])


def picture(inputs):
    """The one picture input, float [B, H, W, C], among the model's (symbolic) inputs. Raises ValueError for others."""
    pictures = [leaf for leaf in keras.tree.flatten(inputs) if _is_picture(leaf)]
    if len(pictures) != 1:
        raise ValueError(f"images: {len(pictures)} inputs are pictures [B, H, W, C]; one is wanted")
    if not pictures[0].dtype.is_floating:
        found = f"the model takes {pictures[0].dtype.name}, and there is no gradient with respect to whole numbers"
        raise ValueError(f"images: {found}; use GradCAM, which needs none")
    return pictures[0]


def _is_picture(leaf):
    return leaf.shape.rank == 4


def as_inputs(model, images):
    """`images`, in their structure, as tensors that `model` takes: float32, or the dtype of its own input layers."""
    leaves = keras.tree.flatten(images)
    own = [getattr(layer, "dtype", None) for layer in keras.tree.flatten(getattr(model, "inputs", None))]
    own = own if len(own) == len(leaves) else [None] * len(leaves)
    return keras.tree.pack_sequence_as(images, list(map(_as_input, leaves, own)))


def input_specs(inputs):
    """What a graph for pictures of this shape takes, in the structure of `inputs`; the batch size is left open."""
    return keras.tree.map_structure(lambda leaf: tf.TensorSpec([None, *leaf.shape[1:]], leaf.dtype), inputs)


def _as_input(leaf, own):
    tensor = tf.convert_to_tensor(leaf)
    if tensor.dtype == own:
        return tensor
    if own is not None and tf.as_dtype(own).is_integer and _is_picture(tensor):
        whole = tf.cast(tensor, own)
        if not tf.reduce_all(tf.cast(whole, tensor.dtype) == tensor):
            raise ValueError(f"images: {tensor.dtype.name} with other values than the {own} that the model takes")
        return whole
    if tensor.dtype.is_floating:
        return tf.cast(tensor, tf.float32)
    if _is_picture(tensor):
        advice = "images.astype('float32') and, where it was trained so, / 255"
        raise ValueError(f"images: {tensor.dtype.name}; the model takes float32, scaled as in its training: {advice}")
    return tf.cast(tensor, tf.int32) if tensor.dtype.is_integer else tensor


def _batch_size(flat):
    """The number of pictures. ValueError for inputs that cannot be explained."""
    if not any(_is_picture(leaf) for leaf in flat):
        given = ", ".join(dict.fromkeys(str(leaf.shape) for leaf in flat))
        advice = "for one picture give image[None], for a list of them numpy.stack(images)"
        raise ValueError(f"images: shape {given}; float32 [B, H, W, C] is wanted; {advice}")
    sizes = {leaf.shape[0] if leaf.shape.rank else None for leaf in flat}
    if 0 in sizes:
        raise ValueError("images: an empty batch; at least one picture is wanted")
    if len(sizes) != 1:
        raise ValueError(f"images: the inputs' batch sizes differ: {', '.join(str(leaf.shape) for leaf in flat)}")
    if not all(tf.reduce_all(tf.math.is_finite(leaf)) for leaf in flat if leaf.dtype.is_floating):
        raise ValueError("images: they hold NaN or infinite values; clean them first, e.g. with numpy.nan_to_num")
    return sizes.pop()
