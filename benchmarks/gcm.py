"""What GCM costs beside its comparison CNN: training in pictures/s, inference in the CNN's forward passes.

    python benchmarks/gcm.py [--batch 128] [--rounds 15]

Every function is called in turn in one run, in float32 and in bfloat16, so that a busy machine is busy for all of them.
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # noqa: I001  first: it quietens TensorFlow

import keras
import measuring
import numpy as np
import tensorflow as tf

from helpers import gcm, training

PRECISIONS = ("float32", "mixed_bfloat16")


def step(variant):
    """A function (images, labels) that trains a network of that variant by one step."""
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    return training.train_step(gcm.untrained(variant), optimizer, from_logits=variant != "cnn")


def answers():
    """{what: function of the images}"""
    cnn, network = gcm.untrained("cnn"), gcm.untrained("gcm")
    explain = gcm.ContributionMaps(network)

    def with_all_maps(images):
        weights = network.weight_maps(images)
        return gcm.class_scores(weights, images), weights[:, :, :, None, :] * images[..., None]

    return {
        "CNN": tf.function(lambda images: cnn(images, training=False)),
        "GCM, scores": tf.function(lambda images: network(images, training=False)),
        "GCM, map of the answer": explain,
        "GCM, scores and all ten maps": tf.function(with_all_maps),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    runtime.setup(seed=0, precision="float32")
    tf.get_logger().setLevel("ERROR")  # TensorFlow takes six networks' steps for one that is traced six times
    rng = np.random.default_rng(0)
    images = tf.constant(rng.random((options.batch, 32, 32, 3), np.float32))
    labels = tf.constant(rng.integers(0, 10, options.batch).astype(np.int32))
    training_steps, inferences = {}, {}
    for precision in PRECISIONS:
        keras.config.set_dtype_policy(precision)
        training_steps |= {(name, precision): step(name) for name in ("gcm", "gcm-clipped", "cnn")}
        inferences |= {(name, precision): function for name, function in answers().items()}

    trained = measuring.seconds(training_steps, (images, labels), options.rounds)
    print(f"\ntraining, batches of {options.batch}, median of {options.rounds} rounds\n")
    print(f"{'':16}{'':16}{'ms a step':>10}{'pictures/s':>12}{'/ CNN':>8}{'epoch, s':>10}")
    for (name, precision), times in trained.items():
        median, passes = statistics.median(times), measuring.ratio(times, trained["cnn", precision])
        speed = f"{1000 * median:10.0f}{options.batch / median:12.0f}"
        print(f"{name:16}{precision:16}{speed}{passes:8.2f}{50_000 / options.batch * median:10.0f}")

    answered = measuring.seconds(inferences, (images,), options.rounds)
    print(f"\ninference, batches of {options.batch}, median of {options.rounds} rounds\n")
    print(f"{'':30}{'':16}{'ms':>8}{'forward passes of the CNN':>28}")
    for (name, precision), times in answered.items():
        passes = measuring.ratio(times, answered["CNN", precision])
        print(f"{name:30}{precision:16}{1000 * statistics.median(times):8.1f}{passes:28.2f}")


if __name__ == "__main__":
    main()
