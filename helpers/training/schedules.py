"""Learning rates by epoch."""

import numpy as np


def paper_schedule(epochs, base=0.1):
    """Table 2 of the GCM paper, shortened in proportion: learning rate divided by 10 at 100/180 and 150/180.

    Returns the function epoch (0-based) -> learning rate. 180 epochs drop at 100 and 150, 60 at 33 and 50; the
    first epoch is always at `base`.
    """
    first, second = max(1, epochs * 100 // 180), max(1, epochs * 150 // 180)
    return lambda epoch: base * 0.1 ** ((epoch >= first) + (epoch >= second))


def cosine_schedule(epochs, base):
    """Learning rate falling from `base` to 0 on a cosine: the function epoch (0-based) -> learning rate."""
    return lambda epoch: base * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
