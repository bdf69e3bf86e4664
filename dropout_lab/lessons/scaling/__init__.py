"""Lesson ``scaling``: why kept units are divided by 1 - p."""

import math
from collections.abc import Iterator

import torch

from dropout_lab.checks.outcome import at_most, none_of, within
from dropout_lab.layers import InvertedDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import LessonOptions, parts
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.mask_helpers import FLOAT32_ROUNDING
from dropout_lab.lessons.scaling.experiment import (
    DROPOUT_RATES,
    SCALINGS,
    measure_scaled_unit,
)
from dropout_lab.lessons.scaling.picture import draw_figure


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    draws = 20_000 if options.quick else 200_000
    layer = InvertedDropout(p, noise=noise_source(options.seed))
    yield from _show_kept_ones(p, layer)
    yield parts.Section("Why: the mean must not change")
    yield parts.Paragraph(
        "A unit has the value x. In training, dropout sets the unit to 0 with probability p and "
        "to x_out with probability 1 - p. In evaluation nothing is dropped, so the unit is x. "
        "The next layer must receive the same value on average. So the mean in training must be "
        "x:"
    )
    yield parts.Formula("E[out] = p * 0 + (1 - p) * x_out = x\nx_out  = x / (1 - p)")
    yield from _show_mean_over_draws(layer, draws)
    yield from _compare_scalings(draws, options.seed)


def _show_kept_ones(p: float, layer: InvertedDropout) -> Iterator[parts.Part]:
    q = 1 - float(layer.p)
    outputs = layer(torch.ones(5, 2))
    yield parts.Section(f"Ones as input, at p = {p:g}")
    title = "output for five examples with two units each; every input is 1"
    yield parts.Table(title, ("unit 1", "unit 2"), outputs.tolist())
    yield parts.Observation(
        f"{int((outputs == 0).sum())} of 10 units are 0; on average {10 * p:g} are. A kept unit "
        f"is not 1 but {1 / q:.4g} = 1 / (1 - {p:g})."
    )
    wrong_values = int(((outputs != 0) & ((outputs - 1 / q).abs() > FLOAT32_ROUNDING / q)).sum())
    yield parts.Check(
        "kept ones are 1 / (1 - p)",
        none_of(wrong_values, "of ten units are neither 0 nor 1 / (1 - p)"),
    )


def _show_mean_over_draws(layer: InvertedDropout, draws: int) -> Iterator[parts.Part]:
    p = float(layer.p)
    outputs = layer(torch.ones(draws)).double()
    counts = [10**k for k in range(1, 7) if 10**k < draws] + [draws]
    means = [(n, float(outputs[:n].mean()), math.sqrt(p / (1 - p) / n)) for n in counts]
    yield parts.Section("Measured: the mean over many draws")
    yield parts.Table(
        "mean of a unit of value 1 over n draws",
        ("n", "mean", "standard error", "mean - 1, in SE"),
        [(n, mean, error, (mean - 1) / error) for n, mean, error in means],
    )
    yield parts.Observation(
        "The standard error is sqrt(p / (1 - p) / n). With ten times as many draws it is about "
        "a third as large."
    )
    n, mean, error = means[-1]
    yield parts.Check("the mean stays 1", within(mean, 1.0, error, f"is the mean of {n:,} draws"))


def _compare_scalings(draws: int, seed: int) -> Iterator[parts.Part]:
    table = {
        name: [measure_scaled_unit(name, index, draws, seed) for index in range(len(DROPOUT_RATES))]
        for name in SCALINGS
    }
    yield parts.Section("Three kinds of scaling, for each p")
    yield parts.Table(
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
    yield parts.Observation(
        f"Without scaling, the two numbers of a cell differ by at least {smallest_gap:,.0f} "
        "standard errors of the mean. In evaluation the next layer receives values 1 / (1 - p) "
        "times as large as in training, ten times as large at p = 0.9. In the other two columns "
        f"the numbers differ by at most {largest_gap:.1f} standard errors. Differences of up to "
        f"{ERRORS} standard errors count as chance."
    )
    yield parts.Misconception(
        "'A layer without scaling does as well, since the accuracy is nearly the same.' Many "
        "layers written from scratch do not scale. The most probable class often survives the "
        "wrong scale, but the probabilities do not. The lessons from-scratch and bugs measure "
        "this."
    )
    yield parts.Plot(
        lambda: draw_figure(table, draws), "the mean of a unit with dropout on and off, for each p"
    )
    largest_z_score = max(unit.z_score for row in table.values() for unit in row)
    description = "is the largest distance of a mean from its expected value, at any p"
    yield parts.Check.within_chance("the three means", largest_z_score, description)
    eval_error = max(
        abs(unit.eval_value - unit.expected_eval) for row in table.values() for unit in row
    )
    yield parts.Check(
        "evaluation: 1 or 1 - p",
        at_most(eval_error, FLOAT32_ROUNDING, "is the largest difference from the expected value"),
    )
