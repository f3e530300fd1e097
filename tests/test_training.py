"""Training: schedules at their exact steps, numbers by hand, resuming bit for bit, kills, devices and workers."""

import itertools
import json
import multiprocessing
import random
import signal
import socket
import sys
import time
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from small_training import PICTURES, history_of, small_network, train, whole_process

from helpers import training
from helpers.training import loop, machines

PROCESSES = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
PROCESSES.set_forkserver_preload(["helpers.runtime"])  # TensorFlow is imported once for all of them


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


def curve(history):
    return [(row["loss"], row["accuracy"], row["validation_loss"], row["learning_rate"]) for row in history]


@pytest.mark.parametrize("epochs, first, second", [(180, 100, 150), (60, 33, 50), (24, 13, 20), (9, 5, 7), (3, 1, 2)])
def test_schedule_drops_at_its_exact_epochs(epochs, first, second):
    rates = [training.paper_schedule(epochs)(epoch) for epoch in range(epochs)]
    np.testing.assert_allclose(rates, [0.1] * first + [0.01] * (second - first) + [0.001] * (epochs - second))


@given(epochs=st.integers(1, 2000), base=st.floats(1e-6, 10))
def test_schedule_never_rises_and_starts_at_its_base(epochs, base):
    rates = [training.paper_schedule(epochs, base)(epoch) for epoch in range(epochs)]
    assert rates[0] == base and all(late <= early for early, late in itertools.pairwise(rates))
    assert abs(sum(rate > base * 0.5 for rate in rates) - epochs * 100 / 180) <= 1


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
    message = r"integers \[B\] are wanted" if labels else "at least one picture is wanted"
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


def test_mixed_float16_with_loss_scaling(tmp_path, request):
    request.addfinalizer(lambda: keras.config.set_dtype_policy("float32"))
    keras.config.set_dtype_policy("mixed_float16")
    network = small_network()
    data = pairs(np.random.default_rng(0).random((24, 32, 32, 3), dtype="float32"), np.arange(24) % 10, 8)
    start = np.array(network.get_weights()[0])
    history = fit(network, tmp_path, data, 2, keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05)))
    assert np.isfinite(history[-1]["loss"])
    assert 0 < np.abs(network.get_weights()[0] - start).max() < 1  # unscaled again before it is applied


def test_pure_bfloat16_goes_on_where_it_was(tmp_path):
    data = pairs(np.eye(4, dtype="float32"), np.arange(4) % 3)
    for run, epochs in (("twice", 1), ("twice", 3), ("once", 3)):
        keras.utils.set_random_seed(3)
        model, optimizer = dense(4, dtype="bfloat16"), keras.optimizers.SGD(0.5, momentum=0.9)
        fit(model, tmp_path / run, data, epochs, optimizer)
    np.testing.assert_equal(state(tmp_path / "twice"), state(tmp_path / "once"))


def in_a_process(output, *arguments, config="{}", **options):
    """`whole_process`, started; what it prints goes into the file `output`."""
    process = PROCESSES.Process(target=whole_process, args=(output, config, *arguments), kwargs=options)
    process.output = output
    process.start()
    return process


def wait_until(true, *processes, timeout=240):
    """Until true() is; fails where that takes too long or one of the processes ends before."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline and all(process.is_alive() for process in processes)
        time.sleep(0.02)


def test_killed_at_random_points_it_goes_on_bit_for_bit(tmp_path):
    rng, run = random.Random(time.time_ns()), tmp_path / "killed"
    for _ in range(2):
        before, process = len(history_of(run)), in_a_process(tmp_path / "printed", run, 9, dropout=0.3, pause=0.1)
        wait_until(lambda before=before: len(history_of(run)) > before, process)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
    resumed, whole = (train(folder, 9, dropout=0.3)[2] for folder in (run, tmp_path / "whole"))
    assert curve(resumed) == curve(whole)
    np.testing.assert_equal(state(run), state(tmp_path / "whole"))
    assert len(state(run)) > 15


def test_a_write_that_fails_leaves_the_last_good_state(tmp_path, monkeypatch):
    train(tmp_path, 1, batch=PICTURES)
    before = state(tmp_path)

    def full_disk(file, **arrays):
        file.write_bytes(b"half a fi")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space left"):
        patched.setattr(np, "savez", full_disk)
        train(tmp_path, 2, batch=PICTURES)
    np.testing.assert_equal(state(tmp_path), before)
    assert len(train(tmp_path, 2, batch=PICTURES)[2]) == 2


def test_what_cannot_go_on_is_refused_and_stays(tmp_path):
    """No epochs, another recipe or network, a loss that explodes, damaged states."""
    with pytest.raises(ValueError, match="at least 1"):
        train(tmp_path, 0)
    model, optimizer, _ = train(tmp_path, 1)
    broken, small = pairs(np.full((2, 32, 32, 3), np.nan, "float32"), [0, 1]), {"net": "small"}
    with pytest.raises(ValueError, match=r"recipe \{'net': 'small'\}, asked for is \{'net': 'large'\}"):
        fit(model, tmp_path, broken, 2, optimizer, {"net": "large"})
    with pytest.raises(ValueError, match="holds another network"):
        fit(dense(), tmp_path, broken, 2, recipe=small)
    with pytest.raises(FloatingPointError, match="epoch 2/3: the loss or a weight is no longer finite"):
        fit(model, tmp_path, broken, 3, optimizer, small)
    assert len(history_of(tmp_path)) == 1
    assert all(np.isfinite(array).all() for array in state(tmp_path).values())
    whole = (tmp_path / "state.npz").read_bytes()
    for damaged in (whole[:-200], b"", b"not a zip file"):
        (tmp_path / "state.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"state\.npz cannot be read .*delete .* to start anew"):
            train(tmp_path, 2)


def test_weights_that_explode_in_the_last_step_are_not_kept(tmp_path):
    """Its loss is still finite: it was taken before the step."""
    with pytest.raises(FloatingPointError, match="a weight is no longer finite"):
        fit(dense(1), tmp_path, pairs([[1e30], [1e30]], [0, 1]), optimizer=keras.optimizers.SGD(1e30))
    assert history_of(tmp_path) == []


# --- Several devices, several workers --------------------------------------------------------------------------------
# Tolerances: the loss of each epoch within 1e-5 (only the order of sums differs). The validation loss within 1e-4: the
# moving variances of one device are unbiased, of several Keras' biased ones. GCM's loss within 1e-3: it has 15 layers.


def assert_same_curve(history, wanted):
    for row, one in zip(history, wanted, strict=True):
        for name, tolerance in {"loss": 1e-5, "validation_loss": 1e-4, "accuracy": 0, "learning_rate": 0}.items():
            assert row[name] == pytest.approx(one[name], rel=tolerance, abs=0)


def result(process):
    """What a process that ended well printed last."""
    process.join(300)
    assert process.exitcode == 0, process.output.read_text()
    return json.loads(process.output.read_text().splitlines()[-1])


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    return train(tmp_path_factory.mktemp("one"), 4)[2]


def test_two_virtual_devices_learn_as_one(tmp_path, one_device):
    found = result(in_a_process(tmp_path / "printed.txt", tmp_path, 4, devices=2))
    assert found["replicas"] == 2
    assert_same_curve(found["history"], one_device)


def test_gcm_learns_on_two_virtual_devices_as_on_one(tmp_path):
    options = {"variant": "gcm", "batch": PICTURES}
    two = result(in_a_process(tmp_path / "printed.txt", tmp_path / "two", 4, devices=2, **options))["history"]
    one = train(tmp_path / "one", 4, **options)[2]
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in one], rel=1e-3)


def start_workers(run, epochs):
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        addresses = [f"127.0.0.1:{bound.getsockname()[1]}" for bound in (one, other)]
    workers = []
    for index in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        workers.append(in_a_process(run.with_name(f"worker{index}.txt"), run, epochs, config=json.dumps(config)))
    return workers


def test_two_workers_learn_as_one_and_survive_a_kill(tmp_path, one_device):
    """Worker 1 is killed in an epoch: worker 0 ends with a clear error, both started again go on and finish."""
    workers = start_workers(run := tmp_path / "run", 1000)
    try:
        wait_until(lambda: len(history_of(run)) >= 3, workers[0])
        workers[1].kill()
        workers[0].join(120)
        assert workers[0].exitcode == 1
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    assert "another worker is lost" in workers[0].output.read_text().splitlines()[-1]
    finished = history_of(run)
    assert_same_curve(finished[:3], one_device[:3])
    results = [result(worker) for worker in start_workers(run, len(finished) + 1)]
    assert results[0]["replicas"] == 2 and results[0]["checksum"] == results[1]["checksum"]
    assert curve(results[0]["history"])[:-1] == curve(finished)


def test_workers_that_do_not_share_a_disk_are_found_out():
    summed = {"run": lambda function: tf.constant(3.0), "experimental_local_results": lambda value: (value,)}
    two = SimpleNamespace(num_replicas_in_sync=2, **summed)  # 3 epochs here, none there
    with pytest.raises(ValueError, match=r"3 finished epochs, the workers' average is 1\.5"):
        machines.check_workers_agree(two, 3)


def test_tf_config_chooses_the_strategy_or_cannot_be_read(monkeypatch):
    assert training.choose_strategy() is tf.distribute.get_strategy()
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: "several machines")
    alone, several = {"worker": ["127.0.0.1:1"]}, {"chief": ["127.0.0.1:1"], "worker": ["127.0.0.1:2"]}
    for cluster, strategy in ((alone, tf.distribute.get_strategy()), (several, "several machines")):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 0}}))
        assert training.choose_strategy() is strategy
    monkeypatch.setenv("TF_CONFIG", "")
    assert training.choose_strategy() is tf.distribute.get_strategy()
    for unreadable in ("[]", "{", "one machine", '{"cluster": 3}', '{"cluster": {"worker": 3}}'):
        monkeypatch.setenv("TF_CONFIG", unreadable)
        with pytest.raises(ValueError, match=r"TF_CONFIG.*unset it"):
            training.choose_strategy()


@pytest.mark.parametrize("machines", [{"chief": 1, "worker": 2}, {"worker": 2}, {"chief": 1, "worker": 1}])
def test_one_machine_writes(machines):
    cluster = tf.train.ClusterSpec({kind: [f"127.0.0.1:{i}" for i in range(n)] for kind, n in machines.items()})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver
    for kind, index in [(kind, index) for kind, count in machines.items() for index in range(count)]:
        strategy = SimpleNamespace(cluster_resolver=resolver(cluster, task_type=kind, task_id=index))
        assert training.is_chief(strategy) == ((kind, index) == (next(iter(machines)), 0))
    assert training.is_chief(tf.distribute.get_strategy())


def test_the_bar_says_how_much_is_left_for_all_epochs():
    assert loop._title([], 3) == "epoch 1/3"
    assert loop._title([{"seconds": 100.0}, {"seconds": 50.0}], 6) == "epoch 3/6, 05:00 left for all"
