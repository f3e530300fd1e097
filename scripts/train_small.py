"""Train the small networks of notebooks 06 and 07 as they are shipped, measure them and write them to weights/.

    python scripts/train_small.py captioning
    python scripts/train_small.py vqa
    python scripts/train_small.py bias

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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=("captioning", "vqa", "bias"))
    chosen = parser.parse_args().network
    runtime.setup(seed=0, precision="float32")
    {"captioning": train_captioner, "vqa": train_answerer, "bias": train_bias}[chosen]()


def train_captioner():
    captioner = captioning.build_captioner()
    captioning.train(captioner, paths.RUNS / "captioner", *captioned(sentences.TRAIN_SEEDS), progress=IN_TERMINAL)
    images, captions = captioned(sentences.TEST_SEEDS)
    measured = captioning.measure(captioner, images / np.float32(255), captions)
    ship(captioner, captioning, sentences.TRAIN_SEEDS, measured)


def train_answerer():
    answerer = vqa.build_answerer()
    images, asked = questioned(questions.TRAIN_SEEDS)
    vqa.train(answerer, paths.RUNS / "answerer", images, *vqa.answers_for(asked), progress=IN_TERMINAL)
    measured = vqa.accuracy_by_kind(answerer, *questioned(questions.TEST_SEEDS))
    ship(answerer, vqa, questions.TRAIN_SEEDS, measured)


def train_bias():
    tests = bias.test_sets()
    for condition in bias.CONDITIONS:
        data = bias.training_set(condition)
        for seed in bias.SEEDS:
            run = paths.RUNS / f"bias-{condition}-{seed}"
            network, _ = bias.train(condition, seed, run, data, progress=IN_TERMINAL)
            measured = bias.measure(network, tests)
            trained.ship(network, f"bias_{condition}_{seed}",
                         {"epochs": bias.EPOCHS, "seed": seed, "pictures": len(data[0]), **measured})
            print(condition, seed, measured, flush=True)


def captioned(seeds):
    """Pictures uint8 [N, H, W, 3] and their captions."""
    scenes = [sentences.draw(seed) for seed in tqdm(seeds, "drawing scenes", disable=None)]
    return np.stack([scene.image for scene in scenes]), [sentences.caption(scene) for scene in scenes]


def questioned(seeds):
    """Pictures uint8 [N, H, W, 3] and for each a list of `questions.Question`."""
    images, asked = [], []
    for seed in tqdm(seeds, "drawing tables", disable=None):
        table = questions.draw(seed)
        images.append(table.image)
        asked.append([one._replace(about=None) for one in questions.ask(table, seed)])
    return np.stack(images), asked


def ship(network, kind, seeds, measured):
    about = {"epochs": kind.EPOCHS, "seed": 0, "pictures": len(seeds), **measured}
    print(trained.ship(network, kind.NAME, about))


if __name__ == "__main__":
    main()
