"""Dropout as first published: mask in training, scale in evaluation."""

from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import BernoulliDropout


class StandardDropout(BernoulliDropout):
    r"""Zero each unit with probability ``p`` in training; multiply by ``1 - p`` in evaluation.

    .. math:: y_i = x_i \, k_i, \quad k_i \sim \mathrm{Bernoulli}(1 - p); \qquad
              y_i = (1 - p) \, x_i \ \text{in evaluation}

    Evaluation gives the mean of training. Inverted dropout computes the same network if its
    outgoing weights are multiplied by ``q = 1 - p``. Under SGD the training is the same, too, if
    the learning rate of these weights is multiplied by ``q**2`` and their max-norm bound by ``q``.

    Args:
        p: Probability of dropping a unit, in [0, 1], rounded to a multiple of 1/65,536. At 0 the
            output is bit-identical to ``x``; at 1 output and gradient are 0 in both modes.
        mask: ``element`` draws a mask for each example, ``batch`` one mask for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or its axes are not the leading axes of ``x``.

    Paper:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014), JMLR 15:1929-1958,
        section 4. Their p is the probability of *keeping* a unit. They multiply the outgoing
        weights at test time, which is equivalent.
    """

    variant = CATALOGUE["standard"]

    def eval_forward(self, x: Tensor) -> Tensor:
        """Return ``(1 - p) * x``."""
        return x * self.broadcast_constants(x)[2]

    def eval_scale(self, p: Tensor) -> Tensor:
        """Return ``1 - p``."""
        return 1 - p
