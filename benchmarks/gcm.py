"""What GCM costs beside its comparison CNN: training in pictures/s, inference in the CNN's forward passes.

    python benchmarks/gcm.py [--batch 128] [--rounds 15]

Every function is called in turn in one run, in float32 and in bfloat16, so that a busy machine is busy for all of them.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # noqa: I001  first: it quietens TensorFlow

import keras
import numpy as np
import tensorflow as tf

from helpers import gcm, training

PRECISIONS = ("float32", "mixed_bfloat16")


def steps(precision):
    """{(variant, precision): function (images, labels) that trains by one step}."""
    keras.config.set_dtype_policy(precision)
    return {
        (variant, precision): training.train_step(
            gcm.untrained(variant), keras.optimizers.SGD(0.1, momentum=0.9), from_logits=variant != "cnn"
        )
        for variant in ("gcm", "gcm-clipped", "cnn")
    }


def answers(precision):
    """{(what, precision): function (images, labels)}; labels are not used."""
    keras.config.set_dtype_policy(precision)
    cnn, network = gcm.untrained("cnn"), gcm.untrained("gcm")

    def with_all_maps(images):
        weights = network.weight_maps(images)
        return gcm.class_scores(weights, images), weights[:, :, :, None, :] * images[..., None]

    explain = gcm.ContributionMaps(network)
    found = {
        "CNN": tf.function(lambda images: cnn(images, training=False)),
        "GCM, scores": tf.function(lambda images: network(images, training=False)),
        "GCM, map of the answer": lambda images: explain(images),
        "GCM, scores and all ten maps": tf.function(with_all_maps),
    }
    return {
        (name, precision): lambda images, labels, function=function: function(images)
        for name, function in found.items()
    }


def seconds(functions, batch, rounds):
    """Times [rounds] of each function; one call of each in turn."""
    times = {key: [] for key in functions}
    for _ in range(rounds + 1):
        for key, function in functions.items():
            start = time.perf_counter()
            keras.tree.map_structure(np.asarray, function(*batch))
            times[key].append(time.perf_counter() - start)
    return {key: measured[1:] for key, measured in times.items()}  # the first call traces


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    runtime.setup(seed=0, precision="float32")
    tf.get_logger().setLevel("ERROR")  # TensorFlow takes six networks' steps for one that is traced six times
    rng = np.random.default_rng(0)
    batch = (
        tf.constant(rng.random((options.batch, 32, 32, 3), np.float32)),
        tf.constant(rng.integers(0, 10, options.batch).astype(np.int32)),
    )

    trained = seconds(steps(PRECISIONS[0]) | steps(PRECISIONS[1]), batch, options.rounds)
    print(f"\ntraining, batches of {options.batch}, median of {options.rounds} rounds\n")
    print(f"{'':16}{'':16}{'ms a step':>10}{'pictures/s':>12}{'/ CNN':>8}{'epoch, s':>10}")
    for (variant, precision), times in trained.items():
        median, base = statistics.median(times), trained["cnn", precision]
        ratio = statistics.median(ours / cnn for ours, cnn in zip(times, base, strict=True))
        print(
            f"{variant:16}{precision:16}{1000 * median:10.0f}{options.batch / median:12.0f}{ratio:8.2f}"
            f"{50_000 / options.batch * median:10.0f}"
        )

    answered = seconds(answers(PRECISIONS[0]) | answers(PRECISIONS[1]), batch, options.rounds)
    print(f"\ninference, batches of {options.batch}, median of {options.rounds} rounds\n")
    print(f"{'':30}{'':16}{'ms':>8}{'forward passes of the CNN':>28}")
    for (name, precision), times in answered.items():
        ratio = statistics.median(ours / cnn for ours, cnn in zip(times, answered["CNN", precision], strict=True))
        print(f"{name:30}{precision:16}{1000 * statistics.median(times):8.1f}{ratio:28.2f}")


if __name__ == "__main__":
    main()
