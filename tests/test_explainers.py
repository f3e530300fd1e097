"""What every explainer promises: any kind of model, classes, batches, threads; the model stays as it was."""

import functools
import gc
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import keras
import networks
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from numpy.testing import assert_allclose, assert_array_equal, assert_equal

from helpers import blackbox, integrated, tracing
from helpers.gradcam import CAM, ClassMaps, GradCAM
from helpers.guided import Deconvnet, Gradient, GuidedBackprop, GuidedGradCAM
from helpers.maps import resize
from helpers.tracing import recording

EXPLAINERS = [GradCAM, GuidedBackprop, Deconvnet, GuidedGradCAM, Gradient]
PICTURES = networks.images()


@pytest.fixture(scope="module")
def model():
    return networks.make("functional")


@pytest.fixture(scope="module", params=EXPLAINERS)
def explain(request, model):
    return request.param(model)


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


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
def test_low_precision_networks_give_float32(policy, model):
    keras.config.set_dtype_policy(policy)
    try:
        network = networks.KINDS["functional"]()
    finally:
        keras.config.set_dtype_policy("float32")
    network.set_weights(model.get_weights())
    maps, wanted = (GradCAM(one)(PICTURES, 1) for one in (network, model))
    found, gradients = (GuidedBackprop(one)(PICTURES, 1) for one in (network, model))
    assert maps.dtype == found.dtype == np.float32 and np.isfinite(found).all()
    assert_allclose(maps, wanted, atol=0.05 * wanted.max())
    assert np.corrcoef(found.ravel(), gradients.ravel())[0, 1] > 0.97


def scored(factor, policy):
    """One dense layer on ReLUs, its score times `factor`: the gradient with respect to the maps is factor / 16."""
    options = {"dtype": policy, "use_bias": False}
    dense = layers.Dense(1, kernel_initializer=keras.initializers.Constant(1 / 16), **options)
    network = networks.stack(layers.ReLU(dtype=policy), layers.Flatten(dtype=policy), dense, shape=(4, 4, 1))
    return GradCAM(network, score=lambda outputs: factor(tf.cast(outputs[:, 0], tf.float32)))


@pytest.mark.parametrize("factor", [1e-6, 1.0, 2e4, 1e6, 1e8])
@pytest.mark.parametrize("policy", ["float16", "mixed_float16"])
def test_float16_gradients_neither_overflow_nor_underflow(factor, policy):
    """Each picture by its own scale: beside one of weight 1 the other has weight `factor`."""
    maps = scored(lambda scores: scores * tf.constant([1.0, factor]), policy)(np.ones((2, 4, 4, 1)))
    assert_allclose(maps, np.broadcast_to(np.reshape([1, factor], (2, 1, 1)) / 16, (2, 4, 4)), rtol=2e-3)


@pytest.mark.parametrize("factor", [np.nan, np.inf])
@pytest.mark.parametrize("policy", ["float16", "float32", "bfloat16"])
def test_a_gradient_that_is_no_number_is_an_error_and_no_empty_map(factor, policy):
    explain = scored(lambda scores: scores * tf.constant([1.0, factor, 1.0]), policy)
    with pytest.raises(ValueError, match="its explanation of images 1 is NaN or infinite; check its weights"):
        explain(np.ones((3, 4, 4, 1)))


def exchange_head(network):
    network.pop()
    network.add(layers.Dense(5))
    return network(PICTURES)


CHANGES = {
    "another head": exchange_head,
    "another activation": lambda network: setattr(network.layers[0], "activation", keras.activations.tanh),
    "quantised": lambda network: network.layers[-1].quantize("int8"),
    "adapted anew": lambda network: network.layers[1].adapt(networks.images(4, 10, 4) * 3),
    "another size of pooling": lambda network: setattr(network.layers[2], "pool_size", (1, 1)),
    "a layer's own switch": lambda network: setattr(network.layers[3], "factor", 3.0),
    "a layer's own list": lambda network: network.layers[3].powers.__setitem__(0, 3),
    "a list within a dict": lambda network: network.layers[3].gains["all"].__setitem__(0, 2.0),
    "another class of layer": lambda network: setattr(network.layers[3], "__class__", Negated),
}


class Switched(layers.Layer):
    def __init__(self):
        super().__init__()
        self.factor, self.powers, self.gains = None, [2], {"all": [1.0]}

    def call(self, inputs):
        self.seen = inputs  # as authors keep an attention matrix to look at; it is no change of the network
        return self.gains["all"][0] * (inputs ** self.powers[0] if self.factor is None else inputs * self.factor)


class Negated(Switched):
    def call(self, inputs):
        return -super().call(inputs)


def changing():
    keras.utils.set_random_seed(2)  # with it every class has a map
    adapted = layers.Normalization()
    adapted.adapt(networks.images(4, 10, 4))
    maps = [layers.Conv2D(4, 3, activation="sigmoid"), adapted, layers.MaxPooling2D(2), Switched()]
    return networks.stack(*maps, layers.Flatten(), layers.Dense(3))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_gives_the_new_models_maps(change):
    network = changing()
    explain, gradient = GradCAM(network, network.layers[0]), Gradient(network)
    before = explain(PICTURES, [0, 1, 2]), gradient(PICTURES, [0, 1, 2])
    CHANGES[change](network)
    for explainer, old in zip((explain, gradient), before, strict=True):
        now = explainer(PICTURES, [0, 1, 2])
        fresh = GradCAM(network, network.layers[0]) if explainer is explain else Gradient(network)
        assert_allclose(now, fresh(PICTURES, [0, 1, 2]), rtol=1e-5, atol=1e-8)
        assert np.abs(now - old).max() > 1e-3 * old.max() > 0 and explainer.traces == 1
    if change == "another head":
        assert explain(PICTURES, 4).shape == (3, 10, 10)


@pytest.mark.parametrize("explainer", [GradCAM, GuidedGradCAM])
def test_a_name_means_the_layer_that_has_it_now(explainer):
    behind = [layers.ReLU(), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    network = networks.stack(layers.Conv2D(4, 3, name="eye"), *behind)
    explain = explainer(network, "eye")
    explain(PICTURES)
    for _ in range(4):
        network.pop()
    for layer in [layers.Conv2D(4, 5, name="eye"), *behind]:
        network.add(layer)
    assert_allclose(explain(PICTURES, 1), explainer(network, "eye")(PICTURES, 1), rtol=1e-6)
    assert explain.layer_path == "eye"


def test_use_and_training_of_a_model_are_no_change():
    network, calls = changing(), []
    network.layers[3].factor = 2.0
    explain = GradCAM(network, score=lambda outputs: calls.append(1) or outputs[:, 0])
    explain(PICTURES)
    network.compile("sgd", "mse")
    network.fit(PICTURES, np.zeros((3, 3)), validation_data=(PICTURES, np.zeros((3, 3))), verbose=0)
    network.predict(PICTURES, verbose=0)
    network.evaluate(PICTURES, np.zeros((3, 3)), verbose=0)
    network.layers[0].trainable = False
    explain(PICTURES)
    assert (len(calls), explain.traces) == (1, 1)


def test_one_trace_a_shape_whatever_batch_classes_and_weights_are():
    calls, scores = [], layers.Dense(3)
    counting = layers.Lambda(lambda inputs: calls.append(inputs.shape) or inputs * 1.0)
    seen = [layers.Conv2D(3, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    network = keras.Sequential([counting, *seen, scores])
    explain = GradCAM(network)
    maps = explain(PICTURES, 0)  # this builds the network
    calls.clear()
    for batch, classes in [(3, None), (3, 1), (3, [0, 1, 2]), (1, None), (7, 2), (3, np.array([1, 1, 1]))]:
        explain(networks.images(batch), classes)
    explain(PICTURES.astype(np.float64))
    assert_array_equal(explain(tf.constant(PICTURES), 0), maps)
    scores.kernel.assign(scores.kernel * 2)
    assert_allclose(explain(PICTURES, 0), 2 * maps, rtol=1e-5)
    assert (len(calls), explain.traces) == (0, 1)
    for _ in range(2):
        explain(networks.images(2, size=16))
    assert (len(calls), explain.traces) == (1, 2)


def test_a_hundred_calls_need_no_more_memory_than_ten(model):
    explain, memory = GradCAM(model), []
    explain(PICTURES)
    tracemalloc.start()
    for calls in (10, 90):
        for number in range(calls):
            explain(PICTURES, number % 3)
        gc.collect()
        memory.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert memory[1] - memory[0] < 50_000 and explain.traces == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([PICTURES[0]], r"shape \(12, 12, 3\); float32 \[B, H, W, C\] is wanted; for one picture give image\[None\]"),
        ([PICTURES[None]], r"shape \(1, 3, 12, 12, 3\)"),
        ([list(PICTURES)], r"shape \(12, 12, 3\); float32 .* for a list of them numpy\.stack\(images\)"),
        ([PICTURES.tolist()], r"shape \(\); float32"),
        ([PICTURES[:0]], "an empty batch; at least one picture is wanted"),
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
    assert f"shape {given.shape}; float32 {wanted} is wanted;" in str(refused.value) and advice in str(refused.value)
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
            TypeError, match=rf"{kind.__name__}, which is Keras 2 \(tf_keras\): .*; a Keras model is wanted"
        ):
            GradCAM(kind())


def test_scores_and_models_that_cannot_be_explained(model):
    with pytest.raises(ValueError, match="this explainer has a score of its own"):
        GradCAM(model, score=lambda outputs: outputs[:, 0])(PICTURES, 1)
    assert GradCAM(model, score=lambda outputs: outputs[:, 0])(PICTURES).shape == (3, 5, 5)
    for explainer in (CAM, ClassMaps):
        with pytest.raises(TypeError, match="score"):
            explainer(model, score=lambda outputs: outputs[:, 0])
    with pytest.raises(TypeError, match="model: function; a Keras model is wanted"):
        GradCAM(lambda images: images)


def test_channels_first_is_refused(model):
    """By the network's own layers, whatever the global setting has become."""
    convolution = layers.Conv2D(2, 3, data_format="channels_first", name="first")
    with pytest.raises(ValueError, match=r"'first' is channels_first.*build the network channels_last"):
        GradCAM(networks.stack(layers.Identity(), convolution, shape=(3, 12, 12)))
    keras.config.set_image_data_format("channels_first")
    try:
        assert_array_equal(GradCAM(model)(PICTURES, [0, 1, 2]), reference(GradCAM))
    finally:
        keras.config.set_image_data_format("channels_last")


def state(model):
    """What must not change: what every layer holds, its flags, weights, config, losses, optimizer, predictions."""
    predictions, inner = model.predict(PICTURES, verbose=0).tolist(), model._flatten_layers(include_self=False)
    held = [{name: id(value) for name, value in vars(layer).items()} for layer in inner]
    held.append({name: id(value) for name, value in vars(model).items() if name in ("call", "_losses", "_loss_ids")})
    flags = [(layer.name, layer.trainable, layer.built, layer.dtype_policy.name) for layer in inner]
    values = [weight.numpy().tolist() for weight in model.weights]
    config = None if isinstance(model, networks.Subclassed) else model.get_config()
    optimizer = getattr(model, "optimizer", None)
    steps = [variable.numpy().tolist() for variable in optimizer.variables] if optimizer else []
    return predictions, held, flags, values, config, len(model.losses), steps


@pytest.mark.parametrize("kind", ["sequential", "never_called", *networks.NESTED, "Subclassed"])
def test_compiled_and_traced_model_is_unchanged(kind):
    model = networks.make(kind)
    tracing.find_layer(model, "conv_a").trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(PICTURES, np.arange(3))
    before = state(model)
    for explainer in EXPLAINERS if kind == "sequential" else [GuidedGradCAM]:
        assert np.isfinite(explainer(model)(PICTURES)).all()
    assert state(model) == before
    model.train_on_batch(PICTURES, np.arange(3))
    assert state(model)[3] != before[3]  # it can still be trained


@pytest.mark.parametrize("explainer", EXPLAINERS)
def test_model_is_unchanged_after_an_exception_in_a_trace(explainer):
    model = networks.stack(*networks.body(), *networks.head())
    model.compile("sgd", "mse")
    before = state(model)
    fail = mock.Mock(side_effect=RuntimeError("not today"))
    in_layer, in_score = explainer(model), explainer(model, score=fail)
    with mock.patch.object(layers.Dropout, "call", fail), pytest.raises(RuntimeError, match="not today"):
        in_layer(PICTURES)
    with pytest.raises(RuntimeError, match="not today"):
        in_score(PICTURES)
    assert in_layer.traces == in_score.traces == 0 and not tf.config.functions_run_eagerly()
    assert state(model) == before
    assert np.isfinite(in_layer(PICTURES)).all()


def test_losses_of_the_trace_do_not_leak_into_the_model():
    model = networks.stack(layers.Conv2D(4, 3, activity_regularizer="l2"), layers.Flatten(), layers.Dense(3))
    model(PICTURES)
    before = float(sum(model.losses))
    GradCAM(model)(PICTURES)
    assert float(sum(model.losses)) == before


def test_a_trace_waits_for_another_one():
    """Side by side they would put back what the other one had replaced, and TensorFlow's switch too."""
    model, other = networks.make("sequential"), networks.make("sequential")
    layer, own = other.layers[0], vars(other.layers[0]).get("call")

    def slow(outputs):
        assert not others.done()  # it asked to trace while this trace was under way
        return outputs[:, 0]

    trace_other = tf.function(lambda inputs: tracing.trace(other, inputs).outputs).get_concrete_function
    with ThreadPoolExecutor(1) as threads, recording.TRACING:
        others = threads.submit(trace_other, PICTURES)
        time.sleep(0.5)
        GradCAM(model, score=slow)(PICTURES)
    others.result()
    assert vars(layer).get("call") is own and not tf.config.functions_run_eagerly()


class Meanwhile(layers.Layer):
    """While an explainer traces it, another thread uses the same model and is waited for."""

    work = None

    def call(self, inputs):
        work, self.work = self.work, None
        if work is not None:
            with ThreadPoolExecutor(1) as other:
                self.found = other.submit(work).result()
        return inputs


@pytest.mark.parametrize("use", ["predict_on_batch", "__call__", "train_on_batch", "first predict_on_batch"])
def test_others_may_use_a_model_while_it_is_traced(use):
    meanwhile = Meanwhile()
    network = networks.stack(networks.Decorated(meanwhile), *networks.body(), *networks.head())
    network.compile("sgd", "mse")
    wanted, targets = GradCAM(network)(PICTURES, 1), np.zeros((3, 3))
    if use == "predict_on_batch":
        network.predict_on_batch(PICTURES)
    values = network(PICTURES).numpy()
    arguments = [PICTURES, targets] if use == "train_on_batch" else [PICTURES]
    meanwhile.work = functools.partial(getattr(network, use.split()[-1]), *arguments)
    maps = GradCAM(network)(PICTURES, 1)
    if use == "train_on_batch":
        assert np.isfinite(meanwhile.found).all()
    else:
        assert_allclose(meanwhile.found, values, rtol=1e-5)
        assert_allclose(maps, wanted, rtol=1e-5, atol=1e-8)


def test_fifty_first_explanations_while_another_thread_predicts():
    network = networks.stack(layers.Conv2D(2, 3, activation="relu"), layers.Flatten(), layers.Dense(2))
    wanted, answers, done = GradCAM(network)(PICTURES, 1), network.predict_on_batch(PICTURES), threading.Event()
    with ThreadPoolExecutor(1) as other:
        serving = other.submit(
            lambda: [network.predict_on_batch(PICTURES) for _ in iter(lambda: done.wait(1e-3), True)]
        )
        try:
            for _ in range(50):
                assert_allclose(GradCAM(network)(PICTURES, 1), wanted, rtol=1e-5, atol=1e-8)
        finally:
            done.set()
    assert_allclose(serving.result(), np.broadcast_to(answers, (len(serving.result()), *answers.shape)), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
def test_pictures_of_the_models_own_dtype_are_taken_as_they_are(dtype):
    chain = [layers.Rescaling(1 / 255), *networks.body(), *networks.head()]
    inputs = keras.Input((12, 12, 3), dtype=dtype)
    network, pixels = (
        keras.Model(inputs, networks.chained(inputs, chain)),
        np.random.default_rng(0).integers(0, 256, (3, 12, 12, 3)),
    )
    explain = GradCAM(network)
    maps, wanted = explain(pixels.astype(dtype), 1), GradCAM(networks.stack(*chain))(pixels.astype(np.float32), 1)
    assert_allclose(maps, wanted, rtol=1e-5, atol=1e-8)
    assert_array_equal(explain(pixels.astype(np.float32), 1), maps)
    with pytest.raises(ValueError, match=f"float32 with other values than the {dtype} that the model takes"):
        explain((pixels / 255).astype(np.float32), 1)
    for explainer in (Gradient, GuidedBackprop, GuidedGradCAM):
        with pytest.raises(ValueError, match=f"takes {dtype}, and there is no gradient with respect to whole numbers"):
            explainer(network)(pixels.astype(dtype), 1)


def test_black_boxes_change_pictures_of_whole_numbers_by_whole_numbers():
    chain = [layers.Rescaling(1 / 255), *networks.body(), *networks.head()]
    inputs = keras.Input((12, 12, 3), dtype="uint8")
    network, pixels = keras.Model(inputs, networks.chained(inputs, chain)), np.full((2, 12, 12, 3), 200, np.uint8)
    for make in (lambda one: blackbox.Occlusion(one, fill=7), lambda one: integrated.Smooth(GradCAM(one), noise=0.0)):
        wanted = make(networks.stack(*chain))(pixels.astype(np.float32), 1)
        assert_allclose(make(network)(pixels, 1), wanted, rtol=1e-4, atol=1e-7)
    for explainer in (functools.partial(blackbox.RISE, masks=4), blackbox.ScoreCAM, blackbox.Occlusion):
        assert np.isfinite(explainer(network)(pixels, 1)).all()


def test_threads_may_explain_one_model_at_the_same_time():
    model = networks.make("sequential")
    before = state(model)
    wanted = [explainer(model)(PICTURES, 1) for explainer in EXPLAINERS]
    shared = GradCAM(model)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda explainer: explainer(model)(PICTURES, 1), EXPLAINERS * 3))
        maps = list(threads.map(lambda _: shared(PICTURES, 1), range(8)))
    assert_equal(found + maps, wanted * 3 + wanted[:1] * 8)
    assert shared.traces == 1 and state(model) == before and not tf.config.functions_run_eagerly()
