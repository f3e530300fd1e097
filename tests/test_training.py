"""Training: schedules at their exact steps, numbers by hand, resuming bit for bit, kills, devices and workers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_training import PICTURES, history_of, small_network, train

from helpers import training
from helpers.training import runs


def dense(inputs=3, **options):
    return keras.Sequential([keras.Input((inputs,)), keras.layers.Dense(3, **options)])


def pairs(inputs, labels, batch_size=2):
    return tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(batch_size)


def fit(model, run, data, epochs=1, optimizer=None, recipe=None):
    """`training.fit` on the same data in every epoch."""
    options = {"from_logits": True, "recipe": recipe or {}, "progress": False}
    return training.fit(model, optimizer or keras.optimizers.SGD(0.1), run, lambda epoch: data, epochs, **options)


def state(run):
    with np.load(run / "state.npz") as stored:
        return {name: stored[name] for name in stored.files if name != "about"}


@pytest.mark.parametrize(
    "epochs, first, second", [(180, 100, 150), (60, 33, 50), (24, 13, 20), (9, 5, 7), (3, 1, 2), (1, 1, 1)]
)
def test_schedule_drops_at_its_exact_epochs(epochs, first, second):
    rates = [training.paper_schedule(epochs)(epoch) for epoch in range(epochs)]
    np.testing.assert_allclose(rates, [0.1] * first + [0.01] * (second - first) + [0.001] * (epochs - second))


def test_cosine_falls_from_its_base_to_nothing():
    assert [training.cosine_schedule(8, base=0.2)(epoch) for epoch in (0, 4, 8)] == pytest.approx([0.2, 0.1, 0.0])


def test_one_epoch_is_what_gradient_descent_does(tmp_path):
    """Momentum SGD on the mean loss of each batch, redone with Keras' own train_on_batch."""
    data = pairs(np.random.default_rng(0).random((10, 48), dtype="float32"), np.arange(10) % 3, 4)
    ours, theirs = dense(48), dense(48)
    theirs.set_weights(ours.get_weights())
    history = fit(ours, tmp_path, data, 3, keras.optimizers.SGD(0.1, momentum=0.9))
    mean_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    theirs.compile(keras.optimizers.SGD(0.1, momentum=0.9), mean_loss)
    for row in history:
        total = 0.0
        for batch, classes in data:
            total += len(classes) * float(mean_loss(classes, theirs(batch)))
            theirs.train_on_batch(batch, classes)
        assert row["loss"] == pytest.approx(total / 10, rel=1e-5)
    for weights, wanted in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(weights, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wrapped", [lambda optimizer: optimizer, keras.optimizers.LossScaleOptimizer])
def test_one_step_with_an_l2_penalty_by_hand(wrapped):
    """Pictures of zeros: the kernel loses learning rate * l2 of itself; the bias follows the loss' gradient, too."""
    model, labels, bias = dense(), np.array([0, 1, 1, 2]), np.array([1.0, 2.0, 3.0])
    model.weights[1].assign(bias)
    kernel = model.get_weights()[0]
    step = training.train_step(model, wrapped(keras.optimizers.SGD(0.5)), from_logits=True, l2=0.2)
    loss, _, _ = step(np.zeros((4, 3), "float32"), labels)
    likelihood = np.exp(bias) / np.exp(bias).sum()
    assert float(loss) == pytest.approx(-np.log(likelihood[labels]).sum())  # without the penalty
    slope = likelihood - [1 / 4, 2 / 4, 1 / 4]
    np.testing.assert_allclose(model.weights[0], kernel - 0.5 * 0.2 * kernel, rtol=1e-6)
    np.testing.assert_allclose(model.weights[1], bias - 0.5 * (slope + 0.2 * bias), rtol=1e-6)


def test_no_epoch_waits_for_the_tuning_of_its_data(tmp_path, monkeypatch):
    """TensorFlow tunes data sets 2.55, 5.11, ... seconds after their start; an epoch's end waits for the next time."""
    seen, strategy = [], tf.distribute.get_strategy()
    distribute = strategy.experimental_distribute_dataset
    monkeypatch.setattr(strategy, "experimental_distribute_dataset", lambda data: seen.append(data) or distribute(data))
    fit(dense(2), tmp_path, pairs(np.ones((4, 2), "float32"), np.arange(4) % 3), epochs=2)
    assert [data.options().autotune.enabled for data in seen] == [False, False]


def test_the_interval_of_an_accuracy_by_wilsons_formula():
    right, pictures, z = 875, 1000, 1.959964
    share, spread = right / pictures, z * np.sqrt(right * (pictures - right) / pictures + z**2 / 4)
    by_hand = [(right + z**2 / 2 + sign * spread) / (pictures + z**2) for sign in (-1, 1)]
    np.testing.assert_allclose(training.accuracy_interval(share, pictures), by_hand, rtol=1e-6)
    assert training.accuracy_text(0.875, 1000) == "87.5 % of 1,000 (85.3 to 89.4 %)"
    assert training.accuracy_interval(0, 5)[0] == 0 and training.accuracy_interval(1, 5)[1] == 1
    for wrong in [(0.5, 0), (1.5, 10), (-0.1, 10)]:
        with pytest.raises(ValueError, match="a share between 0 and 1 of at least one picture"):
            training.accuracy_interval(*wrong)


def test_evaluate_by_hand():
    """Identity network: the inputs are the scores."""
    scores = np.array([[2.0, 0, 0], [0, 1, 0], [0, 0, 3], [5, 0, 0], [0, 1, 0]], "float32")
    labels = np.array([0, 1, 2, 1, 0])
    network = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    found = training.evaluate(network, pairs(scores, labels), from_logits=True)
    likelihood = np.exp(scores[range(5), labels]) / np.exp(scores).sum(axis=1)
    assert found["accuracy"] == 3 / 5
    assert found["loss"] == pytest.approx(-np.log(likelihood).mean(), rel=1e-6)
    network.add(keras.layers.Softmax())
    assert training.evaluate(network, pairs(scores, labels), from_logits=False) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("labels", [[[0], [1]], [0.0, 2.7], []], ids=str)
def test_labels_of_another_form_and_no_pictures_are_refused(labels, tmp_path):
    """Labels [B, 1] would be compared with every answer, 2.7 with 2."""
    data = pairs(np.zeros((len(labels), 3)), labels)
    message = r"expected integers \[B\]" if labels else "expected at least one picture"
    with pytest.raises(ValueError, match=message):
        training.evaluate(dense(), data, from_logits=True)
    with pytest.raises(ValueError, match=message):
        fit(dense(), tmp_path, data)


def test_history_its_csv_and_a_finished_run(tmp_path):
    """Trained once more nothing changes, even where a kill came between the state and its log."""
    _, optimizer, history = train(tmp_path, 6)
    assert history_of(tmp_path) == history and history_of(tmp_path / "nothing") == []
    rates = [row["learning_rate"] for row in history]
    np.testing.assert_allclose(rates, [0.05] * 3 + [0.005] * 2 + [0.0005], rtol=1e-6)
    assert float(optimizer.learning_rate.numpy()) == pytest.approx(0.0005)
    log, before = (tmp_path / "log.csv").read_text(), state(tmp_path)
    assert log.startswith("epoch,loss,accuracy,validation_loss,validation_accuracy,learning_rate,seconds\n1,")
    columns = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)
    for name in columns.dtype.names:
        np.testing.assert_allclose(columns[name], [row[name] for row in history], rtol=1e-5)
    right = columns["accuracy"] * PICTURES
    np.testing.assert_allclose(right, right.round(), atol=1e-3)
    (tmp_path / "log.csv").write_text(log.rsplit("\n", 2)[0] + "\n")
    model, _, again = train(tmp_path, 6)
    assert again == history and (tmp_path / "log.csv").read_text() == log
    np.testing.assert_array_equal(model.variables[0], before["v0000"])


def test_best_weights_are_those_of_the_best_epoch(tmp_path):
    _, _, history = train(tmp_path, 5, keep_best=True)
    best = max(history, key=lambda row: row["validation_accuracy"])["epoch"]  # the first of equals
    train(tmp_path / "short", best)
    network = small_network(seed=9)
    network.load_weights(tmp_path / "best.weights.h5")
    for ours, wanted in zip(network.variables, state(tmp_path / "short").values(), strict=False):
        if "seed_generator" not in ours.path:
            np.testing.assert_array_equal(ours, wanted, err_msg=ours.path)


def test_of_equally_good_epochs_the_first_is_kept(tmp_path):
    model, optimizer = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]), keras.optimizers.SGD()
    for epoch in range(3):
        model.layers[0].kernel.assign([[epoch]])
        history = [{"validation_accuracy": some} for some in (0.5, 0.8, 0.8)[: epoch + 1]]
        runs.save(tmp_path, model, optimizer, {}, history, keep_best=True)
    runs.load_best(model, tmp_path)
    assert model.layers[0].kernel.numpy() == 1
