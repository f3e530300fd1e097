"""What cannot be explained is refused with an error that says what to do."""

import keras
import networks
import numpy as np
import pytest
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal
from test_explainers import PICTURES, reference

from helpers.gradcam import CAM, ClassMaps, GradCAM
from helpers.guided import Gradient, GuidedBackprop, GuidedGradCAM
from helpers.maps import resize


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([PICTURES[0]], r"shape \(12, 12, 3\); expected float32 \[B, H, W, C\]; for one picture give image\[None\]"),
        ([PICTURES[None]], r"shape \(1, 3, 12, 12, 3\)"),
        ([list(PICTURES)], r"shape \(12, 12, 3\); expected float32 .* for a list of them numpy\.stack\(images\)"),
        ([PICTURES.tolist()], r"shape \(\); expected float32"),
        ([PICTURES[:0]], "an empty batch; expected at least one picture"),
        ([(PICTURES * 255).astype(np.uint8)], "uint8; the model takes float32"),
        ([PICTURES * np.nan], "NaN or infinite"),
        ([np.where(PICTURES > 2, np.inf, PICTURES)], "NaN or infinite"),
        ([PICTURES, 3], "classes: 3; this model's are 0 to 2"),
        ([PICTURES, -1], "0 to 2"),
        ([PICTURES, [0, 1, 5]], "0 to 2"),
        ([PICTURES, [0, 1]], "3 ints for 3"),
        *(([PICTURES, wrong], "an int") for wrong in (1.0, "pizza", [[0, 1, 2]], True)),
    ],
)
def test_pictures_and_classes_that_cannot_be_explained(explain, arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        explain(*arguments)


def handwriting(*shape):
    behind = [layers.Reshape((12, 12, 1)), layers.Conv2D(2, 3, activation="relu"), layers.Flatten(), layers.Dense(2)]
    return networks.stack(*behind, shape=shape)


GREY = PICTURES[..., 0]


@pytest.mark.parametrize(
    ("shape", "given", "wanted", "advice"),
    [
        ((12, 12), GREY[0], "[B, 12, 12]", "image[None]"),
        ((12, 12), GREY[None], "[B, 12, 12]", "images[0]"),
        ((12, 12, 1), GREY, "[B, H, W, C]", "images[..., None]"),
        ((12, 12, 1), GREY[0], "[B, H, W, C]", "image[None, ..., None]"),
        ((12, 12, 1), GREY[0][..., None], "[B, H, W, C]", "image[None]"),
    ],
)
def test_what_is_told_about_a_wrong_shape_works(shape, given, wanted, advice):
    explain = GradCAM(handwriting(*shape))
    with pytest.raises(ValueError) as refused:
        explain(given)
    assert f"shape {given.shape}; expected float32 {wanted};" in str(refused.value) and advice in str(refused.value)
    explained = explain(eval(advice, {"images": given, "image": given}))
    assert explained.shape[1:] == (10, 10) and len(explained) in (1, 3)


def test_pictures_without_a_channel_axis_are_taken_as_the_model_takes_them():
    model = handwriting(12, 12)
    explain, both = GradCAM(model), GuidedGradCAM(model)
    maps = explain(GREY, 1)
    assert maps.shape == (3, 10, 10) and both(GREY, 1).shape == Gradient(model)(GREY, 1).shape == (3, 12, 12)
    assert_array_equal(explain(GREY[:1], 1), maps[:1])
    assert_array_equal(explain(GREY[..., None], 1), maps)  # Keras takes the axis off again
    guided = GuidedBackprop(model)(GREY, 1)
    assert_allclose(both(GREY, 1), guided * resize(maps, (12, 12)), rtol=1e-4, atol=1e-7)


def test_a_subclassed_model_says_what_it_takes_once_it_was_called():
    signals = networks.Subclassed(layers.Conv1D(4, 3), layers.GlobalAveragePooling1D(), layers.Dense(2))
    with pytest.raises(ValueError, match=r"shape \(3, 12, 12\); .* for signals \[B, T, C\] call the model once before"):
        GradCAM(signals)(GREY)
    signals(GREY)
    assert GradCAM(signals)(GREY).shape == (3, 10)
    pictures = networks.Subclassed()
    for _ in range(2):  # not called yet, and called
        with pytest.raises(ValueError, match=r"for one picture give image\[None\], for a list"):
            GradCAM(pictures)(PICTURES[0])
        pictures(PICTURES)


def test_a_model_of_keras_2_is_called_so():
    old = type("Functional", (), {"__module__": "tf_keras.src.engine.functional"})
    for kind in (old, type("Mine", (old,), {})):
        with pytest.raises(
            TypeError, match=rf"{kind.__name__}, which is Keras 2 \(tf_keras\): .*; expected a Keras model"
        ):
            GradCAM(kind())


def test_scores_and_models_that_cannot_be_explained(model):
    with pytest.raises(ValueError, match="this explainer has a score of its own"):
        GradCAM(model, score=lambda outputs: outputs[:, 0])(PICTURES, 1)
    assert GradCAM(model, score=lambda outputs: outputs[:, 0])(PICTURES).shape == (3, 5, 5)
    for explainer in (CAM, ClassMaps):
        with pytest.raises(TypeError, match="score"):
            explainer(model, score=lambda outputs: outputs[:, 0])
    with pytest.raises(TypeError, match="model: function; expected a Keras model"):
        GradCAM(lambda images: images)


def test_channels_first_is_refused(model):
    """By the network's own layers, whatever the global setting has become."""
    convolution = layers.Conv2D(2, 3, data_format="channels_first", name="first")
    with pytest.raises(ValueError, match=r"'first' is channels_first.*build the network channels_last"):
        GradCAM(networks.stack(layers.Identity(), convolution, shape=(3, 12, 12)))
    wanted = reference(GradCAM)
    keras.config.set_image_data_format("channels_first")
    try:
        assert_array_equal(GradCAM(model)(PICTURES, [0, 1, 2]), wanted)
    finally:
        keras.config.set_image_data_format("channels_last")
