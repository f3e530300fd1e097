"""Does a map change when the network's weights are shuffled, and stay when the picture hardly changes?"""

import keras
import numpy as np
import tensorflow as tf
from scipy import stats

from helpers import tracing
from helpers.faithfulness.measuring import explain_all
from helpers.maps import saliency
from helpers.tracing.inputs import as_inputs, input_specs


def spearman(maps, others):
    """Rank correlation of each map with its counterpart: float64 [B] in [-1, 1], tied values sharing their mean rank.

    maps, others: [B, ...] of the same shape. A constant map has no order: 0 beside any other map, 1 beside another
    constant one. Source: Spearman 1904; the first similarity of Adebayo et al. 2018.
    """

    def correlation(*pair):
        constant = [np.ptp(some) == 0 for some in pair]
        return float(all(constant)) if any(constant) else stats.spearmanr(*map(np.ravel, pair)).statistic

    return np.array([correlation(*pair) for pair in zip(maps, others, strict=True)])


def model_randomisation(model, explain, images, classes, layers=None, seed=0):
    """How alike the maps stay while weights are shuffled, layer by layer from the top. Low: the map shows the model.

    explain: an explainer of `model`. images: as it takes them, an array or the model's own list or dict of inputs.
    classes: int or [B] ints, the same throughout (predicted ones would change with the weights: ValueError for None,
    which only an explainer with its own score takes). layers: which ones and in which order, e.g. GCM's blocks;
    default: all that have weights, last executed first. The entries of each layer's weights are shuffled, so that
    their distribution stays (the source draws them anew); those above stay shuffled (cascading); alike: `spearman`. The
    weights are put back, also after an exception. Returns {layer's path: float64 [B]}. Source: Adebayo et al. 2018,
    "Sanity checks for saliency maps", section 3.
    """
    _check_classes(explain, classes)
    original = saliency(explain_all(explain, images, classes))
    before = model.get_weights()
    rng, alike = np.random.default_rng(seed), {}
    try:
        for path, layer in _top_down(model, images, layers).items():
            weights = _own_weights(layer) if layers is None else layer.weights
            for weight, values in zip(weights, shuffled([one.numpy() for one in weights], rng), strict=True):
                weight.assign(values)
            _use_weights(layer)
            alike[path] = spearman(original, saliency(explain_all(explain, images, classes)))
    finally:
        model.set_weights(before)
        _use_weights(model)
    return alike


def label_randomisation(explain, explain_shuffled, images, classes):
    """How alike the maps of a model are to those of its twin, trained on shuffled labels: float64 [B].

    explain, explain_shuffled: the same method on the one and on the other. Low: the map shows what was learned.
    Source: Adebayo et al. 2018, section 4.
    """
    return likeness(explain, [explain_shuffled], images, classes)[0]


def likeness(explain, others, images, classes):
    """Rank correlation of a method's maps with those it gives on other networks: float64 [len(others), B]."""
    own = saliency(explain_all(explain, images, classes))
    return np.stack([spearman(own, saliency(explain_all(other, images, classes))) for other in others])


def shuffled(weights, rng):
    """Weights, a list of arrays, each with its entries in another order, drawn by `rng`."""
    return [rng.permutation(weight.ravel()).reshape(weight.shape) for weight in weights]


def sensitivity(explain, images, classes, radius=0.02, samples=10, seed=0):
    """How far each map moves when the picture hardly does: float64 [B], >= 0, 0 for a map that stays as it is.

    The largest distance between the saliency of the picture and of `samples` copies with uniform noise in ±radius,
    over the length of the picture's own (Euclidean both; to divide is ours); NaN for a map of zeros. images: in [0, 1],
    or a model's own list or dict of inputs, whose pictures get the noise. classes: as for `model_randomisation`.
    Source: Yeh et al. 2019, "On the (in)fidelity and sensitivity of explanations", section 3 (max-sensitivity).
    """
    _check_classes(explain, classes)
    rank, rng = max(map(np.ndim, keras.tree.flatten(images))), np.random.default_rng(seed)

    def noisy(leaf):
        noise = rng.uniform(-radius, radius, np.shape(leaf)).astype(np.float32) if np.ndim(leaf) == rank else 0
        return leaf + noise

    original, distances = saliency(explain_all(explain, images, classes)), []
    for _ in range(samples):
        moved = saliency(explain_all(explain, keras.tree.map_structure(noisy, images), classes)) - original
        distances.append(np.linalg.norm(moved, axis=(1, 2)))
    lengths = np.linalg.norm(original, axis=(1, 2))
    return np.divide(np.max(distances, axis=0), lengths, out=np.full(len(lengths), np.nan), where=lengths > 0)


def _check_classes(explain, classes):
    if classes is None and getattr(getattr(explain, "scores", explain), "score", None) is None:
        raise ValueError("classes: expected an int or one for each picture, e.g. those predicted before")


def _use_weights(layer):
    """An adapted Normalization works with what it once made of its weights."""
    for inner in (layer, *tracing.layer_paths(layer).values()):
        if isinstance(inner, keras.layers.Normalization):
            inner.finalize_state()


def _top_down(model, images, layers):
    """{path: layer} of `layers`, or of all layers that hold weights themselves, the last executed first."""
    paths = tracing.layer_paths(model)
    if layers is not None:
        chosen = [tracing.find_layer(model, layer) for layer in layers]
        return {next(path for path, own in paths.items() if own is layer): layer for layer in chosen}
    calls = []
    record = tf.function(lambda inputs: calls.extend(tracing.trace(model, inputs).calls), autograph=False)
    record.get_concrete_function(input_specs(as_inputs(model, images)))
    return {call.path or model.name: call.layer for call in reversed(calls) if _own_weights(call.layer)}


def _own_weights(layer):
    """The weights that a layer holds itself, those of layers inside it apart."""
    inside = {id(weight) for inner in tracing.layer_paths(layer).values() for weight in inner.weights}
    return [weight for weight in layer.weights if id(weight) not in inside]
