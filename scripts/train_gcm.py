"""Train GCM, its clipped variant or the comparison CNN on CIFAR-10 by the paper's schedule, or a shorter one.

    python scripts/train_gcm.py --variant gcm --epochs 180

Killed runs go on where they were. Everything is kept in runs/<variant>-<epochs>-seed<seed>/.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # isort: skip  (first: it keeps TensorFlow's greeting out of the output)

import keras

from helpers import cifar10, gcm, paths, training


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=gcm.VARIANTS, default="gcm")
    parser.add_argument("--epochs", type=int, default=180)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=128, help="the global batch, however many devices")
    parser.add_argument("--precision", default="float32", choices=["auto", *runtime.PRECISIONS])
    parser.add_argument("--data", help="folder of the CIFAR-10 binary files (default: CIFAR10_DIR, data/, download)")
    parser.add_argument("--train-images", type=int, default=50_000, help="use only the first of them")
    arguments = parser.parse_args()

    precision = runtime.setup(seed=arguments.seed, precision=arguments.precision)
    strategy = training.choose_strategy("auto")
    data = cifar10.load(arguments.data)
    print(data.source if data.is_real else cifar10.HOW_TO_GET_IT)
    images, labels = data.train_images[:arguments.train_images], data.train_labels[:arguments.train_images]
    with strategy.scope():
        model = gcm.VARIANTS[arguments.variant]()
        model.build((None, 32, 32, 3))
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        if precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    run = paths.RUNS / f"{arguments.variant}-{arguments.epochs}-seed{arguments.seed}"
    recipe = {"variant": arguments.variant, "epochs": arguments.epochs, "seed": arguments.seed,
              "batch_size": arguments.batch_size, "precision": precision, "data": data.source,
              "train_images": len(images)}
    history = training.fit(
        model, optimizer, run, cifar10.training_batches(images, labels, arguments.batch_size, arguments.seed),
        arguments.epochs, from_logits=arguments.variant != "cnn", recipe=recipe, strategy=strategy,
        validation=cifar10.test_batches(data.test_images, data.test_labels),
        learning_rate=training.paper_schedule(arguments.epochs), progress=sys.stderr.isatty(), on_epoch=print_row)
    if training.is_chief(strategy):
        model.save_weights(run / "last.weights.h5")
        (run / "metrics.json").write_text(json.dumps({**recipe, "test_accuracy": history[-1]["validation_accuracy"],
                                                      "seconds": sum(row["seconds"] for row in history)}, indent=1))
    print(f"last epoch: {history[-1]['validation_accuracy']:.2%} on {len(data.test_labels):,} test pictures; "
          f"everything is in {paths.relative(run)}")


def print_row(row):
    print(f"epoch {row['epoch']:3d}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  "
          f"test {row['validation_accuracy']:.4f}  rate {row['learning_rate']:g}  {row['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
