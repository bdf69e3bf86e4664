"""Shakeout: a unit's weights are reversed or enhanced together."""

from typing import Any

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.devices import runs_eagerly
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Entering, Mask, WeightDropout, at_least_0
from dropout_lab.layers.coins import keep_threshold
from dropout_lab.rng import Noise


class ShakeoutDropout(WeightDropout):
    r"""Let each unit's weights go to ``-c sign(W)``, or enhance them, by the toss of one coin.

    .. math:: \tilde W_{ij} = \begin{cases} -c\, s_{ij} & \text{with probability } p \\
              (W_{ij} + c\, p\, s_{ij}) / (1 - p) & \text{otherwise} \end{cases}
              \qquad s_{ij} = \operatorname{sign} W_{ij}

    The mean is W, so evaluation uses W. ``c = 0`` is inverted dropout; ``c > 0`` also prefers
    sparse weights. Biases are not shaken. The slope of sign is taken as that of tanh, as the
    authors' code does.

    Args:
        p: Chance of a unit's weights being reversed, in [0, 1), rounded to a multiple of 1/65,536.
        strength: The paper's c, at least 0; the authors' code has 0.1.
        mask: ``element`` (a coin per example and unit) or ``batch`` (per unit).
        noise: Source of the coin tosses; by default PyTorch's global generator.

    Shape:
        ``connect(x, weight, bias)``: ``(runs, batch, in)``, ``(runs, in, out)``, ``(runs, 1, out)``
        to ``(runs, batch, out)``; or all of them without the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, its shape is not ``(runs,)`` or ``()``, or
            ``strength`` is negative.

    Paper:
        Kang, Li, Tao (2016), Shakeout: A New Regularized Deep Neural Network Training Scheme, AAAI;
        their tau is p.
    """

    variant = CATALOGUE["shakeout"]
    coins = True

    def __init__(
        self,
        p: float | Tensor = 0.5,
        *,
        strength: float = 0.1,
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        self.strength = at_least_0("strength", strength)
        super().__init__(p, mask=mask, noise=noise)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: Entering | None = None
    ) -> Tensor:
        """Carry ``x`` through the weights, shaken in training."""
        if not self.training:
            return affine(x, weight, bias)
        threshold, scale = self.placed(x)
        kept = self.noise.lanes(self.noise_shape(x), x.device) >= threshold
        coins = kept * scale
        z = affine(x * coins, weight, bias)
        if self.strength == 0:
            return z
        return z + self.strength * affine(x * (coins - 1), _sign(weight), None)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return the threshold of the lanes and the factor of a kept unit."""
        return keep_threshold(p), 1 / (1 - p)


def _sign(weight: Tensor) -> Tensor:
    """Return the sign, with the slope of tanh."""
    if runs_eagerly():
        sign: Tensor = _Sign.apply(weight)
        return sign
    slope = weight.tanh()
    return weight.sign() + (slope - slope.detach())  # adds 0, which has the slope of tanh


class _Sign(torch.autograd.Function):
    """The sign, with the slope of tanh."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        ctx.save_for_backward(weight)
        return weight.sign()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (weight,) = ctx.saved_tensors
        slope: Tensor = gradients[0] * (1 - weight.tanh() ** 2)
        return slope
