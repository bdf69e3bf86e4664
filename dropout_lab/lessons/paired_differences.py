"""Compare runs seed by seed: the mean difference and its standard error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import LessonOptions
from dropout_lab.training import Record

Values = Sequence[float] | Tensor
PAIR_COLUMNS = (
    "without dropout",
    "with dropout",
    "difference",
    "in SE",
)  # of PairedRuns.table_cells


@dataclass(frozen=True)
class Difference:
    """Hold the mean of differences over seeds.

    Args:
        mean: The mean difference.
        standard_error: The standard error of the mean, s / sqrt(n).
    """

    mean: float
    standard_error: float

    @classmethod
    def between_pairs(cls, values: Values, reference: Values | None = None) -> Self:
        """Compute the mean of values - reference, seed by seed; without reference, of the values.

        Args:
            values: At least two numbers, one for each seed.
            reference: As many numbers, in the same order.

        Raises:
            ValueError: The numbers of values differ.
        """
        differences = torch.as_tensor(values, dtype=torch.float64).detach()
        if reference is not None:
            references = torch.as_tensor(reference, dtype=torch.float64).detach()
            if differences.shape != references.shape:
                raise ValueError(f"{len(differences)} runs have no pairs in {len(references)}.")
            differences = differences - references
        return cls(
            float(differences.mean()), float(differences.std()) / math.sqrt(len(differences))
        )

    @classmethod
    def between_means(cls, values: Values, reference: Values) -> Self:
        """Compute the difference of two means with the error ``sqrt((s_1^2 + s_2^2) / n)``.

        This error rests on twice as many numbers as the error of paired differences. Use the method
        for a difference that should be 0, where a small paired error by chance would fail a check.

        Args:
            values: At least two numbers.
            reference: As many numbers.
        """
        first, second = cls.between_pairs(values), cls.between_pairs(reference)
        return cls(
            first.mean - second.mean, math.hypot(first.standard_error, second.standard_error)
        )

    @property
    def z_score(self) -> float:
        """Return the mean in standard errors, with its sign; 0 if all values are equal."""
        if self.standard_error == 0:
            return math.copysign(math.inf, self.mean) if self.mean else 0.0
        return self.mean / self.standard_error

    @property
    def is_significant(self) -> bool:
        """Return whether the mean is more than 5 standard errors from 0."""
        return abs(self.z_score) > ERRORS

    def format(self, digits: int = 3, *, sign: bool = True) -> str:
        """Format the mean ± the standard error."""
        return f"{self.mean:{'+' if sign else ''}.{digits}f} ± {self.standard_error:.{digits}f}"


@dataclass(frozen=True)
class PairedRuns:
    """Hold a measure of the baseline runs and of the dropout runs, seed by seed.

    Shape:
        ``baseline``, ``dropout``: ``(seeds,)``, float64, at least two seeds.
    """

    baseline: Tensor
    dropout: Tensor

    @classmethod
    def from_fleet(cls, runs: Tensor) -> Self:
        """Split the runs of a fleet: the first half is the baseline, the second half dropout."""
        baseline, dropout = runs.detach().double().chunk(2)
        return cls(baseline, dropout)

    @property
    def difference(self) -> Difference:
        """Return dropout - baseline."""
        return Difference.between_pairs(self.dropout, self.baseline)

    def scale(self, factor: float) -> "PairedRuns":
        """Convert the measure to another unit."""
        return PairedRuns(factor * self.baseline, factor * self.dropout)

    def table_cells(self, digits: int = 3) -> tuple[str, str, str, str]:
        """Format the cells of ``PAIR_COLUMNS``."""
        means = [
            Difference.between_pairs(runs).format(digits, sign=False)
            for runs in (self.baseline, self.dropout)
        ]
        return means[0], means[1], self.difference.format(digits), f"{self.difference.z_score:+.1f}"


def final_values(records: Sequence[Sequence[Record]], column: str) -> list[float]:
    """Return a column of the last record of each run; nan for a run without records."""
    return [float(getattr(run[-1], column)) if run else math.nan for run in records]


def run_seeds(options: LessonOptions, count: int) -> list[int]:
    """Return the seeds of ``count`` runs; lessons with different seeds share no run."""
    return [options.seed * count + index for index in range(count)]
