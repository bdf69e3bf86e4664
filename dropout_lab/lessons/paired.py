"""The same seeds with dropout and without: a measure, and what dropout changes about it."""

import math
from dataclasses import dataclass

from torch import Tensor

COLUMNS = ("without", "with dropout", "difference", "in s.e.")  # of the cells of a pair


@dataclass(frozen=True)
class Pair:
    """A measure of the runs without dropout and of those with it, seed by seed.

    Shape:
        ``without``, ``dropped``: ``(seeds,)``, float64, at least two seeds.
    """

    without: Tensor
    dropped: Tensor

    @classmethod
    def of(cls, runs: Tensor) -> "Pair":
        """Return the pair of a fleet's runs: the first half without dropout, then with it."""
        without, dropped = runs.detach().double().chunk(2)
        return cls(without, dropped)

    @property
    def mean(self) -> float:
        """What dropout adds: the mean over seeds of the difference."""
        return float((self.dropped - self.without).mean())

    @property
    def error(self) -> float:
        """The standard error of that mean."""
        return self.error_of(self.dropped - self.without)

    @property
    def in_errors(self) -> float:
        """The mean difference in its standard errors; nan where nothing differs."""
        return self.mean / self.error if self.error else math.nan

    @staticmethod
    def error_of(values: Tensor) -> float:
        """Return the standard error of the mean of values, one for each seed."""
        return float(values.std()) / math.sqrt(len(values))

    def times(self, factor: float) -> "Pair":
        """Return the measure in another unit."""
        return Pair(factor * self.without, factor * self.dropped)

    def cells(self, digits: int = 3) -> tuple[str, str, str, str]:
        """Return the cells of a table: without, with, their difference, and it in s.e."""
        own = [(float(x.mean()), self.error_of(x)) for x in (self.without, self.dropped)]
        without, dropped = (f"{mean:.{digits}f} ± {error:.{digits}f}" for mean, error in own)
        change = f"{self.mean:+.{digits}f} ± {self.error:.{digits}f}"
        return without, dropped, change, f"{self.in_errors:+.1f}"
