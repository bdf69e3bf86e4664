"""Implement dropout layers with published mistakes, and measure the effects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dropout_lab.checks import verify
from dropout_lab.data import Splits
from dropout_lab.layers import GaussianDropout, InvertedDropout, UnitDropout
from dropout_lab.lessons.paired_differences import Difference, final_values
from dropout_lab.lessons.training import make_settings, train_fleet
from dropout_lab.plugins import joined

RIGHT_LAYERS = ("inverted", "gaussian")
UNITS = 100
_BATCH_SIZE, _LEARNING_RATE = 50, 0.02


class WrongLayer(UnitDropout):
    """Implement dropout with a published mistake; each subclass is one mistake.

    Attributes:
        title: The name of the mistake.
        code: The wrong line of code.
        check: The check that must catch the mistake.
        gaussian: Whether the correct layer is Gaussian dropout; otherwise inverted dropout.
    """

    title: ClassVar[str]
    code: ClassVar[str]
    check: ClassVar[str]
    gaussian: ClassVar[bool] = False


class DividedByTheRate(WrongLayer, InvertedDropout):
    """Divide kept units by the dropout rate; correct only at p = 0.5."""

    title = "divided by the rate"
    code = "x * mask / p"
    check = "noise mean is 1"

    def kept_scale(self, p: Tensor) -> Tensor:
        """Return ``1 / p``; at p = 0, where nothing is dropped, return 1."""
        return torch.where(p > 0, 1 / p.where(p > 0, 1.0), 1.0)


class NoiseInEvaluation(WrongLayer, InvertedDropout):
    """Drop units in evaluation too, since the layer ignores the mode."""

    title = "noise in evaluation"
    code = "F.dropout(x, p)"
    check = "evaluation draws nothing"

    def eval_forward(self, x: Tensor) -> Tensor:
        """Apply noise to ``x``, as in training."""
        return self.drop(x)


class ScalingForgotten(WrongLayer, InvertedDropout):
    """Leave kept units without scaling."""

    title = "scaling forgotten"
    code = "x * mask"
    check = "noise mean is 1"

    def kept_scale(self, p: Tensor) -> Tensor:
        """Return 1."""
        return torch.ones_like(p)


class OneMaskForAllExamples(WrongLayer, InvertedDropout):
    """Broadcast a mask in the shape of one example over the batch."""

    title = "one mask for a batch"
    code = "rand(x.shape[1]) >= p"
    check = "a mask for each example"

    def noise_shape(self, x: Tensor) -> tuple[int, ...]:
        """Return the shape of one example."""
        return (*x.shape[:-2], 1, x.shape[-1])


class MaskNotInTheGradient(WrongLayer, InvertedDropout):
    """Drop units in the forward pass but not in the backward pass."""

    title = "mask not in gradient"
    code = "backward: return grad"
    check = "no gradient where dropped"

    def drop(self, x: Tensor) -> Tensor:
        """Apply noise to ``x`` that is constant for the gradient."""
        return x + (super().drop(x) - x).detach()


class VarianceForDeviation(WrongLayer, GaussianDropout):
    """Multiply normal noise by its variance p / (1 - p) instead of the root."""

    title = "variance for SD"
    code = "1 + p / (1 - p) * randn"
    check = "variance is p / (1 - p)"
    gaussian = True

    def drop(self, x: Tensor) -> Tensor:
        """Multiply ``x`` by noise of standard deviation ``p / (1 - p)``."""
        p = self.p.reshape(self.p.shape + (1,) * (x.ndim - self.p.ndim)).to(x.dtype)
        return x * (1 + p / (1 - p) * self.normal(x))


class ExamplesDropped(WrongLayer, InvertedDropout):
    """Draw the mask along the wrong axis: an example loses all of its units or none."""

    title = "examples dropped"
    code = "rand(x.shape[0], 1) >= p"
    check = "no example is dropped"

    def noise_shape(self, x: Tensor) -> tuple[int, ...]:
        """Return a shape with one coin for each example."""
        return (*x.shape[:-1], 1)


class QuietAfterEvaluation(WrongLayer, InvertedDropout):
    """Stay in evaluation mode after the first evaluation."""

    title = "mode not restored"
    code = "eval() without train()"
    check = "noise comes back"
    evaluated = False

    def eval_forward(self, x: Tensor) -> Tensor:
        """Return ``x`` and stay in evaluation mode."""
        self.evaluated = True
        return x

    def drop(self, x: Tensor) -> Tensor:
        """Apply noise to ``x`` until the first evaluation."""
        if self.evaluated:
            return x
        return super().drop(x)


class NormalForUniform(WrongLayer, InvertedDropout):
    """Compare normal draws with the keep rate: ``randn`` in place of ``rand``.

    At p = 0.5 a unit is kept with probability 0.69, the normal distribution function at 0.5. The
    mean output is 1.38 times too large. Found in the Dive-into-DL-PyTorch port, section 3.13.
    """

    title = "normal for uniform"
    code = "randn(x.shape) < 1 - p"
    check = "keep rate is 1 - p"

    def drop(self, x: Tensor) -> Tensor:
        """Keep units whose normal draw is below ``1 - p``, and divide by ``1 - p``."""
        p = self.p.reshape(self.p.shape + (1,) * (x.ndim - self.p.ndim)).to(x.dtype)
        scale = torch.where(p < 1, 1 / (1 - p).where(p < 1, 1.0), 0.0)
        return x * (self.normal(x) < 1 - p).to(x.dtype) * scale


WRONG_LAYERS: list[type[WrongLayer]] = [
    DividedByTheRate,
    NoiseInEvaluation,
    ScalingForgotten,
    OneMaskForAllExamples,
    MaskNotInTheGradient,
    VarianceForDeviation,
    ExamplesDropped,
    QuietAfterEvaluation,
    NormalForUniform,
]


@dataclass(frozen=True)
class LayerScores:
    """Hold the test accuracy and the test NLL in nats of a layer, seed by seed."""

    accuracy: list[float]
    loss: list[float]


@dataclass(frozen=True)
class MeasuredMistake:
    """Hold the measured effects of a mistake.

    Args:
        layer: The wrong layer.
        scores: The scores of networks with the layer.
        accuracy: The accuracy minus the accuracy of the correct layer.
        loss: The NLL minus the NLL of the correct layer, in nats.
        failed_checks: The checks that the layer fails, in the order of the checks.
    """

    layer: type[WrongLayer]
    scores: LayerScores
    accuracy: Difference
    loss: Difference
    failed_checks: list[str]


def measure_mistakes(
    p: float, seeds: Sequence[int], epochs: int, images: Splits, check_names: Sequence[str]
) -> tuple[dict[str, LayerScores], list[MeasuredMistake], int]:
    """Return the correct layers' scores, all mistakes, and the checks a correct layer fails."""
    layers = {f"mistake_{index}": layer for index, layer in enumerate(WRONG_LAYERS)}
    with joined(layers):
        scores = {
            name: train_layer(name, p, seeds, epochs, images) for name in (*RIGHT_LAYERS, *layers)
        }
        checks = list(verify([*RIGHT_LAYERS, *layers], check_names))
    failures = [(check.variant, check.check) for check in checks if check.passed is False]
    mistakes = []
    for name, layer in layers.items():
        wrong_scores = scores[name]
        right_scores = scores["gaussian" if layer.gaussian else "inverted"]
        mistakes.append(
            MeasuredMistake(
                layer,
                wrong_scores,
                Difference.between_pairs(wrong_scores.accuracy, right_scores.accuracy),
                Difference.between_pairs(wrong_scores.loss, right_scores.loss),
                [check for variant, check in failures if variant == name],
            )
        )
    false_alarms = sum(variant in RIGHT_LAYERS for variant, _ in failures)
    return {name: scores[name] for name in RIGHT_LAYERS}, mistakes, false_alarms


def train_layer(
    name: str, p: float, seeds: Sequence[int], epochs: int, images: Splits
) -> LayerScores:
    """Train networks with a layer and return their test scores."""
    values = {
        "model.hidden": [UNITS],
        "dropout.variant": name,
        "dropout.p": p,
        "training.epochs": epochs,
        "training.batch_size": _BATCH_SIZE,
        "training.learning_rate": _LEARNING_RATE,
        "evaluation.every": epochs // 2,
        "evaluation.train_examples": 1,
    }
    records = train_fleet([make_settings(values)], seeds, images).records
    return LayerScores(final_values(records, "test_accuracy"), final_values(records, "test_loss"))


def is_worse(difference: Difference, *, lower: bool) -> bool:
    """Return whether a difference is significant and harmful; ``lower``: a lower value harms."""
    return difference.is_significant and (difference.mean < 0) == lower
