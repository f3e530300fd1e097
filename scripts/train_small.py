"""Train the small networks of notebooks 06 and 07 as they are shipped, measure them and write them to weights/.

    python scripts/train_small.py captioning
    python scripts/train_small.py vqa
    python scripts/train_small.py bias
    python scripts/train_small.py vqa --measure     the weights as they lie there, and describe them anew

Killed runs go on where they were: runs/ keeps everything that is needed.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # isort: skip  (first: it keeps TensorFlow's greeting out of the output)

import numpy as np
from tqdm import tqdm

from helpers import bias, captioning, paths, questions, sentences, trained, vqa

IN_TERMINAL = sys.stderr.isatty()
PRECISION = "float32"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=("captioning", "vqa", "bias"))
    parser.add_argument("--measure", action="store_true", help="do not train: measure what lies in weights/")
    options = parser.parse_args()
    runtime.setup(seed=0, precision=PRECISION)
    {"captioning": captioner, "vqa": answerer, "bias": bias_networks}[options.network](options.measure)


def captioner(measure_only):
    network = captioning.load() if measure_only else captioning.build_captioner()
    if not measure_only:
        images, captions, _ = captioned(sentences.TRAIN_SEEDS)
        captioning.train(network, paths.RUNS / "captioner", images, captions, progress=IN_TERMINAL)
    images, captions, scenes = captioned(sentences.TEST_SEEDS)
    measured = {**captioning.measure(network, images / np.float32(255), captions), "tested_on": len(scenes),
                "times_chance": captioning.measure_maps(network, scenes)}
    finish(network, captioning.NAME, about(captioning, "cosine to 0", len(sentences.TRAIN_SEEDS), 0, measured),
           measure_only)


def answerer(measure_only):
    network = vqa.load() if measure_only else vqa.build_answerer()
    if not measure_only:
        images, asked, _ = questioned(questions.TRAIN_SEEDS)
        vqa.train(network, paths.RUNS / "answerer", images, *vqa.answers_for(asked), progress=IN_TERMINAL)
    images, asked, tables = questioned(questions.TEST_SEEDS)
    measured = {**vqa.accuracy_by_kind(network, images, asked), "tested_on": len(tables),
                "times_chance": vqa.measure_maps(network, tables, asked)}
    finish(network, vqa.NAME, about(vqa, "cosine to 0", len(questions.TRAIN_SEEDS), 0, measured), measure_only)


def bias_networks(measure_only):
    tests = bias.test_sets()
    for condition in bias.CONDITIONS:
        data = None if measure_only else bias.training_set(condition)
        for seed in bias.SEEDS:
            name = f"bias_{condition}_{seed}"
            network = bias.load(condition, seed) if measure_only else bias.train(
                condition, seed, paths.RUNS / name.replace("_", "-"), data, progress=IN_TERMINAL)[0]
            measured = {**bias.measure(network, tests), "tested_on": len(tests["biased"].labels)}
            finish(network, name, about(bias, "constant", 2 * bias.TRAIN_COUNT, seed, measured), measure_only)


def captioned(seeds):
    """Pictures uint8 [N, H, W, 3], their captions, and the scenes."""
    scenes = [sentences.draw(seed) for seed in tqdm(seeds, "drawing scenes", disable=None)]
    return np.stack([scene.image for scene in scenes]), [sentences.caption(scene) for scene in scenes], scenes


def questioned(seeds):
    """Pictures uint8 [N, H, W, 3], for each a list of `questions.Question`, and the tables."""
    tables = [questions.draw(seed) for seed in tqdm(seeds, "drawing tables", disable=None)]
    asked = [questions.ask(table, seed) for table, seed in zip(tables, seeds, strict=True)]
    return np.stack([table.image for table in tables]), asked, tables


def about(kind, schedule, pictures, seed, measured):
    """What a description says: recipe, data, figures. kind: the module whose network it is."""
    return {"data": "built-in kitchen", "pictures": pictures, "epochs": kind.EPOCHS, "seed": seed,
            "optimizer": f"Adam {kind.LEARNING_RATE:g}, {schedule}", "batch_size": kind.BATCH_SIZE,
            "precision": PRECISION, **measured}


def finish(network, name, description, measure_only):
    """Write weights and description, or the description alone."""
    description = trained.describe(name, description) if measure_only else trained.ship(network, name, description)
    print(name, description, flush=True)


if __name__ == "__main__":
    main()
