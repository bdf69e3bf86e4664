"""Multiplicative Gaussian noise with the variance of dropout."""

from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import UnitDropout


class GaussianDropout(UnitDropout):
    r"""Multiply each unit by a normal variable of mean 1 and variance ``p / (1 - p)``.

    .. math:: y_i = x_i \, r_i, \qquad r_i \sim \mathcal{N}\left(1, \frac{p}{1 - p}\right)

    The variance is that of inverted dropout at the same p; nothing is dropped, and evaluation
    leaves ``x`` as it is.

    Args:
        p: Sets the variance ``p / (1 - p)``; in [0, 1). At 0 the output equals ``x`` bit for bit.
        mask: ``element`` (noise per example) or ``batch`` (the same noise for the whole batch).
        noise: Source of the normal draws; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan (at 1 the variance is infinite), or its shape
            does not lead that of ``x``.

    Paper:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014), JMLR 15:1929-1958,
        section 10, with their keep probability q = 1 - p: variance (1 - q) / q.
    """

    variant = CATALOGUE["gaussian"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times its noise."""
        (deviation,) = self.placed(x)
        return x * (1 + self.normal(x) * deviation)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the standard deviation of the noise, ``sqrt(p / (1 - p))``."""
        return ((p / (1 - p)).sqrt(),)
