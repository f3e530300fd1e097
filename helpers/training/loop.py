"""Training that can be killed and goes on: one loop for every distribution strategy."""

import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from helpers.training import runs
from helpers.training.machines import check_workers_agree, is_chief, lost_workers_named


def fit(
    model,
    optimizer,
    run,
    batches,
    epochs,
    *,
    from_logits,
    recipe,
    validation=None,
    keep_best=False,
    learning_rate=None,
    strategy=None,
    progress=True,
    on_epoch=None,
):
    """Train `model`, keeping everything needed to go on in the folder `run`; returns the history, a list of dicts.

    batches: the function epoch -> tf.data of (inputs, int labels [B]), the same for the same epoch.
    validation: tf.data of the same form, evaluated after each epoch.
    keep_best: keep the weights of the epoch with the best validation accuracy in run/best.weights.h5.
    learning_rate: the function epoch -> learning rate, or None to leave the optimizer's own.
    recipe: what a resumed run must agree in (a dict of plain values); it is compared with the stored one.
    strategy: the one in whose scope model and optimizer were made; `batches` gives global batches. Several machines
    need `run` on a disk they share: the first worker writes it, all read it.
    on_epoch: called with each finished row of the history.

    A killed run loses the running epoch and no more: call again with the same arguments. Raises ValueError where
    `run` belongs to another recipe or network or workers disagree about it, for no epochs, no pictures, and labels
    that are no integers [B]; FloatingPointError where the loss or a weight is no longer finite (the last good epoch
    stays on disk), RuntimeError where another worker is lost.
    """
    if epochs < 1:
        raise ValueError(f"epochs {epochs}: at least 1 is needed")
    strategy = strategy or tf.distribute.get_strategy()
    run = Path(run)
    step = train_step(model, optimizer, from_logits, strategy)
    history = runs.restore(run, model, optimizer, recipe)
    if history and is_chief(strategy):
        runs.write_log(history, run / "log.csv")  # a kill may have come between the state and its log
    with lost_workers_named(strategy):
        check_workers_agree(strategy, len(history))
    score = _score_step(model, from_logits)
    for epoch in range(len(history), epochs):
        if learning_rate:
            optimizer.learning_rate.assign(learning_rate(epoch))
        with lost_workers_named(strategy):
            row = _train_epoch(step, batches(epoch), strategy, _title(history, epochs), progress)
        _check_finite(row["loss"], model, f"epoch {epoch + 1}/{epochs}")
        row = {"epoch": epoch + 1, **row, "learning_rate": float(optimizer.learning_rate.numpy())}
        if validation is not None:
            row |= {f"validation_{name}": value for name, value in _evaluate(score, validation).items()}
            if (
                keep_best
                and is_chief(strategy)
                and row["validation_accuracy"] > max((old["validation_accuracy"] for old in history), default=-1.0)
            ):
                runs.save_best(run, model)
        history.append(row)
        if is_chief(strategy):
            runs.save(run, model, optimizer, recipe, history)
        if on_epoch:
            on_epoch(row)
    return history


def evaluate(model, data, from_logits):
    """{"loss", "accuracy"} of `model` on tf.data of (inputs, int labels [B]).

    Raises ValueError for labels of another form and for no pictures.
    """
    return _evaluate(_score_step(model, from_logits), data)


def summary(row):
    """A row of the history as the line that a terminal shows."""
    return (
        f"epoch {row['epoch']:3d}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  "
        f"validation {row['validation_accuracy']:.4f}  rate {row['learning_rate']:g}  {row['seconds']:.0f} s"
    )


def _score_step(model, from_logits):
    @tf.function(reduce_retracing=True)
    def score(inputs, labels):
        outputs = tf.cast(model(inputs, training=False), tf.float32)
        losses = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=from_logits)
        return tf.reduce_sum(losses), tf.reduce_sum(tf.cast(_right(outputs, labels), tf.int32))

    return score


def _right(outputs, labels):
    """Which of the [B] answers are right."""
    if not labels.dtype.is_integer or labels.shape.rank not in (1, None):
        raise ValueError(f"labels: {labels.dtype.name} {labels.shape}; integers [B] are wanted")
    return tf.argmax(outputs, -1, output_type=tf.int32) == tf.cast(labels, tf.int32)


def _evaluate(score, data):
    loss, right, count = 0.0, 0, 0
    for inputs, labels in data:
        batch_loss, batch_right = score(inputs, labels)
        loss, right, count = loss + float(batch_loss), right + int(batch_right), count + len(labels)
    _check_count(count)
    return {"loss": loss / count, "accuracy": right / count}


def train_step(model, optimizer, from_logits, strategy=None):
    """The function (inputs, labels) -> [sum of losses, right answers, pictures] that trains `model` by one step.

    On every replica of `strategy`: the gradient of the mean loss over the *global* batch, summed over replicas.
    """
    strategy, variables = strategy or tf.distribute.get_strategy(), model.trainable_variables
    with strategy.scope():
        optimizer.build(variables)

    def replica_step(inputs, labels):
        context = tf.distribute.get_replica_context()
        count = context.all_reduce("sum", tf.cast(tf.shape(labels)[0], tf.float32))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in variables])
            outputs = tf.cast(model(inputs, training=True), tf.float32)
            losses = keras.losses.sparse_categorical_crossentropy(labels, outputs, from_logits=from_logits)
            scaled = optimizer.scale_loss(tf.reduce_sum(losses) / count)
        optimizer.apply(tape.gradient(scaled, [variable.value for variable in variables]), variables)
        right = tf.reduce_sum(tf.cast(_right(outputs, labels), tf.float32))
        return tf.stack([tf.reduce_sum(losses), right, tf.cast(tf.shape(labels)[0], tf.float32)])

    @tf.function(reduce_retracing=True)
    def step(inputs, labels):
        sums = strategy.run(replica_step, args=(inputs, labels))
        return strategy.reduce("sum", sums, axis=None)

    return step


def _train_epoch(step, data, strategy, title, progress):
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    options.autotune.enabled = False  # a distributed data set's end waits for its next tick, up to a minute
    total = int(data.cardinality())
    started, sums = time.perf_counter(), np.zeros(3)
    bar = tqdm(total=None if total < 0 else total, desc=title, leave=False, disable=not progress, unit="batch")
    try:
        for inputs, labels in strategy.experimental_distribute_dataset(data.with_options(options)):
            sums += step(inputs, labels).numpy()
            if not np.isfinite(sums[0]):
                break
            speed = sums[2] / (time.perf_counter() - started)
            bar.set_postfix_str(f"loss {sums[0] / sums[2]:.3f}, {speed:.0f} images/s", refresh=False)
            bar.update()
    finally:
        bar.close()
    loss, right, count = sums
    _check_count(count)
    return {"loss": loss / count, "accuracy": right / count, "seconds": time.perf_counter() - started}


def _check_count(count):
    if not count:
        raise ValueError("the data set has no batches: at least one picture is wanted")


def _title(history, epochs):
    """The progress bar's title: which epoch of how many and, from the second on, the time left for all of them."""
    title = f"epoch {len(history) + 1}/{epochs}"
    if not history:
        return title
    left = np.mean([row["seconds"] for row in history]) * (epochs - len(history))
    return f"{title}, {tqdm.format_interval(left)} left for all"


def _check_finite(loss, model, title):
    if not (np.isfinite(loss) and all(np.isfinite(np.asarray(variable)).all() for variable in model.variables)):
        raise FloatingPointError(
            f"{title}: the loss or a weight is no longer finite. The last good epoch is on "
            "disk; start another run with a smaller learning rate, or with float32"
        )
