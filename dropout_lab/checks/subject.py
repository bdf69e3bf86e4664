"""The variant that checks test, with helpers to create its layers and noise sources."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers import VARIANTS, Dropout, Mask, UnitDropout
from dropout_lab.layers.base import MASKS
from dropout_lab.layers.noise_measurement import Claim, compare_with_claims, measure_noise
from dropout_lab.layers.sample_inputs import LayerInputs, connect, sample_inputs, sample_layer
from dropout_lab.rng import Noise, TorchNoise

SEED = 2014
_PASSES = 256  # gives standard errors of a few percent


class CountingNoise:
    """A noise source that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.source = seeded()

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return int16 draws."""
        self.calls += 1
        return self.source.lanes(shape, device)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return float32 standard normal draws."""
        self.calls += 1
        return self.source.normal(shape, device)


class ExtremeNoise:
    """A noise source that returns only the lowest (-1) or the highest (1) possible value."""

    def __init__(self, side: int) -> None:
        self.side = side

    def lanes(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return the lowest or the highest lane."""
        value = 2**15 - 1 if self.side > 0 else -(2**15)
        return torch.full(tuple(shape), value, dtype=torch.int16, device=device)

    def normal(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Return -9 or 9 standard deviations."""
        return torch.full(tuple(shape), 9.0 * self.side, device=device)


def seeded(seed: int = SEED) -> TorchNoise:
    """Return a new noise source with a fixed seed."""
    return TorchNoise(torch.Generator().manual_seed(seed))


@contextmanager
def global_draws() -> Iterator[list[bool]]:
    """Record whether a ``with`` block uses PyTorch's global generator, and restore its state."""
    moved: list[bool] = []
    before = torch.get_rng_state()
    try:
        yield moved
    finally:
        moved.append(not torch.equal(torch.get_rng_state(), before))
        torch.set_rng_state(before)


class Subject:
    """A variant under test.

    Args:
        name: The name of a variant in the catalogue.

    Attributes:
        variant: The class of its layers.
        kind: Its entry in the catalogue.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.variant = VARIANTS[name]
        self.kind = CATALOGUE[name]

    @property
    def acts_on_units(self) -> bool:
        """Whether it acts on units, not on weights."""
        return issubclass(self.variant, UnitDropout)

    @property
    def one_mask(self) -> bool:
        """Whether it always has one mask for a batch, for any ``mask``."""
        return not self.kind.reads_mask

    @property
    def tries(self) -> int:
        """How many masks to draw so that one of them surely differs from the first."""
        return 64 if self.kind.few_masks else 1

    @property
    def ps(self) -> tuple[float, float, float]:
        """A low, a middle and a high p in its range, where p / (1 - p) differs from its square."""
        low, middle, high = (share * self.kind.highest_p for share in (0.15, 0.45, 0.75))
        return low, middle, high

    def per_run(self, *ps: float) -> tuple[float, ...]:
        """Return p for each run of a fleet; if a fleet needs one p, the last one for all runs."""
        return (ps[-1],) * len(ps) if self.kind.one_p else ps

    def layer(
        self,
        p: float | Sequence[float],
        at: LayerInputs | None = None,
        *,
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> Dropout:
        """Create a layer, set up for a place if given, with a seeded noise source by default."""
        noise = seeded() if noise is None else noise
        return sample_layer(self.variant, p, at, mask=mask, noise=noise)

    def run_one_step(
        self, p: float, *, mask: Mask = "element"
    ) -> tuple[Dropout, LayerInputs, Tensor]:
        """Create a layer at a place with many units; return both, and the output of one step."""
        at = sample_inputs(batch=8, units=200)
        layer = self.layer(p, at, mask=mask)
        return layer, at, connect(layer, at)

    @cached_property
    def noise_claims(self) -> list[tuple[Claim, str]]:
        """The claims about its noise with their measurements, and a text with p and mask."""
        claims = []
        fleets = [(p,) * 3 for p in self.ps] if self.kind.one_p else [self.ps]
        for mask in MASKS:
            for ps in fleets:
                at = sample_inputs(runs=3, batch=24, units=48, outputs=16)
                layer = self.layer(ps, at, mask=mask)
                for claim in compare_with_claims(
                    layer, measure_noise(layer, at.x, at.weight, at.entering, passes=_PASSES)
                ):
                    claims.append((claim, f"p = {ps[claim.run or 0]:.3g}, mask {mask}"))
        return claims
