"""Lesson ``inverted``: three programs with one layer; inverted against standard dropout."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_least, at_most, within
from dropout_lab.layers import InvertedDropout, StandardDropout
from dropout_lab.lessons import LessonOptions, parts
from dropout_lab.lessons.draws import noise_source, normal_draws
from dropout_lab.lessons.inverted.experiment import (
    ADAM_RULE,
    EQUIVALENT,
    SGD_RULE,
    PowerScaling,
    TrainingCourse,
    largest_relative_difference,
    run_numpy_layer,
    run_our_layer,
    train_network,
    weight_gradients,
)
from dropout_lab.lessons.inverted.picture import draw_figure
from dropout_lab.lessons.reference_layers import torch_dropout

# Each number is a quotient 1 / (1 - p) and a product, both rounded by up to 2^-53 relative; two
# programs may round in opposite directions.
_ROUNDING = 4 * 2.0**-53
# A sum of 784 terms has a relative error of up to 784 * 2^-53 = 9e-14, in each of 20 steps; the
# network may amplify the error fiftyfold.
_EQUIVALENCE_BOUND = 1e-10


def lesson(options: LessonOptions) -> Iterator[parts.Part]:
    """Yield the parts of the lesson."""
    (p,) = options.p
    yield from _show_numpy_layer(p, options.seed)
    yield from _compare_implementations(p, options)
    yield parts.Section("Inverted and standard dropout: the algebra")
    yield parts.Paragraph(
        "Standard dropout masks the units in training and multiplies them by q = 1 - p in "
        "evaluation. Inverted dropout divides by q in training. Both must give the next layer "
        "the same sums, so the weights that leave the dropped units must differ by the factor q:"
    )
    yield parts.Formula(
        "training:   (m x) W_std = (m x / q) W_inv       W_inv = q W_std\n"
        "gradient:   g_std = (m x)^T s                   s: gradient of the sum\n"
        "            g_inv = (m x / q)^T s = g_std / q\n"
        "SGD:        W_std changes by       a g_std      a: learning rate\n"
        "            W_inv must change by q a g_std = q^2 a g_inv"
    )
    yield parts.Observation(
        "Multiply the learning rate of these weights by q^2. All other learning rates stay the "
        "same. The biases need no factor, because no division affects them."
    )
    yield from _compare_training(p, options.seed)
    yield from _compare_optimizers(p, options.seed)
    yield from _show_step_lengths(p, options)


def _show_numpy_layer(p: float, seed: int) -> Iterator[parts.Part]:
    yield parts.Section("The layer in NumPy")
    yield parts.Formula(
        "mask = (uniform < q) / q      q = 1 - p: the probability of keeping\n"
        "out  = x * mask               forward\n"
        "dx   = dout * mask            backward, with the same mask"
    )
    x, output_gradient = normal_draws((5,), seed, 1), normal_draws((5,), seed, 2)
    layer, numpy_output, numpy_gradient = run_numpy_layer(p, x, output_gradient, seed, 3)
    our_output, our_gradient = run_our_layer(
        p, x, output_gradient, torch.from_numpy(layer.mask) != 0
    )
    values_by_name = {
        "x": x,
        "mask": torch.from_numpy(layer.mask),
        "out, NumPy": numpy_output,
        "out, ours": our_output,
        "dout": output_gradient,
        "dx, NumPy": numpy_gradient,
        "dx, ours": our_gradient,
    }
    yield parts.Table(
        f"five units at p = {p:g}; ours: this project's layer with the same mask",
        ("", *(f"unit {unit + 1}" for unit in range(5))),
        # + 0.0 turns -0.0, a negative gradient times a mask of 0, into 0.0
        [
            (name, *(value + 0.0 for value in values.tolist()))
            for name, values in values_by_name.items()
        ],
        digits=3,
    )
    yield parts.Observation(
        "Our layer has no code for the backward pass. Autograd derives it from the forward "
        "pass, including the division by q."
    )
    yield parts.Misconception(
        "'The derivative of dropout is the mask of 0s and 1s.' That derivative belongs to "
        "standard dropout. For inverted dropout it is the mask divided by q. Some texts print "
        "one derivative and program the other; then only the program is right."
    )


def _compare_implementations(p: float, options: LessonOptions) -> Iterator[parts.Part]:
    shape = (40, 25) if options.quick else (400, 25)
    x, output_gradient = normal_draws(shape, options.seed, 4), normal_draws(shape, options.seed, 5)
    numpy_layer, *numpy_results = run_numpy_layer(p, x, output_gradient, options.seed, 6)
    our_results = run_our_layer(p, x, output_gradient, torch.from_numpy(numpy_layer.mask) != 0)
    numpy_differences = [
        largest_relative_difference(a, b) for a, b in zip(our_results, numpy_results, strict=True)
    ]

    realized_p = float(InvertedDropout(p).p)
    keep_mask = torch_dropout(realized_p, torch.ones_like(x), options.seed) != 0
    leaf_input = x.clone().requires_grad_()
    torch_output = torch_dropout(realized_p, leaf_input, options.seed)
    (gradient,) = torch.autograd.grad(torch_output, leaf_input, output_gradient)
    our_results = run_our_layer(p, x, output_gradient, keep_mask)
    torch_differences = [
        largest_relative_difference(a, b)
        for a, b in zip(our_results, (torch_output.detach(), gradient), strict=True)
    ]
    yield parts.Section("NumPy, PyTorch and this project implement the same layer")
    yield parts.Paragraph(
        f"The test uses {x.numel():,} units in float64. Our layer gets the masks of the other "
        "two layers. The mask of nn.Dropout is read from its output for ones."
    )
    yield parts.Table(
        "largest relative difference from our layer",
        ("layer", "forward", "backward"),
        [("NumPy", *numpy_differences), ("nn.Dropout", *torch_differences)],
    )
    yield parts.Observation(
        f"The differences are at most rounding, {_ROUNDING:.1e}: the three programs compute the "
        "same formula."
    )
    description = "is the largest relative difference, forward or backward"
    yield parts.Check(
        "NumPy's layer is ours", at_most(max(numpy_differences), _ROUNDING, description)
    )
    yield parts.Check("nn.Dropout is ours", at_most(max(torch_differences), _ROUNDING, description))


def _compare_training(p: float, seed: int) -> Iterator[parts.Part]:
    scalings = {
        "both": EQUIVALENT,
        "weights only": PowerScaling(weights=1, learning_rate=0),
        "rate only": PowerScaling(weights=0, learning_rate=2),
        "weights by q, rate by q": PowerScaling(weights=1, learning_rate=1),
        "neither": PowerScaling(weights=0, learning_rate=0),
    }
    standard = train_network("standard", p, seed, SGD_RULE)
    inverted = {
        name: train_network("inverted", p, seed, SGD_RULE, scaling)
        for name, scaling in scalings.items()
    }
    equivalent = inverted["both"]
    yield parts.Section("Measured: 20 SGD steps, in float64")
    yield parts.Paragraph(
        "Two networks 784-32-16-10 have dropout after both hidden layers. They start from the "
        "same weights, except that the inverted network's weights are scaled. Both see the same "
        "20 batches of 32 random examples, with the same masks."
    )
    shown_steps = (1, 2, 5, 10, 20)
    yield parts.Table(
        "cross-entropy of the batch in nats, dropout on",
        ("step", "standard", "inverted", "difference"),
        [
            (str(step), a, b, abs(a - b))
            for step in shown_steps
            for a, b in [(standard.losses[step - 1], equivalent.losses[step - 1])]
        ],
        digits=5,
    )
    yield parts.Table(
        "logits in evaluation: largest difference over their root mean square",
        ("scaled", "at the start", "after 1 step", "after 20 steps"),
        [
            (name, *(course.logit_differences(standard)[step] for step in (0, 1, 20)))
            for name, course in inverted.items()
        ],
        digits=2,
    )
    yield parts.Observation(
        "If both the weights and the learning rate are scaled, the two networks are the same up "
        "to rounding, in training and in evaluation. If only the weights are scaled, they start "
        "equal and then learn at different speeds. If only the learning rate is scaled, they "
        "differ from the start."
    )
    yield parts.Misconception(
        "'Inverted dropout is just an implementation of dropout.' This is true of the layer but "
        "not of the training recipe. Take a learning rate published with standard dropout. For "
        f"the weights after inverted layers it is 1 / q^2 times too high: {1 / (1 - p) ** 2:.3g} "
        f"times at p = {p:g}. A bound on their norm is 1 / q times too large."
    )
    yield parts.Plot(
        lambda: draw_figure(p, standard, inverted),
        "20 SGD steps of the standard network and of inverted networks with several scalings",
    )
    yield from _check_equivalence(standard, inverted)


def _check_equivalence(
    standard: TrainingCourse, inverted: dict[str, TrainingCourse]
) -> Iterator[parts.Check]:
    equivalent = inverted["both"]
    loss_difference = max(
        abs(a - b) for a, b in zip(standard.losses, equivalent.losses, strict=True)
    )
    description = "is the largest difference in any of 20 steps"
    yield parts.Check(
        "one network, dropout on", at_most(loss_difference, _EQUIVALENCE_BOUND, description)
    )
    yield parts.Check(
        "one network, evaluation",
        at_most(max(equivalent.logit_differences(standard)), _EQUIVALENCE_BOUND, description),
    )
    smallest_difference = min(
        inverted[name].logit_differences(standard)[-1] for name in inverted if name != "both"
    )
    yield parts.Check(
        "partial scaling differs",
        at_least(smallest_difference, _EQUIVALENCE_BOUND, "is the smallest difference"),
    )


def _compare_optimizers(p: float, seed: int) -> Iterator[parts.Part]:
    momentum, l2 = replace(SGD_RULE, momentum=0.9), replace(SGD_RULE, l2=0.05)
    rows = [
        ("SGD, momentum 0.9", "q^2", momentum, EQUIVALENT),
        ("SGD, L2", "q^2", l2, EQUIVALENT),
        ("SGD, L2 over q^2", "q^2", l2, PowerScaling(weights=1, learning_rate=2, l2=-2)),
        ("Adam", "q^2", ADAM_RULE, EQUIVALENT),
        ("Adam", "q", ADAM_RULE, PowerScaling(weights=1, learning_rate=1)),
    ]
    standard = {
        rule: train_network("standard", p, seed, rule) for rule in (momentum, l2, ADAM_RULE)
    }
    differences = [
        max(train_network("inverted", p, seed, rule, scaling).logit_differences(standard[rule]))
        for _, _, rule, scaling in rows
    ]
    yield parts.Section("Momentum, L2 and Adam")
    yield parts.Table(
        "weights scaled by q; largest difference of the logits over 20 steps",
        ("update rule", "learning rate scaled by", "difference"),
        [
            (name, rate_factor, difference)
            for (name, rate_factor, *_), difference in zip(rows, differences, strict=True)
        ],
        digits=2,
    )
    yield parts.Observation(
        "Momentum is a sum of gradients, so q^2 still applies. The L2 term depends on the "
        "weights, not on the gradient of the loss, so the L2 strength must be divided by q^2. "
        "Adam's steps do not grow with the gradient, so the factor is q. The remaining "
        "difference comes from the small constant in Adam's denominator."
    )
    description = "is the largest difference in 20 steps"
    yield parts.Check(
        "momentum: same network", at_most(differences[0], _EQUIVALENCE_BOUND, description)
    )
    yield parts.Check(
        "L2: strength over q^2", at_most(differences[2], _EQUIVALENCE_BOUND, description)
    )


def _show_step_lengths(p: float, options: LessonOptions) -> Iterator[parts.Part]:
    draws = 20_000 if options.quick else 200_000
    q = 1 - float(InvertedDropout(p).p)
    inverted = weight_gradients(InvertedDropout(p, noise=noise_source(options.seed, 7)), draws)
    standard = q * weight_gradients(StandardDropout(p, noise=noise_source(options.seed, 8)), draws)
    steps_by_name: dict[str, Tensor] = {
        "no dropout": torch.ones(draws, dtype=torch.float64),
        "inverted": inverted,
        "standard, of q W": standard,
    }
    yield parts.Section("The size of a step")
    yield parts.Paragraph(
        "Take one weight W after a unit of value 1, with a gradient of 1 and a learning rate of "
        "1. For standard dropout the table shows the steps of q W. Evaluation uses q W, and the "
        "inverted network has q W in place of W. A step of q W is q times the step of W."
    )
    yield parts.Table(
        f"steps of the weight over n = {draws:,} masks",
        ("dropout", "share of steps that are not 0", "size of these steps", "mean step"),
        [
            (name, float((steps != 0).double().mean()), float(steps.max()), float(steps.mean()))
            for name, steps in steps_by_name.items()
        ],
    )
    yield parts.Observation(
        "With inverted dropout, a share q of the steps has the size 1 / q, and the others are "
        "0. The mean step is the chosen learning rate. With standard dropout, a share q of the "
        "steps of W has the size 1, so the steps of q W have the size q. Their mean is q^2 = "
        f"{q * q:.3g} of the chosen rate."
    )
    yield parts.Misconception(
        "'With dropout the effective learning rate is higher than the chosen rate, and L2 helps "
        "to choose it.' On average it is not higher than the chosen rate. It is 1 / q^2 times "
        "the rate of q W under standard dropout with the same setting, the factor from the "
        "algebra above. L2 does not replace this factor: its strength must be scaled too."
    )
    error = math.sqrt((1 - q) / q / draws)  # standard error of the mean of k / q
    name = f"is the mean of {draws:,} steps"
    yield parts.Check("inverted: the chosen rate", within(float(inverted.mean()), 1.0, error, name))
    mean = float(standard.mean())
    yield parts.Check("standard: q^2 times that", within(mean, q * q, q * q * error, name))
