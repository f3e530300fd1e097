"""Train the small networks of notebooks 06, 07 and 10 as they are shipped, measure them and write them to weights/.

    python scripts/train_small.py captioning        or vqa, bias, kitchen_gcm, or another network of notebook 10
    python scripts/train_small.py vqa --measure     the weights as they lie there, and describe them anew

Killed runs go on where they were: runs/ keeps everything that is needed.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # isort: skip  (first: it keeps TensorFlow's greeting out of the output)

import keras
import numpy as np
from tqdm import tqdm

from helpers import bias, dishes, faithfulness, paths, training
from helpers.comparison import networks
from helpers.gradcam import GradCAM
from helpers.language import captioning, encoder, questions, sentences, vqa
from helpers.training import shipped

IN_TERMINAL = sys.stderr.isatty()
PRECISION, COSINE = "float32", "cosine to 0"


def main():
    makers = {name: partial(class_map_network, name) for name in networks.NAMES}
    makers |= {"captioning": captioner, "vqa": answerer, "bias": bias_networks}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=makers)
    parser.add_argument("--measure", action="store_true", help="do not train: measure what lies in weights/")
    options = parser.parse_args()
    any_precision = options.network in networks.NAMES and not options.measure
    runtime.setup(seed=0, precision="auto" if any_precision else PRECISION)
    with training.told_in_one_line():
        makers[options.network](options.measure)


def captioner(measure_only):
    network = captioning.load() if measure_only else captioning.build_captioner()
    if not measure_only:
        images, captions = zip(*in_processes(captioned, sentences.TRAIN_SEEDS), strict=True)
        captioning.train(network, paths.RUNS / "captioner", np.stack(images), captions, progress=IN_TERMINAL)
    scenes = [sentences.draw(seed) for seed in sentences.TEST_SEEDS]
    captions, images = [sentences.caption(scene) for scene in scenes], np.stack([scene.image for scene in scenes])
    written = captioning.write(network, images / np.float32(255))
    measured = captioning.measure(network, images / np.float32(255), captions, written)
    _, _, inputs, masks = captioning.phrase_examples(scenes, written)  # do the words' maps find the ingredients?
    maps = GradCAM(captioning.scorer(network), score=captioning.total)(inputs)
    measured |= {"tested_on": len(scenes), "times_chance": faithfulness.times_chance(maps, masks)}
    finish(network, captioning.NAME, about(encoder, COSINE, len(sentences.TRAIN_SEEDS), 0, measured), measure_only)


def answerer(measure_only):
    network = vqa.load() if measure_only else vqa.build_answerer()
    if not measure_only:
        data = map(np.stack, zip(*in_processes(questioned, questions.TRAIN_SEEDS), strict=True))
        vqa.train(network, paths.RUNS / "answerer", *data, progress=IN_TERMINAL)
    tables = [questions.draw(seed) for seed in questions.TEST_SEEDS]
    asked = [questions.ask(table, seed) for table, seed in zip(tables, questions.TEST_SEEDS, strict=True)]
    measured = vqa.accuracy_by_kind(network, np.stack([table.image for table in tables]), asked)
    _, inputs, masks = vqa.presence_examples(tables, asked)  # "yes rather than no": is that where the toppings are?
    maps = GradCAM(network, score=vqa.rather("yes", "no"))(inputs)
    measured |= {"tested_on": len(tables), "times_chance": faithfulness.times_chance(maps, masks)}
    finish(network, vqa.NAME, about(encoder, COSINE, len(questions.TRAIN_SEEDS), 0, measured), measure_only)


def bias_networks(measure_only):
    tests = bias.test_sets()
    for condition in bias.CONDITIONS:
        data = None if measure_only else bias.training_set(condition)
        for seed in bias.SEEDS:
            name, run = f"bias_{condition}_{seed}", paths.RUNS / f"bias-{condition}-{seed}"
            if measure_only:
                network = bias.load(condition, seed)
            else:
                network, _ = bias.train(condition, seed, run, data, progress=IN_TERMINAL)
            measured = {**bias.measure(network, tests), "tested_on": len(tests["ordinary"].labels)}
            finish(network, name, about(bias, "constant", 2 * bias.TRAIN_COUNT, seed, measured), measure_only)


def class_map_network(name, measure_only):
    data = dishes.make_split()
    if measure_only:
        network = networks.load_trained(name)
    else:
        trained = networks.train(paths.RUNS / name, name, data, **training.in_terminal())
        keras.config.set_dtype_policy("float32")  # as notebooks load it
        network = networks.build(name)
        network.set_weights(trained.get_weights())
    finish(network, name, networks.about(network, name, data), measure_only)


def captioned(seed):
    """(a scene's picture uint8 [H, W, 3], its caption)"""
    scene = sentences.draw(seed)
    return scene.image, sentences.caption(scene)


def questioned(seed):
    """(a table's picture uint8 [H, W, 3], questions int32 [K, LENGTH], answers int32 [K])"""
    table = questions.draw(seed)
    asked, answers = vqa.answers_for([questions.ask(table, seed)])
    return table.image, asked[0], answers[0]


def in_processes(draw, seeds):
    """draw(seed) for all seeds, on all processors."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return list(tqdm(pool.map(draw, seeds, chunksize=100), "drawing", len(seeds), disable=None))


def about(kind, schedule, pictures, seed, measured):
    """What a description says: recipe, data, figures. kind: the module with the recipe's numbers."""
    recipe = {"data": "built-in kitchen", "pictures": pictures, "epochs": kind.EPOCHS, "seed": seed}
    recipe |= {"optimizer": f"Adam {kind.LEARNING_RATE:g}, {schedule}", "batch_size": kind.BATCH_SIZE}
    return {**recipe, "precision": PRECISION, **measured}


def finish(network, name, description, measure_only):
    """Write weights and description, or the description alone."""
    description = shipped.describe(name, description) if measure_only else shipped.ship(network, name, description)
    print(name, description, flush=True)


if __name__ == "__main__":
    main()
