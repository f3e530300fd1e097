"""Collect photos with their credits: the blog's 450 okonomiyaki and 450 pizza, or any class of your own.

    python scripts/collect_photos.py
    python scripts/collect_photos.py --label ramen --words ラーメン ramen --count 200
    python scripts/collect_photos.py --manifest data/photos/manifest.csv

Stopped at any point, the same command goes on where it was.
"""

import argparse
import csv
import sqlite3
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers import collecting, paths
from helpers.collecting import contact_sheet, flickr
from helpers.collecting.client import Client
from helpers.collecting.openverse import Openverse

SOURCES = {"flickr": flickr.Flickr, "openverse": Openverse}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=SOURCES, help="default: flickr where an API key is set, else openverse")
    parser.add_argument("--label", help="collect one class of your own, into the folder of this name")
    parser.add_argument("--words", nargs="+", help="what to search for, one after the other (default: the label)")
    parser.add_argument("--count", type=int, default=450, help="photos per class (default: the blog's %(default)s)")
    parser.add_argument("--folder", type=Path, help=f"default: {paths.relative(paths.DATA / 'photos')}")
    parser.add_argument("--manifest", type=Path, help="fetch the very photos this file lists, into data/<its name>")
    options = parser.parse_args(arguments)
    if options.label == "" or options.count < 1:
        parser.error("--label: a name is needed; --count: at least 1")
    if options.words and not options.label:
        parser.error("--words: say with --label which class they are for")
    if options.manifest and (options.source or options.label):
        parser.error("--manifest: it says itself which photos; leave out --source, --label and --words")
    try:
        folder = fetch_again(options) if options.manifest else search(options)
    except (OSError, ValueError, RuntimeError, sqlite3.Error, csv.Error) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped. What is collected stays; the same command goes on.")
    sheet = paths.relative(contact_sheet.write(folder))
    print(f"\nOpen {sheet} and weed: photos named in exclude.txt are replaced by others the next time.")


def search(options):
    source = SOURCES[options.source or ("flickr" if flickr.has_key() else "openverse")]()
    folder = options.folder or paths.DATA / "photos"
    classes = {options.label: options.words or [options.label]} if options.label else collecting.BLOG_WORDS
    for label, words in classes.items():
        print(collecting.collect(source, label, words, options.count, folder), flush=True)
    collecting.write_manifest(folder, folder / "manifest.csv")
    return folder


def fetch_again(options):
    folder = options.folder or paths.DATA / options.manifest.stem
    for report in collecting.collect_manifest(options.manifest, folder, Client(0, 0.2)):
        print(report, *(f"  {name}: {reason}" for name, reason in report.left_out.items()), sep="\n", flush=True)
    return folder


if __name__ == "__main__":
    main()
