"""Measure keep rate, mean and variance of a layer's noise, and compare them with the catalogue.

The noise of a unit or weight is its value in training divided by its value in evaluation.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dropout_lab.layers.base import Dropout, UnitDropout, UnitInputs

# Standard errors are estimated from PASSES passes. So the chance that the measurement of a true
# claim differs by more than ERRORS standard errors is that of Student's t with 63 degrees of
# freedom beyond 5, which is 1 in 200,000.
PASSES = 64
ERRORS = 5
_PROBED_ROWS = 16  # rows of a weight matrix that are measured
_MIN_SIZE = 1e-3  # smallest value to divide by, relative to the root mean square in evaluation
_ROUNDING = 1e-6  # 1 / (1 - p) and the ratio have float32 errors of up to 1.2e-7 each


@dataclass(frozen=True)
class NoiseMeasurement:
    """The measured noise of a layer: float64, in the shape of its p; nan without noise.

    Args:
        p: The current drop probability.
        keep_rate: Fraction of the units or weights that are not 0.
        keep_rate_error: The standard error of the keep rate.
        mean: Mean of the noise.
        mean_error: The standard error of the mean.
        variance: Variance of the noise.
        variance_error: The standard error of the variance.
    """

    p: Tensor
    keep_rate: Tensor
    keep_rate_error: Tensor
    mean: Tensor
    mean_error: Tensor
    variance: Tensor
    variance_error: Tensor


@dataclass(frozen=True)
class Claim:
    """A property that the catalogue claims of a variant, with its measured value.

    Args:
        what: ``keep rate``, ``noise mean`` or ``noise variance``.
        run: Index along the run axis; None without a run axis.
        value: The measured value.
        error: The standard error of the measured value.
        claimed: The claimed value.
    """

    what: str
    run: int | None
    value: float
    error: float
    claimed: float

    @property
    def bound(self) -> float:
        """The largest allowed difference: 5 standard errors and the rounding of float32."""
        return ERRORS * self.error + _ROUNDING * max(1.0, abs(self.claimed))

    @property
    def is_violated(self) -> bool:
        """Whether the difference exceeds the bound. False if the measured value is nan."""
        return abs(self.value - self.claimed) > self.bound

    def __str__(self) -> str:
        digits = max(0, 1 - math.floor(math.log10(self.error))) if self.error > 0 else 3
        which = "" if self.run is None else f"run {self.run}: "
        return (
            f"{which}{self.what} {self.value:.{digits}f} ± {self.error:.{digits}f}; "
            f"{self.claimed:.6g} is claimed"
        )


def compare_with_claims(layer: Dropout, measured: NoiseMeasurement) -> list[Claim]:
    """Return the claims of the catalogue about a layer's variant, with the measured values.

    At p = 1 there are no claims about mean and variance. If a run has several learned parameters,
    such as an alpha for each unit, the variance is not a function of p, and there is no claim.
    """
    kind, p = layer.variant, measured.p
    one_parameter = all(parameter.numel() == p.numel() for parameter in layer.parameters())
    below_1 = p.where(p < 1, math.nan)
    claims: list[tuple[str, Tensor, Tensor, Tensor]] = []
    if not kind.biased:
        mean = below_1 * 0 + 1
        claims.append(("noise mean", measured.mean, measured.mean_error, mean))
    if kind.keep_rate:
        claims.append(("keep rate", measured.keep_rate, measured.keep_rate_error, 1 - p))
    if kind.matched and one_parameter:
        odds = below_1 / (1 - below_1)
        claims.append(("noise variance", measured.variance, measured.variance_error, odds))
    return [
        Claim(what, run if p.ndim else None, *numbers)
        for what, *tensors in claims
        for run, numbers in enumerate(zip(*(t.flatten().tolist() for t in tensors), strict=True))
    ]


def measure_noise(
    layer: Dropout,
    x: Tensor,
    weight: Tensor,
    entering: UnitInputs | None = None,
    *,
    passes: int = PASSES,
) -> NoiseMeasurement:
    """Measure the noise of a layer over several passes. Does not change the layer's mode.

    A layer that acts on units gets ``x``, and the identity as weights. Units that are 0 in
    evaluation are left out. A layer that acts on weights gets one-hot rows, so its output is a row
    of the weights; at most 16 rows are measured. Noise is drawn from ``layer.noise``: in a fleet,
    open the streams for this purpose first, and the streams of training again afterwards.

    Args:
        layer: A layer in a network, or a layer that is set up with ``weight``.
        x: The units, ``(runs, batch, in)``, or without the run axis.
        weight: The outgoing weights, ``(runs, in, out)``, or without the run axis.
        entering: Incoming weights and pre-activations of the units; None at the input.
        passes: At least 2. With few passes, the standard errors are inaccurate.
    """
    p = layer.p
    unknown = torch.full_like(p, math.nan)
    if not layer.variant.noisy:
        return NoiseMeasurement(p, *[unknown] * 6)
    sums = []
    with torch.no_grad(), _mode(layer, training=False):
        probe = _Probe(layer, x, weight, entering)
        evaluated = probe.output().double()
        usable = _is_usable(evaluated, p.ndim)
        divisor = evaluated.where(usable, 1.0)
        layer.train()
        ever_nonzero = torch.zeros_like(usable)
        for _ in range(passes):
            noisy = probe.output().double()
            ever_nonzero |= noisy.isfinite() & (noisy.abs() > _MIN_SIZE)
            noise = noisy.where(usable, 0.0) / divisor
            sums.append([_sum(each, p.ndim) for each in (noise, noise.square(), noise != 0)])
    count = _sum(usable, p.ndim)
    draws = _effective_count(usable, p.ndim) if probe.shares_draws else count
    first, second, kept = (torch.stack(each) / count for each in zip(*sums, strict=True))
    measured = _summarize(p, draws * passes, first, second, kept)
    # If evaluation is 0 everywhere and training is not, the relative noise is infinite.
    infinite = (count == 0) & (_sum(ever_nonzero, p.ndim) > 0)
    return replace(
        measured,
        mean=measured.mean.masked_fill(infinite, math.inf),
        mean_error=measured.mean_error.masked_fill(infinite, 0.0),
    )


def _summarize(
    p: Tensor, draws: Tensor, first: Tensor, second: Tensor, kept: Tensor
) -> NoiseMeasurement:
    """Summarize the passes.

    Standard errors come from the standard deviation over the passes, so dependent draws within a
    pass do no harm. They are at least the standard error of ``draws`` independent Bernoulli draws:
    if p is so small that no draw drops, the claims still hold within the bound.

    Args:
        p: The drop probability.
        draws: Number of independent draws in all passes.
        first: Mean of the noise in each pass, ``(passes, *p.shape)``.
        second: Mean square of the noise in each pass.
        kept: Keep rate in each pass.
    """
    mean = first.mean(dim=0)
    squares = second - 2 * mean * first + mean.square()  # around the mean of all passes
    q = (1 - p).where(p < 1, 1.0)
    odds = p / q
    fourth = (p + p**4 / q**3 - odds.square()).clamp_min(0)  # variance of (k / q - 1)^2

    def error(each: Tensor, variance_of_draw: Tensor) -> Tensor:
        scatter = each.std(dim=0) / math.sqrt(len(each))
        return torch.maximum(scatter, (variance_of_draw / draws).sqrt())

    return NoiseMeasurement(
        p=p,
        keep_rate=kept.mean(dim=0),
        keep_rate_error=error(kept, p * (1 - p)),
        mean=mean,
        mean_error=error(first, odds),
        variance=squares.mean(dim=0),
        variance_error=error(squares, fourth),
    )


class _Probe:
    """Inputs for a layer that show the noise of single units or weights in its output."""

    def __init__(
        self, layer: Dropout, x: Tensor, weight: Tensor, entering: UnitInputs | None
    ) -> None:
        self.layer, self.x, self.weight, self.entering = layer, x, weight, entering
        self.shares_draws = False  # whether the examples of a batch share their draws
        if isinstance(layer, UnitDropout):
            self.shares_draws = layer.mask == "batch"
            eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
            self.weight = eye.expand(*x.shape[:-2], -1, -1)
            return
        units = weight.shape[-2]
        probed = torch.linspace(0, units - 1, min(units, _PROBED_ROWS)).round().long()
        rows = torch.zeros(len(probed), units, dtype=weight.dtype, device=weight.device)
        rows[torch.arange(len(probed)), probed] = 1
        self.x = rows.expand(*weight.shape[:-2], -1, -1)
        if entering is not None:  # use the examples in turn, one for each row
            example = torch.arange(len(probed)) % entering.preactivation.shape[-2]
            self.entering = UnitInputs(entering.weight, entering.preactivation[..., example, :])

    def output(self) -> Tensor:
        """Return the output of the layer in its current mode."""
        layer = self.layer
        if isinstance(layer, UnitDropout) and type(layer).connect is UnitDropout.connect:
            units: Tensor = layer(self.x)  # same as with the identity, but faster
            return units
        return layer.connect(self.x, self.weight, None, self.entering)


@contextmanager
def _mode(layer: Dropout, *, training: bool) -> Iterator[None]:
    """Set the mode of a layer inside a ``with`` block."""
    before = layer.training
    layer.train(training)
    try:
        yield
    finally:
        layer.train(before)


def _is_usable(evaluated: Tensor, run_axes: int) -> Tensor:
    """Return which values in evaluation are finite and large enough to divide by."""
    finite = evaluated.isfinite()
    squares = evaluated.where(finite, 0.0).square()
    dims = tuple(range(run_axes, evaluated.ndim))
    size = squares.mean(dim=dims, keepdim=True).sqrt()
    return finite & (evaluated.abs() > _MIN_SIZE * size)


def _sum(values: Tensor, run_axes: int) -> Tensor:
    """Return the sum for each run, float64, on the CPU."""
    dims = tuple(range(run_axes, values.ndim))
    return values.sum(dim=dims, dtype=torch.float64).cpu()


def _effective_count(usable: Tensor, run_axes: int) -> Tensor:
    """Return the effective number of independent draws if the examples of a batch share them.

    Units with more usable examples have a larger weight in the mean. So the effective number is
    ``(sum c)^2 / sum c^2``, where c is the number of usable examples of a unit.
    """
    counts = usable.sum(dim=-2, dtype=torch.float64)
    return _sum(counts, run_axes).square() / _sum(counts.square(), run_axes)
