"""What a check is given."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers import VARIANTS, Dropout, Mask, UnitDropout
from dropout_lab.layers.base import MASKS
from dropout_lab.layers.noise_measurement import Claim, claimed, measure
from dropout_lab.layers.sample_inputs import Place, carry, made_up, specimen
from dropout_lab.rng import Noise, TorchNoise

SEED = 2014
_PASSES = 256  # for errors of a few per cent


class Counting:
    """Draws with a generator of its own, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.source = seeded()

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws."""
        self.asked += 1
        return self.source.lanes(shape, device)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return float32 standard normal draws."""
        self.asked += 1
        return self.source.normal(shape, device)


class Extreme:
    """Draws nothing but the lowest (-1) or the highest (1) of all values."""

    def __init__(self, side: int) -> None:
        self.side = side

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return the one lane."""
        value = 2**15 - 1 if self.side > 0 else -(2**15)
        return torch.full(tuple(shape), value, dtype=torch.int16, device=device)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return nine standard deviations to the one side."""
        return torch.full(tuple(shape), 9.0 * self.side, device=device)


def seeded(seed: int = SEED) -> TorchNoise:
    """Return a source of draws at its start."""
    return TorchNoise(torch.Generator().manual_seed(seed))


@contextmanager
def global_draws() -> Iterator[list[bool]]:
    """Note whether anything is drawn from PyTorch's global generator, which is put back after."""
    moved: list[bool] = []
    before = torch.get_rng_state()
    try:
        yield moved
    finally:
        moved.append(not torch.equal(torch.get_rng_state(), before))
        torch.set_rng_state(before)


class Subject:
    """A variant before the checks: how it is made, and what several checks want of it.

    Args:
        name: Of a variant in the catalogue.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.variant = VARIANTS[name]
        self.kind = CATALOGUE[name]

    @property
    def of_units(self) -> bool:
        """Whether it acts on units alone."""
        return issubclass(self.variant, UnitDropout)

    @property
    def one_mask(self) -> bool:
        """Whether it has one mask for a batch, whatever ``mask`` says."""
        return not self.kind.reads_mask

    @property
    def ps(self) -> tuple[float, float, float]:
        """A low, a middle and a high p of its range; none where p / (1 - p) is its own square."""
        low, middle, high = (share * self.kind.highest_p for share in (0.15, 0.45, 0.75))
        return low, middle, high

    def of_runs(self, *ps: float) -> tuple[float, ...]:
        """Return p for each run of a fleet; where a fleet has one p, the last for all."""
        return (ps[-1],) * len(ps) if self.kind.one_p else ps

    def layer(
        self,
        p: float | Sequence[float],
        at: Place | None = None,
        *,
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> Dropout:
        """Return a layer that has begun at a place where one is given; its draws are seeded."""
        noise = seeded() if noise is None else noise
        return specimen(self.variant, p, at, mask=mask, noise=noise)

    def trained(self, p: float, *, mask: Mask = "element") -> tuple[Dropout, Place, Tensor]:
        """Return a layer, its place of many units, and what a step of training makes of it."""
        at = made_up(batch=8, units=200)
        layer = self.layer(p, at, mask=mask)
        return layer, at, carry(layer, at)

    @cached_property
    def measured(self) -> list[tuple[Claim, str]]:
        """What is claimed of its noise beside what was measured, and where: p and mask."""
        found = []
        fleets = [(p,) * 3 for p in self.ps] if self.kind.one_p else [self.ps]
        for mask in MASKS:
            for ps in fleets:
                at = made_up(runs=3, batch=24, units=48, outputs=16)
                layer = self.layer(ps, at, mask=mask)
                for claim in claimed(
                    layer, measure(layer, at.x, at.weight, at.entering, passes=_PASSES)
                ):
                    found.append((claim, f"p = {ps[claim.run or 0]:.3g}, mask {mask}"))
        return found
