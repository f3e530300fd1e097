"""A folder of photos as training, validation and test pictures."""

from helpers.photos.attributions import credit
from helpers.photos.folder import COUNTS, KEEP, TOGETHER, Photos, Report, Split, load, write_manifest
