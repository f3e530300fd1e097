"""Photos from Flickr and Openverse, each with its credit."""

from helpers.collecting.collector import BLOG_WORDS, Report, collect, collect_manifest, write_manifest
