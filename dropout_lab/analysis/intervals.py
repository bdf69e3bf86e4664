"""Intervals in plots: 95% t intervals, cut at the values that a quantity can have."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from dropout_lab.analysis.tables import half_width

_SHARES = {"p", "activation_sparsity", "unit_correlation", "keep_rate", "test_ece"}
_POSITIVE = {
    "effective_rank",
    "gradient_norm",
    "gradient_direction_variance",
    "noise_variance",
    "test_brier",
}
Floats = np.ndarray[Any, np.dtype[np.float64]]


def interval_words(words: str, counts: Iterable[int]) -> str:
    """Return what bars or bands are, or that one seed has no interval; nothing without a seed.

    Args:
        words: What they are, such as ``style.BARS``.
        counts: The number of seeds of each mean in the plot.
    """
    values = set(counts) - {0}
    if not values or max(values) < 2:
        return "one seed: no interval" if values else ""
    one = "a setting with one seed has no interval" if 1 in values else ""
    return "; ".join(part for part in (words, one) if part)


def spread_words(figure: Figure, counts: Iterable[int]) -> str:
    """Return what the bars and bands of a figure are; see :func:`interval_words`."""
    drawn = [collection for axes in figure.axes for collection in axes.collections]
    kinds = {"bars": LineCollection, "band": PolyCollection}
    words = [word for word, kind in kinds.items() if any(isinstance(one, kind) for one in drawn)]
    return interval_words(
        f"{' and '.join(words)}: 95% t interval of the mean over seeds" if words else "", counts
    )


def limits(column: str) -> tuple[float, float]:
    """Return the lowest and the highest value that a measured column can have."""
    name = re.sub(r"_\d+$", "", column)
    if name in ("accuracy_gap", "difference"):  # of accuracies
        return -1.0, 1.0
    if name == "error":  # in per cent
        return 0.0, 100.0
    if name.endswith("accuracy") or name in _SHARES:
        return 0.0, 1.0
    if name.endswith("_loss") or name in _POSITIVE:
        return 0.0, float("inf")
    return float("-inf"), float("inf")


def lengths(mean: Any, half: Any, column: str) -> Floats:
    """Return how far bars or bands reach below and above means, cut at the column's limits."""
    low, high = limits(column)
    mean, half = np.asarray(mean, np.float64), np.asarray(half, np.float64)
    cut = np.minimum(half, mean - low), np.minimum(half, high - mean)
    found: Floats = np.maximum(cut, np.where(np.isnan(half), np.nan, 0.0))
    return found


def bar(values: Floats, column: str) -> Floats:
    """Return the lengths of the error bars of one mean; nan below two values."""
    return lengths([values.mean()], [half_width(values)], column)


def band(points: pd.DataFrame, column: str) -> tuple[Floats, Floats]:
    """Return the lower and the upper edge of a band around the columns ``mean`` and ``half``."""
    mean = points["mean"].to_numpy(np.float64)
    below, above = lengths(mean, points["half"], column)
    return mean - below, mean + above
