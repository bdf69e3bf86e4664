"""Lesson ``l2``: dropout on a linear model is an L2 penalty scaled by the data."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_least, at_most
from dropout_lab.layers import InvertedDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.lessons.draws import noise
from dropout_lab.lessons.l2.beyond_linear import deeper, logistic
from dropout_lab.lessons.l2.linear_dropout import (
    EXAMPLES,
    FEATURES,
    ROUNDING,
    SCALES,
    SUM_ROUNDING,
    AllMasks,
    Problem,
    closed_form,
    condition,
    descended,
    expected_loss,
    penalized_loss,
    plain_ridge,
    problem,
    same_strength,
    sampled,
)
from dropout_lab.lessons.l2.picture import Solutions, draw
from dropout_lab.lessons.parts import (
    Check,
    Formula,
    Look,
    Mistake,
    Part,
    Picture,
    Rows,
    Say,
    Step,
    Working,
)

_RUNS = 64  # of SGD, for the standard error


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    of = problem(asked.seed)
    masks = AllMasks((p,), FEATURES)
    own = float(masks.p[0])  # as the layer has it: a multiple of 1/65,536
    yield from _algebra(of, masks)
    path = (0.1, 0.3, 0.5, 0.7, 0.9) if asked.quick else tuple(k / 20 for k in range(1, 20))
    yield Working("descending on the expectation over all masks")
    every = AllMasks((*path, p), FEATURES)
    ends = descended(every, of)
    yield Working(f"{_RUNS} runs of SGD with sampled masks")
    layer = InvertedDropout(torch.full((_RUNS,), p), noise=noise(asked.seed, 4))
    steps = sampled(of, layer, 2_000 if asked.quick else 4_000)
    yield from _solutions(of, own, ends[-1], steps)
    yield from _sgd(closed_form(of, own), steps)
    yield from _plain(of, masks)
    ratios = yield from logistic(of, own)
    yield from deeper(asked.seed, own)
    found = Solutions(own, every.p[:-1], ends[:-1], ends[-1], steps[len(steps) // 2 :].mean(dim=0))
    yield Picture(
        lambda: draw(of, found, ratios),
        "the solutions side by side, their path over p, and how good the approximation is",
    )


def _algebra(of: Problem, masks: AllMasks) -> Iterator[Part]:
    p = float(masks.p[0])
    yield Step("Least squares under dropout, averaged over all masks")
    yield Say(
        f"{EXAMPLES} examples, {FEATURES} features of different scale, and a linear model y = X w "
        "without a bias. Dropout takes features away: M holds a mask k / (1 - p) for each entry, "
        "M * X the noisy features. A noisy prediction has the mean X w, and a variance; a mean "
        "square is the square of the mean and the variance:"
    )
    yield Formula(
        "E |y - (M * X) w|^2 = |y - X w|^2 + p / (1 - p) sum_j (X^T X)_jj w_j^2\n"
        "                    = |y - X w|^2 + p / (1 - p) |Gamma w|^2\n"
        "Gamma = diag(X^T X)^(1/2)"
    )
    yield Say(
        "Srivastava et al. write p for the chance of keeping and (1 - p) / p for the factor, after "
        "w was multiplied by their p: the same. The left side is now computed as it stands: our "
        f"layer with every one of its 2^{FEATURES} = {2**FEATURES} masks, each with its chance."
    )
    noisy = masks(of.x)
    places = {
        "zero": torch.zeros(FEATURES).double(),
        "those that made y": of.weights,
        "least squares": closed_form(of, 0.0),
        "the ridge below": closed_form(of, p),
    }
    rows, worst = [], 0.0
    for name, w in places.items():
        left = float(expected_loss(masks, noisy, of.y, w.unsqueeze(0)))
        right = float(penalized_loss(of, masks.p, w.unsqueeze(0)))
        squared = float(penalized_loss(of, torch.zeros(1), w.unsqueeze(0)))
        worst = max(worst, abs(left / right - 1))
        rows.append((name, squared, right - squared, right, left))
    yield Rows(
        f"per example, p = {p:.4g}",
        ("weights", "squared error", "penalty", "sum of both", "over all masks"),
        rows,
    )
    yield Look(
        "The last two columns agree for any weights: dropout adds a penalty. Least squares has "
        "the smallest squared error, and the ridge below the smallest sum."
    )
    yield Check("expectation has a penalty", at_most(worst, ROUNDING, "is how far it is off"))


def _solutions(of: Problem, p: float, end: Tensor, steps: Tensor) -> Iterator[Part]:
    wanted = closed_form(of, p)
    averaged = steps[len(steps) // 2 :].mean(dim=0)
    plain = plain_ridge(of, same_strength(of, p))
    columns = closed_form(of, 0.0), wanted, end, averaged.mean(dim=0), plain
    sizes = of.x.square().sum(dim=0)
    yield Step("Both solutions side by side")
    yield Formula("w = (X^T X + p / (1 - p) diag(X^T X))^-1 X^T y")
    yield Rows(
        f"coefficients at p = {p:.4g}; SGD: mean of {_RUNS} runs",
        ("scale", "no dropout", "closed form", "all masks", "SGD", "plain ridge"),
        [(f"{scale:g}", *(float(w[at]) for w in columns)) for at, scale in enumerate(SCALES)],
        digits=3,
    )
    yield Look(
        "Closed form and gradient descent on the average over all masks are one. SGD with sampled "
        "masks comes near. Plain ridge is given the mean of (X^T X)_jj for every feature, so that "
        f"its penalties sum to dropout's. That is {float(sizes.mean() / sizes[0]):.3g} times "
        "dropout's on the smallest feature, whose coefficient must be large to matter, and "
        f"{float(sizes.mean() / sizes[-1]):.2g} times dropout's on the largest."
    )
    # The gradient is rounded as the expectation is; the worst direction makes that larger by the
    # condition of the equations.
    allowed = SUM_ROUNDING * condition(of, p) * float(wanted.abs().max())
    far = float((end - wanted).abs().max())
    yield Check("both have one minimum", at_most(far, allowed, "is between their coefficients"))


def _sgd(wanted: Tensor, steps: Tensor) -> Iterator[Part]:
    counts = [len(steps) // 4**k for k in (3, 2, 1, 0)]
    rows = []
    for count in counts:
        off = steps[count // 2 : count].mean(dim=0) - wanted  # (runs, features)
        single = float(off.square().sum(dim=1).mean().sqrt() / wanted.norm())
        error = off.std(dim=0) / math.sqrt(_RUNS)
        share = float(off.mean(dim=0).norm() / wanted.norm())
        worst = float((off.mean(dim=0).abs() / error).max())
        rows.append((count, f"{single:.2%}", f"{share:.3%}", worst))
    yield Rows(
        "SGD from least squares at a constant rate, average of the second half of its steps, to "
        f"the closed form; {_RUNS} runs",
        ("steps", "one run is off", "their mean is off", "worst, in s.e."),
        rows,
        digits=3,
    )
    yield Look(
        "First the start must be forgotten. Then only the luck of the masks is left: four times "
        "the steps about halve it, and the mean of the runs is right within a few standard errors."
    )
    what = f"is how far a coefficient, mean of {_RUNS} runs, is off"
    yield Check("SGD with masks finds it", at_most(rows[-1][3], ERRORS, what, unit=" s.e."))


def _plain(of: Problem, masks: AllMasks) -> Iterator[Part]:
    p = float(masks.p[0])
    wanted, strength = closed_form(of, p), same_strength(of, p)
    units = torch.ones(FEATURES).double()
    units[0] = 10  # millimetres in place of centimetres
    other = Problem(of.x * units, of.y, of.weights / units)
    rows = []
    for name, before, after in (
        ("dropout", wanted, closed_form(other, p)),
        ("plain ridge", plain_ridge(of, strength), plain_ridge(other, strength)),
    ):
        moved = (other.x @ after - of.x @ before).norm() / (of.x @ before).norm()
        rows.append((name, float(before[0]), float(after[0]), f"{float(moved):.2%}"))
    yield Step("Why scaled by the data matters: units")
    yield Say("The first feature is measured in a unit a tenth as large: its numbers grow tenfold.")
    yield Rows(
        "coefficient of the first feature, and how far the predictions move",
        ("penalty", "before", "after", "predictions move"),
        rows,
    )
    yield Look(
        "Under dropout the coefficient is a tenth of what it was, and nothing else happens. Plain "
        "ridge becomes another model. On features that are divided by their root mean square, "
        "the two are one."
    )
    w = (wanted / units).unsqueeze(0).requires_grad_()
    loss = expected_loss(masks, masks(other.x), other.y, w)
    (slope,) = torch.autograd.grad(loss.sum(), w)
    # Each slope is a sum over masks and examples of 2 (y - x w) x; its parts are its scale.
    scale = 2 * (other.x * other.y.unsqueeze(1)).abs().mean(dim=0) / (1 - p)
    steep = float((slope[0] / scale).abs().max())
    what = "is the slope of the expectation there, as a share of its parts"
    yield Check("a minimum in any unit", at_most(steep, ROUNDING, what))
    nearest = min(
        float((plain_ridge(of, strength * 10 ** (k / 20)) - wanted).norm() / wanted.norm())
        for k in range(-60, 61)
    )
    yield Say(
        "Nor is it a matter of strength: of 121 strengths of plain ridge, a million times apart, "
        f"the nearest is {nearest:.1%} of |w| away from dropout's solution."
    )
    what = "of |w| is how near plain ridge comes, no more than rounding"
    yield Check("plain ridge is another", at_least(nearest, 100 * ROUNDING, what))
    yield Mistake(
        "Dropout is said to leave the weights free, so that L2 must be used beside it. Averaged "
        "over its masks, dropout on a linear model is a penalty on the weights: the larger p, "
        "the smaller |Gamma w|. One may use both; one need not."
    )
