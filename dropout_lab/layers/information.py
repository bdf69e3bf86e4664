"""Information dropout: log-normal noise whose deviation depends on the unit."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import Mask, require_nonnegative
from dropout_lab.layers.unit_parameters import LearnedUnitParameters
from dropout_lab.layers.variational import WarmUp, validate_warmup, warmup_factor
from dropout_lab.rng import Noise


class InformationDropout(LearnedUnitParameters):
    r"""Multiply each unit by log-normal noise, whose deviation is a learned function of the unit.

    .. math:: y_i = x_i e^{\alpha_i n_i - \alpha_i^2 / 2}, \quad n_i \sim \mathcal{N}(0, 1), \qquad
              \alpha_i = 2 \alpha_0 \, \sigma(a_i x_i + c_i), \quad
              \alpha_0 = \sqrt{-\log(1 - p)}

    a and c are learned for each unit and start at 0. So the noise has mean 1, and at the start the
    variance ``exp(alpha_0**2) - 1 = p / (1 - p)`` of inverted dropout. In evaluation the output is
    ``x``. :meth:`batch_penalty` adds ``kl_weight`` times the mean over the batch of

    .. math:: \sum_{i: x_i \ne 0} \log \frac{2 \alpha_0}{\alpha_i}

    to the loss. This is the information that the noisy units carry about the input, except for a
    constant, for ReLU units with a log-uniform prior that has a point mass at 0. A unit that is 0
    adds a constant.

    Args:
        p: Sets alpha_0, in [0, 0.5]. Runs at p = 0 have no noise.
        kl_weight: The paper's beta, at least 0. A sum over hundreds of units outweighs the
            cross-entropy at 1.
        kl_warmup: Fractions of the training between which the factor rises from 0.
        mask: ``element`` draws noise for each example, ``batch`` once for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ..., units)``, any float dtype. Output: the same shape and dtype. The
        learned ``slope`` and ``offset`` have shape ``(*p.shape, 1, units)`` after :meth:`setup`,
        and one value for all units before.

    Raises:
        ValueError: ``p`` is outside [0, 0.5] or nan, its axes are not the leading axes of ``x``, or
            another argument is outside its range.

    Paper:
        Achille, Soatto (2018), Information Dropout: Learning Optimal Representations Through Noisy
        Computation, IEEE TPAMI; arXiv:1611.01353. Their noise is ``log N(0, alpha**2)`` with alpha
        at most 0.7, which is p = 0.115 here. Their alpha is a layer of the same inputs as the
        units [unverified]. A function of the unit itself, the division by the mean, the start
        at p and the default of ``kl_weight`` are ours.
    """

    variant = CATALOGUE["information"]
    slope: Tensor
    offset: Tensor

    def __init__(
        self,
        p: float | Tensor = 0.25,
        *,
        kl_weight: float = 0.001,
        kl_warmup: WarmUp = (0.0, 0.0),
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        self.kl_weight = require_nonnegative("kl_weight", kl_weight)
        self.kl_warmup = validate_warmup(kl_warmup)
        super().__init__(p, mask=mask, noise=noise)

    def on_p_set(self) -> None:
        """Reset the slopes and offsets to 0."""
        for name in ("slope", "offset"):
            self.set_parameter(name, torch.zeros(*self._p.shape, 1, self._units))

    def learned_p(self) -> Tensor:
        """Return ``1 - exp(-alpha**2)`` of a unit that is 0; the mean over the units."""
        alpha = 2 * self._alpha_0().to(self.offset.device)[..., None, None]
        alpha = alpha * self.offset.double().sigmoid()
        return (1 - (-(alpha**2)).exp()).mean(dim=(-2, -1))

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times the noise."""
        active, alpha_0 = self.broadcast_constants(x)
        alpha = 2 * alpha_0 * torch.sigmoid(self._logit(x))
        noise = (alpha * self.normal(x) - alpha * alpha / 2).exp()
        return torch.where(active, x * noise.to(x.dtype), x)

    def batch_penalty(self, x: Tensor, progress: float) -> Tensor:
        """Return the weighted information, the mean over the batch: ``(runs,)``."""
        information = softplus(-self._logit(x)) * (x != 0)  # log(2 alpha_0 / alpha)
        mean = information.sum(dim=-1).mean(dim=-1)
        factor = self.kl_weight * warmup_factor(progress, self.kl_warmup)
        return mean * factor * self.noise_indicator(mean)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return whether there is noise, and alpha_0."""
        return p > 0, (-(1 - p).log()).sqrt()

    def _alpha_0(self) -> Tensor:
        return self.constants(self.initial_p())[1]

    def _logit(self, x: Tensor) -> Tensor:
        """Return ``a x + c`` in the shape and dtype of ``x``."""
        slope = self.broadcast_per_unit(self.slope, x)
        return slope * x + self.broadcast_per_unit(self.offset, x)
