"""Several devices and several workers learn as one."""

import json
import socket
from types import SimpleNamespace

import pytest
import tensorflow as tf
from small_training import PICTURES, history_of, train
from test_training_resumed import curve, in_a_process, wait_until

from helpers import training
from helpers.training import loop, machines

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
