"""How sure an accuracy is: its 95 % interval, and the words in which every command and notebook says it."""

from scipy import stats


def accuracy_interval(accuracy, pictures):
    """The 95 % interval of an accuracy in [0, 1] measured on that many pictures: (low, high). It covers the choice of
    test pictures, not the training's seed.

    Raises ValueError for no pictures and for an accuracy outside of [0, 1]. Source: Wilson 1927.
    """
    if pictures < 1 or not 0 <= accuracy <= 1:
        wanted = "expected a share between 0 and 1 of at least one picture"
        raise ValueError(f"accuracy {accuracy} of {pictures} pictures: {wanted}")
    found = stats.binomtest(round(accuracy * pictures), pictures).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def accuracy_text(accuracy, pictures):
    """An accuracy with its number of pictures and interval: "87.5 % of 1,000 (85.3 to 89.4 %)". Errors as above."""
    low, high = accuracy_interval(accuracy, pictures)
    return f"{100 * accuracy:.1f} % of {pictures:,} ({100 * low:.1f} to {100 * high:.1f} %)"
