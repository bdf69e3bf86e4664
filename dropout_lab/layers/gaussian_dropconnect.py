"""Multiplicative Gaussian noise on weights, sampled where it is felt: in the pre-activations."""

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import to_device
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Dropout, Entering, WeightDropout
from dropout_lab.layers.coins import root


class GaussianDropConnect(WeightDropout):
    r"""Multiply each weight by a normal variable of mean 1 and variance ``p / (1 - p)``.

    .. math:: z_j = \sum_i x_i w_{ij} r_{ij} + b_j, \qquad
              r_{ij} \sim \mathcal{N}(1, \alpha), \quad \alpha = \frac{p}{1 - p}

    With noise of its own for each example, z is normal and is drawn as such, which is exact:

    .. math:: z_j \sim \mathcal{N}\Big(\sum_i x_i w_{ij} + b_j,\;
              \alpha \sum_i x_i^2 w_{ij}^2\Big)

    Biases carry no noise. Evaluation uses the weights as they are.

    Args:
        p: Sets the variance ``p / (1 - p)``; in [0, 1). At 0 nothing is changed.
        mask: ``element`` draws anew for each example (the pre-activations), ``batch`` once for all
            (the weights).
        noise: Source of the normal draws; by default PyTorch's global generator.

    Shape:
        ``connect(x, weight, bias)``: ``(runs, batch, in)``, ``(runs, in, out)``, ``(runs, 1, out)``
        to ``(runs, batch, out)``; or all of them without the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, or its shape is not ``(runs,)`` or ``()``.

    Paper:
        McClure, Kriegeskorte (2016), arXiv:1611.01639 [id unverified]; with draws of the
        pre-activations, Kingma, Salimans, Welling (2015), NIPS, type B with a fixed alpha.
    """

    variant = CATALOGUE["gaussian_dropconnect"]

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: Entering | None = None
    ) -> Tensor:
        """Carry ``x`` through the weights, with noise on them in training."""
        if not self.training:
            return affine(x, weight, bias)
        (deviation,) = self.placed(weight)
        return noisy_product(self, x, weight, bias, deviation)

    def moments(self, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``x W + b`` and ``p / (1 - p) x^2 W^2``."""
        (deviation,) = self.placed(weight)
        spread = deviation * weight
        return affine(x, weight, bias), affine(x * x, spread * spread, None)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the standard deviation of the noise."""
        return ((p / (1 - p)).sqrt(),)


def noisy_product(
    layer: Dropout, x: Tensor, weight: Tensor, bias: Tensor | None, deviation: Tensor
) -> Tensor:
    """Return ``x (W r) + b`` with ``r ~ N(1, deviation**2)``, drawn per example or per batch.

    Per example the pre-activation is drawn, from the normal distribution that it has (local
    reparameterization, Kingma et al. 2015); per batch the weights are. Where the layer drops
    nothing, it is ``x W + b`` to the bit.

    Args:
        layer: Its noise is drawn from, its mask is followed.
        x: ``(runs, batch, in)``.
        weight: ``(runs, in, out)``.
        bias: ``(runs, 1, out)`` or none.
        deviation: Of the noise of each weight; it broadcasts against ``weight``.
    """
    if layer.mask == "batch":
        draws = layer.noise.normal(weight.shape, weight.device).to(weight.dtype)
        z = affine(x, weight * (1 + deviation * draws), bias)
    else:
        mean = affine(x, weight, bias)
        spread = deviation * weight
        variance = affine(x * x, spread * spread, None)
        draws = layer.noise.normal(mean.shape, mean.device).to(mean.dtype)
        z = mean + root(variance) * draws
    if layer.drops_everywhere:
        return z
    dropped = to_device(layer.dropped()[..., None, None], z.device)
    return torch.where(dropped, z, affine(x, weight, bias))
