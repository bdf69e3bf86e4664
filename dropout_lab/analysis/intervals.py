"""Error bars and bands: 95% t intervals, clipped to the possible values of a quantity."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from dropout_lab.analysis.tables import half_width

_SHARES = {
    "p",
    "activation_sparsity",
    "unit_correlation",
    "keep_rate",
    "test_ece",
    "weight_similarity",
    "weight_orientations",
}
_POSITIVE = {
    "effective_rank",
    "gradient_norm",
    "gradient_direction_variance",
    "noise_variance",
    "test_brier",
    "variance_shift",
    "activation_variance",
    "noisy_activation_variance",
}
Floats = np.ndarray[Any, np.dtype[np.float64]]


def describe_interval(words: str, counts: Iterable[int]) -> str:
    """Return a note about error bars or bands; for single seeds, that they have no interval.

    Args:
        words: The note, such as ``style.BARS``.
        counts: The number of seeds of each mean in the plot.
    """
    values = set(counts) - {0}
    if not values or max(values) < 2:
        return "one seed: no interval" if values else ""
    one = "a setting with one seed has no interval" if 1 in values else ""
    return "; ".join(part for part in (words, one) if part)


def describe_figure_intervals(figure: Figure, counts: Iterable[int]) -> str:
    """Return a note about the error bars and bands in a figure; see :func:`describe_interval`."""
    drawn = [collection for axes in figure.axes for collection in axes.collections]
    kinds = {"bars": LineCollection, "band": PolyCollection}
    words = [word for word, kind in kinds.items() if any(isinstance(one, kind) for one in drawn)]
    return describe_interval(
        f"{' and '.join(words)}: 95% t interval of the mean over seeds" if words else "", counts
    )


def value_limits(column: str) -> tuple[float, float]:
    """Return the lowest and the highest possible value of a column."""
    name = re.sub(r"_\d+$", "", column)
    if name in ("accuracy_gap", "difference"):  # differences of accuracies
        return -1.0, 1.0
    if name == "error":  # in per cent
        return 0.0, 100.0
    if name.endswith("accuracy") or name in _SHARES:
        return 0.0, 1.0
    if name.endswith("_loss") or name in _POSITIVE:
        return 0.0, float("inf")
    return float("-inf"), float("inf")


def bar_lengths(mean: Any, half: Any, column: str) -> Floats:
    """Return the lengths of error bars below and above means, clipped to the column's limits."""
    low, high = value_limits(column)
    mean, half = np.asarray(mean, np.float64), np.asarray(half, np.float64)
    clipped = np.minimum(half, mean - low), np.minimum(half, high - mean)
    found: Floats = np.maximum(clipped, np.where(np.isnan(half), np.nan, 0.0))
    return found


def error_bar(values: Floats, column: str) -> Floats:
    """Return the lengths of the error bars of one mean; nan for fewer than two values."""
    return bar_lengths([values.mean()], [half_width(values)], column)


def band_edges(points: pd.DataFrame, column: str) -> tuple[Floats, Floats]:
    """Return lower and upper edge of a band, from the columns ``mean`` and ``half``."""
    mean = points["mean"].to_numpy(np.float64)
    below, above = bar_lengths(mean, points["half"], column)
    return mean - below, mean + above
