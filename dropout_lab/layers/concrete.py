"""Concrete dropout: the chance of dropping is learned."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import Mask, UnitDropout, at_least_0
from dropout_lab.layers.coins import lane_fractions
from dropout_lab.layers.learned import LearnedDropout
from dropout_lab.rng import Noise

TEMPERATURE = 0.1


class ConcreteDropout(LearnedDropout, UnitDropout):
    r"""Multiply each unit by a smooth coin, so that the gradient reaches ``p``.

    .. math:: y_i = x_i \frac{1 - z_i}{1 - p}, \qquad
              z_i = \sigma\left(\frac{\operatorname{logit} p + \operatorname{logit} u_i}{0.1}
              \right), \quad u_i \sim U(0, 1)

    ``z`` is close to 1 with probability ``p`` and close to 0 otherwise; E[1 - z] is ``1 - p`` at
    p = 1/2 and close to it elsewhere. The loss gains, for N examples (precision tau = 1),

    .. math:: \frac{1}{N} \left( \frac{l^2 \lVert W \rVert^2}{1 - p} - K \, H(p) \right), \qquad
              H(p) = -p \log p - (1 - p) \log (1 - p)

    with W the weights that leave the place and K its units: :meth:`penalty`. Evaluation leaves
    ``x`` as it is (the authors sample there too).

    Args:
        p: Chance of dropping at the start, in [0, 1); the authors start at 0.1. One for each run.
        length_scale: ``l``, at least 0.
        mask: ``element`` (a coin per example) or ``batch`` (the same for the whole batch).
        noise: Source of the draws; by default PyTorch's global generator. A draw has 16 bits.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype. The learned
        ``logit`` has the shape of p.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, its shape does not lead that of ``x``, or
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
        self.length_scale = at_least_0("length_scale", length_scale)
        super().__init__(p, mask=mask, noise=noise)

    def restart(self) -> None:
        """Put the logit where p says."""
        self.set_parameter("logit", self.started().logit())

    def learned_p(self) -> Tensor:
        """Return ``sigmoid(logit)``."""
        return torch.sigmoid(self.logit)

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times its smooth coins."""
        (active,) = self.placed(x)
        u = lane_fractions(self.noise.lanes(self.noise_shape(x), x.device), x)
        logit = self.logit.view(self.logit.shape + (1,) * (x.ndim - self.logit.ndim))
        kept = torch.sigmoid(-(logit + u.logit()) / TEMPERATURE)
        noise = kept / torch.sigmoid(-logit)
        return torch.where(active, x * noise.to(x.dtype), x)

    def penalty(self, weight: Tensor, progress: float) -> Tensor:
        """Return the two regularizers, times N: ``(runs,)``."""
        log_p, log_q = logsigmoid(self.logit), logsigmoid(-self.logit)
        p, q = log_p.exp(), log_q.exp()
        entropy = -(p * log_p + q * log_q)
        weights = self.length_scale**2 * (weight * weight).sum(dim=(-2, -1)) / q
        return (weights - weight.shape[-2] * entropy) * self.active(weight)
