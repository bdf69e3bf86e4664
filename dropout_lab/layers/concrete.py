"""Concrete dropout: the drop probability is learned."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import Mask, UnitDropout, require_nonnegative
from dropout_lab.layers.coins import lane_fractions
from dropout_lab.layers.learned import LearnedDropout
from dropout_lab.rng import Noise

TEMPERATURE = 0.1


class ConcreteDropout(LearnedDropout, UnitDropout):
    r"""Multiply each unit by a smooth approximation of a Bernoulli variable, and learn ``p``.

    .. math:: y_i = x_i \frac{1 - z_i}{1 - p}, \qquad
              z_i = \sigma\left(\frac{\operatorname{logit} p + \operatorname{logit} u_i}{0.1}
              \right), \quad u_i \sim U(0, 1)

    ``z`` is close to 1 with probability ``p`` and close to 0 otherwise. E[1 - z] is ``1 - p`` at
    p = 1/2 and close to ``1 - p`` for other p. :meth:`penalty` adds to the loss, for N examples
    (precision tau = 1),

    .. math:: \frac{1}{N} \left( \frac{l^2 \lVert W \rVert^2}{1 - p} - K \, H(p) \right), \qquad
              H(p) = -p \log p - (1 - p) \log (1 - p)

    with W the outgoing weights and K the number of units. In evaluation the output is ``x``; the
    authors also sample in evaluation.

    Args:
        p: Initial drop probability, in [0, 1); the authors start at 0.1. Each run learns its own.
        length_scale: ``l``, at least 0.
        mask: ``element`` draws for each example, ``batch`` once for the batch.
        noise: Source of the random draws, of 16 bits; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype. The learned
        ``logit`` has the shape of p.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, its axes are not the leading axes of ``x``, or
            ``length_scale`` is negative.

    Paper:
        Gal, Hron, Kendall (2017), Concrete Dropout, NIPS, and the authors' code: temperature 0.1,
        the factor 2 of the entropy dropped for cross-entropy.
    """

    variant = CATALOGUE["concrete"]
    logit: Tensor

    def __init__(
        self,
        p: float | Tensor = 0.1,
        *,
        length_scale: float = 1e-4,
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        self.length_scale = require_nonnegative("length_scale", length_scale)
        super().__init__(p, mask=mask, noise=noise)

    def on_p_set(self) -> None:
        """Reset the logit to the logit of p."""
        self.set_parameter("logit", self.initial_p().logit())

    def learned_p(self) -> Tensor:
        """Return ``sigmoid(logit)``."""
        return torch.sigmoid(self.logit)

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times the noise."""
        (active,) = self.broadcast_constants(x)
        u = lane_fractions(self.noise.lanes(self.noise_shape(x), x.device), x)
        logit = self.logit.view(self.logit.shape + (1,) * (x.ndim - self.logit.ndim))
        kept = torch.sigmoid(-(logit + u.logit()) / TEMPERATURE)
        noise = kept / torch.sigmoid(-logit)
        return torch.where(active, x * noise.to(x.dtype), x)

    def penalty(self, weight: Tensor, progress: float) -> Tensor:
        """Return the two regularizers times N, ``(runs,)``."""
        log_p, log_q = logsigmoid(self.logit), logsigmoid(-self.logit)
        p, q = log_p.exp(), log_q.exp()
        entropy = -(p * log_p + q * log_q)
        weights = self.length_scale**2 * (weight * weight).sum(dim=(-2, -1)) / q
        return (weights - weight.shape[-2] * entropy) * self.noise_indicator(weight)
