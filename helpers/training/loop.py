"""Training that can be killed and goes on: one loop for every distribution strategy."""

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from helpers.training import runs
from helpers.training.machines import check_workers_agree, is_chief, lost_workers_named


class Options(NamedTuple):
    """What `fit` takes by keyword beside `from_logits` and `recipe`."""

    validation: tf.data.Dataset | None = None  # of the same form as `batches`, evaluated after each epoch
    keep_best: bool = False  # keep the weights of the best validation accuracy in run/best.weights.h5
    learning_rate: Callable | None = None  # the function epoch -> learning rate; None leaves the optimizer's own
    strategy: tf.distribute.Strategy | None = None  # the one in whose scope model and optimizer were made
    progress: bool = True  # whether a bar is shown
    on_epoch: Callable | None = None  # called with each finished row of the history
    l2: float = 0.0  # as for `train_step`


def fit(model, optimizer, run, batches, epochs, *, from_logits, recipe, **options):
    """Train `model`, keeping everything needed to go on in the folder `run`; returns the history, a list of dicts.

    batches: the function epoch -> tf.data of (inputs, int labels [B]), the same for the same epoch; global batches
    where `strategy` has several devices. Several machines need `run` on a disk they share. recipe: what a resumed run
    must agree in (a dict of plain values); it is compared with the stored one. options: those of `Options`. A row of
    the history: {"epoch", "loss" without the L2 penalty, "accuracy", "seconds" of the training steps, "learning_rate"},
    with validation pictures "validation_loss" and "validation_accuracy" as well.

    A killed run loses the running epoch and no more: call again with the same arguments. Raises ValueError where
    `run` belongs to another recipe or network or workers disagree about it, for no epochs, no pictures, and labels
    that are no integers [B]; FloatingPointError where the loss or a weight is no longer finite (the last good epoch
    stays on disk), RuntimeError where another worker is lost.
    """
    if epochs < 1:
        raise ValueError(f"epochs {epochs}: at least 1 is needed")
    run, options = Path(run), Options(**options)
    if options.keep_best and options.validation is None:
        raise ValueError("keep_best: the best of what? Give validation pictures as well")
    strategy = options.strategy or tf.distribute.get_strategy()
    step = train_step(model, optimizer, from_logits, strategy, options.l2)
    measure = _evaluator(model, from_logits)
    history = _resumed(run, model, optimizer, recipe, strategy)
    for epoch in range(len(history), epochs):
        if options.learning_rate:
            optimizer.learning_rate.assign(options.learning_rate(epoch))
        with lost_workers_named(strategy):
            row = _train_epoch(step, batches(epoch), strategy, _title(history, epochs), options.progress)
        _check_finite(row["loss"], model, f"epoch {epoch + 1}/{epochs}")
        row = {"epoch": epoch + 1, **row, "learning_rate": float(optimizer.learning_rate.numpy())}
        if options.validation is not None:
            row |= {f"validation_{name}": value for name, value in measure(options.validation).items()}
        history.append(row)
        if is_chief(strategy):
            runs.save(run, model, optimizer, recipe, history, options.keep_best)
        if options.on_epoch:
            options.on_epoch(row)
    return history


def _resumed(run, model, optimizer, recipe, strategy):
    """The history in the folder `run`, whose state model and optimizer are given; the same for all workers."""
    history = runs.restore(run, model, optimizer, recipe)
    if history and is_chief(strategy):
        runs.write_log(history, run)  # a kill may have come between the state and its log
    with lost_workers_named(strategy):
        check_workers_agree(strategy, len(history))
    return history


def evaluate(model, data, from_logits):
    """{"loss": mean cross-entropy in nats, "accuracy" in [0, 1]} of `model` on tf.data of (inputs, int labels [B]).

    Raises ValueError for labels of another form and for no pictures.
    """
    return _evaluator(model, from_logits)(data)


def in_terminal():
    """The options of a `fit` with validation, for a command: a bar where somebody watches, and a line for each
    epoch."""
    return {"progress": sys.stderr.isatty(), "on_epoch": lambda row: print(summary(row), flush=True)}


@contextlib.contextmanager
def told_in_one_line():
    """For a command: a training that is stopped or refused ends with one line instead of a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit("Stopped. The same command goes on after the last whole epoch.")
    except (OSError, ValueError, FloatingPointError, RuntimeError) as error:
        sys.exit(f"error: {error}")


def summary(row):
    """A row of a history with validation as the line that a terminal shows."""
    return (
        f"epoch {row['epoch']:3d}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  "
        f"validation {row['validation_accuracy']:.4f}  rate {row['learning_rate']:g}  {row['seconds']:.0f} s"
    )


def train_step(model, optimizer, from_logits, strategy=None, l2=0.0):
    """The function (inputs, labels) -> [sum of losses, right answers, pictures] that trains `model` by one step.

    On every replica of `strategy`: the gradient of the mean loss over the *global* batch, summed over replicas.
    l2: ours, not in the paper: an L2 penalty on every trainable weight. The gradient is that of the mean loss plus
    l2 * sum(weight**2) / 2; the sum of losses is without it.
    """
    strategy, variables = strategy or tf.distribute.get_strategy(), model.trainable_variables
    with strategy.scope():
        optimizer.build(variables)

    def replica_step(inputs, labels):
        context, weights = tf.distribute.get_replica_context(), [variable.value for variable in variables]
        count = context.all_reduce("sum", tf.cast(tf.shape(labels)[0], tf.float32))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            sums = _sums(model, inputs, labels, from_logits, training=True)
            loss = sums[0] / count
            if l2:
                penalty = tf.add_n([tf.cast(tf.nn.l2_loss(weight), tf.float32) for weight in weights])
                loss += l2 * penalty / context.num_replicas_in_sync
            scaled = optimizer.scale_loss(loss)
        optimizer.apply(tape.gradient(scaled, weights), variables)
        return tf.stack(sums)

    @tf.function(reduce_retracing=True)
    def step(inputs, labels):
        return strategy.reduce("sum", strategy.run(replica_step, args=(inputs, labels)), axis=None)

    return step


def _evaluator(model, from_logits):
    """`evaluate` for this model, traced once for all data."""

    @tf.function(reduce_retracing=True)
    def score(inputs, labels):
        return tf.stack(_sums(model, inputs, labels, from_logits, training=False))

    return lambda data: _means(sum((score(*batch).numpy() for batch in data), np.zeros(3)))


def _sums(model, inputs, labels, from_logits, training):
    """The sum of losses, the right answers and the pictures of a batch, float32 each."""
    if not labels.dtype.is_integer or labels.shape.rank not in (1, None):
        raise ValueError(f"labels: {labels.dtype.name} {labels.shape}; expected integers [B]")
    outputs = tf.cast(model(inputs, training=training), tf.float32)
    losses = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=from_logits)
    right = tf.argmax(outputs, -1, output_type=tf.int32) == tf.cast(labels, tf.int32)
    pictures = tf.cast(tf.shape(labels)[0], tf.float32)
    return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(right, tf.float32)), pictures


def _means(sums):
    loss, right, count = map(float, sums)
    if not count:
        raise ValueError("the data set has no batches: expected at least one picture")
    return {"loss": loss / count, "accuracy": right / count}


def _train_epoch(step, data, strategy, title, progress):
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    options.autotune.enabled = False  # a distributed data set's end waits for its next tick, up to a minute
    parts = strategy.experimental_distribute_dataset(data.with_options(options))
    total = int(data.cardinality()) if data.cardinality() >= 0 else None
    started, sums = time.perf_counter(), np.zeros(3)
    with tqdm(total=total, desc=title, leave=False, disable=not progress, unit="batch") as bar:
        for batch in parts:
            sums += step(*batch).numpy()
            if not np.isfinite(sums[0]):
                break
            speed = sums[2] / (time.perf_counter() - started)
            bar.set_postfix_str(f"loss {sums[0] / sums[2]:.3f}, {speed:.0f} images/s", refresh=False)
            bar.update()
    return {**_means(sums), "seconds": time.perf_counter() - started}


def _title(history, epochs):
    """The progress bar's title: which epoch of how many and, from the second on, the time left for all of them."""
    seconds = [row["seconds"] for row in history]
    left = f", {tqdm.format_interval(np.mean(seconds) * (epochs - len(history)))} left for all" if history else ""
    return f"epoch {len(history) + 1}/{epochs}{left}"


def _check_finite(loss, model, title):
    if not (np.isfinite(loss) and all(np.isfinite(np.asarray(variable)).all() for variable in model.variables)):
        advice = "The last good epoch is on disk; start another run with a smaller learning rate, or with float32"
        raise FloatingPointError(f"{title}: the loss or a weight is no longer finite. {advice}")
