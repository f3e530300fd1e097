"""Training: schedules at their exact steps, numbers by hand, resuming bit for bit, kills, devices and workers."""

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from small_training import PICTURES, gcm_network, history_of, small_network, train

from helpers import training
from helpers.training import loop, machines

SCRIPT = str(Path(__file__).with_name("small_training.py"))


def state(run):
    with np.load(run / "state.npz") as stored:
        return {name: stored[name] for name in stored.files if name != "about"}


def assert_same_state(run, other):
    ours, theirs = state(run), state(other)
    assert ours.keys() == theirs.keys() and len(ours) > 15
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def curve(history):
    return [(row["loss"], row["accuracy"], row["validation_loss"], row["learning_rate"]) for row in history]


# --- Schedules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs, first, second", [(180, 100, 150), (60, 33, 50), (24, 13, 20), (9, 5, 7), (3, 1, 2)])
def test_schedule_drops_at_its_exact_epochs(epochs, first, second):
    rate = training.paper_schedule(epochs)
    rates = [rate(epoch) for epoch in range(epochs)]
    np.testing.assert_allclose(rates, [0.1] * first + [0.01] * (second - first) + [0.001] * (epochs - second))


@given(epochs=st.integers(1, 2000), base=st.floats(1e-6, 10))
def test_schedule_never_rises_and_starts_at_its_base(epochs, base):
    rates = [training.paper_schedule(epochs, base)(epoch) for epoch in range(epochs)]
    assert rates[0] == base and all(late <= early for early, late in itertools.pairwise(rates))
    assert abs(sum(rate > base * 0.5 for rate in rates) - epochs * 100 / 180) <= 1


def test_cosine_falls_from_its_base_to_nothing():
    rate = training.cosine_schedule(8, base=0.2)
    assert [rate(epoch) for epoch in (0, 4, 8)] == pytest.approx([0.2, 0.1, 0.0])


def test_schedule_reaches_the_optimizer_and_the_history(tmp_path):
    _, optimizer, history = train(tmp_path, 6)
    rates = [row["learning_rate"] for row in history]
    np.testing.assert_allclose(rates, [0.05] * 3 + [0.005] * 2 + [0.0005], rtol=1e-6)
    assert float(optimizer.learning_rate.numpy()) == pytest.approx(0.0005)


# --- Numbers ---------------------------------------------------------------------------------------------------------


def test_one_epoch_is_what_gradient_descent_does(tmp_path):
    """Momentum SGD on the mean loss of each batch, redone with Keras' own train_on_batch."""
    rng = np.random.default_rng(0)
    pictures, labels = rng.random((10, 4, 4, 3), dtype="float32"), np.arange(10) % 3
    networks = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        networks.append(keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]))
    data = tf.data.Dataset.from_tensor_slices((pictures, labels)).batch(4)
    history = training.fit(
        networks[0],
        keras.optimizers.SGD(0.1, momentum=0.9),
        tmp_path,
        lambda epoch: data,
        3,
        from_logits=True,
        recipe={},
        progress=False,
    )
    mean_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    networks[1].compile(keras.optimizers.SGD(0.1, momentum=0.9), mean_loss)
    for row in history:
        total = 0.0
        for batch, classes in data:
            total += len(classes) * float(mean_loss(classes, networks[1](batch)))
            networks[1].train_on_batch(batch, classes)
        assert row["loss"] == pytest.approx(total / 10, rel=1e-5)
    for ours, theirs in zip(networks[0].get_weights(), networks[1].get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


class Slow(keras.layers.Layer):
    """Takes a twentieth of a second while training."""

    def call(self, inputs, training=False):
        with tf.control_dependencies([tf.py_function(lambda: time.sleep(0.05 * training), [], [])]):
            return tf.identity(inputs)


def test_an_epoch_takes_as_long_as_its_steps(tmp_path):
    """TensorFlow tunes data sets 2.55 and 5.11 seconds after their start; no epoch may wait for the next time."""
    data = tf.data.Dataset.from_tensor_slices((np.ones((60, 2), "float32"), np.arange(60) % 3)).batch(1)
    data = data.map(lambda *pair: pair, num_parallel_calls=tf.data.AUTOTUNE).prefetch(4)
    network = keras.Sequential([keras.Input((2,)), Slow(), keras.layers.Dense(3)])
    history = training.fit(
        network,
        keras.optimizers.SGD(0.1),
        tmp_path,
        lambda epoch: data if epoch else data.take(1),
        3,
        from_logits=True,
        recipe={},
        progress=False,
    )
    assert all(3 <= row["seconds"] < 4.5 for row in history[1:]), history


def test_evaluate_by_hand():
    """Identity network: the inputs are the scores."""
    scores = np.array([[2.0, 0, 0], [0, 1, 0], [0, 0, 3], [5, 0, 0], [0, 1, 0]], "float32")
    labels = np.array([0, 1, 2, 1, 0])
    data = tf.data.Dataset.from_tensor_slices((scores, labels)).batch(2)
    network = keras.Sequential([keras.Input((3,)), keras.layers.Identity()])
    found = training.evaluate(network, data, from_logits=True)
    likelihood = np.exp(scores[range(5), labels]) / np.exp(scores).sum(axis=1)
    assert found["accuracy"] == 3 / 5
    assert found["loss"] == pytest.approx(-np.log(likelihood).mean(), rel=1e-6)
    network.add(keras.layers.Softmax())
    assert training.evaluate(network, data, from_logits=False) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("labels", [[[0], [1]], [0.0, 1.0]])
def test_labels_of_another_form_are_refused(labels, tmp_path):
    """[B,1] would be compared with every answer, and 2.7 with 2."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    data = tf.data.Dataset.from_tensors((tf.zeros([2, 3]), tf.constant(labels)))
    with pytest.raises(ValueError, match=r"integers \[B\] are wanted"):
        training.evaluate(model, data, from_logits=True)
    with pytest.raises(ValueError, match=r"integers \[B\] are wanted"):
        training.fit(
            model,
            keras.optimizers.SGD(0.1),
            tmp_path,
            lambda epoch: data,
            1,
            from_logits=True,
            recipe={},
            progress=False,
        )


def test_history_and_its_csv(tmp_path):
    _, _, history = train(tmp_path, 2)
    assert history_of(tmp_path) == history and history_of(tmp_path / "nothing") == []
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,accuracy,validation_loss,validation_accuracy,learning_rate,seconds"
    for line, row in zip(lines[1:], history, strict=True):
        cells = dict(zip(lines[0].split(","), line.split(","), strict=True))
        assert float(cells["loss"]) == pytest.approx(row["loss"], rel=1e-5) and cells["epoch"] == str(row["epoch"])
        assert float(cells["accuracy"]) * PICTURES == pytest.approx(round(row["accuracy"] * PICTURES), abs=1e-3)


def test_best_weights_are_those_of_the_best_epoch(tmp_path):
    _, _, history = train(tmp_path, 5, keep_best=True)
    best = max(history, key=lambda row: row["validation_accuracy"])["epoch"]  # the first of equals
    train(tmp_path / "short", best)
    network = small_network(seed=9)
    network.load_weights(tmp_path / "best.weights.h5")
    arrays = list(state(tmp_path / "short").values())
    for ours, wanted in zip(network.variables, arrays, strict=False):
        if "seed_generator" not in ours.path:
            np.testing.assert_array_equal(ours, wanted, err_msg=ours.path)


def test_mixed_float16_with_loss_scaling(tmp_path):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = small_network()
    finally:
        keras.config.set_dtype_policy(before)
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05))
    pictures, labels = np.random.default_rng(0).random((24, 32, 32, 3), dtype="float32"), np.arange(24) % 10
    data = tf.data.Dataset.from_tensor_slices((pictures, labels)).batch(8)
    start = [np.array(w) for w in network.get_weights()]
    history = training.fit(
        network, optimizer, tmp_path, lambda epoch: data, 2, from_logits=True, recipe={}, progress=False
    )
    assert np.isfinite(history[-1]["loss"])
    moved = [np.abs(ours - old).max() for ours, old in zip(network.get_weights(), start, strict=True)]
    assert 0 < max(moved[:1]) < 1  # unscaled again before it is applied


def test_pure_bfloat16_goes_on_where_it_was(tmp_path):
    def network():
        keras.utils.set_random_seed(3)
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype="bfloat16")])

    def go_on(run, epochs):
        model = network()
        data = tf.data.Dataset.from_tensor_slices((np.eye(4, dtype="float32"), np.arange(4) % 3)).batch(2)
        training.fit(
            model,
            keras.optimizers.SGD(0.5, momentum=0.9),
            run,
            lambda epoch: data,
            epochs,
            from_logits=True,
            recipe={},
            progress=False,
        )
        return np.asarray(model.weights[0], np.float32)

    go_on(tmp_path / "twice", 1)
    np.testing.assert_array_equal(go_on(tmp_path / "twice", 3), go_on(tmp_path / "once", 3))


# --- Resuming --------------------------------------------------------------------------------------------------------


def test_resumed_training_is_the_same_bit_for_bit(tmp_path, dropout=0.5):
    _, _, whole = train(tmp_path / "whole", 4, dropout=dropout)
    train(tmp_path / "cut", 1, dropout=dropout)
    keras.utils.set_random_seed(77)  # a new process knows nothing of the old one's generators
    train(tmp_path / "cut", 3, dropout=dropout)
    _, _, resumed = train(tmp_path / "cut", 4, dropout=dropout)
    assert curve(resumed) == curve(whole)
    assert_same_state(tmp_path / "cut", tmp_path / "whole")


def test_a_finished_run_is_not_trained_again(tmp_path):
    train(tmp_path, 2)
    before = state(tmp_path)
    model, _, history = train(tmp_path, 2)
    assert len(history) == 2
    np.testing.assert_array_equal(model.variables[0], before["v0000"])


def test_killed_at_random_points_it_goes_on_bit_for_bit(tmp_path):
    command = [sys.executable, SCRIPT, str(tmp_path / "killed"), "6", "--dropout", "0.3", "--slow", "0.05"]
    rng = random.Random(time.time_ns())
    for wanted in ("epoch 1", "epoch 3"):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in process.stdout:
            if line.strip() == wanted:
                break
        time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        assert process.wait(timeout=60) == -signal.SIGKILL
        process.stdout.close()
        assert history_of(tmp_path / "killed")[-1]["epoch"] >= int(wanted[-1])
    train(tmp_path / "killed", 6, dropout=0.3)
    train(tmp_path / "whole", 6, dropout=0.3)
    assert_same_state(tmp_path / "killed", tmp_path / "whole")


def test_a_write_that_fails_leaves_the_last_good_state(tmp_path, monkeypatch):
    train(tmp_path, 1)
    before = state(tmp_path)

    def full_disk(file, **arrays):
        file.write_bytes(b"half a fi")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space left"):
        train(tmp_path, 2)
    monkeypatch.undo()
    after = state(tmp_path)
    assert all((before[name] == after[name]).all() for name in before)
    _, _, history = train(tmp_path, 2)
    assert len(history) == 2


def test_another_recipe_or_network_is_refused(tmp_path):
    model, optimizer, _ = train(tmp_path, 1)
    empty = tf.data.Dataset.from_tensors((np.zeros((1, 32, 32, 3), "float32"), [0]))
    with pytest.raises(ValueError, match=r"recipe \{'net': 'small'\}, asked for is \{'net': 'large'\}"):
        training.fit(model, optimizer, tmp_path, lambda epoch: empty, 2, from_logits=True, recipe={"net": "large"})
    other = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    with pytest.raises(ValueError, match="holds another network"):
        training.fit(
            other, keras.optimizers.SGD(), tmp_path, lambda epoch: empty, 2, from_logits=True, recipe={"net": "small"}
        )


@pytest.mark.parametrize("damage", [lambda raw: raw[:-200], lambda raw: b"", lambda raw: b"not a zip file"])
def test_a_damaged_state_says_what_to_do(tmp_path, damage):
    train(tmp_path, 1)
    (tmp_path / "state.npz").write_bytes(damage((tmp_path / "state.npz").read_bytes()))
    with pytest.raises(ValueError, match=r"state\.npz cannot be read .*delete .* to start anew"):
        train(tmp_path, 2)


def test_a_loss_that_explodes_stops_and_keeps_the_last_good_epoch(tmp_path):
    model, optimizer, _ = train(tmp_path, 1)
    broken = tf.data.Dataset.from_tensors((np.full((2, 32, 32, 3), np.nan, "float32"), [0, 1]))
    with pytest.raises(FloatingPointError, match="epoch 2/3: the loss or a weight is no longer finite"):
        training.fit(
            model,
            optimizer,
            tmp_path,
            lambda epoch: broken,
            3,
            from_logits=True,
            recipe={"net": "small"},
            progress=False,
        )
    assert len(history_of(tmp_path)) == 1
    assert all(np.isfinite(array).all() for array in state(tmp_path).values())


# --- Several devices, several workers --------------------------------------------------------------------------------
# Tolerances: the loss of each epoch within 1e-5 (only the order of sums differs). The validation loss within 1e-4: the
# moving variances of one device are unbiased, of several Keras' biased ones.


def assert_same_curve(history, wanted):
    for row, one in zip(history, wanted, strict=True):
        assert row["loss"] == pytest.approx(one["loss"], rel=1e-5) and row["accuracy"] == one["accuracy"]
        assert row["validation_loss"] == pytest.approx(one["validation_loss"], rel=1e-4)
        assert row["learning_rate"] == one["learning_rate"]


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    return train(tmp_path_factory.mktemp("one"), 4)[2]


def test_two_virtual_devices_learn_as_one(tmp_path, one_device):
    done = subprocess.run(
        [sys.executable, SCRIPT, str(tmp_path), "4", "--devices", "2"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["replicas"] == 2
    assert_same_curve(result["history"], one_device)


def test_gcm_learns_on_two_virtual_devices_as_on_one(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, str(tmp_path / "two"), "1", "--devices", "2", "--gcm"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (one,) = train(tmp_path / "one", 1, network=gcm_network)[2]
    (two,) = json.loads(done.stdout.splitlines()[-1])["history"]
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-3)  # 15 layers amplify what the order of sums changes


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start_workers(run, epochs, folder):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = []
    for index in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        with open(folder / f"worker{index}.txt", "w") as output:
            workers.append(
                subprocess.Popen(
                    [sys.executable, SCRIPT, str(run), str(epochs)],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "TF_CONFIG": json.dumps(config)},
                )
            )
    return workers


def test_two_workers_learn_as_one_and_survive_a_kill(tmp_path, one_device):
    """Worker 1 is killed in an epoch: worker 0 ends with a clear error, both started again go on and finish."""
    run = tmp_path / "run"
    workers = start_workers(run, 1000, tmp_path)
    try:
        deadline = time.monotonic() + 240
        while len(history_of(run)) < 3:
            assert time.monotonic() < deadline and workers[0].poll() is None, (tmp_path / "worker0.txt").read_text()
            time.sleep(0.05)
        workers[1].kill()
        assert workers[0].wait(timeout=120) == 1
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert "another worker is lost" in (tmp_path / "worker0.txt").read_text().splitlines()[-1]
    finished = history_of(run)
    assert_same_curve(finished[:3], one_device[:3])
    workers = start_workers(run, len(finished) + 1, tmp_path)
    assert [worker.wait(timeout=240) for worker in workers] == [0, 0]
    results = [json.loads((tmp_path / f"worker{index}.txt").read_text().splitlines()[-1]) for index in range(2)]
    assert results[0]["replicas"] == 2 and results[0]["checksum"] == results[1]["checksum"]
    assert curve(results[0]["history"])[:-1] == curve(finished)


def test_workers_that_do_not_share_a_disk_are_found_out(monkeypatch):
    class Two:
        num_replicas_in_sync = 2
        run = staticmethod(lambda function: tf.constant(3.0))  # 3 epochs here, none there
        experimental_local_results = staticmethod(lambda value: (value,))

    with pytest.raises(ValueError, match=r"3 finished epochs, the workers' average is 1\.5"):
        machines.check_workers_agree(Two, 3)


def test_choose_strategy(monkeypatch):
    assert training.choose_strategy("one") is training.choose_strategy("auto") is tf.distribute.get_strategy()
    with pytest.raises(ValueError, match='"auto" or "one"'):
        training.choose_strategy("both")
    config = {"cluster": {"worker": ["127.0.0.1:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert training.choose_strategy("auto") is tf.distribute.get_strategy()  # a cluster of one
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: "several machines")
    monkeypatch.setenv(
        "TF_CONFIG",
        json.dumps(
            {"cluster": {"chief": ["127.0.0.1:1"], "worker": ["127.0.0.1:2"]}, "task": {"type": "worker", "index": 0}}
        ),
    )
    assert training.choose_strategy("auto") == "several machines"


@pytest.mark.parametrize("text", ["[]", "{", "one machine", '{"cluster": 3}', '{"cluster": {"worker": 3}}'])
def test_a_tf_config_that_cannot_be_read_says_what_to_do(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    assert training.choose_strategy("one") is tf.distribute.get_strategy()  # which needs none
    with pytest.raises(ValueError, match=r"TF_CONFIG.*unset it"):
        training.choose_strategy("auto")
    monkeypatch.setenv("TF_CONFIG", "")
    assert training.choose_strategy("auto") is tf.distribute.get_strategy()


@pytest.mark.parametrize(
    "machines, writer",
    [
        ({"chief": 1, "worker": 2}, ("chief", 0)),
        ({"worker": 2}, ("worker", 0)),
        ({"chief": 1, "worker": 1}, ("chief", 0)),
    ],
)
def test_one_machine_writes(machines, writer):
    cluster = tf.train.ClusterSpec({kind: [f"127.0.0.1:{i}" for i in range(n)] for kind, n in machines.items()})
    for kind, count in machines.items():
        for index in range(count):

            class Strategy:
                cluster_resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
                    cluster, task_type=kind, task_id=index
                )

            assert training.is_chief(Strategy) == ((kind, index) == writer)
    assert training.is_chief(tf.distribute.get_strategy())


def test_a_kill_between_state_and_log_loses_no_row(tmp_path):
    train(tmp_path, 2)
    whole = (tmp_path / "log.csv").read_text()
    (tmp_path / "log.csv").write_text(whole.rsplit("\n", 2)[0] + "\n")
    train(tmp_path, 2)
    assert (tmp_path / "log.csv").read_text() == whole


def test_weights_that_explode_in_the_last_step_are_not_kept(tmp_path):
    """Its loss is still finite: it was taken before the step."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2)])
    data = tf.data.Dataset.from_tensors((tf.constant([[1e30], [1e30]]), tf.constant([0, 1])))
    with pytest.raises(FloatingPointError, match="a weight is no longer finite"):
        training.fit(
            model,
            keras.optimizers.SGD(1e30),
            tmp_path,
            lambda epoch: data,
            1,
            from_logits=True,
            recipe={},
            progress=False,
        )
    assert history_of(tmp_path) == []


def test_no_epochs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        train(tmp_path, 0)


def test_no_pictures_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    data = tf.data.Dataset.from_tensors((tf.zeros([2, 3]), tf.constant([0, 1]))).take(0)
    with pytest.raises(ValueError, match="at least one picture is wanted"):
        training.evaluate(model, data, from_logits=True)
    with pytest.raises(ValueError, match="at least one picture is wanted"):
        training.fit(
            model,
            keras.optimizers.SGD(0.1),
            tmp_path,
            lambda epoch: data,
            1,
            from_logits=True,
            recipe={},
            progress=False,
        )


def test_the_bar_says_how_much_is_left_for_all_epochs():
    assert loop._title([], 3) == "epoch 1/3"
    assert loop._title([{"seconds": 100.0}, {"seconds": 50.0}], 6) == "epoch 3/6, 05:00 left for all"
