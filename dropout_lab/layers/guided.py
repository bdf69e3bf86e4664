"""Guided dropout: drop only among the units with the largest learned strength."""

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import Mask
from dropout_lab.layers.coins import keep_threshold
from dropout_lab.layers.unit_parameters import LearnedUnitParameters
from dropout_lab.rng import Noise


class GuidedDropout(LearnedUnitParameters):
    r"""Multiply each unit by a learned strength, and drop only strong units.

    .. math:: y_i = t_i x_i m_i, \qquad m_i = \begin{cases} k_i / (1 - p), \quad
              k_i \sim \mathrm{Bernoulli}(1 - p) & \text{if } |t_i| \text{ is among the largest} \\
              1 & \text{otherwise} \end{cases}

    So weak units get the gradient that strong units would otherwise take. The strength t starts at
    1. The candidates are the given share of the units with the largest ``|t|``, and all units that
    are equal to the last of them. So at the start every unit is a candidate. In evaluation the
    output is ``t x``.

    Args:
        p: Probability of dropping a candidate, in [0, 1), rounded to a multiple of 1/65,536. Runs
            at p = 0 have strength 1 and learn nothing.
        share: Share of the units that are candidates, in (0, 1].
        mask: ``element`` draws a mask for each example, ``batch`` one mask for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ..., units)``, any float dtype. Output: the same shape and dtype. The
        learned ``strength`` has shape ``(*p.shape, 1, units)`` after :meth:`setup`, and one value
        for all units before.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, its axes are not the leading axes of ``x``, or
            ``share`` is outside (0, 1].

    Paper:
        Keshari, Singh, Vatsa (2019), Guided Dropout, AAAI; arXiv:1812.03965: dropping among the
        units of high strength. They have two rules: drop the k strongest units, or drop at random
        among the units outside the most frequent of 100 bins of the strength [unverified]. The rule
        by share and the division by 1 - p are ours.
    """

    variant = CATALOGUE["guided"]
    rounds_p = True
    strength: Tensor

    def __init__(
        self,
        p: float | Tensor = 0.5,
        *,
        share: float = 0.5,
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        if not 0 < share <= 1:
            raise ValueError(f"share is {share:g}; it must be above 0 and at most 1.")
        self.share = share
        super().__init__(p, mask=mask, noise=noise)

    def on_p_set(self) -> None:
        """Reset the strengths to 1."""
        self.set_parameter("strength", torch.ones(*self._p.shape, 1, self._units))

    def learned_p(self) -> Tensor:
        """Return the p that was set. What is learned are the strengths."""
        return self._p

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times the strengths and the mask."""
        active, threshold, scale = self.broadcast_constants(x)
        kept = self.noise.lanes(self.noise_shape(x), x.device) >= threshold
        strength = self.broadcast_per_unit(self.strength, x)
        mask = torch.where(self.candidates(strength), kept * scale, 1.0)
        return torch.where(active, x * (strength * mask).to(x.dtype), x)

    def eval_forward(self, x: Tensor) -> Tensor:
        """Return ``x`` times the strengths."""
        active, _, _ = self.broadcast_constants(x)
        return torch.where(active, x * self.broadcast_per_unit(self.strength, x), x)

    def candidates(self, strength: Tensor) -> Tensor:
        """Return which units may be dropped: those of the largest ``|strength|``."""
        sizes = strength.detach().abs()
        if sizes.ndim == self._p_axes:
            return torch.ones_like(sizes, dtype=torch.bool)
        count = max(round(self.share * self._units), 1)
        return sizes >= sizes.topk(count).values[..., -1:]

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return whether there is noise, the lane threshold and the factor of a kept unit."""
        return p > 0, keep_threshold(p), 1 / (1 - p)
