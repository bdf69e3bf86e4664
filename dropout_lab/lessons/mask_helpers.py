"""Sample, format, count and draw dropout masks for several lessons."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from torch import Tensor

from dropout_lab.layers import Dropout, UnitDropout
from dropout_lab.lessons.parts import Check, Table

# Relative rounding in float32 of factors such as 1 / (1 - p): 1.2e-7, and twice that if squared.
FLOAT32_ROUNDING = 1e-6
_MIN_EXPECTED = 100  # expected cases from which a count is nearly normal


@dataclass(frozen=True)
class AlwaysDroppedCount:
    """Report how many units of a layer were dropped in every example of a batch.

    Args:
        examples: The number of examples in a batch.
        mean: The mean number of units over batches.
        standard_error: The standard error of the mean, from the binomial distribution.
        expected: The expected number: the units times ``p ** examples``.
        has_enough_cases: Whether enough cases are expected for a nearly normal error.
    """

    examples: int
    mean: float
    standard_error: float
    expected: float
    has_enough_cases: bool

    @property
    def z_score(self) -> float:
        """Return the distance of the mean from the expected number, in standard errors."""
        return abs(self.mean - self.expected) / self.standard_error


def sample_keep_mask(layer: UnitDropout, *shape: int) -> Tensor:
    """Sample a mask of a layer, True for a kept unit. A kept 1 leaves the layer as 1 or more."""
    ones: Tensor = layer(torch.ones(shape))
    return ones > 0.5


def measure_unit(layer: Dropout, draws: int) -> tuple[Tensor, float]:
    """Pass a unit of value 1 through a layer: ``(draws,)`` outputs with dropout on, one with off.

    The layer is in evaluation mode after the call.
    """
    outputs: Tensor = layer(torch.ones(draws)).double()
    return outputs, float(layer.eval()(torch.ones(1)))


def binomial_probability(units: int, dropped_units: int, p: float) -> float:
    """Return the probability that exactly ``dropped_units`` of ``units`` units are dropped."""
    return math.comb(units, dropped_units) * p**dropped_units * (1 - p) ** (units - dropped_units)


def format_mask(keep_mask: Tensor, separator: str = " ") -> str:
    """Format the mask of one example: 1 for a kept unit, 0 for a dropped unit."""
    return separator.join("1" if unit else "0" for unit in keep_mask.tolist())


def format_units(mask: Tensor) -> str:
    """List the units that a mask selects, counted from 1: ``2, 5 and 7``, or ``none``."""
    *first, last = [str(i + 1) for i in torch.where(mask)[0].tolist()] or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def draw_mask(axes: Axes, keep_mask: Tensor, colour: str) -> None:
    """Draw a mask ``(rows, columns)`` from top to bottom: kept units in colour, dropped in grey."""
    colours = ListedColormap(["#EEEEEE", colour])
    axes.pcolormesh(keep_mask.numpy(), cmap=colours, vmin=0, vmax=1, edgecolor="white", lw=0.8)
    axes.invert_yaxis()
    axes.grid(visible=False)


def count_always_dropped(
    layer: UnitDropout, units: int, sizes: Sequence[int], batches: int
) -> list[AlwaysDroppedCount]:
    """Count the units that are dropped in every example, for several batch sizes.

    Args:
        layer: A layer with one p.
        units: The number of units of the layer.
        sizes: The batch sizes; a smaller batch is the beginning of a larger one.
        batches: The number of batches to draw.
    """
    drop_masks = ~sample_keep_mask(layer, batches, max(sizes), units)
    counts = []
    for size in sizes:
        mean = float(drop_masks[:, :size].all(dim=1).sum()) / batches
        probability = float(layer.p) ** size
        rarer_cases = units * batches * min(probability, 1 - probability)
        standard_error = math.sqrt(units * probability * (1 - probability) / batches)
        counts.append(
            AlwaysDroppedCount(
                size, mean, standard_error, units * probability, rarer_cases >= _MIN_EXPECTED
            )
        )
    return counts


def always_dropped_table(
    counts: Sequence[AlwaysDroppedCount], units: int, unit_name: str, batches: int
) -> Table:
    """Create the table of :func:`count_always_dropped`; ``unit_name``: "units" or "inputs"."""
    return Table(
        f"how many of {units} {unit_name} every example drops (n = {batches:,} batches; checked "
        f"where at least {_MIN_EXPECTED} cases are expected)",
        ("examples", "mean", "standard error", f"{units} p ^ examples"),
        [(count.examples, count.mean, count.standard_error, count.expected) for count in counts],
    )


def check_always_dropped(name: str, counts: Sequence[AlwaysDroppedCount], unit_name: str) -> Check:
    """Check that the counts are close to their expected numbers."""
    largest = max(count.z_score for count in counts if count.has_enough_cases)
    description = f"is the distance of a mean number of {unit_name} from {unit_name} * p ^ examples"
    return Check.within_chance(name, largest, description)
