"""Training that can be killed and goes on: schedules, and one loop for every distribution strategy."""

import contextlib
import json
import os
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from helpers import checkpoints


def paper_schedule(epochs, base=0.1):
    """Table 2 of the GCM paper, shortened in proportion: learning rate divided by 10 at 100/180 and 150/180.

    Returns the function epoch (0-based) -> learning rate. 180 epochs drop at 100 and 150, 60 at 33 and 50; the
    first epoch is always at `base`.
    """
    first, second = max(1, epochs * 100 // 180), max(1, epochs * 150 // 180)
    return lambda epoch: base * 0.1 ** ((epoch >= first) + (epoch >= second))


def cosine_schedule(epochs, base):
    """Learning rate falling from `base` to 0 on a cosine: the function epoch (0-based) -> learning rate."""
    return lambda epoch: base * 0.5 * (1 + np.cos(np.pi * epoch / epochs))


def choose_strategy(name="auto"):
    """The `tf.distribute` strategy of this machine.

    "auto": several machines where TF_CONFIG names them, all GPUs where there are several, else one device;
    "one": one device. Call it before anything else touches TensorFlow's devices; build model and optimizer in its
    `scope()`. Raises ValueError for another name and for a TF_CONFIG that cannot be read.
    """
    if name not in ("auto", "one"):
        raise ValueError(f'strategy {name!r}: choose "auto" or "one"')
    if name == "auto" and _machines() > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "auto" and len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _machines():
    """How many machines TF_CONFIG names for training: 0 where it is not set."""
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
        return len(cluster.get("chief", [])) + len(cluster.get("worker", []))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError('TF_CONFIG: {"cluster": {"worker": ["host:port", ...]}, "task": {...}} in JSON is wanted: '
                         "correct it, or unset it for one machine") from error


def fit(model, optimizer, run, batches, epochs, *, from_logits, recipe, validation=None, keep_best=False,
        learning_rate=None, strategy=None, progress=True, on_epoch=None):
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
    history = checkpoints.restore(run, model, optimizer, recipe)
    if history and is_chief(strategy):
        checkpoints.write_log(history, run / "log.csv")  # a kill may have come between the state and its log
    with _lost_workers_named(strategy):
        _check_workers_agree(strategy, len(history))
    score = _score_step(model, from_logits)
    for epoch in range(len(history), epochs):
        if learning_rate:
            optimizer.learning_rate.assign(learning_rate(epoch))
        with _lost_workers_named(strategy):
            row = _train_epoch(step, batches(epoch), strategy, _title(history, epochs), progress)
        _check_finite(row["loss"], model, f"epoch {epoch + 1}/{epochs}")
        row = {"epoch": epoch + 1, **row, "learning_rate": float(optimizer.learning_rate.numpy())}
        if validation is not None:
            row |= _evaluate(score, validation)
            if keep_best and is_chief(strategy) and row["validation_accuracy"] > max(
                    (old["validation_accuracy"] for old in history), default=-1.0):
                checkpoints.save_best(run, model)
        history.append(row)
        if is_chief(strategy):
            checkpoints.save(run, model, optimizer, recipe, history)
        if on_epoch:
            on_epoch(row)
    return history


def evaluate(model, data, from_logits):
    """Mean loss and accuracy of `model` on tf.data of (inputs, int labels [B]): validation_loss, validation_accuracy.

    Raises ValueError for labels of another form and for no pictures.
    """
    return _evaluate(_score_step(model, from_logits), data)


def is_chief(strategy):
    """True on the one machine that writes files: the cluster's chief, worker 0 where it has none."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_id is None:
        return True
    chief = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (chief, 0)


def scaled(optimizer):
    """`optimizer`, with its loss scaled where Keras' global dtype policy is mixed_float16; to be built in a scope."""
    half = keras.config.dtype_policy().name == "mixed_float16"
    return keras.optimizers.LossScaleOptimizer(optimizer) if half else optimizer


def summary(row):
    """A row of the history as the line that a terminal shows."""
    return (f"epoch {row['epoch']:3d}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  "
            f"validation {row['validation_accuracy']:.4f}  rate {row['learning_rate']:g}  {row['seconds']:.0f} s")


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
    return {"validation_loss": loss / count, "validation_accuracy": right / count}


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
        raise FloatingPointError(f"{title}: the loss or a weight is no longer finite. The last good epoch is on "
                                 "disk; start another run with a smaller learning rate, or with float32")


@contextlib.contextmanager
def _lost_workers_named(strategy):
    """What TensorFlow raises in the others when one of several machines is lost becomes a clear RuntimeError."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError) as error:
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            raise
        raise RuntimeError(f"another worker is lost ({type(error).__name__}). Start all workers again with the same "
                           "command: training goes on after the last whole epoch") from error


def _check_workers_agree(strategy, finished):
    """Raise where a worker has another number of finished epochs than this one: it would train another network."""
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return

    @tf.function
    def total():
        return strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("sum", tf.constant(float(finished))))

    average = float(strategy.experimental_local_results(total())[0]) / replicas
    if average != finished:
        raise ValueError(f"this worker has {finished} finished epochs, the workers' average is {average:g}: give them "
                         "a run folder on a shared disk, or copy the first worker's to the others")
