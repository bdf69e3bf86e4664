"""Fast dropout: compute the mean activation under dropout instead of sampling."""

import math

import torch
from torch import Tensor
from torch.special import ndtr

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Mask, UnitInputs, WeightDropout
from dropout_lab.layers.coins import bounded_sqrt
from dropout_lab.rng import Noise


class FastDropout(WeightDropout):
    r"""Return the pre-activation whose activation is the mean activation under dropout.

    The layer draws no noise. Under inverted dropout the pre-activation is nearly normal, with

    .. math:: \mu = x W + b, \qquad s^2 = \frac{p}{1 - p} \sum_i x_i^2 w_{ij}^2,

    :meth:`connect` returns, for ReLU, :math:`\mu \Phi(\mu / s) + s \varphi(\mu / s)`; for logistic
    units, :math:`\mu / \sqrt{1 + \pi s^2 / 8}`; for tanh, :math:`\mu / \sqrt{1 + \pi s^2 / 2}`; and
    for linear units, :math:`\mu`. Before the softmax it uses the formula of logistic units for each
    logit. This extension of the paper's formula to more than two classes is ours; the paper samples
    before the softmax. Training and evaluation are the same.

    Args:
        p: Sets the variance, in [0, 1). At 0 the layer changes nothing.
        activation: The next activation: ``relu``, ``logistic``, ``tanh``, ``linear`` or
            ``softmax``. In a network, :meth:`setup` sets it.
        mask: Ignored.
        noise: Ignored.

    Shape:
        ``connect``: ``x``: ``(runs, batch, in)``, ``weight``: ``(runs, in, out)``, ``bias``:
        ``(runs, 1, out)`` or None. Output: ``(runs, batch, out)``. All may omit the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, or ``activation`` is not in the list above.

    Paper:
        Wang, Manning (2013), Fast dropout training, ICML. Their p is the probability of keeping a
        unit. The formula for ReLU is the standard identity [unverified in the paper].
    """

    variant = CATALOGUE["fast"]

    def __init__(
        self,
        p: float | Tensor = 0.5,
        *,
        activation: str = "relu",
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        super().__init__(p, mask=mask, noise=noise)
        self._set_activation(activation)

    def setup(self, weight: Tensor, activation: str) -> None:
        """Set the next activation."""
        self._set_activation(activation)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Return the pre-activation whose activation is the mean activation."""
        mean = affine(x, weight, bias)
        if self.activation == "linear":
            return mean
        odds, active = self.broadcast_constants(x)
        variance = odds * affine(x * x, weight * weight, None)
        match self.activation:
            case "relu":
                deviation = bounded_sqrt(variance)
                ratio = mean / deviation
                density = (-0.5 * ratio * ratio).exp() / math.sqrt(2 * math.pi)
                return torch.where(active, mean * ndtr(ratio) + deviation * density, mean)
            case "tanh":
                return mean / (1 + math.pi / 2 * variance).sqrt()
            case _:
                return mean / (1 + math.pi / 8 * variance).sqrt()

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return ``p / (1 - p)``, and whether it is above 0."""
        return p / (1 - p), p > 0

    def _set_activation(self, activation: str) -> None:
        """Set the next activation, or raise ValueError if there is no formula for it."""
        known = (*self.variant.activations, "softmax")
        if activation not in known:
            raise ValueError(
                f"activation is {activation!r}; fast dropout knows {', '.join(known)}."
            )
        self.activation = activation
