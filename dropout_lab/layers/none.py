"""No dropout: the baseline."""

from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import UnitDropout


class NoDropout(UnitDropout):
    """Return ``x``, in training and in evaluation. ``p`` and ``mask`` are ignored.

    With this layer, networks with and without dropout use the same code.

    Shape:
        ``x``: any. Output: ``x`` itself.
    """

    variant = CATALOGUE["none"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x``."""
        return x

    def moments(self, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, None]:
        """Return ``x W + b`` and None, since there is no noise."""
        return affine(x, weight, bias), None
