"""Measure a unit after layers that use p correctly or confuse dropping and keeping."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from dropout_lab.layers import InvertedDropout, StandardDropout
from dropout_lab.layers.base import BernoulliDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.mask_helpers import FLOAT32_ROUNDING, measure_unit


class DividedByP(InvertedDropout):
    """Drop units with probability p and divide kept units by p (the mistake)."""

    def kept_scale(self, p: Tensor) -> Tensor:
        """Return ``1 / p``."""
        return 1 / p


class TimesP(StandardDropout):
    """Drop units with probability p and multiply by p in evaluation (the mistake)."""

    def eval_scale(self, p: Tensor) -> Tensor:
        """Return ``p``."""
        return p


@dataclass(frozen=True)
class MeasuredUnit:
    """Hold the measured values of a unit of 1 after a layer.

    Args:
        drop_probability: The probability that the unit is dropped.
        kept_value: The expected value if the unit is kept.
        draws: The number of draws.
        mean: The mean over draws.
        variance: The variance over draws, around the expected mean.
        eval_value: The value in evaluation.
    """

    drop_probability: float
    kept_value: float
    draws: int
    mean: float
    variance: float
    eval_value: float

    @property
    def expected_mean(self) -> float:
        """Return the mean of a value that is ``kept_value`` or 0."""
        return self.kept_value * (1 - self.drop_probability)

    @property
    def expected_variance(self) -> float:
        """Return the variance of a value that is ``kept_value`` or 0."""
        return self.kept_value**2 * self.drop_probability * (1 - self.drop_probability)

    def mean_z_score(self, expected: float) -> float:
        """Return the distance of the mean from ``expected``, in standard errors, with rounding."""
        return self._z_score(self.mean, expected, self.kept_value)

    @property
    def largest_z_score(self) -> float:
        """Return the largest deviation of mean and variance, in standard errors, with rounding.

        The squares around the mean m have two values, m^2 and (kept - m)^2; at 0.5 both are equal.
        """
        value_distance = abs(self.kept_value * (self.kept_value - 2 * self.expected_mean))
        variance_z_score = self._z_score(self.variance, self.expected_variance, value_distance)
        return max(self.mean_z_score(self.expected_mean), variance_z_score)

    def _z_score(self, measured: float, expected: float, value_distance: float) -> float:
        error = value_distance * math.sqrt(
            self.drop_probability * (1 - self.drop_probability) / self.draws
        )
        return (
            ERRORS
            * abs(measured - expected)
            / (ERRORS * error + FLOAT32_ROUNDING * max(1.0, expected))
        )


def measure_mixed_unit(layer: BernoulliDropout, kept_value: float, draws: int) -> MeasuredUnit:
    """Measure a unit after a layer; ``kept_value`` is the expected value of a kept unit."""
    outputs, eval_value = measure_unit(layer, draws)
    drop_probability = float(layer.p)
    return MeasuredUnit(
        drop_probability=drop_probability,
        kept_value=kept_value,
        draws=draws,
        mean=float(outputs.mean()),
        variance=float((outputs - kept_value * (1 - drop_probability)).square().mean()),
        eval_value=eval_value,
    )


def measure_conventions(
    ps: Sequence[float], draws: int, seed: int
) -> dict[str, list[MeasuredUnit]]:
    """Measure a unit after each kind of layer at each p.

    The p of the layer "keeps" is a probability of keeping where the layer expects dropping.

    Args:
        ps: The dropout rate that each layer should have.
        draws: The number of draws for each layer and p.
        seed: The seed of the lesson.
    """
    table: dict[str, list[MeasuredUnit]] = {}
    for row, rate in enumerate(ps):
        p = float(InvertedDropout(rate).p)
        layers: dict[str, tuple[type[BernoulliDropout], float, float]] = {
            "right": (InvertedDropout, p, 1 / (1 - p)),
            "over p": (DividedByP, p, 1 / p),
            "keeps": (InvertedDropout, 1 - p, 1 / p),
            "standard": (StandardDropout, p, 1.0),
            "times p": (TimesP, p, 1.0),
        }
        for index, (name, (kind, layer_p, kept_value)) in enumerate(layers.items()):
            layer = kind(layer_p, noise=noise_source(seed, 3, index, row))
            table.setdefault(name, []).append(measure_mixed_unit(layer, kept_value, draws))
    return table
