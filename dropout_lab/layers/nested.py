"""Nested dropout: keep the first units, up to a random one."""

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import to_device
from dropout_lab.layers.base import UnitDropout
from dropout_lab.layers.coins import uniform_draws


class NestedDropout(UnitDropout):
    r"""Keep the first b units of each example, where b has a geometric distribution.

    .. math:: y_i = x_i \mathbb{1}[i \le b], \qquad P(b \ge i) = q_i =
              (1 - p)^{2 (i - 1) / (d - 1)}, \quad i = 1, \dots, d

    So b is geometric with success probability ``1 - (1 - p)**(2 / (d - 1))``, cut off at d. The
    first unit is always kept, and the middle unit is dropped with probability p. The geometric mean
    of the keep probabilities is 1 - p. The units become ordered by importance. There is no scaling;
    evaluation multiplies each unit by its keep probability, which is the mean of training.

    Args:
        p: Probability of dropping the middle unit, in [0, 1]. At 0 the output is bit-identical to
            ``x``; at 1 only the first unit is kept.
        mask: ``element`` draws b for each example, ``batch`` once for the batch.
        noise: Source of the random draws; by default PyTorch's global generator. With the same
            draws, a unit that is kept at some p is kept at every lower p.

    Shape:
        ``x``: ``(*p.shape, ..., d)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or its axes are not the leading axes of ``x``.

    Paper:
        Rippel, Gelbart, Adams (2014), Learning Ordered Representations with Nested Dropout, ICML:
        a geometric distribution, for autoencoders. They stop training the units that have converged
        ("unit sweeping"), which this layer does not do [unverified]. Choosing the distribution by p
        and the mean in evaluation are ours.
    """

    variant = CATALOGUE["nested"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` for the first b units, and 0 for the others."""
        shape, keep = self.noise_shape(x), self.keep_probability(x)
        if x.ndim == self._p_axes:
            return x  # a single unit is always kept
        draws = uniform_draws(self.noise, shape[:-1], x.device).unsqueeze(-1)
        return x * (draws >= 1 - keep).to(x.dtype)

    def eval_forward(self, x: Tensor) -> Tensor:
        """Return ``x`` times the keep probabilities."""
        return x * self.keep_probability(x).to(x.dtype)

    def keep_probability(self, x: Tensor) -> Tensor:
        """Return the probability of keeping each unit, float64; it broadcasts with ``x``."""
        self.broadcast_constants(x)  # checks that the axes of p are the leading axes of x
        keep = to_device(
            (1 - self._p).view(self._p.shape + (1,) * (x.ndim - self._p_axes)), x.device
        )
        if x.ndim == self._p_axes:
            return torch.ones_like(keep)
        return keep ** torch.linspace(0, 2, x.shape[-1], dtype=keep.dtype, device=x.device)
