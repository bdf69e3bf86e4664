"""Dropout as first published: mask in training, shrink in evaluation."""

from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import BernoulliDropout


class StandardDropout(BernoulliDropout):
    r"""Zero each unit with probability ``p`` in training; multiply by ``1 - p`` in evaluation.

    .. math:: y_i = x_i \, k_i, \quad k_i \sim \mathrm{Bernoulli}(1 - p); \qquad
              y_i = (1 - p) \, x_i \ \text{in evaluation}

    Evaluation gives the mean of training. It is the same network as inverted dropout with its
    outgoing weights multiplied by ``q = 1 - p``; under SGD the same training too, if their
    learning rate is multiplied by ``q**2`` and a max-norm bound by ``q``.

    Args:
        p: Chance of dropping a unit, in [0, 1], rounded to a multiple of 1/65,536. At 0 the output
            equals ``x`` bit for bit; at 1 output and gradient are 0 in both modes.
        mask: ``element`` (a mask per example) or ``batch`` (one for the whole batch).
        noise: Source of the coin tosses; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or its shape does not lead that of ``x``.

    Paper:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014), JMLR 15:1929-1958,
        section 4. Their p is the chance q = 1 - p of *keeping* a unit, and it is the outgoing
        weights they multiply at test time, which is the same.
    """

    variant = CATALOGUE["standard"]

    def rest(self, x: Tensor) -> Tensor:
        """Return ``(1 - p) * x``."""
        return x * self.placed(x)[2]

    def rest_scale(self, p: Tensor) -> Tensor:
        """Return ``1 - p``."""
        return 1 - p
