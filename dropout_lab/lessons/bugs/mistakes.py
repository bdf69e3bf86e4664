"""Dropout layers that are wrong, each as it was found in published code; for lesson ``bugs``."""

from typing import ClassVar

import torch
from torch import Tensor

from dropout_lab.layers import GaussianDropout, InvertedDropout, UnitDropout


class Mistake(UnitDropout):
    """What is told of a mistake.

    Attributes:
        title: Its name.
        code: The line that is wrong.
        check: The check that must catch it.
        gaussian: Whether it was changed from Gaussian dropout, not from inverted.
    """

    title: ClassVar[str]
    code: ClassVar[str]
    check: ClassVar[str]
    gaussian: ClassVar[bool] = False


class DividedByTheRate(Mistake, InvertedDropout):
    """Kept units are divided by the chance of dropping; right at p = 0.5 alone."""

    title = "divided by the rate"
    code = "x * mask / p"
    check = "noise mean is 1"

    def kept_scale(self, p: Tensor) -> Tensor:
        """Return ``1 / p``; where p is 0 nothing is dropped and nothing scaled."""
        return torch.where(p > 0, 1 / p.where(p > 0, 1.0), 1.0)


class NoiseInEvaluation(Mistake, InvertedDropout):
    """The mode is not asked for."""

    title = "noise in evaluation"
    code = "F.dropout(x, p)"
    check = "evaluation draws nothing"

    def rest(self, x: Tensor) -> Tensor:
        """Return ``x`` with noise, as in training."""
        return self.drop(x)


class ScalingForgotten(Mistake, InvertedDropout):
    """Kept units stay as they are."""

    title = "scaling forgotten"
    code = "x * mask"
    check = "noise mean is 1"

    def kept_scale(self, p: Tensor) -> Tensor:
        """Return 1."""
        return torch.ones_like(p)


class OneMaskForAllExamples(Mistake, InvertedDropout):
    """The mask has the shape of one example and is broadcast over the batch."""

    title = "one mask for a batch"
    code = "rand(x.shape[1]) >= p"
    check = "a mask for each example"

    def noise_shape(self, x: Tensor) -> tuple[int, ...]:
        """Return the shape of one example."""
        return (*x.shape[:-2], 1, x.shape[-1])


class MaskNotInTheGradient(Mistake, InvertedDropout):
    """The forward pass drops, the backward pass does not know of it."""

    title = "mask not in gradient"
    code = "backward: return grad"
    check = "no gradient where dropped"

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` with noise that is constant to the gradient."""
        return x + (super().drop(x) - x).detach()


class VarianceForDeviation(Mistake, GaussianDropout):
    """Normal noise is multiplied by p / (1 - p), its variance, and not by the root of it."""

    title = "variance for s.d."
    code = "1 + p / (1 - p) * randn"
    check = "variance is p / (1 - p)"
    gaussian = True

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` with noise of standard deviation ``p / (1 - p)``."""
        p = self.p.reshape(self.p.shape + (1,) * (x.ndim - self.p.ndim)).to(x.dtype)
        return x * (1 + p / (1 - p) * self.normal(x))


class ExamplesDropped(Mistake, InvertedDropout):
    """The mask lies along the wrong axis: an example loses all of its units or none."""

    title = "examples dropped"
    code = "rand(x.shape[0], 1) >= p"
    check = "no example is dropped"

    def noise_shape(self, x: Tensor) -> tuple[int, ...]:
        """Return one coin for each example."""
        return (*x.shape[:-1], 1)


class QuietAfterEvaluation(Mistake, InvertedDropout):
    """Nobody switches the layer back: after the first evaluation nothing is dropped any more."""

    title = "mode not put back"
    code = "eval() without train()"
    check = "noise comes back"
    evaluated = False

    def rest(self, x: Tensor) -> Tensor:
        """Return ``x``, and stay in evaluation."""
        self.evaluated = True
        return x

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` with noise as long as it was never evaluated."""
        if self.evaluated:
            return x
        return super().drop(x)


MISTAKES: list[type[Mistake]] = [
    DividedByTheRate,
    NoiseInEvaluation,
    ScalingForgotten,
    OneMaskForAllExamples,
    MaskNotInTheGradient,
    VarianceForDeviation,
    ExamplesDropped,
    QuietAfterEvaluation,
]
