"""Grad-CAM and CAM by numbers: by hand, by independent paths, by their invariances, and under misuse."""

import gc
import tracemalloc

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import layers, ops

from helpers.gcm import GCM
from helpers.gradcam import CAM, ClassMaps, GradCAM, resize, to_unit

PICTURES = networks.images()


@pytest.fixture(scope="module")
def model():
    return networks.make("functional")


@pytest.fixture(scope="module")
def explain(model):
    return GradCAM(model)


# --- by hand and by independent paths


def test_hand_computed_maps():
    """Captum's numbers for its one-convolution network: after the ReLU (our default) and before it."""
    network, picture = networks.hand_network(), networks.hand_picture()
    np.testing.assert_array_equal(GradCAM(network)(picture, 0), [[[0, 4], [28, 32.5]]])
    np.testing.assert_array_equal(GradCAM(network, "relu1")(picture, 3), [[[0, 4], [28, 32.5]]])
    np.testing.assert_array_equal(GradCAM(network, "conv1")(picture, 0), [[[11.25, 13.5], [20.25, 22.5]]])


def split(model, name):
    """Body and head of a functional model as two models that share its weights; the head ends in logits."""
    at = [layer.name for layer in model.layers].index(name)
    features = keras.Input(model.layers[at].output.shape[1:])
    outputs = networks.chained(features, model.layers[at + 1 : -1])
    scores = model.layers[-1]
    return (
        keras.Model(model.input, model.layers[at].output),
        keras.Model(features, outputs),
        lambda hidden: hidden @ scores.kernel + scores.bias,
    )


def test_equals_a_plain_tape_on_sub_models(model, explain):
    body, head, logits = split(model, "relu_b")
    feature_map = body(PICTURES)
    for class_index in range(networks.CLASSES):
        with tf.GradientTape() as tape:
            tape.watch(feature_map)
            score = logits(head(feature_map))[:, class_index]
        weights = tf.reduce_mean(tape.gradient(score, feature_map), axis=(1, 2))
        wanted = tf.nn.relu(tf.reduce_sum(feature_map * weights[:, None, None], axis=-1))
        np.testing.assert_allclose(explain(PICTURES, class_index), wanted, rtol=1e-4, atol=1e-6)


def test_weights_of_equation_1_are_finite_differences(model, explain):
    """Raising feature k everywhere by epsilon raises the score by epsilon * Z * alpha_k."""
    body, head, logits = split(model, "relu_b")
    feature_map = body(PICTURES).numpy()
    places, channels = feature_map[0, ..., 0].size, feature_map.shape[-1]

    def score(maps):
        return logits(head(maps)).numpy()[:, 1].astype(np.float64)

    step = 1e-3 * np.eye(channels, dtype=np.float32)
    weights = np.stack([(score(feature_map + s) - score(feature_map - s)) / 2e-3 for s in step], axis=-1) / places
    wanted = np.maximum(np.einsum("bhwk,bk->bhw", feature_map, weights), 0)
    np.testing.assert_allclose(explain(PICTURES, 1), wanted, rtol=0.02, atol=5e-3 * wanted.max())


def test_cam_is_grad_cam_before_the_relu_up_to_the_number_of_places():
    network = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.Dropout(0.5),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax", name="scores"),
        ]
    )
    scores = network.get_layer("scores")
    scores.bias.assign([0.5, -1, 2])
    logits = keras.Model(network.layers[0].input, network.layers[-2].output)(PICTURES) @ scores.kernel + scores.bias
    for classes in ([0, 1, 2], 2, None):
        maps = CAM(network)(PICTURES, classes)
        np.testing.assert_allclose(np.maximum(maps, 0) / 100, GradCAM(network)(PICTURES, classes), rtol=1e-4, atol=1e-7)
        chosen = np.broadcast_to(np.argmax(logits, axis=-1) if classes is None else classes, 3)
        np.testing.assert_allclose(
            maps.mean(axis=(1, 2)) + scores.bias.numpy()[chosen], logits.numpy()[range(3), chosen], rtol=1e-4
        )
    assert maps.min() < 0


@pytest.mark.parametrize("activation", ["softmax", None])
def test_class_maps_are_cam_with_the_dense_layer_moved_before_the_average(activation):
    start = [keras.Input((12, 12, 3)), layers.Conv2D(6, 3, activation="relu"), layers.Dropout(0.5)]
    maps_last = keras.Sequential(
        [*start, layers.Conv2D(3, 1, name="class_maps"), layers.GlobalAveragePooling2D(), layers.Activation(activation)]
    )
    dense_last = keras.Sequential([*start, layers.GlobalAveragePooling2D(), layers.Dense(3, activation=activation)])
    kernel, bias = np.random.default_rng(0).normal(size=(6, 3)), np.array([0.5, -1, 2])
    maps_last.get_layer("class_maps").set_weights([kernel[None, None], bias])
    dense_last.layers[-1].set_weights([kernel, bias])
    predicted = dense_last(PICTURES).numpy().argmax(axis=-1)
    for classes in ([0, 1, 2], 2, None):
        added = bias[predicted if classes is None else np.broadcast_to(classes, 3)]
        np.testing.assert_allclose(
            ClassMaps(maps_last)(PICTURES, classes),
            CAM(dense_last)(PICTURES, classes) + added[:, None, None],
            rtol=1e-4,
            atol=1e-5,
        )
    with pytest.raises(ValueError, match="use CAM"):
        ClassMaps(dense_last)(PICTURES)


def test_a_single_unit_has_opposite_maps_for_its_two_classes():
    base = [keras.Input((12, 12, 3)), layers.Conv2D(4, 3, activation="relu")]
    pooled = keras.Sequential([*base, layers.GlobalAveragePooling2D(), layers.Dense(1, activation="sigmoid")])
    averaged = keras.Sequential(
        [*base, layers.Conv2D(1, 1), layers.GlobalAveragePooling2D(), layers.Activation("sigmoid")]
    )
    for explain in (CAM(pooled), ClassMaps(averaged)):
        p = explain.model(PICTURES).numpy()[:, 0]
        of_one = explain(PICTURES, 1)
        np.testing.assert_allclose(of_one.mean((1, 2)), np.log(p / (1 - p)), rtol=1e-3, atol=1e-5)  # the biases are 0
        np.testing.assert_array_equal(explain(PICTURES, 0), -of_one)
        np.testing.assert_array_equal(explain(PICTURES), np.where((p > 0.5)[:, None, None], of_one, -of_one))


# --- invariances


@pytest.mark.parametrize("classes", [None, 2, [0, 2, 1]])
def test_a_batch_gives_what_single_pictures_give(explain, classes):
    together = explain(PICTURES, classes)
    alone = [
        explain(PICTURES[i : i + 1], classes if classes is None else np.broadcast_to(classes, 3)[i : i + 1])[0]
        for i in range(3)
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(4)), classes=st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_maps_follow_their_pictures(explain, order, classes):
    pictures, order, classes = networks.images(4), np.array(order), np.array(classes)
    np.testing.assert_allclose(
        explain(pictures, classes)[order], explain(pictures[order], classes[order]), rtol=1e-4, atol=1e-6
    )


def test_classes_none_is_the_predicted_one(model, explain):
    predicted = model.predict(PICTURES, verbose=0).argmax(axis=-1)
    np.testing.assert_array_equal(explain(PICTURES), explain(PICTURES, predicted))
    np.testing.assert_array_equal(explain(PICTURES, 1), explain(PICTURES, [1, 1, 1]))
    assert not np.allclose(explain(PICTURES, 0), explain(PICTURES, 1))


def test_raw_maps_scale_with_the_score(model, explain):
    def doubled(outputs):
        return 2 * outputs[:, 1]

    logits = keras.Model(model.input, model.layers[-2].output)
    one = GradCAM(logits, score=lambda hidden: hidden[:, 0])(PICTURES)
    two = GradCAM(logits, score=lambda hidden: 2 * hidden[:, 0])(PICTURES)
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)
    assert GradCAM(model, score=doubled)(PICTURES).shape == one.shape


@pytest.mark.parametrize("kind", networks.KINDS)
def test_every_kind_of_model_gives_the_same_maps(kind, explain):
    """The default layer is the last one after its ReLU and before its pooling, however it is nested."""
    same = GradCAM(networks.make(kind))
    wanted = explain(PICTURES, [0, 1, 2])
    np.testing.assert_allclose(same(PICTURES, [0, 1, 2]), wanted, rtol=1e-4, atol=1e-6)
    assert same.layer_path.split("/")[-1] == "relu_b"
    assert wanted.shape == (3, 5, 5) and wanted.max(axis=(1, 2)).min() > 0


def test_never_called_model_is_built_by_the_first_explanation():
    network = networks.never_called()
    maps = GradCAM(network)(PICTURES, 0)
    assert maps.shape == (3, 5, 5)
    np.testing.assert_array_equal(maps, GradCAM(network)(PICTURES, 0))


# --- precision


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
def test_low_precision_networks_give_float32_maps(policy, explain, model):
    keras.config.set_dtype_policy(policy)
    try:
        network = networks.functional()
    finally:
        keras.config.set_dtype_policy("float32")
    network.set_weights(model.get_weights())
    maps, wanted = GradCAM(network)(PICTURES, 1), explain(PICTURES, 1)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, wanted, atol=0.05 * wanted.max())


def test_small_float16_gradients_do_not_underflow():
    """A gradient of 1e-8 is zero in float16; pooling and weighting in float32 after scaling keep it."""
    network = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            layers.ReLU(dtype="float16"),
            layers.Flatten(dtype="float16"),
            layers.Dense(1, dtype="float16", use_bias=False),
        ]
    )
    network.layers[-1].kernel.assign(np.full((16, 1), 1e-4))
    maps = GradCAM(network, score=lambda outputs: 1e-4 * ops.cast(outputs[:, 0], "float32"))(np.ones((1, 4, 4, 1)))
    np.testing.assert_allclose(maps, 1e-8, rtol=0.01)


# --- cost


def test_one_trace_a_shape_whatever_batch_and_classes_are():
    calls = []

    class Counting(layers.Layer):
        def call(self, inputs):
            calls.append(inputs.shape)
            return inputs * 1.0

    network = keras.Sequential(
        [Counting(), layers.Conv2D(3, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )
    network(PICTURES)
    calls.clear()
    explain = GradCAM(network)
    for batch, classes in [(3, None), (3, 1), (3, [0, 1, 2]), (1, None), (7, 2), (3, np.array([1, 1, 1]))]:
        explain(networks.images(batch), classes)
    explain(PICTURES.astype(np.float64))
    explain(tf.constant(PICTURES))
    assert (len(calls), explain.traces) == (1, 1)
    for _ in range(2):
        explain(networks.images(2, size=16))
    assert (len(calls), explain.traces) == (2, 2)


def test_a_hundred_calls_need_no_more_memory_than_ten(explain):
    def memory_after(calls):
        for i in range(calls):
            explain(PICTURES, i % 3)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    traces = explain.traces
    tracemalloc.start()
    ten, hundred = memory_after(10), memory_after(90)
    tracemalloc.stop()
    assert hundred - ten < 50_000
    assert explain.traces == traces


# --- misuse


@pytest.mark.parametrize(
    ("pictures", "complaint"),
    [
        (PICTURES[0], r"shape \(12, 12, 3\); float32 \[B, H, W, C\] is wanted; for one picture give image\[None\]"),
        (PICTURES[None], r"shape \(1, 3, 12, 12, 3\)"),
        (list(PICTURES), r"shape \(12, 12, 3\); float32 .* for a list of them numpy\.stack\(images\)"),
        (PICTURES.tolist(), r"shape \(\); float32"),
        (PICTURES[:0], "an empty batch; at least one picture is wanted"),
        ((PICTURES * 255).astype(np.uint8), "uint8; the model takes float32"),
        (PICTURES * np.nan, "NaN or infinite"),
        (np.where(PICTURES > 2, np.inf, PICTURES), "NaN or infinite"),
    ],
)
def test_pictures_that_cannot_be_explained(explain, pictures, complaint):
    with pytest.raises(ValueError, match=complaint):
        explain(pictures)


@pytest.mark.parametrize(
    ("classes", "complaint"),
    [
        (3, "classes: 3; this model's are 0 to 2"),
        (-1, "0 to 2"),
        ([0, 1, 5], "0 to 2"),
        ([0, 1], "3 ints for 3"),
        (1.0, "an int"),
        ("pizza", "an int"),
        ([[0, 1, 2]], "an int"),
        (True, "an int"),
    ],
)
def test_classes_that_do_not_exist(explain, classes, complaint):
    with pytest.raises(ValueError, match=complaint):
        explain(PICTURES, classes)


def test_classes_and_a_score_exclude_each_other(model):
    with pytest.raises(ValueError, match="this explainer has a score of its own"):
        GradCAM(model, score=lambda outputs: outputs[:, 0])(PICTURES, 1)


def test_channels_first_is_refused(model, explain):
    """By the network's own layers, whatever the global setting has become."""
    convolution = layers.Conv2D(2, 3, data_format="channels_first", name="first")
    with pytest.raises(ValueError, match=r"'first' is channels_first.*build the network channels_last"):
        GradCAM(keras.Sequential([keras.Input((3, 12, 12)), layers.Identity(), convolution]))
    keras.config.set_image_data_format("channels_first")
    try:
        np.testing.assert_array_equal(GradCAM(model)(PICTURES, 1), explain(PICTURES, 1))
    finally:
        keras.config.set_image_data_format("channels_last")


# --- other models


@pytest.mark.parametrize("structure", [list, tuple, dict])
def test_models_with_several_inputs_take_their_own_structure(structure):
    pictures, question = keras.Input((12, 12, 3), name="pictures"), keras.Input((4,), dtype="int32", name="question")
    seen = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="eye")(pictures))
    words = layers.GRU(4)(layers.Embedding(9, 5)(question))
    answers = layers.Dense(6)(layers.Multiply()([seen, words]))
    names = {"pictures": pictures, "question": question}
    network = keras.Model(names if structure is dict else structure(names.values()), answers)
    given = {"pictures": PICTURES, "question": np.array([[1, 2, 3, 4], [4, 3, 2, 1], [0, 0, 7, 8]])}
    inputs = given if structure is dict else structure(given.values())
    explain = GradCAM(network, score=lambda outputs: outputs[:, 2])
    np.testing.assert_array_equal(explain(inputs), GradCAM(network)(inputs, 2))
    assert explain(inputs).shape == (3, 10, 10) and explain.layer_path == "eye" and explain.traces == 1
    shorter = {**given, "question": given["question"][:2]}
    with pytest.raises(ValueError, match="batch sizes differ"):
        explain(shorter if structure is dict else structure(shorter.values()))


def test_the_last_call_of_a_shared_layer_counts():
    inputs = keras.Input((8, 8, 3))
    shared = layers.Conv2D(3, 3, padding="same", activation="relu", name="shared")
    network = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(shared(shared(inputs)))))
    np.testing.assert_array_equal(
        GradCAM(network, "shared")(networks.images(2, 8), 0), GradCAM(network)(networks.images(2, 8), 0)
    )


def test_gcm_can_be_explained_too():
    network = GCM(4)
    pictures = np.abs(networks.images(2, 16))
    explain = GradCAM(network)
    maps = explain(pictures, [0, 3])
    weight_maps = network.weight_maps(pictures).numpy()[[0, 1], ..., [0, 3]]
    # d score / d weight map of class c = brightness / (H W), and nothing for the other classes
    alpha = pictures.mean(axis=(1, 2, 3)) / 16**2
    np.testing.assert_allclose(maps, np.maximum(weight_maps * alpha[:, None, None], 0), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize(
    ("build", "layer"),
    [(keras.applications.MobileNetV2, "out_relu"), (keras.applications.ResNet50, "conv5_block3_out")],
)
def test_keras_applications(build, layer):
    """The default layer, and the same network inside another one, against a tape on a sub-model."""
    base = build(weights=None, include_top=False, input_shape=(64, 64, 3), pooling="avg")
    network = keras.Sequential([base, layers.Dense(5, activation="softmax")])
    pictures = networks.images(2, 64)
    features = keras.Model(base.input, base.get_layer(layer).output)(pictures)
    weights = network.layers[-1].kernel.numpy()[:, [1, 4]].T / 4  # after global averaging over 2 x 2 places
    wanted = np.maximum(np.einsum("bhwk,bk->bhw", features, weights), 0)
    explain = GradCAM(network)
    np.testing.assert_allclose(explain(pictures, [1, 4]), wanted, rtol=1e-3, atol=1e-4 * wanted.max() + 1e-20)
    assert explain.layer_path == f"{base.name}/{layer}"


# --- resize and to_unit


def test_resize_is_bilinear_with_half_pixel_centres():
    edge = [0, 0.25, 0.75, 1]
    np.testing.assert_array_equal(resize([[[0, 1], [0, 1]]], (4, 4)), [[edge] * 4])
    np.testing.assert_array_equal(resize([[0, 1], [0, 1]], (4, 4)), [edge] * 4)
    assert resize(np.zeros((2, 3, 5)), (7, 9)).shape == (2, 7, 9)


@settings(max_examples=40, deadline=None)
@given(maps=arrays.arrays(np.float32, (2, 3, 4), elements=st.floats(-1e6, 1e6, width=32)))
def test_resize_keeps_the_range_and_its_own_size(maps):
    larger = resize(maps, (9, 8))
    assert larger.dtype == np.float32
    assert larger.min() >= maps.min() - 0.2 and larger.max() <= maps.max() + 0.2
    np.testing.assert_array_equal(resize(maps, (3, 4)), maps)


@settings(max_examples=60, deadline=None)
@given(maps=arrays.arrays(np.float32, (3, 2, 2), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_to_unit_divides_each_map_by_its_own_maximum(maps):
    unit = to_unit(maps)
    assert unit.dtype == np.float32 and np.isfinite(unit).all()
    for one, given_map in zip(unit, maps, strict=True):
        if given_map.max() > 0:
            assert one.max() == 1 and one.min() >= 0
            np.testing.assert_allclose(one, np.maximum(given_map, 0) / given_map.max(), rtol=1e-6)
        else:
            np.testing.assert_array_equal(one, 0)


@pytest.mark.parametrize("function", [to_unit, lambda maps: resize(maps, (4, 4))])
@pytest.mark.parametrize("shape", [(2,), (1, 2, 2, 3)])
def test_gradients_and_vectors_are_no_maps(function, shape):
    with pytest.raises(ValueError, match=r"maps: shape .*\[B, h, w\] or one \[h, w\] is wanted"):
        function(np.ones(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_that_is_not_finite_is_all_zeros(value):
    unit = to_unit([[[value, 1.0]], [[2.0, 1.0]]])
    np.testing.assert_array_equal(unit, [[[0, 0]], [[1, 0.5]]])


@pytest.mark.parametrize("explainer", [CAM, ClassMaps])
def test_maps_of_a_class_take_no_other_score(explainer, model):
    with pytest.raises(TypeError, match="score"):
        explainer(model, score=lambda outputs: outputs[:, 0])


@pytest.mark.parametrize("value", [0, -3])
def test_maps_without_any_evidence_are_zeros(value, model):
    np.testing.assert_array_equal(to_unit(np.full((2, 3, 3), value)), 0)
    np.testing.assert_array_equal(to_unit(np.full((3, 3), value)), 0)
    dead = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(2, 3),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, kernel_initializer="ones"),
        ]
    )
    dead.layers[0].set_weights([np.zeros((3, 3, 3, 2)), np.array([1.0, 1.0]) * (1 if value else -1)])
    maps = GradCAM(dead)(PICTURES, 0)  # class 0 is minus the sum of what is never negative
    np.testing.assert_array_equal(maps, 0)
    np.testing.assert_array_equal(to_unit(resize(maps, (12, 12))), 0)
