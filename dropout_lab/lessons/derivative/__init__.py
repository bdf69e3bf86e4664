"""Lesson ``derivative``: dL/dW1 of a network with dropout, in three ways."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dropout_lab.checks.outcome import at_least, at_most, none_of
from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import Asked
from dropout_lab.lessons.derivative.picture import Differences, Wrong, draw
from dropout_lab.lessons.draws import noise
from dropout_lab.lessons.mask_helpers import marks
from dropout_lab.lessons.parts import Check, Formula, Look, Mistake, Part, Picture, Rows, Say, Step
from dropout_lab.lessons.two_layers import EXAMPLES, INPUTS, UNITS, TwoLayers, made_up

_EPS = float(np.finfo(np.float64).eps)
_LARGEST_STEP = 1e-3
_STEPS = tuple(10.0**-k for k in range(1, 12))  # of the picture
_SHOWN = 1  # the input whose ten weights are printed

Matrix = NDArray[np.float64]


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    case = _Case(*made_up(asked.seed), p, asked.seed)
    yield from _network(case)
    yield from _one_example(case)
    yield from _three_ways(case)
    wrongs = [
        Wrong(name, case.formula(two_over_n=two_over_n, masked=masked).T)
        for name, two_over_n, masked in (
            ("as published", False, False),
            ("with 2/n, no mask", True, False),
            ("with mask, no 2/n", False, True),
        )
    ]
    yield from _published(case, wrongs)
    yield Picture(
        lambda: draw(
            case.by_autograd(), case.formula().T, case.differences(case.step), wrongs, _exact(case)
        ),
        "the gradient of W1, by each way, and how exact differences are",
    )


def _exact(case: "_Case") -> Differences:
    """Return how exact differences are over the step."""
    right = case.by_autograd()
    return Differences(
        _STEPS,
        [float(np.abs(case.differences(step) - right).max()) for step in _STEPS],
        [case.difference_error(step) for step in _STEPS],
        case.kink,
    )


@dataclass(frozen=True)
class _Case:
    """A network, a batch, and one draw of masks that every pass uses again.

    Args:
        net: The network.
        x: Inputs, ``(15, 5)``.
        y: Targets, ``(15, 1)``.
        p: The chance of dropping.
        seed: Of the lesson.
    """

    net: TwoLayers
    x: Tensor
    y: Tensor
    p: float
    seed: int

    @property
    def layer(self) -> InvertedDropout:
        """The layer just before it draws the masks."""
        return InvertedDropout(self.p, noise=noise(self.seed, 1))

    @property
    def factor(self) -> Tensor:
        """The mask over 1 - p, ``(15, 10)``: what the layer makes of ones."""
        factor: Tensor = self.layer(torch.ones(EXAMPLES, UNITS, dtype=torch.float64))
        return factor

    def loss(self, w1: Tensor) -> float:
        """Return the loss with other weights into the hidden units."""
        net = TwoLayers(w1, self.net.b1, self.net.w2, self.net.b2)
        return float(net.loss(self.x, self.y, self.layer))

    def by_autograd(self) -> Matrix:
        """Return dL/dW1, ``(5, 10)``."""
        return self.net.gradients(self.x, self.y, self.layer).w1.numpy()

    def formula(self, *, two_over_n: bool = True, masked: bool = True) -> Matrix:
        """Return dL/dW1 by the matrix formula, written out in NumPy: ``(10, 5)``, a row a unit.

        Args:
            two_over_n: Whether dL/dyhat has its factor 2/n.
            masked: Whether the mask over 1 - p stands between the units and the output.
        """
        x, y = self.x.numpy().T, self.y.numpy().T  # a column an example
        w1, b1, w2, b2 = (each.numpy().T for each in self.net.parameters)
        scale = self.factor.numpy().T
        z = w1 @ x + b1
        yhat = w2 @ (np.maximum(z, 0) * scale) + b2
        delta = (yhat - y) * (2 / y.size if two_over_n else 1)  # dL/dyhat
        units = (w2.T @ delta) * (z > 0)
        return np.asarray((units * scale if masked else units) @ x.T)

    def differences(self, step: float) -> Matrix:
        """Return central differences of the loss, ``(5, 10)``, the masks held fixed."""
        slopes = np.empty((INPUTS, UNITS))
        for at in np.ndindex(slopes.shape):
            above, below = self.net.w1.clone(), self.net.w1.clone()
            above[at] += step
            below[at] -= step
            slopes[at] = (self.loss(above) - self.loss(below)) / float(above[at] - below[at])
        return slopes

    @property
    def kink(self) -> float:
        """How far one weight may go before a hidden unit crosses 0, where ReLU has no slope."""
        z = self.x @ self.net.w1 + self.net.b1
        return float((z.abs().amin(dim=1) / self.x.abs().amax(dim=1)).min())

    @property
    def step(self) -> float:
        """A step of the differences that crosses no kink."""
        return min(_LARGEST_STEP, self.kink / 2)

    @property
    def _size(self) -> Tensor:
        """Return yhat - y with every term of its sums taken by its size: ``(15, 1)``."""
        w1, b1, w2, b2 = (each.abs() for each in self.net.parameters)
        return ((self.x.abs() @ w1 + b1) * self.factor) @ w2 + b2 + self.y.abs()

    def rounding(self) -> float:
        """Return how far two ways to compute dL/dW1 may be apart by rounding.

        Each rounds some 40 times in a row: 5 products and sums to z, 10 to yhat, the mask, 15 over
        the examples. Each time costs at most eps / 2 of the terms' sizes.
        """
        into = 2 / EXAMPLES * self._size * self.net.w2.abs().T * self.factor  # (15, 10)
        return 40 * _EPS * float((self.x.abs().T @ into).max())

    def difference_error(self, step: float) -> float:
        """Return how far central differences may be off by rounding.

        Between two kinks of ReLU the loss is a parabola in each weight, so they have no other
        error. Each loss rounds some 40 times in a row, and the quotient is over two steps.
        """
        return 40 * _EPS * float(self._size.square().mean()) / step + self.rounding()


def _network(case: _Case) -> Iterator[Part]:
    yield Step("The network, and one draw of masks")
    yield Formula(
        "z = W1 x + b1           W1: 10 x 5, x: 5 x 1\n"
        "h = relu(z)             10 x 1\n"
        "yhat = W2 (h m) + b2    m = k / (1 - p), k the mask of 0s and 1s\n"
        "L = 1/n sum over n examples of (yhat - y)^2"
    )
    loss = case.loss(case.net.w1)
    dropped = int((case.factor == 0).sum())
    yield Say(
        f"Columns are examples here, as in textbooks; n = {EXAMPLES}. The masks are drawn once and "
        f"drawn again alike in every pass: {dropped} of {EXAMPLES * UNITS} units are dropped, and "
        f"L = {loss:.6g}."
    )


def _one_example(case: _Case) -> Iterator[Part]:
    net, x, y = case.net, case.x[:1], case.y[:1]
    z = x @ net.w1 + net.b1
    scale = case.factor[:1]
    yhat = (net.hidden(x) * scale) @ net.w2 + net.b2
    delta = 2 / EXAMPLES * float(yhat - y)
    slope = (z > 0).double()
    product = net.w2.T * delta * slope * scale + 0.0  # 0 in place of -0
    yield Step("The matrix formula, factor by factor")
    yield Formula(
        "dL/dyhat = 2/n (yhat - y)                    1 x n\n"
        "dL/dh    = W2^T dL/dyhat * m                 10 x n\n"
        "dL/dz    = dL/dh * F',  F' = 1 where z > 0   10 x n\n"
        "dL/dW1   = dL/dz x^T                         10 x 5"
    )
    yield Rows(
        f"the first example: dL/dyhat = 2/{EXAMPLES} (yhat - y) = {delta:.4g}",
        ("unit", "z", "F'", "m", "W2", "dL/dz", f"dL/dz x{_SHOWN}"),
        [
            (f"{unit + 1}", *values, values[-1] * float(x[0, _SHOWN - 1]) + 0.0)
            for unit, values in enumerate(
                zip(
                    *(each.flatten().tolist() for each in (z, slope, scale, net.w2, product)),
                    strict=True,
                )
            )
        ],
    )
    yield Look(
        "A unit takes part if it is above 0 (F' = 1) and kept (m > 0). One dropped for this "
        f"example (mask {marks(scale[0])}) adds nothing to its row of dL/dW1."
    )


def _three_ways(case: _Case) -> Iterator[Part]:
    formula, autograd = case.formula().T, case.by_autograd()
    differences = case.differences(case.step)
    yield Step("Three ways")
    yield Formula("differences: (L(w + h) - L(w - h)) / 2h, for one weight w after the other")
    columns = [each[_SHOWN - 1].tolist() for each in (formula, autograd, differences)]
    yield Rows(
        f"dL/dW1 of the ten weights from input {_SHOWN}; h = {case.step:.3g}",
        ("unit", "formula", "autograd", "differences", "formula - autograd"),
        [
            (f"{unit + 1}", *(f"{each:.8f}" for each in values), values[0] - values[1])
            for unit, values in enumerate(zip(*columns, strict=True))
        ],
        digits=2,
    )
    yield Look(
        "Autograd goes backward through the layer, differences only forward: neither knows the "
        "formula. Differences need the same masks in both passes; with fresh ones they would "
        "measure the noise. h is so small that no unit crosses 0; up to there L is a parabola in "
        "each weight, and rounding is the only error."
    )
    off = float(np.abs(formula - autograd).max())
    what = "is how far the formula is from autograd, in any of 50 weights"
    yield Check("formula = autograd", at_most(off, case.rounding(), what))
    off = float(np.abs(differences - autograd).max())
    what = "is how far differences are from autograd, in any of 50 weights"
    yield Check("differences = autograd", at_most(off, case.difference_error(case.step), what))
    alone = case.net.gradients(case.x[:1], case.y[:1], case.layer).w1
    wrong = int((alone[:, case.factor[0] == 0] != 0).sum())
    what = "weights into units that the first example drops have a gradient from it alone"
    yield Check("dropped: gradient 0", none_of(wrong, what))


def _published(case: _Case, wrongs: Sequence[Wrong]) -> Iterator[Part]:
    right = case.by_autograd()
    size = float(np.linalg.norm(right))
    yield Step("The formula that is often given for this network")
    yield Formula("dL/dW1 = ((yhat - y)^T W2 F') outer x^T,  summed over the examples")
    rows = [
        (
            wrong.name,
            norm / size if size else math.nan,  # no unit is both kept and above 0: rare
            float((wrong.gradient * right).sum()) / (norm * size) if norm * size else math.nan,
            float(np.abs(wrong.gradient - right).max()),
        )
        for wrong, norm in ((each, float(np.linalg.norm(each.gradient))) for each in wrongs)
    ]
    yield Rows(
        "against the gradient by autograd",
        ("formula", "its norm, of the right one", "cosine with it", "largest difference"),
        rows,
    )
    yield Mistake(
        "dL/dyhat = yhat - y is given for a network that minimizes nn.MSELoss, and no mask stands "
        "between yhat and h though the network drops h. The first lacks the factor 2/n (the mean "
        f"of squares, n = {EXAMPLES}): {EXAMPLES / 2:g} times too long, in the right direction. "
        "The second lacks k / (1 - p): in general another direction, and weights into dropped "
        "units are given gradients that they do not have."
    )
    ratio = float(np.abs(wrongs[2].gradient * 2 / EXAMPLES - right).max())
    what = "is how far the formula without 2/n, times 2/n, is from autograd"
    yield Check("2/n is all it lacks", at_most(ratio, case.rounding(), what))
    off = float(np.abs(wrongs[1].gradient - right).max())
    what = "is how far the formula without the mask is from autograd: it should be far"
    yield Check("without mask: wrong", at_least(off, case.rounding(), what))
