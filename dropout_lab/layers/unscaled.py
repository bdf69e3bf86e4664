"""Dropout without scaling, a common mistake, to show its effect."""

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import BernoulliDropout


class UnscaledDropout(BernoulliDropout):
    r"""Zero each unit with probability ``p`` in training, without scaling. An intentional mistake.

    .. math:: y_i = x_i \, k_i, \quad k_i \sim \mathrm{Bernoulli}(1 - p); \qquad
              y_i = x_i \ \text{in evaluation}

    In evaluation the mean input of the next layer is ``1 / (1 - p)`` times its mean in training.
    Many implementations "from scratch" make this mistake. The network still classifies, which hides
    the mistake, but its loss and its confidence are wrong.

    Args:
        p: Probability of dropping a unit, in [0, 1], rounded to a multiple of 1/65,536. At 0 the
            output is bit-identical to ``x``; at 1 output and gradient are 0 in training.
        mask: ``element`` draws a mask for each example, ``batch`` one mask for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or its axes are not the leading axes of ``x``.
    """

    variant = CATALOGUE["unscaled"]
