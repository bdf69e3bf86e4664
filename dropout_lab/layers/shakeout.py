"""Shakeout: reverse or enhance all outgoing weights of a unit."""

from typing import Any

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import runs_eagerly
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Mask, UnitInputs, WeightDropout, require_nonnegative
from dropout_lab.layers.coins import keep_threshold
from dropout_lab.rng import Noise


class ShakeoutDropout(WeightDropout):
    r"""Reverse the outgoing weights of each unit with probability p, else enhance them.

    .. math:: \tilde W_{ij} = \begin{cases} -c\, s_{ij} & \text{with probability } p \\
              (W_{ij} + c\, p\, s_{ij}) / (1 - p) & \text{otherwise} \end{cases}
              \qquad s_{ij} = \operatorname{sign} W_{ij}

    All weights of a unit share one draw. The mean is W, so evaluation uses W. ``c = 0`` is inverted
    dropout; ``c > 0`` also makes the weights sparser. Biases do not change. The gradient of sign is
    the gradient of tanh, as in the authors' code.

    Args:
        p: Probability that the weights of a unit are reversed, in [0, 1), rounded to a multiple of
            1/65,536.
        strength: The paper's c, at least 0; the authors' code uses 0.1.
        mask: ``element`` draws for each example and unit, ``batch`` for each unit.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``connect``: ``x``: ``(runs, batch, in)``, ``weight``: ``(runs, in, out)``, ``bias``:
        ``(runs, 1, out)`` or None. Output: ``(runs, batch, out)``. All may omit the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, its shape is not ``(runs,)`` or ``()``, or
            ``strength`` is negative.

    Paper:
        Kang, Li, Tao (2016), Shakeout: A New Regularized Deep Neural Network Training Scheme, AAAI;
        their tau is p.
    """

    variant = CATALOGUE["shakeout"]
    rounds_p = True

    def __init__(
        self,
        p: float | Tensor = 0.5,
        *,
        strength: float = 0.1,
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        self.strength = require_nonnegative("strength", strength)
        super().__init__(p, mask=mask, noise=noise)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply the linear map to ``x``, with random weights in training."""
        if not self.training:
            return affine(x, weight, bias)
        threshold, scale = self.broadcast_constants(x)
        kept = self.noise.lanes(self.noise_shape(x), x.device) >= threshold
        noise = kept * scale
        z = affine(x * noise, weight, bias)
        if self.strength == 0:
            return z
        return z + self.strength * affine(x * (noise - 1), _sign(weight), None)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the lane threshold and the factor of a kept unit."""
        return keep_threshold(p), 1 / (1 - p)


def _sign(weight: Tensor) -> Tensor:
    """Return the sign of each weight, with the gradient of tanh."""
    if runs_eagerly():
        sign: Tensor = _Sign.apply(weight)
        return sign
    slope = weight.tanh()
    return weight.sign() + (slope - slope.detach())  # adds 0 with the gradient of tanh


class _Sign(torch.autograd.Function):
    """The sign function, with the gradient of tanh."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return weight.sign()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (weight,) = ctx.saved_tensors
        slope: Tensor = gradients[0] * (1 - weight.tanh() ** 2)
        return slope
