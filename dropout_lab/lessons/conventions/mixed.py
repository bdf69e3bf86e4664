"""A unit behind layers whose p is right or mixed up, and the picture; for ``conventions``."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.layers import InvertedDropout, StandardDropout
from dropout_lab.layers.base import BernoulliDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons.draws import noise

_ROUNDING = 1e-6  # of float32: a factor such as 1 / (1 - p) and its square, each off by 1.2e-7


class DividedByP(InvertedDropout):
    """The mistake: units are dropped with the chance p, and what is kept is divided by p."""

    def kept_scale(self, p: Tensor) -> Tensor:
        """Return ``1 / p``."""
        return 1 / p


class TimesP(StandardDropout):
    """The mistake: units are dropped with the chance p, and evaluation multiplies by p."""

    def rest_scale(self, p: Tensor) -> Tensor:
        """Return ``p``."""
        return p


@dataclass(frozen=True)
class Unit:
    """A unit of value 1 behind a layer, over draws.

    Args:
        dropped: The chance that it is dropped.
        kept: What it becomes if it is kept.
        draws: How many there were.
        mean: Their mean.
        variance: Their variance about the mean that should be.
        rest: The unit in evaluation.
    """

    dropped: float
    kept: float
    draws: int
    mean: float
    variance: float
    rest: float

    @property
    def should_mean(self) -> float:
        """Of a number that is ``kept`` or 0."""
        return self.kept * (1 - self.dropped)

    @property
    def should_variance(self) -> float:
        """Of a number that is ``kept`` or 0."""
        return self.kept**2 * self.dropped * (1 - self.dropped)

    def mean_off(self, should: float) -> float:
        """Return how far the mean is off, in standard errors, with room for rounding."""
        return self._off(self.mean, should, self.kept)

    @property
    def worst(self) -> float:
        """How far mean or variance is off, in standard errors, with room for rounding.

        The squares about the mean m have two values, m^2 and (kept - m)^2; at 0.5 they are one.
        """
        between = abs(self.kept * (self.kept - 2 * self.should_mean))
        variance = self._off(self.variance, self.should_variance, between)
        return max(self.mean_off(self.should_mean), variance)

    def _off(self, found: float, should: float, between: float) -> float:
        error = between * math.sqrt(self.dropped * (1 - self.dropped) / self.draws)
        return ERRORS * abs(found - should) / (ERRORS * error + _ROUNDING * max(1.0, should))


def unit(layer: BernoulliDropout, kept: float, draws: int) -> Unit:
    """Return a unit of value 1 behind a layer; ``kept``: what it should become where it is kept."""
    out = layer(torch.ones(draws)).double()
    dropped = float(layer.p)
    return Unit(
        dropped=dropped,
        kept=kept,
        draws=draws,
        mean=float(out.mean()),
        variance=float((out - kept * (1 - dropped)).square().mean()),
        rest=float(layer.eval()(torch.ones(1))),
    )


def mixed_up(ps: Sequence[float], draws: int, seed: int) -> dict[str, list[Unit]]:
    """Return a unit behind each layer at each p; ``keeps`` has a p that keeps where it should drop.

    Args:
        ps: The p that each layer is meant to have.
        draws: Of each.
        seed: Of the lesson.
    """
    table: dict[str, list[Unit]] = {}
    for row, at in enumerate(ps):
        p = float(InvertedDropout(at).p)
        layers: dict[str, tuple[type[BernoulliDropout], float, float]] = {
            "right": (InvertedDropout, p, 1 / (1 - p)),
            "over p": (DividedByP, p, 1 / p),
            "keeps": (InvertedDropout, 1 - p, 1 / p),
            "standard": (StandardDropout, p, 1.0),
            "times p": (TimesP, p, 1.0),
        }
        for index, (name, (kind, own, kept)) in enumerate(layers.items()):
            layer = kind(own, noise=noise(seed, 3, index, row))
            table.setdefault(name, []).append(unit(layer, kept, draws))
    return table


def draw(ps: Sequence[float], table: dict[str, list[Unit]], draws: int) -> Figure:
    """Draw mean, evaluation and variance of a unit over p, right and mixed up."""
    figure = style.new_figure(10, 4.4)
    means, rests, variances = figure.subplots(1, 3)
    right, wrong = style.variant_look("inverted"), style.variant_look("unscaled")
    grid = torch.linspace(0.06, 0.94, 100)
    odds = grid / (1 - grid)
    _curve(means, grid, torch.ones(100), ps, [e.mean for e in table["right"]], "over 1 − p", right)
    _curve(means, grid, 1 / odds, ps, [e.mean for e in table["over p"]], "over p", wrong)
    own = [e.rest / e.mean for e in table["standard"]]
    mixed = [e.rest / e.mean for e in table["times p"]]
    _curve(rests, grid, torch.ones(100), ps, own, "times 1 − p", style.variant_look("standard"))
    _curve(rests, grid, odds, ps, mixed, "times p", wrong)
    _curve(variances, grid, odds, ps, [e.variance for e in table["right"]], "p drops", right)
    _curve(variances, grid, 1 / odds, ps, [e.variance for e in table["keeps"]], "p keeps", wrong)
    means.set(title="kept units divided:\nmean in training", ylabel="a unit of value 1")
    rests.set(title="evaluation multiplied:\nevaluation / mean of training")
    variances.set(title="p taken for the other:\nvariance of the noise")
    for axes in (means, rests, variances):
        axes.axvline(0.5, color="#888888", linewidth=1, zorder=0)
        axes.set(yscale="log", xlabel="p", xlim=(0, 1), ylim=(0.03, 30))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.legend(loc="lower center" if axes is not means else "lower left")
    style.heading(figure, "Dropping and keeping mixed up: right at p = 0.5 only")
    style.footnote(figure, f"markers: measured, n = {draws:,} draws at each p; lines: the formula")
    return figure


def _curve(
    axes: Axes,
    grid: Tensor,
    formula: Tensor,
    ps: Sequence[float],
    measured: list[float],
    label: str,
    look: tuple[str, str],
) -> None:
    colour, marker = look
    axes.plot(grid, formula, color=colour, linewidth=1.2)
    axes.plot(ps, measured, marker, color=colour, label=label, markersize=8)
