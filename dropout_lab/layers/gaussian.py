"""Multiplicative Gaussian noise with the variance of dropout."""

from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import UnitDropout


class GaussianDropout(UnitDropout):
    r"""Multiply each unit by a normal variable of mean 1 and variance ``p / (1 - p)``.

    .. math:: y_i = x_i \, r_i, \qquad r_i \sim \mathcal{N}\left(1, \frac{p}{1 - p}\right)

    Inverted dropout has the same variance at the same p. No unit is set to 0. In evaluation the
    output is ``x``.

    Args:
        p: Sets the variance ``p / (1 - p)``; in [0, 1). At 0 the output is bit-identical to ``x``.
        mask: ``element`` draws noise for each example, ``batch`` once for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan (at 1 the variance is infinite), or its
            axes are not the leading axes of ``x``.

    Paper:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov (2014), JMLR 15:1929-1958,
        section 10: variance (1 - q) / q, where q = 1 - p is the keep probability.
    """

    variant = CATALOGUE["gaussian"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times the noise."""
        (deviation,) = self.broadcast_constants(x)
        return x * (1 + self.normal(x) * deviation)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the standard deviation of the noise, ``sqrt(p / (1 - p))``."""
        return ((p / (1 - p)).sqrt(),)
