"""Model surgery: the right layer and the logit are found in every kind of model, and the model stays as it was."""

import time
from concurrent.futures import ThreadPoolExecutor

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from helpers import tracing
from helpers.gradcam import CAM, GradCAM
from helpers.guided import Deconvnet, Gradient, GuidedBackprop, GuidedGradCAM
from helpers.tracing import recording

EXPLAINERS = [GradCAM, GuidedBackprop, Deconvnet, GuidedGradCAM, Gradient]
PICTURES = networks.images()


def state(model):
    """What must not change: what every layer holds, its flags, weights, config, losses, and what the model predicts."""
    predictions = model.predict(PICTURES, verbose=0).tolist()
    inner = model._flatten_layers(include_self=False)
    held = [{name: id(value) for name, value in vars(layer).items()} for layer in inner]
    held.append({name: id(value) for name, value in vars(model).items() if name in ("call", "_losses", "_loss_ids")})
    flags = [(layer.name, layer.trainable, layer.built, layer.dtype_policy.name) for layer in inner]
    values = [weight.numpy().tolist() for weight in model.weights]
    config = None if isinstance(model, (networks.Subclassed, networks.SubclassedNested)) else model.get_config()
    return predictions, held, flags, values, config, len(model.losses)


# --- finding layers


def test_paths_of_nested_layers():
    paths = tracing.layer_paths(networks.make("sequential_in_functional"))
    assert "outer" in paths and paths["outer/conv_b"].name == "conv_b" and "conv_b" not in paths


@pytest.mark.parametrize("wanted", ["whole/outer/innermost/conv_a", "conv_a"])
def test_layer_by_path_or_unique_name(wanted):
    model = networks.make("twice_nested")
    found = tracing.find_layer(model, wanted)
    assert found.name == "conv_a" and tracing.find_layer(model, found) is found


def test_unknown_ambiguous_and_foreign_layers():
    inputs = keras.Input((12, 12, 3))
    twins = [keras.Sequential([layers.Conv2D(2, 3, name="conv")], name=name)(inputs) for name in ("left", "right")]
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Add()(twins))))
    with pytest.raises(ValueError, match=r"'conv' is ambiguous.*left/conv, right/conv"):
        GradCAM(model, "conv")
    with pytest.raises(ValueError, match=r"'convv' is unknown.*left/conv"):
        GradCAM(model, "convv")
    with pytest.raises(ValueError, match="is not in the model"):
        GradCAM(model, layers.Conv2D(2, 3))
    assert GradCAM(model, "left/conv")(PICTURES).shape == (3, 10, 10)


class Namesakes(keras.Model):
    """Two sub-models of one name, as Keras allows in a subclassed model."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (
            keras.Sequential([layers.Conv2D(units, 3, name="conv"), layers.ReLU(name="relu")], name="block")
            for units in (4, 5)
        )
        self.top = layers.Dense(3)

    def call(self, inputs):
        return self.top(ops.mean(self.second(self.first(inputs)), axis=(1, 2)))


def test_namesakes_are_told_apart():
    model = Namesakes()
    model(PICTURES)
    assert tracing.layer_paths(model)["block#2/conv"] is model.second.layers[0]
    for layer, name, side in ((model.first.layers[1], "block/relu", 10), (model.second.layers[1], "block#2/relu", 8)):
        explain = GradCAM(model, layer)
        assert explain(PICTURES, 1).shape == (3, side, side) and explain.layer_path == name
        np.testing.assert_array_equal(explain(PICTURES, 1), GradCAM(model, name)(PICTURES, 1))
    with pytest.raises(ValueError, match="'conv' is ambiguous; choose one of block/conv, block#2/conv"):
        GradCAM(model, "conv")


def test_layers_that_give_no_map_name_the_ones_that_do():
    model = networks.make("sequential")
    with pytest.raises(ValueError, match=r"'hidden' gives \['B', 6\].*conv_a.*relu_b"):
        GradCAM(model, "hidden")(PICTURES)
    with pytest.raises(ValueError, match="no layer on the path to the score gives a 4-D"):
        GradCAM(keras.Sequential([keras.Input((12, 12, 3)), layers.Rescaling(2.0), *networks.head()]))(PICTURES)


def test_layer_off_the_path_and_layer_never_called():
    inputs = keras.Input((12, 12, 3))
    main, side = layers.Conv2D(2, 3, name="main")(inputs), layers.Conv2D(2, 3, name="side")(inputs)
    scores = [layers.Dense(3)(layers.Flatten()(maps)) for maps in (main, side)]
    model = keras.Model(inputs, scores)
    with pytest.raises(ValueError, match=r"'side' is not on the path to the score; these do: main"):
        GradCAM(model, "side", score=lambda outputs: outputs[0][:, 1])(PICTURES)
    assert GradCAM(model, score=lambda outputs: outputs[0][:, 1])(PICTURES).shape == (3, 10, 10)  # side is skipped

    class Lazy(keras.Model):
        def __init__(self):
            super().__init__()
            self.used, self.unused, self.top = layers.Conv2D(2, 3), layers.Conv2D(2, 3, name="unused"), layers.Dense(3)
            self.unused.build((None, 12, 12, 3))

        def call(self, inputs):
            return self.top(ops.mean(self.used(inputs), axis=(1, 2)))

    with pytest.raises(ValueError, match="'unused' is not called"):
        GradCAM(Lazy(), "unused")(PICTURES)


# --- the last feature map


class Residual(keras.Model):
    """The last feature map is the ReLU of a sum; both are functions in `call`."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.top = layers.Conv2D(4, 3), layers.Conv2D(4, 3, padding="same"), layers.Dense(3)

    def features(self, inputs):
        shortcut = ops.relu(self.first(inputs))
        return ops.relu(self.second(shortcut) + shortcut)

    def call(self, inputs):
        return self.top(ops.mean(tf.nn.max_pool2d(self.features(inputs), 2, 2, "VALID"), axis=(1, 2)))


def test_default_map_is_after_functional_sum_and_relu():
    model = Residual()
    model(PICTURES)
    with tf.GradientTape() as tape:
        features = model.features(PICTURES)
        tape.watch(features)
        pooled = tf.nn.max_pool2d(features, 2, 2, "VALID")
        score = model.top(tf.reduce_mean(pooled, axis=(1, 2)))[:, 2]
    weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
    wanted = tf.nn.relu(tf.reduce_sum(features * weights, axis=-1))
    np.testing.assert_allclose(GradCAM(model)(PICTURES, 2), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("attention", [layers.MultiHeadAttention(2, 4), layers.GroupQueryAttention(4, 2, 1)])
def test_what_attention_makes_inside_is_no_feature_map(attention):
    inputs = keras.Input((12, 12, 3))
    tokens = layers.Reshape((100, 4))(layers.Conv2D(4, 3, activation="relu", name="conv")(inputs))
    scores = layers.Dense(3)(layers.GlobalAveragePooling1D()(attention(tokens, tokens)))
    explain = GradCAM(keras.Model(inputs, scores))
    assert explain(PICTURES).shape == (len(PICTURES), 10, 10) and explain.layer_path == "conv"


class ByKeyword(keras.Model):
    """Calls its layers with inputs=, and makes one of them only in `build`."""

    def __init__(self):
        super().__init__()
        self.pool, self.top = layers.GlobalAveragePooling2D(), layers.Dense(3)

    def build(self, shape):
        self.conv = layers.Conv2D(4, 3, activation="relu", name="late")
        self.conv.build(shape)
        super().build(shape)

    def call(self, inputs):
        return self.top(self.pool(inputs=self.conv(inputs)))


def test_layers_called_by_keyword_and_layers_that_do_not_exist_yet():
    model = ByKeyword()
    with pytest.raises(ValueError, match="'late' is unknown; call the model once"):
        GradCAM(model, "late")
    model(PICTURES)
    cam = CAM(model)(PICTURES, 1)
    np.testing.assert_allclose(GradCAM(model, "late")(PICTURES, 1), np.maximum(cam, 0) / 100, rtol=1e-4, atol=1e-7)


def test_squeezed_head_is_no_feature_map_but_a_small_last_map_is():
    squeezed = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(4, 3, activation="relu", name="last"),
            layers.GlobalAveragePooling2D(keepdims=True),
            layers.Conv2D(8, 1, activation="relu"),
            layers.Conv2D(3, 1),
            layers.Flatten(),
            layers.Softmax(),
        ]
    )
    explain = GradCAM(squeezed)
    assert explain(PICTURES).shape == (3, 10, 10) and explain.layer_path == "last"
    tiny = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Conv2D(4, 10, activation="relu", name="last"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    explain = GradCAM(tiny)
    assert explain(PICTURES).shape == (3, 1, 1) and explain.layer_path == "last"


# --- the logit


class FunctionalSoftmax(keras.Model):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, inputs):
        return ops.softmax(self.inner(inputs))


def spelled(spelling):
    """The same network with its softmax in another spelling."""
    if spelling == "dense":
        return keras.Sequential([keras.Input((12, 12, 3)), *networks.body(), *networks.head("softmax")])
    plain = keras.Sequential([keras.Input((12, 12, 3)), *networks.body(), *networks.head(None)])
    if spelling == "function":
        return FunctionalSoftmax(plain)
    last = {
        "logits": [],
        "layer": [layers.Softmax()],
        "activation": [layers.Activation("softmax")],
        "float32": [layers.Activation("softmax"), layers.Activation("linear", dtype="float32")],
        "nested": [keras.Sequential([keras.Sequential([layers.Softmax()])])],
    }[spelling]
    return keras.Sequential([plain, *last])


@pytest.fixture(scope="module")
def logits():
    return spelled("logits")


@pytest.mark.parametrize("spelling", ["dense", "layer", "activation", "function", "nested", "float32"])
def test_every_spelling_of_softmax_is_explained_at_the_logit(spelling, logits):
    model = spelled(spelling)
    model(PICTURES)
    model.set_weights(logits.get_weights())
    explain, wanted = GradCAM(model), GradCAM(logits)
    for classes in (0, [2, 0, 1], None):
        np.testing.assert_allclose(explain(PICTURES, classes), wanted(PICTURES, classes), rtol=1e-5, atol=1e-9)


def test_saturated_softmax_still_has_a_map():
    """At probability 1 the softmax has no gradient left; the logit has."""
    model = networks.make("sequential")
    scores = model.get_layer("scores")
    scores.kernel.assign(scores.kernel * 1000)
    assert model.predict(PICTURES, verbose=0).max() == 1
    assert GradCAM(model)(PICTURES, 1).max() > 1


def test_softmax_in_the_middle_stays():
    inputs = keras.Input((12, 12, 3))
    features = layers.Conv2D(4, 3, activation="relu")(inputs)
    attention = layers.Softmax()(layers.Dense(100)(layers.GlobalAveragePooling2D()(features)))
    seen = layers.Flatten()(layers.Multiply()([features, layers.Reshape((10, 10, 1))(attention)]))
    logits = layers.Dense(3)(seen)
    model, plain = keras.Model(inputs, layers.Softmax()(logits)), keras.Model(inputs, logits)
    with tf.GradientTape() as tape:
        pictures = tf.Variable(PICTURES)
        score = plain(pictures)[:, 1]
    np.testing.assert_allclose(Gradient(model)(PICTURES, 1), tape.gradient(score, pictures), rtol=1e-4, atol=1e-7)


def test_single_sigmoid_unit_is_a_binary_classifier():
    base = [keras.Input((12, 12, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten()]
    logit = keras.Sequential([*base, layers.Dense(1, name="unit")])
    model = keras.Sequential([*base, layers.Dense(1, activation="sigmoid", name="unit")])
    model.set_weights(logit.get_weights())
    plain = Gradient(logit, score=lambda outputs: outputs[:, 0])(PICTURES)
    np.testing.assert_allclose(Gradient(model)(PICTURES, 1), plain, rtol=1e-5)
    np.testing.assert_allclose(Gradient(model)(PICTURES, 0), -plain, rtol=1e-5)
    predicted = (model.predict(PICTURES, verbose=0)[:, 0] > 0.5).astype(int)
    np.testing.assert_array_equal(Gradient(model)(PICTURES), Gradient(model)(PICTURES, predicted))


def test_outputs_that_are_no_classes_ask_for_a_score():
    model = keras.Sequential([keras.Input((12, 12, 3)), layers.Conv2D(4, 3, activation="relu")])
    with pytest.raises(ValueError, match=r"\['B', 10, 10, 4\] is no classifier's \[B, N\]; pass score"):
        GradCAM(model)(PICTURES)
    with pytest.raises(ValueError, match=r"score: it gives shape \(\)"):
        GradCAM(model, score=ops.sum)(PICTURES)
    with pytest.raises(ValueError, match=r"score: it has no gradient with respect to|not on the path"):
        Gradient(model, score=lambda outputs: ops.cast(ops.argmax(outputs[:, 0, 0], axis=-1), "float32"))(PICTURES)


# --- nothing stays changed


@pytest.mark.parametrize(
    ("kind", "explainers"),
    [
        ("sequential", EXPLAINERS),
        ("never_called", [GuidedGradCAM]),
        *(
            (kind, [GuidedGradCAM])
            for kind in networks.KINDS
            if "_in_" in kind or kind in ("twice_nested", "Subclassed")
        ),
    ],
)
def test_compiled_and_traced_model_is_unchanged(kind, explainers):
    model = networks.make(kind)
    tracing.find_layer(model, "conv_a").trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(PICTURES, np.arange(3))
    before, optimizer = state(model), [variable.numpy().tolist() for variable in model.optimizer.variables]
    for explainer in explainers:
        assert np.isfinite(explainer(model)(PICTURES)).all()
    assert state(model) == before
    assert [variable.numpy().tolist() for variable in model.optimizer.variables] == optimizer
    model.train_on_batch(PICTURES, np.arange(3))
    assert state(model)[3] != before[3]  # it can still be trained


class Moody(layers.Layer):
    """Fails in the middle of a trace while `angry`."""

    angry = False

    def call(self, inputs):
        if Moody.angry:
            raise RuntimeError("not today")
        return inputs * 1.0


@pytest.mark.parametrize("explainer", EXPLAINERS)
@pytest.mark.parametrize("where", ["layer", "score"])
def test_model_is_unchanged_after_an_exception_in_a_trace(explainer, where, monkeypatch):
    model = keras.Sequential([keras.Input((12, 12, 3)), *networks.body(), Moody(), *networks.head()])
    model.compile("sgd", "mse")
    before = state(model)
    monkeypatch.setattr(Moody, "angry", where == "layer")

    def score(outputs):
        raise RuntimeError("not today")

    explain = explainer(model, score=score if where == "score" else None)
    with pytest.raises(RuntimeError, match="not today"):
        explain(PICTURES)
    assert explain.traces == 0 and not tf.config.functions_run_eagerly()
    monkeypatch.setattr(Moody, "angry", False)
    assert state(model) == before
    assert np.isfinite(explainer(model)(PICTURES)).all()


def test_replaced_puts_back_what_was_there_and_what_was_not():
    class Owner:
        name = "class"

    owner = Owner()
    owner.own = "instance"
    with pytest.raises(KeyError), recording.replaced([(owner, "name", "new"), (owner, "own", "new")]):
        assert (owner.name, owner.own) == ("new", "new")
        raise KeyError
    assert vars(owner) == {"own": "instance"} and owner.name == "class"


def test_a_trace_waits_for_another_one():
    """Side by side they would put back what the other one had replaced, and TensorFlow's switch too."""
    model, other = networks.make("sequential"), networks.make("sequential")
    layer, own = other.layers[0], vars(other.layers[0]).get("call")

    def slow(outputs):
        assert not others.done()  # it asked to trace while this trace was under way
        return outputs[:, 0]

    def trace_other():
        tf.function(lambda inputs: tracing.trace(other, inputs).outputs).get_concrete_function(PICTURES)

    with ThreadPoolExecutor(1) as threads, recording.TRACING:
        others = threads.submit(trace_other)
        time.sleep(0.5)
        GradCAM(model, score=slow)(PICTURES)
    others.result()
    assert vars(layer).get("call") is own and not tf.config.functions_run_eagerly()


def test_threads_may_explain_one_model_at_the_same_time():
    model = networks.make("sequential")
    before = state(model)
    wanted = [explainer(model)(PICTURES, 1) for explainer in EXPLAINERS]
    shared = GradCAM(model)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda explainer: explainer(model)(PICTURES, 1), EXPLAINERS * 3))
        maps = list(threads.map(lambda _: shared(PICTURES, 1), range(8)))
    for one, other in zip(found + maps, wanted * 3 + wanted[:1] * 8, strict=True):
        np.testing.assert_array_equal(one, other)
    assert shared.traces == 1 and state(model) == before and not tf.config.functions_run_eagerly()


def test_losses_of_the_trace_do_not_leak_into_the_model():
    convolution = layers.Conv2D(4, 3, activation="relu", activity_regularizer="l2")
    model = keras.Sequential([keras.Input((12, 12, 3)), convolution, layers.Flatten(), layers.Dense(3)])
    model(PICTURES)
    before = float(sum(model.losses))
    GradCAM(model)(PICTURES)
    assert float(sum(model.losses)) == before


# --- awkward models


class Decorated(layers.Layer):
    """A layer whose author put a `tf.function` on `call`."""

    def __init__(self):
        super().__init__()
        self.conv, self.relu = layers.Conv2D(4, 3, name="inside"), layers.ReLU(name="inside_relu")

    def build(self, shape):
        self.conv.build(shape)

    @tf.function
    def call(self, inputs):
        return self.relu(self.conv(inputs))


def test_layers_with_their_own_tf_function_are_seen_through():
    model = keras.Sequential([keras.Input((12, 12, 3)), Decorated(), layers.Flatten(), layers.Dense(3)])
    model(PICTURES)
    plain = keras.Sequential(
        [keras.Input((12, 12, 3)), layers.Conv2D(4, 3), layers.ReLU(), layers.Flatten(), layers.Dense(3)]
    )
    plain.set_weights(model.get_weights())
    explain = GuidedGradCAM(model)
    np.testing.assert_allclose(explain(PICTURES, 1), GuidedGradCAM(plain)(PICTURES, 1), rtol=1e-5, atol=1e-8)
    assert explain.layer_path.endswith("inside_relu")


def test_inference_only_no_dropout_no_batch_statistics():
    model = networks.make("SubclassedNested")
    moving = [weight.numpy() for weight in model.weights if "moving" in weight.path]
    explain = GuidedGradCAM(model)
    np.testing.assert_array_equal(explain(PICTURES), explain(PICTURES))
    for weight, before in zip([w for w in model.weights if "moving" in w.path], moving, strict=True):
        np.testing.assert_array_equal(weight.numpy(), before)


def test_new_weights_count_without_a_new_trace():
    model = networks.make("functional")
    explain = GradCAM(model)
    before = explain(PICTURES, 0)
    scores = model.get_layer("scores")
    scores.kernel.assign(scores.kernel * 2)
    np.testing.assert_allclose(explain(PICTURES, 0), 2 * before, rtol=1e-5)
    assert explain.traces == 1


def test_no_model_is_a_clear_error():
    with pytest.raises(TypeError, match="model: function; a Keras model is wanted"):
        GradCAM(lambda images: images)


@pytest.mark.parametrize("layer", ["attention", "conv"])
def test_cam_needs_global_average_pooling(layer):
    inputs = keras.Input((12, 12, 3))
    maps = layers.Conv2D(4, 3, name="conv")(inputs)
    flat = layers.GlobalMaxPooling2D()(maps) if layer == "attention" else layers.Flatten()(maps)
    with pytest.raises(ValueError, match="CAM is defined for networks that end in GlobalAveragePooling2D and Dense"):
        CAM(keras.Model(inputs, layers.Dense(3)(flat)))(PICTURES)
