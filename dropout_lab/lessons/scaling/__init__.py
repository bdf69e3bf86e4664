"""Lesson ``scaling``: why kept units are divided by 1 - p."""

import math
from collections.abc import Iterator

import torch

from dropout_lab.checks.outcome import at_most, none_of, within
from dropout_lab.layers import InvertedDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import LessonOptions
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.mask_helpers import FLOAT32_ROUNDING
from dropout_lab.lessons.parts import (
    Check,
    Formula,
    Misconception,
    Observation,
    Paragraph,
    Part,
    Plot,
    Section,
    Table,
)
from dropout_lab.lessons.scaling.experiment import (
    DROPOUT_RATES,
    SCALINGS,
    measure_scaled_unit,
)
from dropout_lab.lessons.scaling.picture import draw_figure


def lesson(options: LessonOptions) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    draws = 20_000 if options.quick else 200_000
    layer = InvertedDropout(p, noise=noise_source(options.seed))
    yield from _show_kept_ones(p, layer)
    yield Section("Why: the mean shall stay")
    yield Paragraph(
        "A unit of value x is 0 with the chance p, and some x_out with the chance 1 - p. In "
        "evaluation nothing is dropped and the unit is x. So that what follows meets the same "
        "value on average, the mean of training must be x:"
    )
    yield Formula("E[out] = p * 0 + (1 - p) * x_out = x\nx_out  = x / (1 - p)")
    yield from _show_mean_over_draws(layer, draws)
    yield from _compare_scalings(draws, options.seed)


def _show_kept_ones(p: float, layer: InvertedDropout) -> Iterator[Part]:
    q = 1 - float(layer.p)
    outputs = layer(torch.ones(5, 2))
    yield Section(f"Ones go in, at p = {p:g}")
    title = "five examples with two units each, all 1 before"
    yield Table(title, ("unit 1", "unit 2"), outputs.tolist())
    yield Observation(
        f"{int((outputs == 0).sum())} of 10 are 0; on average it would be {10 * p:g}. What is "
        f"kept is not 1 but {1 / q:.4g} = 1 / (1 - {p:g})."
    )
    wrong_values = int(((outputs != 0) & ((outputs - 1 / q).abs() > FLOAT32_ROUNDING / q)).sum())
    yield Check("kept ones are 1 / (1 - p)", none_of(wrong_values, "of ten are neither 0 nor that"))


def _show_mean_over_draws(layer: InvertedDropout, draws: int) -> Iterator[Part]:
    p = float(layer.p)
    outputs = layer(torch.ones(draws)).double()
    counts = [10**k for k in range(1, 7) if 10**k < draws] + [draws]
    means = [(n, float(outputs[:n].mean()), math.sqrt(p / (1 - p) / n)) for n in counts]
    yield Section("Measured: one unit, dropped again and again")
    yield Table(
        "mean of a unit of value 1 over n draws",
        ("n", "mean", "standard error", "mean - 1, in s.e."),
        [(n, mean, error, (mean - 1) / error) for n, mean, error in means],
    )
    yield Observation(
        "The standard error is sqrt(p / (1 - p) / n): ten times the draws, a third of it."
    )
    n, mean, error = means[-1]
    yield Check("the mean stays 1", within(mean, 1.0, error, f"is the mean of {n:,} draws"))


def _compare_scalings(draws: int, seed: int) -> Iterator[Part]:
    table = {
        name: [measure_scaled_unit(name, index, draws, seed) for index in range(len(DROPOUT_RATES))]
        for name in SCALINGS
    }
    yield Section("Three ways, over all p")
    yield Table(
        f"mean of a unit of value 1, dropout on (n = {draws:,}) | dropout off",
        ("p", *SCALINGS.values()),
        [
            (p, *(f"{row[index].mean:.3f} | {row[index].eval_value:.3f}" for row in table.values()))
            for index, p in enumerate(DROPOUT_RATES)
        ],
    )
    unscaled_row, *scaled_rows = table.values()
    smallest_gap = min(unit.z_score_to_eval for unit in unscaled_row)
    largest_gap = max(unit.z_score_to_eval for row in scaled_rows for unit in row)
    yield Observation(
        "Without scaling the two numbers of a field differ by more than chance, by "
        f"{smallest_gap:,.0f} standard errors of the mean at least: in evaluation the next layer "
        "meets values 1 / (1 - p) times as large as those it learned with, tenfold at 0.9. In the "
        f"other two columns they differ by {largest_gap:.1f} standard errors at most; up to "
        f"{ERRORS} are taken for chance."
    )
    yield Misconception(
        "Layers written from scratch are often left without any scaling, and said to do as well "
        "since the accuracy is nearly the same. The most probable class often survives the wrong "
        "scale; the probabilities do not. The lessons from-scratch and bugs measure it."
    )
    yield Plot(
        lambda: draw_figure(table, draws), "the mean of a unit with dropout on and off, over p"
    )
    largest_z_score = max(unit.z_score for row in table.values() for unit in row)
    description = "is how far a mean of the draws is from what it should be, at any p"
    yield Check.within_chance("the means of three ways", largest_z_score, description)
    eval_error = max(
        abs(unit.eval_value - unit.expected_eval) for row in table.values() for unit in row
    )
    yield Check(
        "evaluation: 1 or 1 - p", at_most(eval_error, FLOAT32_ROUNDING, "is how far one is off")
    )
