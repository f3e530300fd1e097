"""Networks with several outputs or pictures, and layers that are called several times."""

import collections

import keras
import networks
import numpy as np
import pytest
from keras import layers, ops
from numpy.testing import assert_allclose, assert_array_equal
from test_tracing import PICTURES

from helpers import tracing
from helpers.gradcam import CAM, ClassMaps, GradCAM
from helpers.guided import Deconvnet, Gradient, GuidedBackprop, GuidedGradCAM
from helpers.maps import resize

Fields = collections.namedtuple("Fields", "first second")


class TwoFields(networks.Subclassed):
    def call(self, inputs):
        return Fields(*super().call(inputs))


HEADS = {  # how the outputs are given, and the names of the first and the second
    "list": (networks.two_headed, ("species", "age")),
    "dict": (lambda: networks.two_headed(lambda species, age: {"a": species, "b": age}), ("a", "b")),
    "nested": (lambda: networks.two_headed(lambda species, age: [[species], {"b": age}]), (0, "1/b")),
    "subclassed": (networks.TwoHeaded, ("species", "age")),
    "fields": (lambda: TwoFields(networks.two_headed()), ("first", "second")),
    "nameless": (lambda: networks.Subclassed(networks.two_headed()), (0, 1)),
}
ALL = [GradCAM, CAM, Gradient, GuidedBackprop, Deconvnet, GuidedGradCAM]


@pytest.mark.parametrize("kind", HEADS)
def test_one_of_several_outputs_is_explained_as_if_it_were_the_only_one(kind):
    make, names = HEADS[kind]
    model = make()
    model(PICTURES)
    some = ALL if kind == "list" else [GradCAM, Gradient]
    for head, name, explainers in zip(("species", "age"), names, (some[::2], some[1::2]), strict=True):
        eye, scores = (tracing.find_layer(model, layer) for layer in ("eye", head))
        alone = networks.functional(eye, layers.GlobalAveragePooling2D(), scores)
        for explainer in explainers:
            explain, wanted = explainer(model, output=name), explainer(alone)
            for classes in (0, None):
                assert_allclose(explain(PICTURES, classes), wanted(PICTURES, classes), rtol=1e-5, atol=1e-8)
    with pytest.raises(ValueError, match="classes: 2; this model's are 0 to 1"):
        GradCAM(model, output=names[1])(PICTURES, 2)
    if kind == "list":
        listed = r"several outputs; choose one, output=, by name or number: 0 'species' \['B', 3\], 1 'age' \['B', 1\]"
        for explainer in (GradCAM, CAM, ClassMaps):
            with pytest.raises(ValueError, match=listed):
                explainer(model)(PICTURES)


def test_a_score_gets_the_chosen_output_and_a_number_counts_the_outputs():
    model = networks.two_headed()
    by_name, by_number = (GradCAM(model, output=output)(PICTURES, 1) for output in ("age", np.int64(1)))
    assert_array_equal(by_name, by_number)
    scored = GradCAM(model, output="species", score=lambda species: species[:, 2])(PICTURES)
    assert_array_equal(scored, GradCAM(model, score=lambda outputs: outputs[0][:, 2])(PICTURES))
    for wrong in ("species_2", 2, -1, True, 1.0):
        with pytest.raises(ValueError, match=r"output: .* is none of this model's outputs: 0 'species' .*, 1 'age' "):
            GradCAM(model, output=wrong)(PICTURES)


OTHERS = networks.images(seed=1)


@pytest.mark.parametrize("structured", [lambda *both: list(both), lambda left, right: {"left": left, "right": right}])
def test_one_of_two_pictures_of_a_siamese_network(structured):
    """What `input` picks: the gradient on that picture, and the call of the shared encoder that sees it."""
    model, pictures = networks.siamese(structured), structured(PICTURES, OTHERS)
    encoder, dense, scores = (model.get_layer(name) for name in ("encoder", "dense", "scores"))
    for number, (name, own, sign) in enumerate((("left", PICTURES, 1), ("right", OTHERS, -1))):
        weights = (sign * dense.kernel @ scores.kernel)[:, 1] / 100  # the other picture is a constant
        wanted = np.maximum(np.einsum("bhwk,k->bhw", encoder(own), weights), 0)
        for options in ({"input": name}, {"input": number, "layer": "encoder"}, {"layer": "encoder", "call": number}):
            assert_allclose(GradCAM(model, **options)(pictures, 1), wanted, rtol=1e-4, atol=1e-7)
        on_own = Gradient(networks.functional(encoder), lambda maps, w=weights: ops.sum(maps * w, (1, 2, 3)))(own)
        assert_allclose(Gradient(model, input=name)(pictures, 1), on_own, rtol=1e-4, atol=1e-7)
        guided = GuidedBackprop(model, input=number)(pictures, 1)
        product = guided * resize(wanted, (12, 12))[..., None]
        assert_allclose(GuidedGradCAM(model, input=name)(pictures, 1), product, rtol=1e-4, atol=1e-8)
    for explain in (GradCAM(model), GradCAM(model, "encoder"), Gradient(model)):
        with pytest.raises(ValueError, match=r"choose one, input=: 'left', 'right'"):
            explain(pictures, 1)
    for input in ("middle", 2):
        with pytest.raises(ValueError, match=r"input: .* is none of this model's inputs: 0 'left' .*, 1 'right' "):
            GradCAM(model, input=input)(pictures, 1)


def test_the_calls_of_a_shared_layer_count_as_they_were_written():
    """Keras runs those of one depth the other way round; the layer may also lie inside what is called twice."""
    convolution = layers.Conv2D(4, 3, activation="relu", name="conv")
    for shared in (convolution, networks.stack(convolution, shape=(None, None, 3), name="inside")):
        inputs = keras.Input((12, 12, 3))
        sides = [
            layers.GlobalAveragePooling2D()(shared(side)) for side in (inputs, layers.UpSampling2D(2)(inputs), inputs)
        ]
        model = keras.Model(inputs, layers.Dense(2, name="scores")(layers.Concatenate()(sides)))
        kernel = np.split(model.get_layer("scores").kernel[:, 1], 3)
        for call, (side, weights) in enumerate(zip((12, 24, 12), kernel, strict=True)):
            maps = np.asarray(convolution(ops.repeat(ops.repeat(PICTURES, side // 12, axis=1), side // 12, axis=2)))
            wanted = np.maximum(maps @ weights / (side - 2) ** 2, 0)
            assert_allclose(GradCAM(model, "conv", call=call)(PICTURES, 1), wanted, rtol=1e-4, atol=1e-7)
    with pytest.raises(ValueError, match="call: 3; 'conv' is called 3 times, from 0 to 2"):
        GradCAM(model, "conv", call=3)(PICTURES)
    with pytest.raises(ValueError, match="call: 1 given without layer="):
        GuidedGradCAM(model, call=1)


def test_two_pictures_that_join_before_the_last_map_need_no_choice_for_it():
    first, second = keras.Input((12, 12, 3)), keras.Input((12, 12, 3))
    sides = [layers.Conv2D(4, 3, name=name)(side) for name, side in (("a", first), ("b", second))]
    joint = layers.Conv2D(4, 3, activation="relu", name="joint")(layers.Concatenate()(sides))
    model = keras.Model([first, second], layers.Dense(2)(layers.Flatten()(joint)))
    explain = GradCAM(model)
    assert explain([PICTURES, OTHERS]).shape == (3, 8, 8) and explain.layer_path == "joint"
    assert GradCAM(model, "a")([PICTURES, OTHERS]).shape == (3, 10, 10)
    with pytest.raises(ValueError, match="'a' is not on the path to the score; these do: b, "):
        GradCAM(model, "a", input=1)([PICTURES, OTHERS])
