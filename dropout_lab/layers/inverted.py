"""Inverted dropout, what PyTorch calls dropout."""

from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import BernoulliDropout


class InvertedDropout(BernoulliDropout):
    r"""Zero each unit with probability ``p`` and divide the rest by ``1 - p``.

    .. math:: y_i = x_i \, k_i / (1 - p), \qquad k_i \sim \mathrm{Bernoulli}(1 - p)

    The division keeps the mean, :math:`E[y_i] = x_i`, so evaluation leaves ``x`` as it is. The
    noise has variance ``p / (1 - p)``.

    Args:
        p: Chance of dropping a unit, in [0, 1], rounded to a multiple of 1/65,536. At 0 the output
            equals ``x`` bit for bit; at 1 the output and its gradient are 0.
        mask: ``element`` (a mask per example) or ``batch`` (one for the whole batch).
        noise: Source of the coin tosses; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or its shape does not lead that of ``x``.

    Paper:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014), JMLR 15:1929-1958,
        section 10 (the division in training). Their p is the chance q = 1 - p of *keeping*.

    Example:
        >>> import torch
        >>> fleet = InvertedDropout(p=torch.tensor([0.0, 1.0]))
        >>> fleet(torch.ones(2, 3))
        tensor([[1., 1., 1.],
                [0., 0., 0.]])
    """

    variant = CATALOGUE["inverted"]

    def kept_scale(self, p: Tensor) -> Tensor:
        """Return ``1 / (1 - p)``."""
        return 1 / (1 - p).where(p < 1, 1.0)
