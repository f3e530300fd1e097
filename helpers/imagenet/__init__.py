"""A real network, trained on photographs, and the blog's task on top of it."""

from helpers.imagenet.network import LABELS, NAME, SIZE, build, load, prepare, top
