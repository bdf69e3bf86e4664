"""Lesson ``derivative``: dL/dW1 of a network with dropout, by three methods."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from dropout_lab.checks.outcome import at_least, at_most, none_of
from dropout_lab.lessons import LessonOptions, parts
from dropout_lab.lessons.derivative.experiment import (
    FixedMaskBatch,
    WrongGradient,
    measure_difference_errors,
)
from dropout_lab.lessons.derivative.picture import draw_figure
from dropout_lab.lessons.mask_helpers import format_mask
from dropout_lab.lessons.two_layers import EXAMPLES, UNITS, random_problem

_SHOWN_INPUT = 1  # the input whose ten weights the tables show


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    batch = FixedMaskBatch(*random_problem(options.seed), p, options.seed)
    yield from _show_network(batch)
    yield from _show_one_example(batch)
    yield from _compare_methods(batch)
    wrong_gradients = [
        WrongGradient(name, batch.formula_gradient(two_over_n=two_over_n, masked=masked).T)
        for name, two_over_n, masked in (
            ("as published", False, False),
            ("with 2/n, no mask", True, False),
            ("with mask, no 2/n", False, True),
        )
    ]
    yield from _compare_published_formulas(batch, wrong_gradients)
    yield parts.Plot(
        lambda: draw_figure(
            batch.autograd_gradient(),
            batch.formula_gradient().T,
            batch.central_differences(batch.safe_step),
            wrong_gradients,
            measure_difference_errors(batch),
        ),
        "the gradient of W1 by each method, and the error of finite differences",
    )


def _show_network(batch: FixedMaskBatch) -> Iterator[parts.Part]:
    yield parts.Section("The network, with fixed masks")
    yield parts.Formula(
        "z = W1 x + b1           W1: 10 x 5, x: 5 x 1\n"
        "h = relu(z)             10 x 1\n"
        "yhat = W2 (h m) + b2    m = k / (1 - p), k the mask of 0s and 1s\n"
        "L = 1/n sum over n examples of (yhat - y)^2"
    )
    loss = batch.loss(batch.network.w1)
    dropped_units = int((batch.scaled_mask == 0).sum())
    yield parts.Paragraph(
        f"Here a column is an example, as in textbooks; n = {EXAMPLES}. The masks are drawn "
        f"once, and every pass uses the same masks. They drop {dropped_units} of "
        f"{EXAMPLES * UNITS} units, and L = {loss:.6g}."
    )


def _show_one_example(batch: FixedMaskBatch) -> Iterator[parts.Part]:
    network, x, y = batch.network, batch.x[:1], batch.y[:1]
    z = x @ network.w1 + network.b1
    scaled_mask = batch.scaled_mask[:1]
    yhat = (network.hidden(x) * scaled_mask) @ network.w2 + network.b2
    delta = 2 / EXAMPLES * float(yhat - y)
    relu_slope = (z > 0).double()
    unit_gradient = network.w2.T * delta * relu_slope * scaled_mask + 0.0  # + 0.0 turns -0 into 0
    yield parts.Section("The matrix formula, factor by factor")
    yield parts.Formula(
        "dL/dyhat = 2/n (yhat - y)                    1 x n\n"
        "dL/dh    = W2^T dL/dyhat * m                 10 x n\n"
        "dL/dz    = dL/dh * F',  F' = 1 where z > 0   10 x n\n"
        "dL/dW1   = dL/dz x^T                         10 x 5"
    )
    yield parts.Table(
        f"the first example: dL/dyhat = 2/{EXAMPLES} (yhat - y) = {delta:.4g}",
        ("unit", "z", "F'", "m", "W2", "dL/dz", f"dL/dz x{_SHOWN_INPUT}"),
        [
            (f"{unit + 1}", *values, values[-1] * float(x[0, _SHOWN_INPUT - 1]) + 0.0)
            for unit, values in enumerate(
                zip(
                    *(
                        column.flatten().tolist()
                        for column in (z, relu_slope, scaled_mask, network.w2, unit_gradient)
                    ),
                    strict=True,
                )
            )
        ],
    )
    yield parts.Observation(
        "A unit contributes if it is above 0 (F' = 1) and kept (m > 0). The mask of this "
        f"example is {format_mask(scaled_mask[0])}. A unit that it drops adds nothing to its row "
        "of dL/dW1."
    )


def _compare_methods(batch: FixedMaskBatch) -> Iterator[parts.Part]:
    formula, autograd = batch.formula_gradient().T, batch.autograd_gradient()
    central = batch.central_differences(batch.safe_step)
    yield parts.Section("Three methods")
    yield parts.Formula("differences: (L(w + h) - L(w - h)) / 2h, for each weight w in turn")
    columns = [gradient[_SHOWN_INPUT - 1].tolist() for gradient in (formula, autograd, central)]
    yield parts.Table(
        f"dL/dW1 of the ten weights from input {_SHOWN_INPUT}; h = {batch.safe_step:.3g}",
        ("unit", "formula", "autograd", "differences", "formula - autograd"),
        [
            (f"{unit + 1}", *(f"{value:.8f}" for value in values), values[0] - values[1])
            for unit, values in enumerate(zip(*columns, strict=True))
        ],
        digits=2,
    )
    yield parts.Observation(
        "Autograd goes backward through the layer, and differences only go forward. Neither "
        "uses the formula. Differences need the same masks in both passes; with new masks they "
        "would measure the noise. The step h is so small that no unit crosses 0. Within this "
        "step L is a parabola in each weight, so rounding is the only error."
    )
    largest_error = float(np.abs(formula - autograd).max())
    description = "is the largest difference between formula and autograd, over 50 weights"
    yield parts.Check(
        "formula = autograd", at_most(largest_error, batch.rounding_bound(), description)
    )
    largest_error = float(np.abs(central - autograd).max())
    description = "is the largest difference between differences and autograd, over 50 weights"
    yield parts.Check(
        "differences = autograd",
        at_most(largest_error, batch.difference_bound(batch.safe_step), description),
    )
    example_gradient = batch.network.gradients(batch.x[:1], batch.y[:1], batch.layer).w1
    wrong_weights = int((example_gradient[:, batch.scaled_mask[0] == 0] != 0).sum())
    description = "weights into units that the first example drops have a nonzero gradient from it"
    yield parts.Check("dropped: gradient 0", none_of(wrong_weights, description))


def _compare_published_formulas(
    batch: FixedMaskBatch, wrong_gradients: Sequence[WrongGradient]
) -> Iterator[parts.Part]:
    autograd = batch.autograd_gradient()
    autograd_norm = float(np.linalg.norm(autograd))
    yield parts.Section("A formula that is often published for this network")
    yield parts.Formula("dL/dW1 = ((yhat - y)^T W2 F') outer x^T,  summed over the examples")
    rows = [
        (
            wrong_gradient.name,
            norm / autograd_norm
            if autograd_norm
            else math.nan,  # rare: no unit is both kept and above 0
            float((wrong_gradient.gradient * autograd).sum()) / (norm * autograd_norm)
            if norm * autograd_norm
            else math.nan,
            float(np.abs(wrong_gradient.gradient - autograd).max()),
        )
        for wrong_gradient, norm in (
            (wrong_gradient, float(np.linalg.norm(wrong_gradient.gradient)))
            for wrong_gradient in wrong_gradients
        )
    ]
    yield parts.Table(
        "each formula, compared with the gradient by autograd",
        ("formula", "norm / correct norm", "cosine similarity", "largest difference"),
        rows,
    )
    yield parts.Misconception(
        "'dL/dyhat = yhat - y' is published for a network that minimizes nn.MSELoss. The same "
        "formula has no mask between yhat and h, although the network drops h. The first "
        f"mistake omits the factor 2/n of the mean of squares (n = {EXAMPLES}). The gradient "
        f"then has the right direction but is {EXAMPLES / 2:g} times too long. The second "
        "mistake omits k / (1 - p). The gradient then generally has another direction, and "
        "weights into dropped units get gradients that should be 0."
    )
    scaled_error = float(np.abs(wrong_gradients[2].gradient * 2 / EXAMPLES - autograd).max())
    description = "is the largest difference between 2/n times the formula without 2/n and autograd"
    yield parts.Check(
        "only 2/n is missing", at_most(scaled_error, batch.rounding_bound(), description)
    )
    unmasked_error = float(np.abs(wrong_gradients[1].gradient - autograd).max())
    description = (
        "is the largest difference between the formula without the mask and autograd; it should "
        "be large"
    )
    yield parts.Check(
        "without mask: wrong", at_least(unmasked_error, batch.rounding_bound(), description)
    )
