"""Learned Bernoulli dropout: p is learned from pairs of mirrored masks (ARM)."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import Mask, UnitDropout, require_nonnegative
from dropout_lab.layers.coins import lane_fractions
from dropout_lab.layers.learned import LearnedDropout
from dropout_lab.rng import Noise


class LearnedBernoulliDropout(LearnedDropout, UnitDropout):
    r"""Drop units as standard dropout does, and learn ``p`` with an unbiased gradient.

    .. math:: y_i = x_i \mathbb{1}[u_i \ge p], \quad u_i \sim U(0, 1), \qquad
              y_i = (1 - p) x_i \ \text{in evaluation}

    A mask has no gradient. Concrete dropout makes the mask smooth, which has another mean. ARM
    (augment-REINFORCE-merge) compares the loss f of an example under a mask with the loss under the
    mirrored mask, which has ``1 - u`` in place of ``u``. With the logit ``phi = log((1 - p) / p)``,

    .. math:: \frac{\partial}{\partial \phi} E[f] = E\Big[ (f(u) - f(1 - u))
              \sum_i (u_i - \tfrac12) \Big]

    where the sum is over the units, which share phi. :meth:`mirrored_term` returns a number of
    value 0 with this gradient. :meth:`penalty` is that of concrete dropout, for weights that are
    not divided by 1 - p: ``l**2 (1 - p) |W|**2 - K H(p)``, divided by N.

    Args:
        p: Initial drop probability, in [0, 1). Each run learns its own.
        length_scale: ``l``, at least 0.
        mask: ``element`` draws a mask for each example, ``batch`` one mask for the batch.
        noise: Source of the random draws, of 16 bits; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype. The learned
        ``logit`` of keeping has the shape of p.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, its axes are not the leading axes of ``x``, or
            ``length_scale`` is negative.

    Paper:
        Boluki, Ardywibowo, Dadaneh, Zhou, Qian (2020), Learnable Bernoulli Dropout for Bayesian
        Deep Learning, AISTATS; ARM: Yin, Zhou (2019), ICLR. One p for each place, no scaling, and
        the penalty of concrete dropout are choices of ours [their prior unverified].
    """

    variant = CATALOGUE["learned_bernoulli"]
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
        """Reset the logit to the logit of 1 - p."""
        self.set_parameter("logit", -self.initial_p().logit())

    def learned_p(self) -> Tensor:
        """Return ``sigmoid(-logit)``."""
        return torch.sigmoid(-self.logit)

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` for kept units and 0 for dropped units."""
        (active,) = self.broadcast_constants(x)
        u = lane_fractions(self.noise.lanes(self.noise_shape(x), x.device), x)
        kept = (u >= torch.sigmoid(-self._logit(x).detach())).to(x.dtype)
        return torch.where(active, x * kept, x)

    def eval_forward(self, x: Tensor) -> Tensor:
        """Return ``x`` times 1 - p."""
        (active,) = self.broadcast_constants(x)
        return torch.where(active, x * torch.sigmoid(self._logit(x)).to(x.dtype), x)

    def mirrored_term(self, lanes: Tensor, difference: Tensor) -> Tensor:
        """Return a term of value 0 whose gradient is the ARM estimate: ``(runs,)``."""
        centered = lane_fractions(lanes, difference) - 0.5
        estimate = (centered.sum(dim=-1) * difference).mean(dim=-1)
        estimate = estimate * self.noise_indicator(estimate)
        return estimate * (self.logit - self.logit.detach())

    def penalty(self, weight: Tensor, progress: float) -> Tensor:
        """Return the two regularizers times N, ``(runs,)``."""
        log_p, log_q = logsigmoid(-self.logit), logsigmoid(self.logit)
        p, q = log_p.exp(), log_q.exp()
        entropy = -(p * log_p + q * log_q)
        weights = self.length_scale**2 * (weight * weight).sum(dim=(-2, -1)) * q
        return (weights - weight.shape[-2] * entropy) * self.noise_indicator(weight)

    def _logit(self, x: Tensor) -> Tensor:
        """Return the logit in float32 or float64, in a shape that broadcasts with ``x``."""
        logit = self.logit.to(torch.promote_types(x.dtype, torch.float32))
        return logit.view(logit.shape + (1,) * (x.ndim - logit.ndim))
