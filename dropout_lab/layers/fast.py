"""Fast dropout: what the noise does to the mean, computed instead of sampled."""

import math

import torch
from torch import Tensor
from torch.special import ndtr

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Entering, Mask, WeightDropout
from dropout_lab.layers.coins import root
from dropout_lab.rng import Noise


class FastDropout(WeightDropout):
    r"""Carry units on to the *expected* activation of the next layer under dropout; draw nothing.

    The pre-activation under inverted dropout is nearly normal, with

    .. math:: \mu = x W + b, \qquad s^2 = \frac{p}{1 - p} \sum_i x_i^2 w_{ij}^2,

    and ``connect`` returns the number whose activation is the mean activation: for ReLU
    :math:`\mu \Phi(\mu / s) + s \varphi(\mu / s)`; for logistic units
    :math:`\mu / \sqrt{1 + \pi s^2 / 8}`; for tanh :math:`\mu / \sqrt{1 + \pi s^2 / 2}`; for linear
    ones :math:`\mu`. Before the softmax each logit is shrunk as a logistic unit's is; this carries
    the paper's logistic formula over to more than two classes and is ours (the paper samples
    there). Evaluation does the same as training.

    Args:
        p: Sets the variance, in [0, 1). At 0 nothing is changed.
        activation: What comes next: ``relu``, ``logistic``, ``tanh``, ``linear`` or ``softmax``;
            in a network ``begin`` says so.
        mask: No part.
        noise: No part; nothing is drawn.

    Shape:
        ``connect(x, weight, bias)``: ``(runs, batch, in)``, ``(runs, in, out)``, ``(runs, 1, out)``
        to ``(runs, batch, out)``; or all of them without the run axis.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, or ``activation`` is none of these.

    Paper:
        Wang, Manning (2013), Fast dropout training, ICML, with their p the chance of keeping; the
        formula for ReLU is the standard identity [unverified there].
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
        self._lead_to(activation)

    def begin(self, weight: Tensor, activation: str) -> None:
        """Get to know the activation that comes next."""
        self._lead_to(activation)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: Entering | None = None
    ) -> Tensor:
        """Return the pre-activation whose activation is the expected one."""
        mean = affine(x, weight, bias)
        if self.activation == "linear":
            return mean
        odds, active = self.placed(x)
        variance = odds * affine(x * x, weight * weight, None)
        match self.activation:
            case "relu":
                deviation = root(variance)
                ratio = mean / deviation
                density = (-0.5 * ratio * ratio).exp() / math.sqrt(2 * math.pi)
                return torch.where(active, mean * ndtr(ratio) + deviation * density, mean)
            case "tanh":
                return mean / (1 + math.pi / 2 * variance).sqrt()
            case _:
                return mean / (1 + math.pi / 8 * variance).sqrt()

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return ``p / (1 - p)`` and where it is above 0."""
        return p / (1 - p), p > 0

    def _lead_to(self, activation: str) -> None:
        known = (*self.variant.activations, "softmax")
        if activation not in known:
            raise ValueError(
                f"activation is {activation!r}; fast dropout knows {', '.join(known)}."
            )
        self.activation = activation
