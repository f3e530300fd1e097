"""Training that is killed, fails or computes in low precision goes on where it was."""

import multiprocessing
import random
import signal
import sys
import time

import keras
import numpy as np
import pytest
from small_training import PICTURES, history_of, train, whole_process
from test_training import dense, fit, pairs, state

PROCESSES = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
PROCESSES.set_forkserver_preload(["helpers.runtime"])  # TensorFlow is imported once for all of them


def curve(history):
    return [(row["loss"], row["accuracy"], row["validation_loss"], row["learning_rate"]) for row in history]


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
    fit(model, tmp_path, broken, 1, optimizer, small | {"data": "a digest, which older states lack"})
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
