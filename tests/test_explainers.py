"""What every explainer promises: any kind of model, classes, batches, threads; the model stays as it was."""

import functools

import keras
import networks
import numpy as np
import pytest
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal, assert_equal

from helpers.gradcam import GradCAM
from helpers.guided import Deconvnet, Gradient, GuidedBackprop, GuidedGradCAM

PICTURES = networks.images()
HEAT = [[0, 4], [28, 32.5]]
UPSAMPLED = [[0, 1, 3, 4], [7, 8.03125, 10.09375, 11.125], [21, 22.09375, 24.28125, 25.375], [28, 29.125, 31.375, 32.5]]
GUIDED = [[0, 1, 1, 1], [1, 3, 3, 2], [1, 3, 3, 2], [1, 2, 2, 1]]


@pytest.mark.parametrize(
    ("explainer", "options", "class_index", "wanted"),
    [
        (GradCAM, {}, 0, HEAT),
        (GradCAM, {"layer": "relu1"}, 3, HEAT),
        (GradCAM, {"layer": "conv1"}, 0, [[11.25, 13.5], [20.25, 22.5]]),
        (Gradient, {}, 0, [[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]]),
        (GuidedBackprop, {}, 0, GUIDED),
        (Deconvnet, {}, 0, [[2, 3, 3, 1], [3, 5, 5, 2], [3, 5, 5, 2], [1, 2, 2, 1]]),
        (GuidedGradCAM, {}, 0, np.multiply(GUIDED, UPSAMPLED)),
    ],
)
def test_hand_computed(explainer, options, class_index, wanted):
    """Captum's numbers for its one-convolution network; the plain gradient and the up-sampling by hand as well."""
    found = explainer(networks.hand_network(), **options)(networks.HAND_PICTURE, class_index)
    assert_array_equal(np.squeeze(found), wanted)


@pytest.mark.parametrize("classes", [None, 2, [0, 2, 1]])
def test_a_batch_gives_what_single_pictures_give(explain, classes):
    together = explain(PICTURES, classes)
    for order in [[0], [1], [2], [2, 1, 0], [1, 2, 0]]:
        own = np.take(classes, order) if isinstance(classes, list) else classes
        assert_allclose(explain(PICTURES[order], own), together[order], rtol=1e-4, atol=1e-6)
    signed = type(explain) is not GradCAM
    assert together.dtype == np.float32 and together.shape == (PICTURES.shape if signed else (3, 5, 5))
    assert together.max() > 0 and (together.min() < 0) == signed and explain.traces == 1


def test_classes_none_is_the_predicted_one(model, explain):
    predicted = model.predict(PICTURES, verbose=0).argmax(axis=-1)
    assert_array_equal(explain(PICTURES), explain(PICTURES, predicted))
    assert_array_equal(explain(PICTURES, 1), explain(PICTURES, [1, 1, 1]))
    assert not np.allclose(explain(PICTURES, 0), explain(PICTURES, 1))


@functools.cache
def reference(explainer):
    """What it finds for classes 0, 1, 2 of the functional model."""
    return explainer(networks.make("functional"))(PICTURES, [0, 1, 2])


@pytest.mark.parametrize("kind", networks.KINDS)
def test_every_kind_of_model_gives_the_same_maps(kind):
    """The default layer is the last one's ReLU before its pooling; inference: no dropout, no new batch statistics."""
    network = networks.make(kind)
    weights = network.get_weights()
    for explainer, tolerance in ((GradCAM, 1e-6), (GuidedGradCAM, 1e-5)):
        explain = explainer(network)
        maps = explain(PICTURES, [0, 1, 2])
        assert_allclose(maps, reference(explainer), rtol=1e-4, atol=tolerance)
        assert_array_equal(maps, explain(PICTURES, [0, 1, 2]))
        assert explain.layer_path.split("/")[-1] == "relu_b" and maps.max(axis=(1, 2)).min() > 0
    assert_equal(network.get_weights(), weights)


@pytest.mark.parametrize(
    "structured", [lambda *both: list(both), lambda *both: both, lambda a, b: {"pictures": a, "question": b}]
)
def test_models_with_several_inputs_take_their_own_structure_and_score(structured):
    pictures, question = keras.Input((12, 12, 3), name="pictures"), keras.Input((4,), dtype="int32", name="question")
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="eye")(pictures))
    words = layers.GRU(4)(layers.Embedding(9, 5)(question))
    network = keras.Model(structured(pictures, question), layers.Dense(6)(layers.Multiply()([seen, words])))
    questions = np.array([[1, 2, 3, 4], [4, 3, 2, 1], [0, 0, 7, 8]])
    inputs = structured(PICTURES, questions)
    explain = GradCAM(network, score=lambda outputs: outputs[:, 2])
    assert_array_equal(explain(inputs), GradCAM(network)(inputs, 2))
    doubled = GradCAM(network, score=lambda outputs: 2 * outputs[:, 2])
    assert_allclose(doubled(inputs), 2 * explain(inputs), rtol=1e-5)
    assert explain(inputs).shape == (3, 10, 10) and explain.layer_path == "eye" and explain.traces == 1
    with pytest.raises(ValueError, match="batch sizes differ"):
        explain(structured(PICTURES, questions[:2]))
