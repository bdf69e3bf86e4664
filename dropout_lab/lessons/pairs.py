"""Runs compared seed by seed: the mean difference and its standard error."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dropout_lab.analysis.statistics import spread
from dropout_lab.layers.measured import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.training import Record


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences.

    Args:
        mean: Of the one less the other, over seeds.
        error: Its standard error, s / sqrt(n).
    """

    mean: float
    error: float

    @property
    def off(self) -> float:
        """How far the mean is from 0, in standard errors, with its sign; 0 where all is equal."""
        if self.error > 0:
            return self.mean / self.error
        return math.copysign(math.inf, self.mean) if self.mean else 0.0

    @property
    def seen(self) -> bool:
        """Whether it is further from 0 than 5 standard errors."""
        return abs(self.off) > ERRORS


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Return the mean of ours less theirs, seed by seed: at least two, in the same order."""
    each = [one - other for one, other in zip(ours, theirs, strict=True)]
    return Difference(sum(each) / len(each), spread(each) / math.sqrt(len(each)))


def last(records: Sequence[Sequence[Record]], measure: str) -> list[float]:
    """Return a column of the last record of each run; nan of one that diverged before its first."""
    return [float(getattr(run[-1], measure)) if run else math.nan for run in records]


def seeds_of(asked: Asked, count: int) -> list[int]:
    """Return seeds of runs; no two lessons' seeds share one."""
    return [asked.seed * count + each for each in range(count)]
