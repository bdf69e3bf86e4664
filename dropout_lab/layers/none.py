"""No dropout: the run every other run is compared with."""

from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import UnitDropout


class NoDropout(UnitDropout):
    """Return ``x`` as it is, in training and in evaluation; p and mask have no part.

    It stands where a variant may stand, so that networks with and without dropout are one program.

    Shape:
        ``x``: any. Output: ``x`` itself.
    """

    variant = CATALOGUE["none"]

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` itself."""
        return x

    def moments(self, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, None]:
        """Return what the weights make of ``x``; nothing varies."""
        return affine(x, weight, bias), None
