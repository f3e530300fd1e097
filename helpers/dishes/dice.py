"""Random numbers that stay the same for ever: hashes of a key, and a child for every part of a picture."""

import hashlib
import struct

import numpy as np


class Dice:
    """A stream of random numbers named by a key, for example `Dice(7, "pizza", "salami")`.

    Numbers are BLAKE2b hashes of the key and a counter, so no library's next version can change them (NumPy promises
    nothing for `Generator.normal` and its like). A child has its own stream: a change in one topping reshuffles no
    other.
    """

    def __init__(self, *key):
        self.key = key
        self._name = repr(key).encode()
        self._blocks = 0
        self._words = []

    def child(self, *names):
        """A new, independent stream named after this one and `names`."""
        return Dice(*self.key, *names)

    def uniform(self, low=0.0, high=1.0):
        """A float, uniform in [low, high): the upper 53 bits of the next 64-bit word."""
        if not self._words:
            digest = hashlib.blake2b(b"%d:%s" % (self._blocks, self._name)).digest()
            self._blocks, self._words = self._blocks + 1, list(struct.unpack("<8Q", digest))
        return low + (high - low) * ((self._words.pop() >> 11) * 2.0**-53)

    def uniforms(self, *shape):
        """float64 array of the shape, uniform in [0, 1): raw words of PCG64, which NumPy does promise to keep."""
        seed = hashlib.blake2b(b"array:" + self._name, digest_size=16).digest()
        raw = np.random.PCG64(int.from_bytes(seed, "little")).random_raw(int(np.prod(shape)))
        return ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)

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
