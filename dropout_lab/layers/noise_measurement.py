"""What a layer does, measured: how often it keeps, and the mean and variance of its noise.

The noise is taken relative to evaluation: what training makes of a unit or weight over what
evaluation makes of it.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dropout_lab.layers.base import Dropout, Entering, UnitDropout

# The error of a mean is estimated from as many passes, so a true claim is further off than
# ERRORS of them as often as Student's t with PASSES - 1 = 63 degrees of freedom is beyond 5: once
# in 200,000 times.
PASSES = 64
ERRORS = 5
_PROBES = 16  # rows of a weight matrix that are looked at
_LEAST = 1e-3  # what is smaller, of the root mean square in evaluation, is not divided by
_ROUNDING = 1e-6  # of float32: 1 / (1 - p) and the ratio are each off by up to 1.2e-7 of themselves


@dataclass(frozen=True)
class Measured:
    """What the noise of a layer was, float64, in the shape of its p; nan where nothing was noisy.

    Args:
        p: The chance of dropping in force.
        keep_rate: Share of the units or weights that were not 0.
        keep_rate_error: Its standard error.
        mean: Mean of the noise relative to evaluation.
        mean_error: Its standard error.
        variance: Variance of that noise.
        variance_error: Its standard error.
    """

    p: Tensor
    keep_rate: Tensor
    keep_rate_error: Tensor
    mean: Tensor
    mean_error: Tensor
    variance: Tensor
    variance_error: Tensor


@dataclass(frozen=True)
class FolderLock:
    """A number that the catalogue claims of a variant, beside the one that was measured.

    Args:
        what: ``keep rate``, ``noise mean`` or ``noise variance``.
        run: Index along the run axis; none without one.
        value: What was measured.
        error: Its standard error.
        claimed: What it should be.
    """

    what: str
    run: int | None
    value: float
    error: float
    claimed: float

    @property
    def bound(self) -> float:
        """How far off it may be: 5 standard errors and the rounding of float32."""
        return ERRORS * self.error + _ROUNDING * max(1.0, abs(self.claimed))

    @property
    def broken(self) -> bool:
        """Whether it is further off; never where nothing could be measured."""
        return abs(self.value - self.claimed) > self.bound

    def __str__(self) -> str:
        digits = max(0, 1 - math.floor(math.log10(self.error))) if self.error > 0 else 3
        which = "" if self.run is None else f"run {self.run}: "
        return (
            f"{which}{self.what} {self.value:.{digits}f} ± {self.error:.{digits}f}; "
            f"{self.claimed:.6g} is claimed"
        )


def claimed(layer: Dropout, measured: Measured) -> list[FolderLock]:
    """Return what the catalogue claims of the layer's variant, beside what was measured.

    At p = 1 nothing is left whose mean and variance could be claimed. Where several learned numbers
    stand behind one p, as with an alpha for each unit, the variance is no function of p.
    """
    kind, p = layer.variant, measured.p
    of_p_alone = all(parameter.numel() == p.numel() for parameter in layer.parameters())
    below_1 = p.where(p < 1, math.nan)
    wanted: list[tuple[str, Tensor, Tensor, Tensor]] = []
    if not kind.biased:
        mean = below_1 * 0 + 1
        wanted.append(("noise mean", measured.mean, measured.mean_error, mean))
    if kind.keep_rate:
        wanted.append(("keep rate", measured.keep_rate, measured.keep_rate_error, 1 - p))
    if kind.matched and of_p_alone:
        odds = below_1 / (1 - below_1)
        wanted.append(("noise variance", measured.variance, measured.variance_error, odds))
    return [
        FolderLock(what, run if p.ndim else None, *numbers)
        for what, *tensors in wanted
        for run, numbers in enumerate(zip(*(t.flatten().tolist() for t in tensors), strict=True))
    ]


def measure(
    layer: Dropout,
    x: Tensor,
    weight: Tensor,
    entering: Entering | None = None,
    *,
    passes: int = PASSES,
) -> Measured:
    """Measure the noise of a layer in so many passes; its mode is left as it was.

    A layer of units is given ``x`` and the identity for weights; the noise is read off where
    evaluation is not 0. One of weights is given one-hot rows, each of which reads off the weights
    that leave one unit, up to 16 of them. Draws are taken from ``layer.noise``: in a fleet, open
    the streams they shall come from before, and those of training after.

    Args:
        layer: In a network, or begun with ``weight``.
        x: What is dropped from, ``(runs, batch, in)``, or without the run axis.
        weight: What leaves the place, ``(runs, in, out)``, or without the run axis.
        entering: What lies before ``x``; none at the input.
        passes: At least 2; a standard error from few passes is itself uncertain.
    """
    p = layer.p
    unknown = torch.full_like(p, math.nan)
    if not layer.variant.noisy:
        return Measured(p, *[unknown] * 6)
    sums = []
    with torch.no_grad(), _mode(layer, training=False):
        probe = _Probe(layer, x, weight, entering)
        rest = probe.carried().double()
        usable = _usable(rest, p.ndim)
        divisor = rest.where(usable, 1.0)
        layer.train()
        alive = torch.zeros_like(usable)
        for _ in range(passes):
            carried = probe.carried().double()
            alive |= carried.isfinite() & (carried.abs() > _LEAST)
            noise = carried.where(usable, 0.0) / divisor
            sums.append([_sum(each, p.ndim) for each in (noise, noise.square(), noise != 0)])
    count = _sum(usable, p.ndim)
    coins = _shared(usable, p.ndim) if probe.shared else count
    first, second, kept = (torch.stack(each) / count for each in zip(*sums, strict=True))
    found = _summed_up(p, coins * passes, first, second, kept)
    # Evaluation is 0 everywhere and training is not: relative to that, the noise has no bounds.
    lost = (count == 0) & (_sum(alive, p.ndim) > 0)
    return replace(
        found,
        mean=found.mean.masked_fill(lost, math.inf),
        mean_error=found.mean_error.masked_fill(lost, 0.0),
    )


def _summed_up(p: Tensor, coins: Tensor, first: Tensor, second: Tensor, kept: Tensor) -> Measured:
    """Return the measurement, from each pass's mean of the noise, of its square, and what was kept.

    Errors come from the scatter over the passes, so that draws which hang together within one do no
    harm; but none is less than that of as many coins, so that a p whose drops are too rare to have
    been met breaks no claim.
    """
    mean = first.mean(dim=0)
    squares = second - 2 * mean * first + mean.square()  # about the mean of all passes
    q = (1 - p).where(p < 1, 1.0)
    odds = p / q
    fourth = (p + p**4 / q**3 - odds.square()).clamp_min(0)  # variance of (k / q - 1)^2

    def error(each: Tensor, of_a_coin: Tensor) -> Tensor:
        scatter = each.std(dim=0) / math.sqrt(len(each))
        return torch.maximum(scatter, (of_a_coin / coins).sqrt())

    return Measured(
        p=p,
        keep_rate=kept.mean(dim=0),
        keep_rate_error=error(kept, p * (1 - p)),
        mean=mean,
        mean_error=error(first, odds),
        variance=squares.mean(dim=0),
        variance_error=error(squares, fourth),
    )


class _Probe:
    """What is sent through a layer so that the noise of single units or weights can be read off."""

    def __init__(
        self, layer: Dropout, x: Tensor, weight: Tensor, entering: Entering | None
    ) -> None:
        self.layer, self.x, self.weight, self.entering = layer, x, weight, entering
        self.shared = False  # whether the examples share their draws
        if isinstance(layer, UnitDropout):
            self.shared = layer.mask == "batch"
            eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
            self.weight = eye.expand(*x.shape[:-2], -1, -1)
            return
        units = weight.shape[-2]
        looked_at = torch.linspace(0, units - 1, min(units, _PROBES)).round().long()
        rows = torch.zeros(len(looked_at), units, dtype=weight.dtype, device=weight.device)
        rows[torch.arange(len(looked_at)), looked_at] = 1
        self.x = rows.expand(*weight.shape[:-2], -1, -1)
        if entering is not None:  # an example for each row, taken in turn
            example = torch.arange(len(looked_at)) % entering.preactivation.shape[-2]
            self.entering = Entering(entering.weight, entering.preactivation[..., example, :])

    def carried(self) -> Tensor:
        """Return what the layer makes of it, in the mode it is in."""
        layer = self.layer
        if isinstance(layer, UnitDropout) and type(layer).connect is UnitDropout.connect:
            units: Tensor = layer(self.x)  # what the identity would leave as it is
            return units
        return layer.connect(self.x, self.weight, None, self.entering)


@contextmanager
def _mode(layer: Dropout, *, training: bool) -> Iterator[None]:
    before = layer.training
    layer.train(training)
    try:
        yield
    finally:
        layer.train(before)


def _usable(rest: Tensor, runs: int) -> Tensor:
    """Return where evaluation is finite and not near 0: what can be divided by."""
    finite = rest.isfinite()
    squares = rest.where(finite, 0.0).square()
    dims = tuple(range(runs, rest.ndim))
    size = squares.mean(dim=dims, keepdim=True).sqrt()
    return finite & (rest.abs() > _LEAST * size)


def _sum(each: Tensor, runs: int) -> Tensor:
    return each.sum(dim=tuple(range(runs, each.ndim)), dtype=torch.float64).cpu()


def _shared(usable: Tensor, runs: int) -> Tensor:
    """Return how many independent coins there are where the examples share them.

    A unit that counts for more examples weighs more in the mean: ``(sum c)^2 / sum c^2`` of the
    counts c.
    """
    counts = usable.sum(dim=-2, dtype=torch.float64)
    return _sum(counts, runs).square() / _sum(counts.square(), runs)
