"""Lesson ``scaling``: why kept units are divided by 1 - p."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.checks.outcome import at_most, none_of, within
from dropout_lab.layers import VARIANTS, InvertedDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.lessons.draws import noise
from dropout_lab.lessons.parts import Check, Formula, Look, Mistake, Part, Picture, Rows, Say, Step

_P = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_ROUNDING = 1e-6  # of float32: 1 / (1 - p) and 1 - p are off by 1.2e-7 of themselves
_WAYS = {
    "unscaled": "without scaling",
    "inverted": "divided by 1 - p in training",
    "standard": "times 1 - p in evaluation",
}


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    draws = 20_000 if asked.quick else 200_000
    layer = InvertedDropout(p, noise=noise(asked.seed))
    yield from _ones(p, layer)
    yield Step("Why: the mean shall stay")
    yield Say(
        "A unit of value x is 0 with the chance p, and some x_out with the chance 1 - p. In "
        "evaluation nothing is dropped and the unit is x. So that what follows meets the same "
        "value on average, the mean of training must be x:"
    )
    yield Formula("E[out] = p * 0 + (1 - p) * x_out = x\nx_out  = x / (1 - p)")
    yield from _again_and_again(layer, draws)
    yield from _three_ways(draws, asked.seed)


def _ones(p: float, layer: InvertedDropout) -> Iterator[Part]:
    q = 1 - float(layer.p)
    out = layer(torch.ones(5, 2))
    yield Step(f"Ones go in, at p = {p:g}")
    title = "five examples with two units each, all 1 before"
    yield Rows(title, ("unit 1", "unit 2"), out.tolist())
    yield Look(
        f"{int((out == 0).sum())} of 10 are 0; on average it would be {10 * p:g}. What is kept is "
        f"not 1 but {1 / q:.4g} = 1 / (1 - {p:g})."
    )
    other = int(((out != 0) & ((out - 1 / q).abs() > _ROUNDING / q)).sum())
    yield Check("kept ones are 1 / (1 - p)", none_of(other, "of ten are neither 0 nor that"))


def _again_and_again(layer: InvertedDropout, draws: int) -> Iterator[Part]:
    p = float(layer.p)
    out = layer(torch.ones(draws)).double()
    counts = [10**k for k in range(1, 7) if 10**k < draws] + [draws]
    means = [(n, float(out[:n].mean()), math.sqrt(p / (1 - p) / n)) for n in counts]
    yield Step("Measured: one unit, dropped again and again")
    yield Rows(
        "mean of a unit of value 1 over n draws",
        ("n", "mean", "standard error", "mean - 1, in s.e."),
        [(n, mean, error, (mean - 1) / error) for n, mean, error in means],
    )
    yield Look("The standard error is sqrt(p / (1 - p) / n): ten times the draws, a third of it.")
    n, mean, error = means[-1]
    yield Check("the mean stays 1", within(mean, 1.0, error, f"is the mean of {n:,} draws"))


def _three_ways(draws: int, seed: int) -> Iterator[Part]:
    table = {name: [_unit(name, at, draws, seed) for at in range(len(_P))] for name in _WAYS}
    yield Step("Three ways, over all p")
    yield Rows(
        f"mean of a unit of value 1, dropout on (n = {draws:,}) | dropout off",
        ("p", *_WAYS.values()),
        [
            (p, *(f"{row[at].mean:.3f} | {row[at].rest:.3f}" for row in table.values()))
            for at, p in enumerate(_P)
        ],
    )
    bare, *others = table.values()
    least = min(unit.apart for unit in bare)
    most = max(unit.apart for row in others for unit in row)
    yield Look(
        "Without scaling the two numbers of a field differ by more than chance, by "
        f"{least:,.0f} standard errors of the mean at least: in evaluation the next layer meets "
        "values 1 / (1 - p) times as large as those it learned with, tenfold at 0.9. In the other "
        f"two columns they differ by {most:.1f} standard errors at most; up to {ERRORS} are taken "
        "for chance."
    )
    yield Mistake(
        "Layers written from scratch are often left without any scaling, and said to do as well "
        "since the accuracy is nearly the same. The most probable class often survives the wrong "
        "scale; the probabilities do not. The lessons from-scratch and bugs measure it."
    )
    yield Picture(lambda: _draw(table, draws), "the mean of a unit with dropout on and off, over p")
    off = max(unit.off for row in table.values() for unit in row)
    what = "is how far a mean of the draws is from what it should be, at any p"
    yield Check("the means of three ways", at_most(off, ERRORS, what, unit=" s.e."))
    resting = max(abs(unit.rest - unit.should_rest) for row in table.values() for unit in row)
    yield Check("evaluation: 1 or 1 - p", at_most(resting, _ROUNDING, "is how far one is off"))


@dataclass(frozen=True)
class _Unit:
    """A unit of value 1 behind a dropout layer.

    Args:
        mean: Over draws, dropout on.
        error: Its standard error.
        should_mean: What that mean should be.
        rest: The unit with dropout off.
        should_rest: What that should be.
    """

    mean: float
    error: float
    should_mean: float
    rest: float
    should_rest: float

    @property
    def off(self) -> float:
        """How far the mean is from what it should be, in standard errors."""
        return abs(self.mean - self.should_mean) / self.error

    @property
    def apart(self) -> float:
        """How far the mean is from the unit with dropout off, in standard errors."""
        return abs(self.mean - self.rest) / self.error


def _unit(name: str, at: int, draws: int, seed: int) -> _Unit:
    """Return a unit at the p of a row; a row's three ways share their draws, the rows do not."""
    layer = VARIANTS[name](_P[at], noise=noise(seed, 1, at))
    out: Tensor = layer(torch.ones(draws)).double()
    rest = float(layer.eval()(torch.ones(1)))
    q = 1 - float(layer.p)
    return _Unit(
        mean=float(out.mean()),
        error=float(out.std()) / math.sqrt(draws),
        should_mean=1.0 if name == "inverted" else q,
        rest=rest,
        should_rest=q if name == "standard" else 1.0,
    )


def _draw(table: dict[str, list[_Unit]], draws: int) -> Figure:
    figure = style.new_figure(10, 4.2)
    panels = figure.subplots(1, len(table), sharey=True)
    for axes, (name, row) in zip(panels, table.items(), strict=True):
        colour, marker = style.variant_look(name)
        axes.plot(_P, [unit.rest for unit in row], color=style.WITHOUT, label="dropout off")
        axes.errorbar(
            _P,
            [unit.mean for unit in row],
            yerr=[ERRORS * unit.error for unit in row],
            fmt=marker,
            color=colour,
            label="dropout on",
        )
        axes.set_title(f"{name}:\n{_WAYS[name]}")
        axes.set_xlabel("p, the chance of dropping")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.15)
        axes.legend(loc="lower left")
    panels[0].set_ylabel("mean of a unit of value 1")
    style.heading(figure, "Scaling: the mean of a unit in training and in evaluation")
    style.footnote(
        figure, f"dropout on: n = {draws:,} draws at each p; bars: 5 standard errors of the mean"
    )
    return figure
