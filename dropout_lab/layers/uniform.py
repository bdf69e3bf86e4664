"""Multiplicative uniform noise with the variance of dropout."""

from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.base import UnitDropout
from dropout_lab.layers.coins import lane_fractions


class UniformDropout(UnitDropout):
    r"""Multiply each unit by a uniform variable of mean 1 and variance ``p / (1 - p)``.

    .. math:: y_i = x_i \, r_i, \qquad r_i \sim U(1 - w, 1 + w), \quad w = \sqrt{3 p / (1 - p)}

    The variance is that of inverted dropout at the same p; above p = 1/4 some factors are
    negative. Evaluation leaves ``x`` as it is.

    Args:
        p: Sets the variance ``p / (1 - p)``; in [0, 1). At 0 the output equals ``x`` bit for bit.
        mask: ``element`` (noise per example) or ``batch`` (the same noise for the whole batch).
        noise: Source of the draws; by default PyTorch's global generator. A draw has 16 bits.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan (at 1 the variance is infinite), or its shape
            does not lead that of ``x``.

    Paper:
        Shen, Tian, Liu, Xu, Tao (2018), Continuous Dropout, IEEE TNNLS 29(9) [unverified], draws
        from U(0, 1) and halves the weights in evaluation, which is this at variance 1/3, p = 1/4.
        Matching the variance to that of a given p is ours, as JMLR 15, section 10, has it for
        Gaussian noise.
    """

    variant = CATALOGUE["uniform"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` times its noise."""
        (width,) = self.placed(x)
        fractions = lane_fractions(self.noise.lanes(self.noise_shape(x), x.device), x)
        return x * (1 + (2 * fractions - 1) * width).to(x.dtype)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return half the width of the noise, ``sqrt(3 p / (1 - p))``."""
        return ((3 * p / (1 - p)).sqrt(),)
