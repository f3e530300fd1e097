"""Train a classifier on a folder of photos (one sub-folder of pictures a class) or on the built-in kitchen.

    python scripts/train_classifier.py --photos <folder> --network imagenet

Killed runs go on where they were. Everything is kept in runs/<name>/; notebooks load it with WEIGHTS = "runs/<name>".
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # isort: skip  (first: it keeps TensorFlow's greeting out of the output)

from helpers import classifier, paths, photos, training


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a_folder = "folder with one sub-folder of pictures a class, or with such folders in train/, test/, validation/"
    parser.add_argument("--photos", help=f"{a_folder} (default: built-in kitchen)")
    networks = "blog: the blog's CNN, 300 epochs; imagenet: one layer on a network trained on photographs, 60 epochs"
    parser.add_argument("--network", choices=classifier.RECIPES, default=classifier.BLOG, help=networks)
    parser.add_argument("--epochs", type=int, help="default: the network's")
    names, a_class = ("TRAIN", "VALIDATION", "TEST"), "pictures a class (default: %(default)s)"
    parser.add_argument("--counts", type=int, nargs=3, default=photos.COUNTS, metavar=names, help=a_class)
    alike = "keep: they count as different pictures, for sets in which all look alike (default: together in one split)"
    choices = {"choices": (photos.TOGETHER, photos.KEEP), "default": photos.TOGETHER}
    parser.add_argument("--near-duplicates", **choices, help=alike)
    parser.add_argument("--name", help="the run's name (default: the folder's or \"kitchen\", with -imagenet)")
    parser.add_argument("--seed", type=int, default=0, help="of the splits, the first weights and the order")
    parser.add_argument("--precision", default="auto", choices=["auto", *runtime.PRECISIONS])
    parser.add_argument("--ship", metavar="NAME", help="also write rounded weights and metrics to weights/<NAME>.*")
    options = parser.parse_args(arguments)
    if options.ship and options.network != classifier.BLOG:
        sys.exit("error: --ship: only the blog's network is shipped; leave it out, or copy the run's folder")
    return options


def main(arguments=None):
    options = parse(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # a class is named as its folder is, and that may be anything
    usual = Path(options.photos).resolve().name if options.photos else "kitchen"
    run = options.name or (usual if options.network == classifier.BLOG else f"{usual}-{options.network}")
    with training.told_in_one_line():
        runtime.setup(options.seed, options.precision)
        if options.photos:
            size = classifier.RECIPES[options.network].size
            chosen = options.counts, options.seed, size, options.near_duplicates
            data, loaded = classifier.photo_data(options.photos, *chosen)
            print(loaded.report)
        else:
            data, loaded = classifier.kitchen_data(options.counts, options.seed), None
        chosen = {"epochs": options.epochs, "seed": options.seed, "network": options.network}
        _, metrics = classifier.train(run, data, **chosen, **training.in_terminal())
        if loaded:
            photos.write_manifest(loaded.manifest, classifier.run_folder(run) / "manifest.csv")
        if options.ship:
            metrics = classifier.ship(run, data.test, options.ship)
    print_metrics(metrics)
    folder = paths.relative(classifier.run_folder(run))
    print(f'everything is in {folder}; in a notebook: WEIGHTS = "{folder}"')


def print_metrics(metrics):
    names = metrics["class_names"]
    right = training.accuracy_text(metrics["accuracy"], metrics["pictures"][2])
    print(f"best epoch {metrics['best_epoch']} of {metrics['epochs']}: {right} test pictures right")
    for name, row in zip(names, metrics["confusion_matrix"], strict=True):
        print(f"  {name}: " + ", ".join(f"{count} as {other}" for count, other in zip(row, names, strict=True)))


if __name__ == "__main__":
    main()
