"""ROAD: taking pixels away so that nothing but the picture's content tells where (Rong et al. 2022)."""

import numpy as np
from scipy import ndimage, sparse

from helpers.faithfulness.perturbation import heat_of, of_classes, removal_order
from helpers.training.batches import predict_all

FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)  # the source's
NOISE = 0.01  # standard deviation, of pixels in [0, 1]
KERNEL = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12  # a pixel from its neighbours


def road_curve(predict, images, maps, classes, fractions=FRACTIONS, batch_size=32):
    """The class's score while the most salient pixels are replaced by estimates from their neighbours: [B, steps].

    predict, maps, classes: as for `deletion_curve`; images in [0, 1]. In a deletion curve the grey shape of what was
    removed may itself change the score; here no edge remains. Low is good. Source: Rong et al. 2022, "A consistent
    and efficient evaluation strategy for attribution methods" (ROAD), most relevant first, noisy linear imputation.
    """
    images, rng = np.asarray(images, np.float32), np.random.default_rng(0)
    whole = predict_all(predict, images, batch_size) if classes is None else None
    order, scores = removal_order(heat_of(maps, images)), []
    for fraction in fractions:
        removed = order < round(fraction * order[0].size)
        guessed = np.stack([imputed(*pair, rng) for pair in zip(images, removed, strict=True)])
        scores.append(predict_all(predict, guessed, batch_size))
    return of_classes(np.stack(scores, axis=1), classes, whole)


def imputed(image, removed, rng=None):
    """A picture [H, W, C] whose `removed` pixels, bool [H, W], are guessed; rng: of the noise, None for none.

    Each is the mean of its eight neighbours, known or guessed, those beside it with twice the weight of the diagonal
    ones: one sparse system of equations. Raises ValueError where every pixel is removed.
    """
    if not removed.any():
        return np.array(image, np.float32)
    if removed.all():
        raise ValueError("removed: every pixel; at least one has to stay, from which the others are guessed")
    known = ndimage.convolve(np.where(removed[..., None], 0, image), KERNEL[..., None], mode="constant")[removed]
    weights = ndimage.convolve(np.ones(removed.shape), KERNEL, mode="constant")[removed]  # less at the picture's edge
    numbers = np.pad(np.where(removed, np.cumsum(removed).reshape(removed.shape), 0), 1)  # from 1; 0 is no equation
    equations = sparse.diags_array(weights)
    for step in np.argwhere(KERNEL):
        others = numbers[tuple((np.argwhere(removed) + step).T)]
        both = np.flatnonzero(others)
        share = np.full(len(both), KERNEL[tuple(step)])
        equations = equations - sparse.coo_array((share, (both, others[both] - 1)), equations.shape)
    guessed = sparse.linalg.spsolve(equations.tocsc(), known).reshape(len(known), -1)
    result = np.array(image, np.float32)
    result[removed] = guessed + (NOISE * rng.standard_normal(guessed.shape) if rng else 0)
    return result
