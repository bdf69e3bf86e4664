"""Lesson ``l2`` beyond linear models: where dropout is an L2 penalty nearly, and where not."""

import math
from collections.abc import Generator, Iterator, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from dropout_lab.checks.outcome import at_least, at_most
from dropout_lab.lessons.draws import normal
from dropout_lab.lessons.l2.linear_dropout import (
    EXAMPLES,
    FEATURES,
    ROUNDING,
    AllMasks,
    Problem,
    expected_loss,
)
from dropout_lab.lessons.parts import Check, Formula, Look, Mistake, Part, Rows, Say, Step

# For each size of weights: the p, and at each the approximation over the exact penalty.
Ratios = Mapping[float, tuple[Sequence[float], Sequence[float]]]
_STEEPEST = 1 / (6 * math.sqrt(3))  # of A''(z) = s (1 - s), s the logistic function of z
_SIZES = (2.0, 1.0, 0.5, 0.25, 0.125)


def logistic(of: Problem, p: float) -> Generator[Part, None, Ratios]:
    """Yield the step on logistic regression; return the ratios that the picture shows."""
    yield Step("Logistic regression: only approximately")
    yield Say(
        "Here the loss of an example is A(x b) - y x b, with A(z) = log(1 + e^z). Dropout adds "
        "E[A(noisy x b)] - A(x b), which holds no label. Wager, Wang and Liang (2013) take A's "
        "second derivative, s (1 - s) with s the probability of class 1:"
    )
    yield Formula("R ~ 1/2 p / (1 - p) sum_i s_i (1 - s_i) sum_j x_ij^2 b_j^2")
    ps = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9)
    tables = {size: _penalties(of, AllMasks(ps, FEATURES), size) for size in _SIZES}
    exact, quadratic, allowed = _penalties(of, AllMasks((p,), FEATURES), 1.0)
    table = torch.stack([quadratic / exact for exact, quadratic, _ in tables.values()])
    yield Rows(
        f"the approximation over the exact penalty (all {2**FEATURES} masks); weights b = the "
        "factor times those that made y above",
        ("p", *(f"times {size:g}" for size in _SIZES)),
        [(each, *row) for each, row in zip(ps, table.T.tolist(), strict=True)],
        digits=3,
    )
    missed = float((table[:, 0] - 1).abs().max())
    yield Look(
        "Exact would be 1. The approximation comes to it as the weights become smaller, at any p. "
        f"A small p does not bring it there: at p = {ps[0]:g} it is up to {missed:.1%} off, since "
        "a dropped feature is missed whole. The penalty is adaptive: "
        "s (1 - s) is largest for the examples of which the model is unsure."
    )
    off = float(((exact - quadratic).abs() / allowed).max())
    for one, other, bound in tables.values():
        off = max(off, float(((one - other).abs() / bound).max()))
    what = "of what Taylor's remainder, |A'''| / 6 E|noise of x b|^3, allows is the error"
    yield Check("Wager's form, its error", at_most(off, 1.0, what))
    worst = float((table[_SIZES.index(1.0)] - 1).abs().max())
    what = "is its largest relative error: it would be exact"
    yield Check("and it is not exact", at_least(worst, 100 * ROUNDING, what))
    return {size: (ps, row.tolist()) for size, row in zip(_SIZES, table, strict=True)}


def _penalties(of: Problem, masks: AllMasks, size: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the exact penalty, Wager's, and a bound of their difference: ``(ps,)`` each."""
    b = size * of.weights
    z = of.x @ b
    noisy = masks(of.x) @ b  # (ps, masks, examples)
    exact = masks.mean((softplus(noisy) - softplus(z)).sum(dim=2))
    s = torch.sigmoid(z)
    variance = (masks.p / (1 - masks.p)).unsqueeze(1) * (of.x.square() @ b.square())
    quadratic = (s * (1 - s) * variance).sum(dim=1) / 2
    allowed = _STEEPEST / 6 * masks.mean((noisy - z).abs().pow(3).sum(dim=2))
    return exact, quadratic, allowed


def deeper(seed: int, p: float) -> Iterator[Part]:
    """Yield the step on a network with a hidden layer."""
    units = FEATURES
    x, y = normal((EXAMPLES, 4), seed, 5), normal((EXAMPLES,), seed, 6)
    first, second = normal((4, units), seed, 7), normal((units,), seed, 8)
    masks = AllMasks((p,), units)
    rows = []
    for name, factor in (("as drawn", 1.0), ("W doubled, v halved", 2.0)):
        w, v = factor * first, second / factor
        h = torch.relu(x @ w)
        clean = float((y - h @ v).square().mean())
        noisy = float(expected_loss(masks, masks(h), y, v.unsqueeze(0)))
        l2 = float(w.square().sum() + v.square().sum())
        rows.append((name, clean, noisy - clean, l2))
    yield Step("Deeper networks: no L2 at all")
    yield Say("y = relu(x W) v with dropout on the hidden units, again with every mask.")
    yield Rows(
        f"the same function twice, p = {p:.4g}",
        ("weights", "squared error", "dropout adds", "L2: |W|^2 + |v|^2"),
        rows,
    )
    yield Look(
        "Doubling W and halving v changes no output, and nothing of what dropout adds. L2 changes. "
        "The same holds of any c > 0 times W and v / c. A sum of the squares of the weights, with "
        "whatever fixed factors above 0, grows beyond all bounds with c: dropout adds none such."
    )
    yield Mistake(
        "'Dropout is the same as L2' is told of all networks. It is true of linear regression, "
        "with the scaling by the data; of logistic regression approximately; and of deep networks "
        "not: the data that would do the scaling are hidden units, which are themselves learned."
    )
    change = abs(rows[1][2] / rows[0][2] - 1)  # factors of 2 are exact
    yield Check("deeper: what dropout adds", at_most(change, 0.0, "of it changes"))
    l2_change = abs(rows[1][3] / rows[0][3] - 1)
    yield Check("deeper: L2 is another", at_least(l2_change, ROUNDING, "of it changes"))
