"""Alpha dropout, for self-normalizing networks."""

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import BernoulliDropout

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
ALPHA_PRIME = -SELU_SCALE * SELU_ALPHA  # limit of SELU for very negative inputs


class AlphaDropout(BernoulliDropout):
    r"""Set units to SELU's lowest value with probability ``p``, then restore mean and variance.

    .. math:: y_i = a \, (x_i k_i + \alpha' (1 - k_i)) + b, \qquad k_i \sim \mathrm{Bernoulli}(q),
              \quad q = 1 - p

    .. math:: a = (q + \alpha'^2 q p)^{-1/2}, \qquad b = -a \, p \, \alpha', \qquad
              \alpha' = -1.7580993408473766

    Units with mean 0 and variance 1 keep both. For other units the mean becomes ``a q`` times the
    mean of ``x``. In evaluation the output is ``x``.

    Args:
        p: Probability of dropping a unit, in [0, 1), rounded to a multiple of 1/65,536; the paper
            recommends 0.05 or 0.1. At 0 the output is bit-identical to ``x``.
        mask: ``element`` draws a mask for each example, ``batch`` one mask for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, or its axes are not the leading axes of ``x``.

    Paper:
        Klambauer, Unterthiner, Mayr, Hochreiter (2017), Self-Normalizing Neural Networks, NIPS,
        with their keep probability q = 1 - p.
    """

    variant = CATALOGUE["alpha"]

    def drop(self, x: Tensor) -> Tensor:
        """Return the affine map of ``x`` for kept units, and of alpha' for dropped units."""
        threshold, scale, shift = self.broadcast_constants(x)
        kept = self.noise.lanes(self.noise_shape(x), x.device) >= threshold
        return torch.where(kept, x, ALPHA_PRIME) * scale - shift

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the lane threshold, ``a`` and ``-b``."""
        q = 1 - p
        # A product, because torch.compile does not support powers of a number with dynamic shapes.
        scale = (q + ALPHA_PRIME * ALPHA_PRIME * q * p).rsqrt()
        shift = scale * p * ALPHA_PRIME + 0.0  # never -0.0, since x - -0.0 can change the bits of x
        return super().constants(p)[0], scale, shift
