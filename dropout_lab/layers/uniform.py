"""Multiplicative uniform noise with the variance of dropout."""

from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import UnitDropout
from dropout_lab.layers.coins import lane_fractions


class UniformDropout(UnitDropout):
    r"""Multiply each unit by a uniform variable of mean 1 and variance ``p / (1 - p)``.

    .. math:: y_i = x_i \, r_i, \qquad r_i \sim U(1 - w, 1 + w), \quad w = \sqrt{3 p / (1 - p)}

    Inverted dropout has the same variance at the same p. Above p = 1/4 some factors are negative.
    In evaluation the output is ``x``.

    Args:
        p: Sets the variance ``p / (1 - p)``; in [0, 1). At 0 the output is bit-identical to ``x``.
        mask: ``element`` draws noise for each example, ``batch`` once for the batch.
        noise: Source of the random draws, of 16 bits; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan (at 1 the variance is infinite), or its
            axes are not the leading axes of ``x``.

    Paper:
        Shen, Tian, Liu, Xu, Tao (2018), Continuous Dropout, IEEE TNNLS 29(9) [unverified]. They
        draw from U(0, 1) and halve the weights in evaluation, which is equivalent to p = 1/4
        (variance 1/3). Choosing the variance by p is ours; JMLR 15, section 10, does this for
        Gaussian noise.
    """

    variant = CATALOGUE["uniform"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times the noise."""
        (width,) = self.broadcast_constants(x)
        fractions = lane_fractions(self.noise.lanes(self.noise_shape(x), x.device), x)
        return x * (1 + (2 * fractions - 1) * width).to(x.dtype)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return half the width of the interval of the noise, ``sqrt(3 p / (1 - p))``."""
        return ((3 * p / (1 - p)).sqrt(),)
