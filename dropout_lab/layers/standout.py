"""Standout: the chance of keeping a unit depends on how strongly it is driven."""

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Entering, Mask, UnitDropout
from dropout_lab.layers.coins import lane_fractions
from dropout_lab.rng import Noise


class StandoutDropout(UnitDropout):
    r"""Keep each unit with a probability that is a logistic function of its pre-activation.

    .. math:: y_i = x_i k_i, \quad k_i \sim \mathrm{Bernoulli}(q_i), \quad
              q_i = \sigma(s z_i + \beta), \quad \beta = \log\frac{1 - p}{p}; \qquad
              y_i = q_i x_i \ \text{in evaluation}

    ``z`` is the pre-activation of the unit, with its own weights in place of a second network's
    (the paper's algorithm 2). Evaluation gives the mean of training. The coin passes no gradient.

    Args:
        p: Chance of dropping a unit whose pre-activation is 0, in [0, 1]. At 0 the output equals
            ``x`` bit for bit.
        slope: ``s``, the paper's alpha; any number. At 0 this is standard dropout.
        mask: ``element`` (a draw per example) or ``batch`` (the same draw for all examples of a
            batch, though not the same probability).
        noise: Source of the coin tosses; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype. Called as a
        layer of its own, ``x`` is taken for the pre-activation too; ``connect`` is told it.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or its shape does not lead that of ``x``.

    Paper:
        Ba, Frey (2013), Adaptive dropout for training deep neural networks, NIPS; slope 1 and
        beta 0 (p = 0.5) were best on MNIST.
    """

    variant = CATALOGUE["standout"]

    def __init__(
        self,
        p: float | Tensor = 0.5,
        *,
        slope: float = 1.0,
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        self.slope = slope
        super().__init__(p, mask=mask, noise=noise)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: Entering | None = None
    ) -> Tensor:
        """Carry ``x`` through this layer and on through the weights of the next."""
        z = x if entering is None else entering.preactivation
        y = self._drop(x, z) if self.training else x * self.keep_probability(z)
        return affine(y, weight, bias)

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` where it is kept, taking it for the pre-activation."""
        return self._drop(x, x)

    def rest(self, x: Tensor) -> Tensor:
        """Return ``x`` times its chance of being kept, taking it for the pre-activation."""
        return x * self.keep_probability(x)

    def keep_probability(self, z: Tensor) -> Tensor:
        """Return ``q = sigmoid(slope z + beta)``."""
        (beta,) = self.placed(z)
        return torch.sigmoid(self.slope * z + beta)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return ``beta``: infinite at p = 0 and minus infinite at p = 1."""
        return ((1 - p).log() - p.log(),)

    def _drop(self, x: Tensor, z: Tensor) -> Tensor:
        fractions = lane_fractions(self.noise.lanes(self.noise_shape(x), x.device), x)
        return x * (fractions >= 1 - self.keep_probability(z.detach()))
