"""Any picture, any network: what the page of notebook 11 shows, and the page."""

from helpers.viewer.networks import CONTRIBUTION, METHODS, Network, Probabilities, open_network, shipped
from helpers.viewer.page import Page
from helpers.viewer.scalings import BYTES, SCALINGS, UNIT
from helpers.viewer.views import View, look, overlay, probabilities, read_picture
