"""What every part paints: colour, height, gloss and a label a pixel; light comes later, once, for all of them."""

import numpy as np

from helpers.dishes.colour import flat


class Canvas:
    """Four layers over one picture: colour [3,H,W] linear light, height and gloss [H,W], label uint8 [H,W].

    Colour, height and gloss are multiplied by `alpha` [H,W] (how much of the pixel is painted), so that one canvas can
    be laid over another without fringes. Heights are in dish radii, gloss in 0..1, label 0 is "nothing".
    """

    def __init__(self, height, width):
        self.colour = np.zeros((3, height, width), np.float32)
        self.height, self.gloss, self.alpha = (np.zeros((height, width), np.float32) for _ in range(3))
        self.label = np.zeros((height, width), np.uint8)

    def paint(self, cover, colour, height, gloss, label=0, opacity=1.0, window=np.s_[:, :]):
        """Lay a material over what is there.

        cover: 1 or [h,w] in 0..1, how much of each pixel it covers; colour: [3] or [3,h,w]; height, gloss: number or
        [h,w]; opacity: below 1 lets the old colour through; label: written where cover is above a half (0 keeps the old
        one); window: the part of the picture meant, a pair of slices.
        """
        amount = np.asarray(cover, np.float32)
        colour = flat(colour) if np.ndim(colour) == 1 else colour
        for layer, value, share in (
            (self.colour, colour, amount * np.float32(opacity)),
            (self.height, height, amount),
            (self.gloss, gloss, amount),
            (self.alpha, 1.0, amount),
        ):
            part = layer[(..., *window)]
            part += share * (value - part)
        if label:
            self.label[window][cover > 0.5] = label

    def receive(self, other, window):
        """Lay another canvas, of the window's size, over that part of this one."""
        rest = 1 - other.alpha
        for layer in ("colour", "height", "gloss", "alpha"):
            part = getattr(self, layer)[(..., *window)]
            part *= rest
            part += getattr(other, layer)
        np.copyto(self.label[window], other.label, where=other.label > 0)
