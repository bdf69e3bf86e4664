"""Plot the gradient of W1 by each method, and the error of finite differences."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.lessons.derivative.experiment import DifferenceErrors, Matrix, WrongGradient


def draw_figure(
    autograd: Matrix,
    formula: Matrix,
    central_differences: Matrix,
    wrong_gradients: Sequence[WrongGradient],
    difference_errors: DifferenceErrors,
) -> Figure:
    """Draw the gradient, each method against autograd, and the error of differences.

    Args:
        autograd: dL/dW1 by autograd, ``(5, 10)``.
        formula: dL/dW1 by the matrix formula, ``(5, 10)``.
        central_differences: dL/dW1 by differences, ``(5, 10)``.
        wrong_gradients: Gradients by formulas that lack a factor.
        difference_errors: The error of differences for each step size.
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
    left.set_xticks(range(len(autograd)), [str(index + 1) for index in range(len(autograd))])
    left.set_yticks(
        range(autograd.shape[1]), [str(index + 1) for index in range(autograd.shape[1])]
    )
    left.grid(visible=False)
    figure.colorbar(image, ax=left).ax.set_title("dL/dw", fontsize=9)
    _draw_methods(middle, autograd, formula, central_differences, wrong_gradients)
    _draw_step_errors(right, difference_errors)
    style.heading(figure, "Derivative: three methods agree; the formula needs 2/n and the mask")
    style.footnote(figure, "one batch of 15 examples, fixed masks; 50 weights; float64")
    return figure


def _draw_methods(
    axes: Axes,
    autograd: Matrix,
    formula: Matrix,
    central_differences: Matrix,
    wrong_gradients: Sequence[WrongGradient],
) -> None:
    # Paul Tol's bright scheme, as in all plots.
    markers = (("#CCBB44", "s"), ("#EE6677", "X"), ("#66CCEE", "D"))
    axes.axline((0, 0), slope=1, color="#888888", lw=1, label="equal")
    for wrong_gradient, (colour, marker) in zip(wrong_gradients, markers, strict=True):
        axes.plot(
            autograd.ravel(),
            wrong_gradient.gradient.ravel(),
            marker,
            ms=5,
            color=colour,
            label=f"wrong: {wrong_gradient.name}",
        )
    axes.plot(autograd.ravel(), formula.ravel(), "o", ms=6, color="#4477AA", label="formula")
    axes.plot(autograd.ravel(), central_differences.ravel(), "k+", ms=8, label="differences")
    axes.set_title("each method, weight by weight")
    axes.set_xlabel("dL/dw by autograd")
    axes.set_ylabel("dL/dw by the other method")
    axes.legend(fontsize=8.5)


def _draw_step_errors(axes: Axes, difference_errors: DifferenceErrors) -> None:
    axes.loglog(
        difference_errors.steps,
        np.maximum(difference_errors.errors, 1e-18),
        "o-",
        color="#4477AA",
        label="measured",
    )
    axes.loglog(
        difference_errors.steps,
        difference_errors.bounds,
        "--",
        color=style.WITHOUT,
        label="rounding bound",
    )
    axes.axvline(
        difference_errors.kink_distance,
        color="#EE6677",
        lw=1.4,
        label="first unit crosses 0",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0e}")
        axis.set_minor_formatter(lambda value, _: "")
    axes.set_title("error of differences by step size")
    axes.set_xlabel("step size h")
    axes.set_ylabel("largest |differences - autograd|")
    axes.legend(loc="lower left")
