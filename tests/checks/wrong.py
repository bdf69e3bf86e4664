"""Implementations of dropout that are wrong, each as it was found in published code.

``check`` names the check that must catch it. ``Right`` is the correct one that they were made from.
"""

from typing import Any

import torch
from torch import Tensor, nn

from dropout_lab.layers import Dropout, UnitDropout, UnitInputs, Variant, WeightDropout, affine
from dropout_lab.layers.coins import keep_threshold
from dropout_lab.lessons.bugs.experiment import WRONG_LAYERS

_KIND = Variant(
    formula="x k / (1-p)", p="probability of dropping", paper="", keep_rate=True, matched=True,
    highest_p=0.99, beyond="too little is left",
)  # fmt: skip
_GAUSSIAN = Variant(
    formula="x r", p="variance", paper="", matched=True, highest_p=0.9, beyond="too much noise"
)
_WEIGHTS = Variant(
    formula="W r", p="variance", paper="", matched=True, between=True, highest_p=0.9,
    beyond="too much noise",
)  # fmt: skip


class Right(UnitDropout):
    """Inverted dropout."""

    check = ""
    variant = _KIND

    def drop(self, x: Tensor) -> Tensor:
        (p,) = self.broadcast_constants(x)
        return x * (self.uniform(x) >= p) / (1 - p)


class RightGaussian(UnitDropout):
    """Gaussian dropout."""

    check = ""
    variant = _GAUSSIAN

    def drop(self, x: Tensor) -> Tensor:
        (p,) = self.broadcast_constants(x)
        return x * (1 + (p / (1 - p)).sqrt() * self.normal(x))


class RightOnWeights(WeightDropout):
    """Gaussian noise on weights, drawn where it is felt."""

    check = ""
    variant = _WEIGHTS

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        mean = affine(x, weight, bias)
        if not self.training:
            return mean
        draws = self.noise.normal(mean.shape, mean.device).to(mean.dtype)
        if self.mask == "batch":
            (p,) = self.broadcast_constants(weight)
            noise = self.noise.normal(weight.shape, weight.device).to(weight.dtype)
            return affine(x, weight * (1 + (p / (1 - p)).sqrt() * noise), bias)
        (p,) = self.broadcast_constants(mean)
        return mean + self.variance(p / (1 - p), x, weight, bias).add(1e-12).sqrt() * draws * (
            p > 0
        )

    def variance(self, odds: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return odds * affine(x * x, weight * weight, None)


class ShrunkInEvaluationToo(Right):
    """The two conventions at once; of what weights make, evaluation is not the mean."""

    check = "evaluation is the mean"

    def eval_forward(self, x: Tensor) -> Tensor:
        (p,) = self.broadcast_constants(x)
        return x * (1 - p)


class DropsTooOften(Right):
    check = "keep rate is 1 - p"

    def drop(self, x: Tensor) -> Tensor:
        (p,) = self.broadcast_constants(x)
        return x * (self.uniform(x) >= 1.05 * p) / (1 - 1.05 * p).clamp_min(0.01)


class NotCentred(RightGaussian):
    check = "noise mean is 1"

    def drop(self, x: Tensor) -> Tensor:
        (p,) = self.broadcast_constants(x)
        noise = (p / (1 - p)).sqrt() * self.normal(x)
        return torch.where(p > 0, x * noise, x)


class AddedInsteadOfMultiplied(RightGaussian):
    check = "variance is p / (1 - p)"

    def drop(self, x: Tensor) -> Tensor:
        (p,) = self.broadcast_constants(x)
        return x + (p / (1 - p)).sqrt() * self.normal(x)


class TrainForTraining(Right):
    """``if self.train():`` sets the mode, and is true."""

    check = "the mode is kept"

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x) if self.train() else x


class FunctionalDropoutInEvaluation(Right):
    """``F.dropout(x, p)`` without ``training=self.training``."""

    check = "two evaluations are equal"

    def eval_forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, float(self.p.max()))


class EvaluationLeavesTheMode(Right):
    check = "the mode is kept"

    def eval_forward(self, x: Tensor) -> Tensor:
        self.train()
        return x


class EvaluationSetsPForGood(Right):
    check = "noise comes back"

    def eval_forward(self, x: Tensor) -> Tensor:
        self.p = 0.0 * self.p
        return x


class MaskBatchNotHeeded(Right):
    check = "one mask for a batch"

    def noise_shape(self, x: Tensor) -> tuple[int, ...]:
        return tuple(x.shape)


class SameSeedEveryCall(Right):
    check = "each step draws new noise"

    def uniform(self, x: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.rand(self.noise_shape(x), generator=generator).to(x.dtype)


class GlobalDraws(Right):
    check = "same seed, same draws"

    def uniform(self, x: Tensor) -> Tensor:
        return torch.rand(self.noise_shape(x)).to(x.dtype)


class OneMaskForAllRuns(Right):
    check = "alone as in a fleet"

    def noise_shape(self, x: Tensor) -> tuple[int, ...]:
        return super().noise_shape(x)[-2:]


class DropsAtP0(Right):
    """``>`` for ``>=``: the lowest of all draws drops at p = 0."""

    check = "p = 0 changes no bit"

    def drop(self, x: Tensor) -> Tensor:
        (p,) = self.broadcast_constants(x)
        lanes = self.noise.lanes(self.noise_shape(x), x.device)
        return x * (lanes > keep_threshold(p)) / (1 - p)


class NanAtP1(Right):
    check = "finite at every p"
    variant = Variant(formula="x k / (1-p)", p="probability of dropping", paper="", keep_rate=True)


class BiasInTheVariance(RightOnWeights):
    check = "finite at every p"

    def variance(self, odds: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return affine(x * x, odds * weight * weight, bias)


class WeightsDroppedAlways(RightOnWeights):
    check = "evaluation draws nothing"

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        (p,) = self.broadcast_constants(weight)
        noise = self.noise.normal(weight.shape, weight.device).to(weight.dtype)
        return affine(x, weight * (1 + (p / (1 - p)).sqrt() * noise), bias)


class ScaleNotInTheGradient(RightGaussian):
    check = "gradient is the slope"

    def drop(self, x: Tensor) -> Tensor:
        return x + (super().drop(x) - x).detach()


class DotForElementwise(Right):
    check = "any shape"

    def drop(self, x: Tensor) -> Tensor:
        (p,) = self.broadcast_constants(x)
        return x @ ((self.uniform(x) >= p) / (1 - p)).to(x.dtype)


class SinglePrecisionAlways(Right):
    check = "dtype is kept"

    def drop(self, x: Tensor) -> Tensor:
        return super().drop(x.float())


class POfTheConstructor(Right):
    check = "p takes effect at once"

    def __init__(self, p: float | Tensor = 0.5, **rest: Any) -> None:
        super().__init__(p, **rest)
        self.first = self.p.clone()

    def drop(self, x: Tensor) -> Tensor:
        p = self.first.reshape(self.first.shape + (1,) * (x.ndim - self.first.ndim)).to(x.dtype)
        return x * (self.uniform(x) >= p) / (1 - p)


class AnyPIsTaken(Right):
    check = "p out of range is refused"

    def _validate_p(self, p: float | Tensor) -> Tensor:
        return torch.as_tensor(p, dtype=torch.float64)


class MaskKeptFromTheFirstStep(Right):
    check = "steps leave no trace"
    draws: Tensor | None = None

    def uniform(self, x: Tensor) -> Tensor:
        if self.draws is None or self.draws.shape != x.shape:
            self.draws = super().uniform(x)
        return (self.draws + 0.5 * super().uniform(x)) % 1


class StateOfItsOwn(Right):
    check = "nn.Dropout's state loads"

    def __init__(self, p: float | Tensor = 0.5, **rest: Any) -> None:
        super().__init__(p, **rest)
        self.register_buffer("seen", torch.zeros(1))


RIGHT: list[type[Dropout]] = [Right, RightGaussian, RightOnWeights]
WRONG: list[type[Dropout]] = [
    kind
    for kind in list(globals().values())
    if isinstance(kind, type) and issubclass(kind, Dropout) and getattr(kind, "check", "")
] + WRONG_LAYERS
