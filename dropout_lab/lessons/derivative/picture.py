"""The picture of the lesson ``derivative``."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dropout_lab.analysis import style

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Wrong:
    """A gradient by a formula that lacks something.

    Args:
        name: What it has and what it lacks.
        gradient: ``(5, 10)``.
    """

    name: str
    gradient: Matrix


@dataclass(frozen=True)
class Differences:
    """How exact central differences are.

    Args:
        steps: That were tried.
        errors: The largest difference to autograd at each of them.
        bounds: What rounding allows at each.
        kink: The step from which on a unit crosses 0.
    """

    steps: Sequence[float]
    errors: Sequence[float]
    bounds: Sequence[float]
    kink: float


def draw(
    autograd: Matrix,
    formula: Matrix,
    slopes: Matrix,
    wrongs: Sequence[Wrong],
    differences: Differences,
) -> Figure:
    """Draw the gradient, each way against autograd, and the error of differences.

    Args:
        autograd: dL/dW1, ``(5, 10)``, as are the next two.
        formula: By the matrix formula.
        slopes: By differences.
        wrongs: By formulas that lack something.
        differences: Their error over the step.
    """
    figure = style.new_figure(12, 4.6)
    left, middle, right = figure.subplots(1, 3, width_ratios=(0.9, 1.25, 1.25))
    limit = float(np.abs(autograd).max()) or 1.0
    image = left.imshow(
        autograd.T, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="none"
    )
    left.set_title("dL/dW1")
    left.set_xlabel("input")
    left.set_ylabel("hidden unit")
    left.set_xticks(range(len(autograd)), [str(at + 1) for at in range(len(autograd))])
    left.set_yticks(range(autograd.shape[1]), [str(at + 1) for at in range(autograd.shape[1])])
    left.grid(visible=False)
    figure.colorbar(image, ax=left).ax.set_title("dL/dw", fontsize=9)
    _ways(middle, autograd, formula, slopes, wrongs)
    _steps(right, differences)
    style.heading(figure, "Derivative: three ways agree; 2/n and the mask belong in the formula")
    style.footnote(figure, "one batch of 15 examples, one draw of masks; 50 weights; float64")
    return figure


def _ways(
    axes: Axes, autograd: Matrix, formula: Matrix, slopes: Matrix, wrongs: Sequence[Wrong]
) -> None:
    # Paul Tol's bright scheme, as in all pictures.
    looks = (("#CCBB44", "s"), ("#EE6677", "X"), ("#66CCEE", "D"))
    axes.axline((0, 0), slope=1, color="#888888", lw=1, label="equal")
    for wrong, (colour, marker) in zip(wrongs, looks, strict=True):
        axes.plot(
            autograd.ravel(),
            wrong.gradient.ravel(),
            marker,
            ms=5,
            color=colour,
            label=f"wrong: {wrong.name}",
        )
    axes.plot(autograd.ravel(), formula.ravel(), "o", ms=6, color="#4477AA", label="formula")
    axes.plot(autograd.ravel(), slopes.ravel(), "k+", ms=8, label="differences")
    axes.set_title("each way, weight by weight")
    axes.set_xlabel("dL/dw by autograd")
    axes.set_ylabel("dL/dw by the other way")
    axes.legend(fontsize=8.5)


def _steps(axes: Axes, differences: Differences) -> None:
    axes.loglog(
        differences.steps,
        np.maximum(differences.errors, 1e-18),
        "o-",
        color="#4477AA",
        label="measured",
    )
    axes.loglog(
        differences.steps, differences.bounds, "--", color=style.WITHOUT, label="bound by rounding"
    )
    axes.axvline(differences.kink, color="#EE6677", lw=1.4, label="beyond: units cross 0")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0e}")
        axis.set_minor_formatter(lambda value, _: "")
    axes.set_title("differences: error over the step")
    axes.set_xlabel("step h of a weight")
    axes.set_ylabel("largest |differences - autograd|")
    axes.legend(loc="lower left")
