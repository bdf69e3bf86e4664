"""A made-up place and a layer that has begun there: what plugins and checks are tried on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dropout_lab.catalogue import Variant
from dropout_lab.layers.base import Dropout, Entering, Mask
from dropout_lab.rng import Noise

# What is given for a key of the section dropout that has no default; any other gets a number.
_GIVEN = {"alpha_per": "layer", "kl_warmup": (0.0, 0.1)}
_NUMBER = 0.5


@dataclass(frozen=True)
class Place:
    """What ``connect`` is given; all of it with a run axis, or without one.

    Args:
        x: ``(runs, batch, units)``, no entry near 0.
        weight: ``(runs, units, outputs)``, no entry near 0.
        bias: ``(runs, 1, outputs)``, far from 0, of both signs.
        entering: ``(runs, 4, units)`` and ``(runs, batch, units)``.
    """

    x: Tensor
    weight: Tensor
    bias: Tensor
    entering: Entering

    def run(self, index: int | slice) -> "Place":
        """Return what one run of the fleet is given, or some runs."""
        before = Entering(self.entering.weight[index], self.entering.preactivation[index])
        return Place(self.x[index], self.weight[index], self.bias[index], before)

    def one_example(self, times: int) -> "Place":
        """Return the place with its first example alone, so many times."""
        z = _repeated(self.entering.preactivation, times)
        before = Entering(self.entering.weight, z)
        return Place(_repeated(self.x, times), self.weight, self.bias, before)

    def fleet(self, runs: int) -> "Place":
        """Return so many runs that are all given the same."""
        given = (self.x, self.weight, self.bias, self.entering.weight, self.entering.preactivation)
        x, weight, bias, w, z = (tensor.expand(runs, -1, -1) for tensor in given)
        return Place(x, weight, bias, Entering(w, z))


def made_up(
    runs: int | None = None,
    batch: int = 3,
    units: int = 5,
    outputs: int = 4,
    *,
    whole: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Place:
    """Make up a place, the same each time.

    Args:
        runs: None makes one without the run axis.
        batch: Examples.
        units: Units there.
        outputs: Units of the next layer.
        whole: Whether x, weights and biases are whole numbers, whose sums are exact in any order.
        dtype: Of all tensors.
    """
    generator = torch.Generator().manual_seed(20140615)
    lead = () if runs is None else (runs,)

    def away_from_0(*shape: int, least: float = 0.5) -> Tensor:
        numbers = torch.randn(*lead, *shape, generator=generator)
        sizes = least + torch.rand(*lead, *shape, generator=generator)
        numbers = numbers.sign() * (sizes.ceil() if whole else sizes)
        return numbers.to(dtype)

    return Place(
        x=away_from_0(batch, units),
        weight=away_from_0(units, outputs),
        bias=away_from_0(1, outputs, least=3.0),
        entering=Entering(away_from_0(4, units), away_from_0(batch, units)),
    )


def specimen(
    variant: type[Dropout],
    p: float | Sequence[float],
    at: Place | None = None,
    *,
    mask: Mask = "element",
    noise: Noise | None = None,
) -> Dropout:
    """Return a layer of a variant, which has begun at a place where one is given.

    Args:
        variant: Its class.
        p: One number, or one for each run.
        at: What it is going to be given.
        mask: ``element`` or ``batch``.
        noise: Source of its draws.
    """
    numbers = p if isinstance(p, float) else torch.tensor(p, dtype=torch.float64)
    options = needed_options(variant.variant)
    layer = variant(numbers, mask=mask, noise=noise, **options)
    if at is not None:
        layer.begin(at.weight, "relu")
        layer.to(at.weight.dtype)
    return layer


def needed_options(kind: Variant) -> dict[str, Any]:
    """Return something for each key that the variant needs and that has no default."""
    return {key: _GIVEN.get(key, _NUMBER) for key in kind.needed}


def carry(layer: Dropout, at: Place) -> Tensor:
    """Carry the place's units through the layer and its weights."""
    return layer.connect(at.x, at.weight, at.bias, at.entering)


def _repeated(tensor: Tensor, times: int) -> Tensor:
    return tensor[..., :1, :].expand(*tensor.shape[:-2], times, -1)
