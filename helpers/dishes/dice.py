"""Random numbers that stay the same for ever: raw generator bits, and a child for every part of a picture."""

import hashlib

import numpy as np


class Dice:
    """A stream of random numbers named by a key, for example `Dice(7, "pizza", "salami")`.

    Only the raw 64-bit output of PCG64 is used, which NumPy promises never to change (it does not promise that for
    `Generator.normal` and its like). A child has its own stream, so a change in one topping reshuffles no other.
    """

    def __init__(self, *key):
        self.key = key
        digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
        self._bits = np.random.PCG64(int.from_bytes(digest, "little"))

    def child(self, *names):
        """A new, independent stream named after this one and `names`."""
        return Dice(*self.key, *names)

    def uniform(self, low=0.0, high=1.0, shape=None):
        """float, or float64 array of `shape`, uniform in [low, high): the upper 53 bits of each raw word."""
        raw = self._bits.random_raw(None if shape is None else int(np.prod(shape)))
        if shape is None:
            return low + (high - low) * ((raw >> 11) * 2.0**-53)
        return low + (high - low) * ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)

    def bell(self, centre=0.0, spread=1.0):
        """A float near `centre`: nearly normal (the sum of four uniforms), standard deviation `spread`."""
        return centre + spread * 3.0**0.5 * (sum(self.uniform() for _ in range(4)) - 2.0)

    def chance(self, probability):
        """True with the given probability."""
        return self.uniform() < probability

    def whole(self, low, high):
        """An int from low to high, both included."""
        return low + int(self.uniform() * (high - low + 1))

    def choice(self, options, weights=None):
        """One of `options` (a sequence), evenly or by `weights`."""
        weights = [1.0] * len(options) if weights is None else weights
        rest = self.uniform() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            rest -= weight
            if rest < 0:
                return option
        return options[-1]
