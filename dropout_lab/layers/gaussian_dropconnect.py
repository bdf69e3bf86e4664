"""Multiplicative Gaussian noise on weights, sampled in the pre-activations."""

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import to_device
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Dropout, UnitInputs, WeightDropout
from dropout_lab.layers.coins import bounded_sqrt


class GaussianDropConnect(WeightDropout):
    r"""Multiply each weight by a normal variable of mean 1 and variance ``p / (1 - p)``.

    .. math:: z_j = \sum_i x_i w_{ij} r_{ij} + b_j, \qquad
              r_{ij} \sim \mathcal{N}(1, \alpha), \quad \alpha = \frac{p}{1 - p}

    If each example has its own noise, z is exactly normal, and the layer draws z directly:

    .. math:: z_j \sim \mathcal{N}\Big(\sum_i x_i w_{ij} + b_j,\;
              \alpha \sum_i x_i^2 w_{ij}^2\Big)

    Biases have no noise. Evaluation uses the weights without noise.

    Args:
        p: Sets the variance ``p / (1 - p)``; in [0, 1). At 0 the layer changes nothing.
        mask: ``element`` draws the pre-activations of each example, ``batch`` draws the weights
            once for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``connect``: ``x``: ``(runs, batch, in)``, ``weight``: ``(runs, in, out)``, ``bias``:
        ``(runs, 1, out)`` or None. Output: ``(runs, batch, out)``. All may omit the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, or its shape is not ``(runs,)`` or ``()``.

    Paper:
        McClure, Kriegeskorte (2016), arXiv:1611.01639 [id unverified]. Drawing the pre-activations
        is type B of Kingma, Salimans, Welling (2015), NIPS, with a fixed alpha.
    """

    variant = CATALOGUE["gaussian_dropconnect"]

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply the linear map to ``x``, with noisy weights in training."""
        if not self.training:
            return affine(x, weight, bias)
        (deviation,) = self.broadcast_constants(weight)
        return noisy_product(self, x, weight, bias, deviation)

    def moments(self, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``x W + b`` and ``p / (1 - p) x^2 W^2``."""
        (deviation,) = self.broadcast_constants(weight)
        spread = deviation * weight
        return affine(x, weight, bias), affine(x * x, spread * spread, None)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the standard deviation of the noise."""
        return ((p / (1 - p)).sqrt(),)


def noisy_product(
    layer: Dropout, x: Tensor, weight: Tensor, bias: Tensor | None, deviation: Tensor
) -> Tensor:
    """Return ``x (W r) + b`` with random ``r ~ N(1, deviation**2)``.

    With mask ``element``, draw the pre-activations from their normal distribution (local
    reparameterization, Kingma et al. 2015). With mask ``batch``, draw the weights. In runs with
    p = 0 the result is bit-identical to ``x W + b``.

    Args:
        layer: The layer whose noise source and mask are used.
        x: ``(runs, batch, in)``.
        weight: ``(runs, in, out)``.
        bias: ``(runs, 1, out)`` or None.
        deviation: The standard deviation of the noise, in a shape that broadcasts with ``weight``.
    """
    if layer.mask == "batch":
        draws = layer.noise.normal(weight.shape, weight.device).to(weight.dtype)
        z = affine(x, weight * (1 + deviation * draws), bias)
    else:
        z = _draw_preactivations(layer, x, weight, bias, deviation * weight)
    return _without_noise_at_p_0(layer, z, x, weight, bias)


def additive_noise_product(
    layer: Dropout, x: Tensor, weight: Tensor, bias: Tensor | None, spread: Tensor
) -> Tensor:
    """Return ``x (W + r) + b`` with random ``r ~ N(0, spread**2)``; see :func:`noisy_product`.

    Args:
        layer: The layer whose noise source and mask are used.
        x: ``(runs, batch, in)``.
        weight: ``(runs, in, out)``.
        bias: ``(runs, 1, out)`` or None.
        spread: The standard deviation of each weight, in the shape of ``weight``.
    """
    if layer.mask == "batch":
        draws = layer.noise.normal(weight.shape, weight.device).to(weight.dtype)
        z = affine(x, weight + spread * draws, bias)
    else:
        z = _draw_preactivations(layer, x, weight, bias, spread)
    return _without_noise_at_p_0(layer, z, x, weight, bias)


def _draw_preactivations(
    layer: Dropout, x: Tensor, weight: Tensor, bias: Tensor | None, spread: Tensor
) -> Tensor:
    """Draw from the normal distribution of the pre-activations under independent weights."""
    mean = affine(x, weight, bias)
    variance = affine(x * x, spread * spread, None)
    draws = layer.noise.normal(mean.shape, mean.device).to(mean.dtype)
    return mean + bounded_sqrt(variance) * draws


def _without_noise_at_p_0(
    layer: Dropout, z: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Return ``z``, and ``x W + b`` for the runs with p = 0."""
    if layer.all_p_positive:
        return z
    dropped = to_device(layer.has_noise()[..., None, None], z.device)
    return torch.where(dropped, z, affine(x, weight, bias))
