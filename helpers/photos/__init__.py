"""A folder of photos as training, validation and test pictures."""

from helpers.photos.attributions import credit
from helpers.photos.folder import COUNTS, Photos, Report, Split, load, write_manifest
