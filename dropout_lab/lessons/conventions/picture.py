"""Plot mean, evaluation and variance of a unit over p."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab.analysis import style
from dropout_lab.lessons.conventions.experiment import MeasuredUnit


def draw_figure(ps: Sequence[float], table: dict[str, list[MeasuredUnit]], draws: int) -> Figure:
    """Draw mean, evaluation and variance of a unit over p, for correct and confused conventions."""
    figure = style.new_figure(10, 4.4)
    means, ratios, variances = figure.subplots(1, 3)
    correct, wrong = style.variant_look("inverted"), style.variant_look("unscaled")
    standard = style.variant_look("standard")
    grid = torch.linspace(0.06, 0.94, 100)
    ones, odds = torch.ones(100), grid / (1 - grid)
    mean = {name: [unit.mean for unit in row] for name, row in table.items()}
    ratio = {name: [unit.eval_value / unit.mean for unit in row] for name, row in table.items()}
    variance = {name: [unit.variance for unit in row] for name, row in table.items()}
    for axes, formula, measured, label, look in (
        (means, ones, mean["right"], "divided by 1 − p", correct),
        (means, 1 / odds, mean["over p"], "divided by p", wrong),
        (ratios, ones, ratio["standard"], "times 1 − p", standard),
        (ratios, odds, ratio["times p"], "times p", wrong),
        (variances, odds, variance["right"], "p drops", correct),
        (variances, 1 / odds, variance["keeps"], "p keeps", wrong),
    ):
        _draw_curve(axes, grid, formula, ps, measured, label, look)
    means.set(title="kept units divided:\nmean in training", ylabel="mean of a unit of value 1")
    ratios.set(title="evaluation multiplied:\nevaluation / mean in training")
    variances.set(title="drop and keep confused:\nvariance of the noise")
    for axes in (means, ratios, variances):
        axes.axvline(0.5, color="#888888", linewidth=1, zorder=0)
        axes.set(yscale="log", xlabel="p", xlim=(0, 1), ylim=(0.03, 30))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.legend(loc="lower center" if axes is not means else "lower left")
    style.heading(figure, "Dropping and keeping confused: right at p = 0.5 only")
    style.footnote(figure, f"markers: measured, n = {draws:,} draws at each p; lines: the formula")
    return figure


def _draw_curve(
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
