"""Multinomial and evolutional dropout: distribute a fixed number of draws among the units."""

import numpy as np
import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import to_device
from dropout_lab.layers.base import UnitDropout
from dropout_lab.layers.coins import Numbers, round_to_count, uniform_draws

_MIN_P = 2.0**-16  # the p of k = d draws, which still have noise


class MultinomialDropout(UnitDropout):
    r"""Draw k of the d units with replacement, and multiply each unit by its relative count.

    .. math:: y_i = x_i \frac{m_i}{k q_i}, \qquad (m_1, \dots, m_d) \sim
              \mathrm{Multinomial}(k;\, q_1, \dots, q_d), \quad q_i = \frac{1}{d}, \quad
              k = (1 - p) d

    The noise has mean 1 and variance ``(1 - q_i) / (k q_i) = (1 - 1/d) / (1 - p)``, which is higher
    than the variance of inverted dropout at the same p. In evaluation the output is ``x``.

    Args:
        p: ``1 - k/d``, in [0, 1). :meth:`setup` rounds it to an integer k of at least 1. At 0 the
            layer has no noise, although k = d draws would have some.
        mask: ``element`` draws for each example, ``batch`` once for the batch.
        noise: Source of the random draws; by default PyTorch's global generator. The layer always
            makes d draws and counts the first k. So the draws of a higher p are a subset of the
            draws of a lower p.

    Shape:
        ``x``: ``(*p.shape, ..., d)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, or its axes are not the leading axes of ``x``.

    Paper:
        Li, Gong, Yang (2016), Improved Dropout for Shallow and Deep Learning, NIPS, with uniform
        probabilities. That k/d corresponds to the usual keep probability is [unverified].
    """

    variant = CATALOGUE["multinomial"]
    units: int | None = None

    def setup(self, weight: Tensor, activation: str) -> None:
        """Set the number of units, and round p to a realizable value."""
        self.units = weight.shape[-2]
        self.p = self._given_p

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times the counts, divided by their mean."""
        (active,) = self.broadcast_constants(x)
        if x.ndim == self._p_axes or not x.shape[-1]:
            return x  # a single unit gets every draw
        units = x.shape[-1]
        draws = ((1 - self._p) * units).round().clamp(min=1)  # k, float64 like p
        draws = to_device(draws.view(draws.shape + (1,) * (x.ndim - draws.ndim)), x.device)
        q = self.probabilities(x)
        drawn = self._drawn_units(uniform_draws(self.noise, self.noise_shape(x), x.device), q)
        counted = torch.arange(units, device=x.device) < draws
        counts = torch.zeros_like(drawn, dtype=q.dtype)
        counts.scatter_add_(-1, drawn, counted.to(q.dtype).expand(drawn.shape))
        noise = counts / (draws * q).where(q > 0, 1.0)
        return torch.where(active, x * noise.to(x.dtype), x)

    def probabilities(self, x: Tensor) -> Tensor:
        """Return the probability q of drawing each unit, float64; it broadcasts with ``x``."""
        return torch.full((x.shape[-1],), 1 / x.shape[-1], dtype=torch.float64, device=x.device)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return whether there is noise: p above 0."""
        return (p > 0,)

    def _round_p(self, p: Numbers) -> Numbers:
        if self.units is None:
            return p
        positive = round_to_count(p, self.units).clip(min=_MIN_P)
        return np.where(p > 0, positive, 0.0)

    def _drawn_units(self, u: Tensor, q: Tensor) -> Tensor:
        """Convert uniform draws to unit indices, by the inverse of the cumulative distribution."""
        return (u * u.shape[-1]).long()


class EvolutionalDropout(MultinomialDropout):
    r"""Multinomial dropout that draws units more often if they are more active in the batch.

    .. math:: q_i = \frac{s_i}{\sum_j s_j}, \qquad s_i = \sqrt{\tfrac{1}{B} \sum_b x_{bi}^2}

    These probabilities minimize a bound on the variance that the noise adds. They pass no gradient.
    A unit that is 0 in all examples of a batch remains 0. See :class:`MultinomialDropout`.

    Shape:
        ``x``: ``(*p.shape, ..., batch, d)``. Output: the same shape and dtype.

    Raises:
        ValueError: As for multinomial dropout, or ``x`` has no batch axis.

    Paper:
        Li, Gong, Yang (2016), NIPS: "evolutional" since the probabilities follow the layer's
        outputs.
    """

    variant = CATALOGUE["evolutional"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times the counts, divided by their mean."""
        if x.ndim < self._p_axes + 2:
            raise ValueError(
                f"x has shape {tuple(x.shape)}; evolutional dropout needs a batch axis, the last "
                "but one. Pass x of shape (batch, features)."
            )
        return super().drop(x)

    def probabilities(self, x: Tensor) -> Tensor:
        """Return q from the second moments of the batch, ``(..., 1, d)``."""
        moments = x.detach().double().square().mean(dim=-2, keepdim=True).sqrt()
        total = moments.sum(dim=-1, keepdim=True)
        return torch.where(total > 0, moments / total.where(total > 0, 1.0), 1 / x.shape[-1])

    def _drawn_units(self, u: Tensor, q: Tensor) -> Tensor:
        edges = q.cumsum(dim=-1).squeeze(-2)  # (..., d)
        edges = edges / edges[..., -1:]
        # searchsorted returns the first of equal edges, so a unit with probability 0 is not drawn.
        return torch.searchsorted(edges, u.flatten(edges.ndim - 1)).view(u.shape)
