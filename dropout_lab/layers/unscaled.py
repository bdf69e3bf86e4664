"""Dropout with its scaling forgotten, kept to show what goes wrong."""

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import BernoulliDropout


class UnscaledDropout(BernoulliDropout):
    r"""Zero each unit with probability ``p`` in training, and scale nowhere. A mistake, on purpose.

    .. math:: y_i = x_i \, k_i, \quad k_i \sim \mathrm{Bernoulli}(1 - p); \qquad
              y_i = x_i \ \text{in evaluation}

    In evaluation the next layer receives ``1 / (1 - p)`` times what it was trained on. Many
    implementations "from scratch" do this; the network still classifies, which hides the mistake,
    but its loss and its confidence are wrong.

    Args:
        p: Chance of dropping a unit, in [0, 1], rounded to a multiple of 1/65,536. At 0 the output
            equals ``x`` bit for bit; at 1 output and gradient are 0 in training.
        mask: ``element`` (a mask per example) or ``batch`` (one for the whole batch).
        noise: Source of the coin tosses; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or its shape does not lead that of ``x``.
    """

    variant = CATALOGUE["unscaled"]
