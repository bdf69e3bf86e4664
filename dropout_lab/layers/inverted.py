"""Inverted dropout, which PyTorch calls dropout."""

from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import BernoulliDropout


class InvertedDropout(BernoulliDropout):
    r"""Zero each unit with probability ``p`` and divide the other units by ``1 - p``.

    .. math:: y_i = x_i \, k_i / (1 - p), \qquad k_i \sim \mathrm{Bernoulli}(1 - p)

    The division keeps the mean, :math:`E[y_i] = x_i`, so the output in evaluation is ``x``. The
    noise has variance ``p / (1 - p)``.

    Args:
        p: Probability of dropping a unit, in [0, 1], rounded to a multiple of 1/65,536. At 0 the
            output is bit-identical to ``x``; at 1 the output and its gradient are 0.
        mask: ``element`` draws a mask for each example, ``batch`` one mask for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or its axes are not the leading axes of ``x``.

    Paper:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014), JMLR 15:1929-1958,
        section 10 (the division in training). Their p is the probability of *keeping* a unit.

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
