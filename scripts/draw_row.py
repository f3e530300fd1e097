"""The blog's row of four from your own photo: picture, scores, Grad-CAM, Guided Grad-CAM, written to saved/.

python scripts/draw_row.py photo.jpg --class espresso

Beside the row lie the raw map (.npy) and how it was made (.json).
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import runtime  # isort: skip  (first: it keeps TensorFlow's greeting out of the output)

from helpers import paths
from helpers.plots import japanese
from helpers.viewer import networks, row


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", help="path of a photo")
    parser.add_argument("--class", dest="name", help="which class to explain (default: the likeliest)")
    default = next(iter(networks.SHIPPED))
    parser.add_argument("--network", default=default, help=f"a model's file or runs/<name> (default: {default})")
    parser.add_argument("--output", help="which of several outputs to explain (default: the first classifier)")
    parser.add_argument("--credit", help="the line under the picture (default: from attributions.csv beside it)")
    parser.add_argument("--format", choices=("png", "svg"), default="png")
    parser.add_argument("--language", choices=("en", "ja"), default="en", help="of the labels")
    options = parser.parse_args(arguments)
    try:
        image, credit, picture = row.read(options.picture)
        runtime.setup(precision="float32")
        network = networks.open_network(options.network)
        if options.output:
            network.choose_head(options.output)
        index = row.class_index(network, options.name) if options.name else None
        figure, raw, about = row.draw(network, image, index, options.credit or credit)
        about |= {"picture": picture, **row.recipe(options.network)}
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    if options.language == "ja" and (left := japanese.translate(figure)):
        print("Still English; add to helpers/plots/terms.py:", ", ".join(left))
    if len(network.heads) > 1:
        print(f"Output: {network.head}, one of {', '.join(map(str, network.heads))} (--output).")
    if network.guessed:
        print(f"Pixels: {network.scaling}, a guess from {network.guessed}; notebook 11 offers others.")
    print(about["words"])
    try:
        print("Saved: " + ", ".join(str(paths.relative(file)) for file in row.save(figure, raw, about, options.format)))
    except OSError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
