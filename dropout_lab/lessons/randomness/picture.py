"""The picture of the lesson ``randomness``, and what it shows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons.randomness.sub_networks import expected_distinct

_BATCH = 128
_DROPPED = "#EEEEEE"
_LINES = ("-", "--", ":")


@dataclass(frozen=True)
class Shown:
    """Masks at one p.

    Args:
        p: The chance of dropping.
        kept: A few of them, ``(examples, units)``.
        shares: Of many examples, that drop 0, 1, ... units.
    """

    p: float
    kept: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Entropy:
    """The entropy of a unit's mask, in bits.

    Args:
        p: The chance of dropping in force.
        plain: H of the share of draws in which it was dropped, mean over units.
        corrected: That with Miller's correction.
        error: Standard error of the latter, by the binomial distribution.
        should: H(p).
    """

    p: float
    plain: float
    corrected: float
    error: float
    should: float

    @property
    def off(self) -> float:
        """How far the corrected mean is from H(p), in standard errors."""
        return abs(self.corrected - self.should) / self.error


@dataclass(frozen=True)
class Seen:
    """How many different sub-networks a batch saw.

    Args:
        p: The chance of dropping in force.
        units: Of the layer.
        mean: Over batches.
        error: Its standard error, by the theory.
        expected: What the mean should be.
    """

    p: float
    units: int
    mean: float
    error: float
    expected: float

    @property
    def off(self) -> float:
        """How far the mean is from the expected one, in standard errors."""
        return abs(self.mean - self.expected) / self.error


def draw(
    shown: Sequence[Shown], entropies: Sequence[Entropy], seen: Sequence[Seen], n: str
) -> Figure:
    """Draw masks, how many units they drop, their entropy, and the sub-networks of a batch."""
    figure = style.new_figure(11, 7)
    grid = figure.add_gridspec(2, 1, height_ratios=(1, 1.25))
    above, below = grid[0].subgridspec(1, max(3, len(shown))), grid[1].subgridspec(1, 3)
    for at, masks in enumerate(shown):
        axes = figure.add_subplot(above[at])
        _masks(axes, masks)
        if at == 0:
            axes.set_ylabel("example")
    counts, entropy, networks = (figure.add_subplot(below[at]) for at in range(3))
    _counts(counts, shown)
    _entropy(entropy, entropies)
    _networks(networks, seen)
    style.heading(figure, "Randomness: masks are most varied at p = 0.5")
    style.footnote(figure, style.wrapped(f"n = {n}; bars: {ERRORS} standard errors", 130))
    return figure


def _masks(axes: Axes, shown: Shown) -> None:
    colours = ListedColormap([_DROPPED, style.p_colour(shown.p)])
    axes.pcolormesh(shown.kept.numpy(), cmap=colours, vmin=0, vmax=1, edgecolor="white", lw=0.8)
    axes.invert_yaxis()
    axes.set_title(f"p = {shown.p:g}")
    axes.set_xlabel("unit (grey: dropped)")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)


def _counts(axes: Axes, shown: Sequence[Shown]) -> None:
    units = len(shown[0].shares) - 1
    counts = np.arange(units + 1)
    ways = np.array([math.comb(units, int(m)) for m in counts])
    for each in shown:
        binomial = ways * each.p**counts * (1 - each.p) ** (units - counts)
        axes.plot(counts, binomial, color="#888888", lw=1, zorder=1)
        axes.plot(
            counts, each.shares.numpy(), "o", color=style.p_colour(each.p), label=f"p = {each.p:g}"
        )
    axes.set_title("how many are dropped:\nnot a fixed share")
    axes.set_xlabel(f"dropped units of {units}")
    axes.set_ylabel("share of the examples (line: binomial)")
    axes.legend()


def _entropy(axes: Axes, entropies: Sequence[Entropy]) -> None:
    p = np.linspace(1e-6, 1 - 1e-6, 400)
    axes.plot(p, -p * np.log2(p) - (1 - p) * np.log2(1 - p), color="#888888", lw=1, label="H(p)")
    for each in entropies:
        axes.errorbar(
            each.p,
            each.corrected,
            yerr=ERRORS * each.error,
            fmt="o",
            ms=5,
            color=style.p_colour(each.p),
        )
    axes.set_title("entropy of a unit's mask:\nhighest at p = 0.5")
    axes.set_xlabel("p, the chance of dropping")
    axes.set_ylabel("bits")
    axes.legend(loc="lower center")


def _networks(axes: Axes, seen: Sequence[Seen]) -> None:
    grid = np.linspace(0.01, 0.99, 99)
    layers = list(dict.fromkeys(each.units for each in seen))
    for units, line in zip(layers, _LINES, strict=True):
        expected = [expected_distinct(float(p), units, _BATCH)[0] for p in grid]
        label = f"{units} units have {2**units:,}"
        axes.plot(grid, expected, line, color="#888888", lw=1.4, label=label, zorder=1)
    for each in seen:
        axes.errorbar(
            each.p,
            each.mean,
            yerr=ERRORS * each.error,
            fmt="o",
            ms=5,
            color=style.p_colour(each.p),
        )
    axes.set_title(f"sub-networks that a batch\nof {_BATCH} examples sees")
    axes.set_xlabel("p, the chance of dropping")
    axes.set_ylabel("different ones (line: expected)")
    axes.set_ylim(0, 1.45 * _BATCH)
    axes.legend(loc="upper center")
