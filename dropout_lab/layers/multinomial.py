"""Multinomial and evolutional dropout: a fixed number of draws is shared out among the units."""

import numpy as np
import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import to_device
from dropout_lab.layers.base import UnitDropout
from dropout_lab.layers.coins import Numbers, round_to_count, uniform

_LEAST = 2.0**-16  # p where all d draws are made


class MultinomialDropout(UnitDropout):
    r"""Multiply each unit by how often it is drawn among the d units, relative to its mean.

    .. math:: y_i = x_i \frac{m_i}{k q_i}, \qquad (m_1, \dots, m_d) \sim
              \mathrm{Multinomial}(k;\, q_1, \dots, q_d), \quad q_i = \frac{1}{d}, \quad
              k = (1 - p) d

    The noise has mean 1 and variance ``(1 - q_i) / (k q_i)``, here ``(1 - 1/d) / (1 - p)``, more
    than that of inverted dropout at the same p. Evaluation leaves ``x`` as it is.

    Args:
        p: ``1 - k/d``, in [0, 1); rounded to that of a whole k of at least 1 once d is known. At 0
            there is no noise at all, though ``k = d`` draws would leave some.
        mask: ``element`` (draws per example) or ``batch`` (the same for the whole batch).
        noise: Source of the draws; by default PyTorch's global generator. Always d draws are made
            and the first k count, so those of a higher p are among those of a lower one.

    Shape:
        ``x``: ``(*p.shape, ..., d)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, or its shape does not lead that of ``x``.

    Paper:
        Li, Gong, Yang (2016), Improved Dropout for Shallow and Deep Learning, NIPS, with uniform
        probabilities. That k/d is the usual keep rate is [unverified].
    """

    variant = CATALOGUE["multinomial"]
    units: int | None = None

    def begin(self, weight: Tensor, activation: str) -> None:
        """Get to know d, and round p to what it allows."""
        self.units = weight.shape[-2]
        self.p = self._asked

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times its counts over their mean."""
        (active,) = self.placed(x)
        if x.ndim == self._p_axes or not x.shape[-1]:
            return x  # a single unit gets every draw
        units = x.shape[-1]
        draws = ((1 - self._p) * units).round().clamp(min=1)  # k; float64, as p is kept
        draws = to_device(draws.view(draws.shape + (1,) * (x.ndim - draws.ndim)), x.device)
        chances = self.chances(x)
        picked = self._pick(uniform(self.noise, self.noise_shape(x), x.device), chances)
        counted = torch.arange(units, device=x.device) < draws
        counts = torch.zeros_like(picked, dtype=chances.dtype)
        counts.scatter_add_(-1, picked, counted.to(chances.dtype).expand(picked.shape))
        noise = counts / (draws * chances).where(chances > 0, 1.0)
        return torch.where(active, x * noise.to(x.dtype), x)

    def chances(self, x: Tensor) -> Tensor:
        """Return the chance of each unit to be drawn, float64, broadcasting against ``x``."""
        return torch.full((x.shape[-1],), 1 / x.shape[-1], dtype=torch.float64, device=x.device)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return where there is noise: p above 0."""
        return (p > 0,)

    def _realized(self, p: Numbers) -> Numbers:
        if self.units is None:
            return p
        some = round_to_count(p, self.units).clip(min=_LEAST)  # k = d is noise still
        return np.where(p > 0, some, 0.0)

    def _pick(self, u: Tensor, chances: Tensor) -> Tensor:
        """Return which unit each uniform draw falls to: the inverse of the cumulated chances."""
        return (u * u.shape[-1]).long()


class EvolutionalDropout(MultinomialDropout):
    r"""Multinomial dropout that draws a unit as often as it is active in the batch.

    .. math:: q_i = \frac{s_i}{\sum_j s_j}, \qquad s_i = \sqrt{\tfrac{1}{B} \sum_b x_{bi}^2}

    These chances minimize a bound on the variance that the noise adds. No gradient passes through
    them. A unit that is 0 in the whole batch stays 0. See :class:`MultinomialDropout`.

    Shape:
        ``x``: ``(*p.shape, ..., batch, d)``. Output: the same shape and dtype.

    Raises:
        ValueError: As multinomial dropout; or ``x`` has no batch axis.

    Paper:
        Li, Gong, Yang (2016), NIPS: "evolutional" since the chances follow the layer's outputs.
    """

    variant = CATALOGUE["evolutional"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times its counts over their mean."""
        if x.ndim < self._p_axes + 2:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; evolutional dropout needs a batch axis, the last "
                "but one. Pass x of shape (batch, features)."
            )
        return super().drop(x)

    def chances(self, x: Tensor) -> Tensor:
        """Return the chances from the batch's second moments: ``(..., 1, d)``."""
        moments = x.detach().double().square().mean(dim=-2, keepdim=True).sqrt()
        total = moments.sum(dim=-1, keepdim=True)
        return torch.where(total > 0, moments / total.where(total > 0, 1.0), 1 / x.shape[-1])

    def _pick(self, u: Tensor, chances: Tensor) -> Tensor:
        edges = chances.cumsum(dim=-1).squeeze(-2)  # (..., d)
        edges = edges / edges[..., -1:]
        # Of edges that coincide the first is taken, so a unit without a chance is never drawn.
        return torch.searchsorted(edges, u.flatten(edges.ndim - 1)).view(u.shape)
