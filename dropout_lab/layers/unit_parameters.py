"""Base class of the variants with learned parameters for each unit."""

from torch import Tensor

from dropout_lab.layers.base import Mask, UnitDropout
from dropout_lab.layers.learned import LearnedDropout
from dropout_lab.rng import Noise


class LearnedUnitParameters(LearnedDropout, UnitDropout):
    """Base class of the layers that learn a parameter for each unit.

    Before :meth:`setup` there is one value for all units.
    """

    def __init__(
        self, p: float | Tensor = 0.5, *, mask: Mask = "element", noise: Noise | None = None
    ) -> None:
        self._units = 1
        super().__init__(p, mask=mask, noise=noise)

    def setup(self, weight: Tensor, activation: str) -> None:
        """Create the parameters of each unit."""
        self._units = weight.shape[-2]
        self.on_p_set()

    def broadcast_per_unit(self, parameter: Tensor, x: Tensor) -> Tensor:
        """Return a learned parameter in the dtype of ``x``, in a shape that broadcasts with ``x``.

        Args:
            parameter: ``(*p.shape, 1, units)``, or one value for all units.
            x: ``(*p.shape, ..., units)``.
        """
        runs = self._p_axes
        if x.ndim == runs:
            return parameter.flatten(runs)[..., 0].to(x.dtype)
        ones = (1,) * (x.ndim - 1 - runs)
        return parameter.reshape(parameter.shape[:runs] + ones + parameter.shape[-1:]).to(x.dtype)
