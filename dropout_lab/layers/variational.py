"""Variational dropout: the variance of Gaussian noise is learned, types A, A2 and B."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Entering, Mask, UnitDropout, WeightDropout, at_least_0
from dropout_lab.layers.gaussian_dropconnect import noisy_product
from dropout_lab.layers.learned import NOT_BEGUN, LearnedDropout
from dropout_lab.rng import Noise

AlphaPer = Literal["layer", "unit", "weight"]
WarmUp = tuple[float, float]
C1, C2, C3 = 1.16145124, -1.50204118, 0.58629921


def kl_of_alpha(log_alpha: Tensor) -> Tensor:
    """Return KL(q || log-uniform prior) of one noisy quantity, in nats; 0 at alpha = 1.

    ``-(0.5 log alpha + c1 alpha + c2 alpha^2 + c3 alpha^3) + c1 + c2 + c3``, an approximation for
    alpha <= 1 (Kingma, Salimans, Welling 2015; its constant is free).
    """
    alpha = log_alpha.exp()
    return C1 + C2 + C3 - (0.5 * log_alpha + alpha * (C1 + alpha * (C2 + alpha * C3)))


def warmed_up(progress: float, kl_warmup: WarmUp) -> float:
    """Return the weight of a KL that is 0 up to a share of the training and 1 from another on."""
    start, end = kl_warmup
    return (
        float(progress >= end)
        if start == end
        else min(max((progress - start) / (end - start), 0.0), 1.0)
    )


def checked_warmup(kl_warmup: WarmUp) -> WarmUp:
    """Return the two shares of the training.

    Raises:
        ValueError: They do not rise within [0, 1].
    """
    start, end = kl_warmup
    if not 0 <= start <= end <= 1:
        raise ValueError(f"kl_warmup is {kl_warmup}; give two shares of the training, rising.")
    return kl_warmup


class VariationalDropout(LearnedDropout):
    """Base of types A and B: ``alpha = p / (1 - p)`` at the start, learned, at most 1."""

    alphas: ClassVar[tuple[AlphaPer, ...]] = ("layer", "unit")  # what may have one of its own
    own_kl_weight: ClassVar[float] = 1.0  # of the KL in the loss; kl_weight comes on top
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
        if alpha_per not in self.alphas:
            raise ValueError(
                f"alpha_per is {alpha_per!r}; it must be one of {', '.join(self.alphas)}."
            )
        self.alpha_per = alpha_per
        self.kl_weight = at_least_0("kl_weight", kl_weight)
        self.kl_warmup = checked_warmup(kl_warmup)
        self._each: tuple[int, int] = (1, 1)  # alphas along the units and along the outputs
        super().__init__(p, mask=mask, noise=noise)

    def begin(self, weight: Tensor, activation: str) -> None:
        """Make an alpha for the layer, each of its units or each of its weights."""
        units, outputs = weight.shape[-2:]
        self._each = {"layer": (1, 1), "unit": (units, 1), "weight": (units, outputs)}[
            self.alpha_per
        ]
        self.restart()

    def restart(self) -> None:
        """Put every alpha where p says."""
        start = self.started().logit()  # log(p / (1 - p))
        self.set_parameter(
            "log_alpha", start[..., None, None].repeat(*(1,) * start.ndim, *self._each)
        )

    def check_begun(self) -> None:
        """Refuse to go on where alphas of units or weights were asked for and not made."""
        if self.alpha_per != "layer" and self._each == (1, 1):
            raise ValueError(NOT_BEGUN)

    def learned_p(self) -> Tensor:
        """Return ``alpha / (1 + alpha)``, its mean where there are several."""
        return torch.sigmoid(self.log_alpha.clamp(max=0)).mean(dim=(-2, -1))

    def constrain(self) -> None:
        """Bring every alpha back to at most 1."""
        with torch.no_grad():
            self.log_alpha.clamp_(max=0)

    def deviation(self) -> Tensor:
        """Return the standard deviation of the noise, ``sqrt(alpha)``."""
        return (0.5 * self.log_alpha.clamp(max=0)).exp()

    def kl(self, count: int, progress: float) -> Tensor:
        """Return the KL of so many noisy quantities that share the alphas evenly: ``(runs,)``."""
        each = kl_of_alpha(self.log_alpha.clamp(max=0)).mean(dim=(-2, -1))
        factor = self.own_kl_weight * self.kl_weight * warmed_up(progress, self.kl_warmup)
        return each * (count * factor) * self.active(each)


class VariationalADropout(VariationalDropout, UnitDropout):
    r"""Multiply each unit by normal noise of mean 1 whose variance is learned (type A).

    .. math:: y_i = x_i r_i, \qquad r_i \sim \mathcal{N}(1, \alpha), \quad \alpha \le 1

    The loss gains KL / N, summed over the units (:meth:`penalty`), with :func:`kl_of_alpha`.
    Evaluation leaves ``x`` as it is.

    Args:
        p: Sets ``alpha = p / (1 - p)`` at the start; in [0, 0.5].
        alpha_per: ``layer`` or ``unit``: what has an alpha of its own.
        kl_weight: Factor of the KL, at least 0; type A2 has a third of it.
        kl_warmup: Shares of the training between which the factor rises from 0.
        mask: ``element`` (noise per example) or ``batch`` (the same for the whole batch).
        noise: Source of the normal draws; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ..., units)``. Output: the same shape and dtype. The learned
        ``log_alpha`` has the shape of p and two axes more, ``(1, 1)`` or ``(units, 1)``.

    Raises:
        ValueError: ``p`` is outside [0, 0.5] or nan, or ``alpha_per`` is weight.

    Paper:
        Kingma, Salimans, Welling (2015), Variational Dropout and the Local Reparameterization
        Trick, NIPS. That evaluation uses the mean is [unverified].
    """

    variant = CATALOGUE["variational_a"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times its noise."""
        (active,) = self.placed(x)
        self.check_begun()
        runs = self._p_axes
        deviation = self.deviation().squeeze(-1)  # (runs, units or 1)
        if runs == x.ndim:
            deviation = deviation.squeeze(-1)
        elif runs < x.ndim - 1:
            deviation = deviation.view(deviation.shape[:runs] + (1,) * (x.ndim - 1 - runs) + (-1,))
        return torch.where(active, x * (1 + self.normal(x) * deviation.to(x.dtype)), x)

    def penalty(self, weight: Tensor, progress: float) -> Tensor:
        """Return the KL over the units: ``(runs,)``."""
        return self.kl(weight.shape[-2], progress)


class VariationalA2Dropout(VariationalADropout):
    """Type A with a third of the KL, the paper's A2; see :class:`VariationalADropout`."""

    variant = CATALOGUE["variational_a2"]
    own_kl_weight = 1 / 3


class VariationalBDropout(VariationalDropout, WeightDropout):
    r"""Multiply each weight by normal noise of mean 1 whose variance is learned (type B).

    .. math:: z_j \sim \mathcal{N}\Big(\sum_i x_i w_{ij} + b_j,\;
              \sum_i x_i^2 \alpha_{ij} w_{ij}^2\Big), \qquad \alpha \le 1

    The loss gains KL / N, summed over the weights (:meth:`penalty`), with :func:`kl_of_alpha`.
    Biases carry no noise. Evaluation uses the weights as they are.

    Args:
        p: Sets ``alpha = p / (1 - p)`` at the start; in [0, 0.5].
        alpha_per: ``layer``, ``unit`` (that the weights leave) or ``weight``.
        kl_weight: Factor of the KL, at least 0.
        kl_warmup: Shares of the training between which the factor rises from 0.
        mask: ``element`` draws pre-activations for each example, ``batch`` weights once for all.
        noise: Source of the normal draws; by default PyTorch's global generator.

    Shape:
        ``connect(x, weight, bias)``: ``(runs, batch, in)``, ``(runs, in, out)``, ``(runs, 1, out)``
        to ``(runs, batch, out)``; or all of them without the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 0.5] or nan.

    Paper:
        Kingma, Salimans, Welling (2015), NIPS. That evaluation uses the mean is [unverified].
    """

    variant = CATALOGUE["variational_b"]
    alphas = ("layer", "unit", "weight")

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: Entering | None = None
    ) -> Tensor:
        """Carry ``x`` through the weights, with noise on them in training."""
        if not self.training:
            return affine(x, weight, bias)
        self.check_begun()
        return noisy_product(self, x, weight, bias, self.deviation().to(weight.dtype))

    def penalty(self, weight: Tensor, progress: float) -> Tensor:
        """Return the KL over the weights: ``(runs,)``."""
        return self.kl(weight.shape[-2] * weight.shape[-1], progress)
