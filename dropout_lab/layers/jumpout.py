"""Jumpout: draw the drop rate of each batch, and adapt it to the share of active units."""

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import UnitDropout
from dropout_lab.layers.coins import lane_fractions

HIGHEST_RATE = 0.9
SCALE_POWER = 0.75
_TINY = 1e-12  # share of active units in a batch without any


class JumpoutDropout(UnitDropout):
    r"""Drop units at a random rate for each batch, which is higher if fewer units are active.

    .. math:: y_i = x_i k_i (1 - r)^{-0.75}, \qquad k_i \sim \mathrm{Bernoulli}(1 - r), \qquad
              r = \min\left(\frac{|n|}{a}, 0.9\right), \quad n \sim \mathcal{N}(0, p^2)

    ``a`` is the share of the units in the batch that are not 0. So the share ``a r`` of all units
    that are active and dropped is the same ``|n|`` in each layer. The factor is between
    ``1 / (1 - r)``, which keeps the mean, and ``(1 - r)**-0.5``, which keeps the second moment. So
    evaluation, where the output is ``x``, is not the mean of training.

    Args:
        p: Standard deviation of ``n``, in [0, 1]. The mean of ``|n|`` is 0.8 p. At 0 the output is
            bit-identical to ``x``.
        mask: ``element`` draws a mask for each example, ``batch`` one mask for the batch. The rate
            is the same for the batch in both cases.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or its axes are not the leading axes of ``x``.

    Paper:
        Wang, Zhou, Bilmes (2019), Jumpout: Improved Dropout for Deep Neural Networks with ReLUs,
        ICML. The abstract has the three ideas: a rate from half of a Gaussian, normalized by the
        active units in each layer and batch, and a factor between those of mean and variance. The
        power 0.75 is [unverified]. The limit of the rate is ours.
    """

    variant = CATALOGUE["jumpout"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times the scaled mask."""
        rate = self.draw_rate(x)
        fractions = lane_fractions(self.noise.lanes(self.noise_shape(x), x.device), x)
        scale = (1 - rate) ** -SCALE_POWER
        return x * ((fractions >= rate) * scale).to(x.dtype)

    def draw_rate(self, x: Tensor) -> Tensor:
        """Draw the rate of a batch of each run, in a shape that broadcasts with ``x``."""
        (deviation,) = self.broadcast_constants(x)
        shape = x.shape[: self._p_axes] + (1,) * (x.ndim - self._p_axes)
        normal = self.noise.normal(shape, x.device).to(torch.promote_types(x.dtype, torch.float32))
        axes = tuple(range(self._p_axes, x.ndim))
        active = (x != 0).to(normal.dtype)
        active = active.mean(dim=axes, keepdim=True) if axes else active
        return (normal.abs() * deviation / active.clamp_min(_TINY)).clamp(max=HIGHEST_RATE)
