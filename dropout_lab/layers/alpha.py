"""Alpha dropout, for self-normalizing networks."""

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import BernoulliDropout

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
ALPHA_PRIME = -SELU_SCALE * SELU_ALPHA  # what SELU tends to for very negative inputs


class AlphaDropout(BernoulliDropout):
    r"""Send each unit, with probability ``p``, to SELU's lowest value, and restore the moments.

    .. math:: y_i = a \, (x_i k_i + \alpha' (1 - k_i)) + b, \qquad k_i \sim \mathrm{Bernoulli}(q),
              \quad q = 1 - p

    .. math:: a = (q + \alpha'^2 q p)^{-1/2}, \qquad b = -a \, p \, \alpha', \qquad
              \alpha' = -1.7580993408473766

    Units of mean 0 and variance 1 keep both; for others the mean is ``a q`` times theirs.
    Evaluation leaves ``x`` as it is.

    Args:
        p: Chance of dropping a unit, in [0, 1), rounded to a multiple of 1/65,536; the paper
            recommends 0.05 or 0.1. At 0 the output equals ``x`` bit for bit.
        mask: ``element`` (a mask per example) or ``batch`` (one for the whole batch).
        noise: Source of the coin tosses; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, or its shape does not lead that of ``x``.

    Paper:
        Klambauer, Unterthiner, Mayr, Hochreiter (2017), Self-Normalizing Neural Networks, NIPS,
        with their keep probability q = 1 - p.
    """

    variant = CATALOGUE["alpha"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` where it is kept and alpha' where it is dropped, under the affine map."""
        threshold, scale, shift = self.placed(x)
        kept = self.noise.lanes(self.noise_shape(x), x.device) >= threshold
        return torch.where(kept, x, ALPHA_PRIME) * scale - shift

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the threshold of the lanes, ``a``, and ``-b``."""
        q = 1 - p
        # A product: torch.compile cannot take the power of a number where shapes are dynamic.
        scale = (q + ALPHA_PRIME * ALPHA_PRIME * q * p).rsqrt()
        shift = scale * p * ALPHA_PRIME + 0.0  # + 0.0: x - 0.0 is x to the bit, x - -0.0 is not
        return super().constants(p)[0], scale, shift
