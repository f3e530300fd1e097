"""One device, several, or several machines: the strategy, and what goes wrong between workers."""

import contextlib
import json
import os

import keras
import tensorflow as tf


def choose_strategy():
    """The `tf.distribute` strategy of this machine: several machines where TF_CONFIG names them, all GPUs where there
    are several, else one device.

    Call it before anything else touches TensorFlow's devices; build model and optimizer in its `scope()`. Raises
    ValueError for a TF_CONFIG that cannot be read.
    """
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
        machines = len(cluster.get("chief", [])) + len(cluster.get("worker", []))
    except (ValueError, AttributeError, TypeError) as error:
        wanted = 'expected {"cluster": {"worker": ["host:port", ...]}, "task": {...}} in JSON'
        raise ValueError(f"TF_CONFIG: {wanted}: correct it, or unset it for one machine") from error
    if machines > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    several = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


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


@contextlib.contextmanager
def lost_workers_named(strategy):
    """What TensorFlow raises in the others when one of several machines is lost becomes a clear RuntimeError."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError) as error:
        if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            raise
        advice = "Start all workers again with the same command: training goes on after the last whole epoch"
        raise RuntimeError(f"another worker is lost ({type(error).__name__}). {advice}") from error


def check_workers_agree(strategy, finished):
    """Raise where a worker has another number of finished epochs than this one: it would train another network."""
    if strategy.num_replicas_in_sync == 1:
        return

    @tf.function
    def total():
        return strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("sum", tf.constant(float(finished))))

    average = float(strategy.experimental_local_results(total())[0]) / strategy.num_replicas_in_sync
    if average != finished:
        counts = f"this worker has {finished} finished epochs, the workers' average is {average:g}"
        raise ValueError(f"{counts}: give them a run folder on a shared disk, or copy the first worker's to the others")
