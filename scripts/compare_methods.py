"""Score every method of notebook 10 on every network and write weights/comparison.npz, which the notebook shows.

    python scripts/compare_methods.py                    everything; networks that are not shipped are trained first
    python scripts/compare_methods.py kitchen_cam_1      one network, into runs/comparison/

Killed runs go on where they were, method by method. Several hours on two cores, and as many for the training.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # isort: skip  (first: it keeps TensorFlow's greeting out of the output)

import keras
import numpy as np
import tensorflow as tf

from helpers import classifier, dishes, faithfulness, gcm, imagenet, paths
from helpers.blackbox import Occlusion
from helpers.comparison import methods, networks, results, study
from helpers.faithfulness import randomisation
from helpers.gcm import cifar10
from helpers.photos import builtin
from helpers.training import shipped

RUNS = paths.RUNS / "comparison"
PICTURES, TABLES, ALIKE, SHUFFLES = (100, 40), (40, 20), (100, 20), 5  # of cheap methods and of costly ones
MAKERS = {"kitchen_cam": methods.all_methods, "kitchen_nin": methods.nin_methods, "kitchen_gcm": methods.gcm_methods}
MAKERS |= {"kitchen_cnn": methods.cnn_methods}
FAST = runtime.fitting_precision(tf.config.list_physical_devices("GPU"))  # of curves, of RISE's questions, of training
SEEDS = ("", "_1", "_2")
KITCHEN = [name + seed for name in MAKERS for seed in SEEDS]
EPOCHS = 60  # of the blog's CNN from other seeds, of its 300: it knows 99 % of the training pictures by then


def main():
    jobs = {name: partial(in_the_kitchen, name) for name in KITCHEN}
    jobs |= {"photographs": on_photographs, "cifar10_gcm": on_cifar10, "cifar10_cnn": on_cifar10}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", choices=jobs)
    chosen = parser.parse_args().network
    runtime.setup(seed=0, precision="float32")
    for name in [chosen] if chosen else jobs:
        jobs[name](results.Kept(RUNS / f"{name}.npz"))
    if not chosen:
        print(results.pack({name: RUNS / f"{name}.npz" for name in jobs}))


def build(name):
    return classifier.build_cnn(2) if name.startswith(classifier.SHIPPED) else networks.build(name)


def trained(name, kitchen):
    """The network of that name in float32: shipped, or trained in runs/."""
    if shipped.weights_file(name).exists():
        return shipped.restore(build(name), name, "make train")
    keras.config.set_dtype_policy(FAST)
    if name.startswith(classifier.SHIPPED):
        model, _ = classifier.train(name, labelled(name, classifier.kitchen_data()), EPOCHS, networks.seed_of(name))
    else:
        model = networks.train(paths.RUNS / name, name, kitchen)
    return copied(name, model, "float32")


def labelled(name, data):
    """`data` for the classifier of that name; with shuffled labels its best epoch is that which knows most of them."""
    if not name.endswith("_shuffled"):
        return data
    known = data.train[0], networks.training_labels(name, {"train": data.train})
    return data._replace(train=known, validation=known)


def copied(name, model, precision):
    """A copy of `model` that computes in another precision; what is built afterwards computes in float32."""
    keras.config.set_dtype_policy(precision)
    copy = build(name)
    keras.config.set_dtype_policy("float32")
    copy.set_weights(model.get_weights())
    return copy


def in_the_kitchen(name, kept):
    kitchen, base = dishes.make_split(), next(base for base in MAKERS if name.startswith(base))
    model, maker = trained(name, kitchen), MAKERS[base]
    quick = copied(name, model, FAST)
    accuracy = networks.accuracy(model, name, kitchen["test"])
    kept.describe({"sha256": results.of_weights(model), "accuracy": accuracy})
    predict = study.predictor(quick, base == "kitchen_gcm")
    both = [study.pictures(kitchen["test"], *counts) for counts in zip(PICTURES, TABLES, strict=True)]
    judges = [study.judge(predict, shown.images) for shown in both]
    shown, asked = both[0], judges[0]
    kept["pictures", "right"] = (asked.classes == shown.labels).astype(float)
    occlusion = Occlusion(model, size=20, stride=20)
    occluded = kept.once("occlusion", "maps", lambda: faithfulness.explain_all(occlusion, shown.images, asked.classes))
    for method, explain in (maker(model, quick) | methods.CONTROLS).items():
        arguments = explain, judges[costly(method)], both[costly(method)], occluded[: PICTURES[costly(method)]]
        kept.scores(method, lambda arguments=arguments: study.score(*arguments))
    others = [study.forgetful(partial(build, name), model, seed) for seed in range(SHUFFLES)]
    after = SEEDS[(SEEDS.index(name.removeprefix(base)) + 1) % len(SEEDS)]
    others += [trained(f"{base}_shuffled", kitchen), trained(base + after, kitchen)]
    elsewhere = [maker(network, copied(name, network, FAST)) for network in others]
    for method, explain in maker(model, quick).items():
        some = slice(ALIKE[costly(method)])
        arguments = explain, [own[method] for own in elsewhere], shown.images[some], asked.classes[some]
        kept.once(method, "alike", lambda arguments=arguments: randomisation.likeness(*arguments))
    if name == "kitchen_cam":
        forget_step_by_step(model, maker(model, quick), both[1].images, judges[1].classes, kept)


def costly(method):
    return int(method in methods.COSTLY)


def forget_step_by_step(model, explainers, images, classes, kept):
    """Likeness after each layer that forgets, from the top: [SHUFFLES, layers, pictures] of each cheap method."""
    for method in explainers.keys() - set(methods.COSTLY):
        forget = partial(faithfulness.model_randomisation, model, explainers[method], images, classes)
        kept.once(method, "layers", lambda forget=forget: [[*forget(seed=n).values()] for n in range(SHUFFLES)])


def on_photographs(kept):
    model, asked = imagenet.load(), builtin.all_pairs()
    kept.describe({"sha256": results.of_weights(model)})
    numbers = [imagenet.LABELS.index(label) for label in asked.labels]
    every = methods.all_methods(model, model, window=28)
    del every["Score-CAM"]  # 1,280 channels: 1,280 forward passes a map
    for method, explain in (every | methods.CONTROLS).items():
        maps = partial(faithfulness.explain_all, explain, asked.images.astype("float32"), numbers)
        kept.scores(method, lambda maps=maps: study.by_masks(maps(), asked.masks))


def on_cifar10(kept):
    data, name = cifar10.load(), kept.file.stem.removeprefix("cifar10_")
    if not data.is_real:
        sys.exit("No CIFAR-10 here, and these scores are about it: set CIFAR10_DIR, or connect to the internet.")
    model, images = gcm.load_trained(name), data.test_images[:200] / np.float32(255)
    asked = study.judge(study.predictor(model, name == "gcm"), images)
    kept.describe({"data": data.source, "sha256": results.of_weights(model)})
    kept["pictures", "right"] = (asked.classes == data.test_labels[:200]).astype(float)
    every = methods.gcm_methods(model, model) if name == "gcm" else methods.all_methods(model, model, window=4)
    for method, explain in (every | methods.CONTROLS).items():
        maps = partial(faithfulness.explain_all, explain, images, asked.classes)
        kept.scores(method, lambda maps=maps: study.by_network(asked, maps()))


if __name__ == "__main__":
    main()
