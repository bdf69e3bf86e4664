"""Runs compared seed by seed: the mean difference and its standard error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.training import Record

Values = Sequence[float] | Tensor
COLUMNS = ("without", "with dropout", "difference", "in s.e.")  # of the cells of a pair


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences.

    Args:
        mean: Of the one less the other, over seeds.
        error: Its standard error, s / sqrt(n).
    """

    mean: float
    error: float

    @classmethod
    def of(cls, ours: Values, theirs: Values | None = None) -> Self:
        """Return that of ours less theirs, seed by seed; without theirs, of ours less 0.

        Args:
            ours: At least two numbers, one for each seed.
            theirs: As many, in the same order.

        Raises:
            ValueError: There are not as many.
        """
        values = torch.as_tensor(ours, dtype=torch.float64).detach()
        if theirs is not None:
            others = torch.as_tensor(theirs, dtype=torch.float64).detach()
            if values.shape != others.shape:
                raise ValueError(f"{len(values)} runs have no pairs in {len(others)}.")
            values = values - others
        return cls(float(values.mean()), float(values.std()) / math.sqrt(len(values)))

    @classmethod
    def of_means(cls, ours: Values, theirs: Values) -> Self:
        """Return that of two means, each run on its own: ``sqrt((s_1^2 + s_2^2) / n)``.

        Its error rests on twice as many numbers as that of the pairs; for a difference that should
        be 0, where luck with a small error would be taken for one.

        Args:
            ours: At least two numbers.
            theirs: As many.
        """
        one, other = cls.of(ours), cls.of(theirs)
        return cls(one.mean - other.mean, math.hypot(one.error, other.error))

    @property
    def off(self) -> float:
        """How far the mean is from 0, in standard errors, with its sign; 0 where all is equal."""
        if self.error == 0:
            return math.copysign(math.inf, self.mean) if self.mean else 0.0
        return self.mean / self.error

    @property
    def seen(self) -> bool:
        """Whether it is further from 0 than 5 standard errors."""
        return abs(self.off) > ERRORS

    def told(self, digits: int = 3, *, sign: bool = True) -> str:
        """Return mean ± standard error."""
        return f"{self.mean:{'+' if sign else ''}.{digits}f} ± {self.error:.{digits}f}"


@dataclass(frozen=True)
class Pair:
    """A measure of the runs without dropout and of those with it, seed by seed.

    Shape:
        ``without``, ``dropped``: ``(seeds,)``, float64, at least two seeds.
    """

    without: Tensor
    dropped: Tensor

    @classmethod
    def of(cls, runs: Tensor) -> Self:
        """Return the pair of a fleet's runs: the first half without dropout, then with it."""
        without, dropped = runs.detach().double().chunk(2)
        return cls(without, dropped)

    @property
    def change(self) -> Difference:
        """What dropout adds."""
        return Difference.of(self.dropped, self.without)

    def times(self, factor: float) -> "Pair":
        """Return the measure in another unit."""
        return Pair(factor * self.without, factor * self.dropped)

    def cells(self, digits: int = 3) -> tuple[str, str, str, str]:
        """Return the cells of a table: without, with, their difference, and it in s.e."""
        own = [
            Difference.of(runs).told(digits, sign=False) for runs in (self.without, self.dropped)
        ]
        return own[0], own[1], self.change.told(digits), f"{self.change.off:+.1f}"


def last(records: Sequence[Sequence[Record]], measure: str) -> list[float]:
    """Return a column of the last record of each run; nan of one that diverged before its first."""
    return [float(getattr(run[-1], measure)) if run else math.nan for run in records]


def seeds_of(asked: Asked, count: int) -> list[int]:
    """Return seeds of runs; no two lessons' seeds share one."""
    return [asked.seed * count + each for each in range(count)]
