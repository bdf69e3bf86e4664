"""Masks that lessons look at: as text, and which units are dropped in all of a batch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.checks.outcome import Outcome, at_most
from dropout_lab.layers import UnitDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons.parts import Rows

_OFTEN = 100  # times that something must be expected before its count is nearly normal


@dataclass(frozen=True)
class Throughout:
    """How many units of a layer were dropped in every example of a batch.

    Args:
        examples: In a batch.
        mean: Over batches.
        error: Its standard error, by the binomial distribution.
        expected: The units times ``p ** examples``.
        often: Whether it was to be expected often enough to have an error that is nearly normal.
    """

    examples: int
    mean: float
    error: float
    expected: float
    often: bool

    @property
    def off(self) -> float:
        """How far the mean is from what was expected, in standard errors."""
        return abs(self.mean - self.expected) / self.error


def kept(layer: UnitDropout, *shape: int) -> Tensor:
    """Return a mask of a layer, true where a one was kept; a one that is kept is at least 1."""
    ones: Tensor = layer(torch.ones(shape))
    return ones > 0.5


def marks(mask: Tensor, between: str = " ") -> str:
    """Return the mask of one example as text: 1 where a unit is kept, 0 where it is dropped."""
    return between.join("1" if each else "0" for each in mask.tolist())


def numbers(mask: Tensor) -> str:
    """Return which units a mask picks, counted from 1: ``2, 5 and 7``, or ``none``."""
    *first, last = [str(i + 1) for i in torch.where(mask)[0].tolist()] or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def throughout(
    layer: UnitDropout, units: int, sizes: Sequence[int], batches: int
) -> list[Throughout]:
    """Count the units that are dropped in every example, for batches of several sizes.

    Args:
        layer: Drops with one p.
        units: That it drops from.
        sizes: Examples of a batch; a smaller batch is the beginning of a larger one.
        batches: How many are drawn.
    """
    dropped = ~kept(layer, batches, max(sizes), units)
    counted = []
    for size in sizes:
        mean = float(dropped[:, :size].all(dim=1).sum()) / batches
        chance = float(layer.p) ** size
        rarer = units * batches * min(chance, 1 - chance)
        error = math.sqrt(units * chance * (1 - chance) / batches)
        counted.append(Throughout(size, mean, error, units * chance, rarer >= _OFTEN))
    return counted


def throughout_rows(counted: Sequence[Throughout], units: int, what: str, batches: int) -> Rows:
    """Return the table of :func:`throughout`; ``what``: the units by their name in the lesson."""
    return Rows(
        f"of {units} {what}, how many are dropped in every example (n = {batches:,} batches; "
        f"checked where at least {_OFTEN} cases are expected)",
        ("examples", "mean", "standard error", f"{units} p ^ examples"),
        [(each.examples, each.mean, each.error, each.expected) for each in counted],
    )


def throughout_outcome(counted: Sequence[Throughout], what: str) -> Outcome:
    """Return whether units are dropped throughout as often as they should be."""
    off = max(each.off for each in counted if each.often)
    off_by = f"is how far a mean number of {what} is from {what} * p ^ examples"
    return at_most(off, ERRORS, off_by, unit=" s.e.")
