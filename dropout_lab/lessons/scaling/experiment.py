"""Measure a unit after dropout layers with three kinds of scaling."""

import math
from dataclasses import dataclass

from dropout_lab.layers import VARIANTS
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.mask_helpers import measure_unit

DROPOUT_RATES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SCALINGS = {
    "unscaled": "without scaling",
    "inverted": "divided by 1 - p in training",
    "standard": "multiplied by 1 - p in evaluation",
}


@dataclass(frozen=True)
class ScaledUnit:
    """Hold the value of a unit of 1 after a dropout layer.

    Args:
        mean: The mean over draws with dropout on.
        standard_error: The standard error of the mean.
        expected_mean: The expected mean.
        eval_value: The value with dropout off.
        expected_eval: The expected value with dropout off.
    """

    mean: float
    standard_error: float
    expected_mean: float
    eval_value: float
    expected_eval: float

    @property
    def z_score(self) -> float:
        """Return the distance of the mean from its expected value, in standard errors."""
        return abs(self.mean - self.expected_mean) / self.standard_error

    @property
    def z_score_to_eval(self) -> float:
        """Return the distance of the mean from the value with dropout off, in standard errors."""
        return abs(self.mean - self.eval_value) / self.standard_error


def measure_scaled_unit(name: str, row: int, draws: int, seed: int) -> ScaledUnit:
    """Measure a unit at the p of a row with one kind of scaling.

    All scalings in a row use the same draws; different rows use different draws.
    """
    layer = VARIANTS[name](DROPOUT_RATES[row], noise=noise_source(seed, 1, row))
    outputs, eval_value = measure_unit(layer, draws)
    q = 1 - float(layer.p)
    return ScaledUnit(
        mean=float(outputs.mean()),
        standard_error=float(outputs.std()) / math.sqrt(draws),
        expected_mean=1.0 if name == "inverted" else q,
        eval_value=eval_value,
        expected_eval=q if name == "standard" else 1.0,
    )
