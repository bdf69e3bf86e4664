"""Variational dropout of types A, A2 and B: learn the variance of Gaussian noise."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import (
    Mask,
    UnitDropout,
    UnitInputs,
    WeightDropout,
    require_nonnegative,
)
from dropout_lab.layers.gaussian_dropconnect import noisy_product
from dropout_lab.layers.learned import NOT_SET_UP, LearnedDropout
from dropout_lab.rng import Noise

AlphaPer = Literal["layer", "unit", "weight"]
WarmUp = tuple[float, float]
C1, C2, C3 = 1.16145124, -1.50204118, 0.58629921


def kl_of_alpha(log_alpha: Tensor) -> Tensor:
    """Return KL(q || log-uniform prior) of one unit or weight, in nats; 0 at alpha = 1.

    ``-(0.5 log alpha + c1 alpha + c2 alpha^2 + c3 alpha^3) + c1 + c2 + c3``, an approximation for
    alpha <= 1 (Kingma, Salimans, Welling 2015; the additive constant is arbitrary).
    """
    alpha = log_alpha.exp()
    return C1 + C2 + C3 - (0.5 * log_alpha + alpha * (C1 + alpha * (C2 + alpha * C3)))


def warmup_factor(progress: float, kl_warmup: WarmUp) -> float:
    """Return the factor of the KL, which rises from 0 to 1 between two fractions of the training.

    Args:
        progress: Completed fraction of the training, in [0, 1].
        kl_warmup: The two fractions.
    """
    start, end = kl_warmup
    return (
        float(progress >= end)
        if start == end
        else min(max((progress - start) / (end - start), 0.0), 1.0)
    )


def validate_warmup(kl_warmup: WarmUp) -> WarmUp:
    """Return the two fractions of the training if they are valid.

    Raises:
        ValueError: The fractions are outside [0, 1] or not in order.
    """
    start, end = kl_warmup
    if not 0 <= start <= end <= 1:
        raise ValueError(f"kl_warmup is {kl_warmup}; give two shares of the training, rising.")
    return kl_warmup


class VariationalDropout(LearnedDropout):
    """Base class of types A and B: alpha is learned, at most 1, and initially ``p / (1 - p)``."""

    allowed_alpha_per: ClassVar[tuple[AlphaPer, ...]] = ("layer", "unit")
    base_kl_weight: ClassVar[float] = 1.0  # factor of the KL in addition to kl_weight
    log_alpha: Tensor

    def __init__(
        self,
        p: float | Tensor = 0.5,
        *,
        alpha_per: AlphaPer = "layer",
        kl_weight: float = 1.0,
        kl_warmup: WarmUp = (0.0, 0.0),
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        if alpha_per not in self.allowed_alpha_per:
            allowed = ", ".join(self.allowed_alpha_per)
            raise ValueError(f"alpha_per is {alpha_per!r}; it must be one of {allowed}.")
        self.alpha_per = alpha_per
        self.kl_weight = require_nonnegative("kl_weight", kl_weight)
        self.kl_warmup = validate_warmup(kl_warmup)
        self._alpha_shape: tuple[int, int] = (1, 1)  # along the units and along the outputs
        super().__init__(p, mask=mask, noise=noise)

    def setup(self, weight: Tensor, activation: str) -> None:
        """Create an alpha for the layer, for each unit or for each weight."""
        units, outputs = weight.shape[-2:]
        shapes = {"layer": (1, 1), "unit": (units, 1), "weight": (units, outputs)}
        self._alpha_shape = shapes[self.alpha_per]
        self.on_p_set()

    def on_p_set(self) -> None:
        """Reset every alpha to ``p / (1 - p)``."""
        start = self.initial_p().logit()  # log(p / (1 - p))
        self.set_parameter(
            "log_alpha", start[..., None, None].repeat(*(1,) * start.ndim, *self._alpha_shape)
        )

    def check_setup(self) -> None:
        """Raise ValueError if :meth:`setup` has not created the alphas of units or weights."""
        if self.alpha_per != "layer" and self._alpha_shape == (1, 1):
            raise ValueError(NOT_SET_UP)

    def learned_p(self) -> Tensor:
        """Return ``alpha / (1 + alpha)``; the mean if there are several alphas."""
        return torch.sigmoid(self.log_alpha.clamp(max=0)).mean(dim=(-2, -1))

    def constrain(self) -> None:
        """Clip every alpha to at most 1."""
        with torch.no_grad():
            self.log_alpha.clamp_(max=0)

    def deviation(self) -> Tensor:
        """Return the standard deviation of the noise, ``sqrt(alpha)``."""
        return (0.5 * self.log_alpha.clamp(max=0)).exp()

    def kl(self, count: int, progress: float) -> Tensor:
        """Return the weighted KL of ``count`` units or weights, ``(runs,)``.

        Each alpha belongs to the same number of units or weights.
        """
        mean = kl_of_alpha(self.log_alpha.clamp(max=0)).mean(dim=(-2, -1))
        factor = self.base_kl_weight * self.kl_weight * warmup_factor(progress, self.kl_warmup)
        return mean * (count * factor) * self.noise_indicator(mean)


class VariationalADropout(VariationalDropout, UnitDropout):
    r"""Multiply each unit by normal noise of mean 1 and learned variance (type A).

    .. math:: y_i = x_i r_i, \qquad r_i \sim \mathcal{N}(1, \alpha), \quad \alpha \le 1

    :meth:`penalty` adds KL / N to the loss, where KL is the sum of :func:`kl_of_alpha` over the
    units. In evaluation the output is ``x``.

    Args:
        p: Sets the initial ``alpha = p / (1 - p)``; in [0, 0.5].
        alpha_per: ``layer`` learns one alpha, ``unit`` an alpha for each unit.
        kl_weight: Factor of the KL, at least 0. Type A2 multiplies it by 1/3.
        kl_warmup: Fractions of the training between which the factor rises from 0.
        mask: ``element`` draws noise for each example, ``batch`` once for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ..., units)``. Output: the same shape and dtype. The learned
        ``log_alpha`` has the shape of p and two more axes, ``(1, 1)`` or ``(units, 1)``.

    Raises:
        ValueError: ``p`` is outside [0, 0.5] or nan, or ``alpha_per`` is weight.

    Paper:
        Kingma, Salimans, Welling (2015), Variational Dropout and the Local Reparameterization
        Trick, NIPS. Using the mean in evaluation is [unverified].
    """

    variant = CATALOGUE["variational_a"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times the noise."""
        (active,) = self.broadcast_constants(x)
        self.check_setup()
        runs = self._p_axes
        deviation = self.deviation().squeeze(-1)  # (runs, units or 1)
        if runs == x.ndim:
            deviation = deviation.squeeze(-1)
        elif runs < x.ndim - 1:
            deviation = deviation.view(deviation.shape[:runs] + (1,) * (x.ndim - 1 - runs) + (-1,))
        return torch.where(active, x * (1 + self.normal(x) * deviation.to(x.dtype)), x)

    def penalty(self, weight: Tensor, progress: float) -> Tensor:
        """Return the weighted KL of the units, ``(runs,)``."""
        return self.kl(weight.shape[-2], progress)


class VariationalA2Dropout(VariationalADropout):
    """Type A with a third of the KL, called A2 in the paper; see :class:`VariationalADropout`."""

    variant = CATALOGUE["variational_a2"]
    base_kl_weight = 1 / 3


class VariationalBDropout(VariationalDropout, WeightDropout):
    r"""Multiply each weight by normal noise of mean 1 and learned variance (type B).

    .. math:: z_j \sim \mathcal{N}\Big(\sum_i x_i w_{ij} + b_j,\;
              \sum_i x_i^2 \alpha_{ij} w_{ij}^2\Big), \qquad \alpha \le 1

    :meth:`penalty` adds KL / N to the loss, where KL is the sum of :func:`kl_of_alpha` over the
    weights. Biases have no noise. Evaluation uses the weights without noise.

    Args:
        p: Sets the initial ``alpha = p / (1 - p)``; in [0, 0.5].
        alpha_per: ``layer`` learns one alpha, ``unit`` an alpha for all outgoing weights of each
            unit, ``weight`` an alpha for each weight.
        kl_weight: Factor of the KL, at least 0.
        kl_warmup: Fractions of the training between which the factor rises from 0.
        mask: ``element`` draws the pre-activations of each example, ``batch`` draws the weights
            once for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``connect``: ``x``: ``(runs, batch, in)``, ``weight``: ``(runs, in, out)``, ``bias``:
        ``(runs, 1, out)`` or None. Output: ``(runs, batch, out)``. All may omit the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 0.5] or nan.

    Paper:
        Kingma, Salimans, Welling (2015), NIPS. Using the mean in evaluation is [unverified].
    """

    variant = CATALOGUE["variational_b"]
    allowed_alpha_per = ("layer", "unit", "weight")

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply the linear map to ``x``, with noisy weights in training."""
        if not self.training:
            return affine(x, weight, bias)
        self.check_setup()
        return noisy_product(self, x, weight, bias, self.deviation().to(weight.dtype))

    def penalty(self, weight: Tensor, progress: float) -> Tensor:
        """Return the weighted KL of the weights, ``(runs,)``."""
        return self.kl(weight.shape[-2] * weight.shape[-1], progress)
