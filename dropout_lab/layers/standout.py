"""Standout: the probability of keeping a unit depends on its pre-activation."""

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Mask, UnitDropout, UnitInputs
from dropout_lab.layers.coins import lane_fractions
from dropout_lab.rng import Noise


class StandoutDropout(UnitDropout):
    r"""Keep each unit with a probability that is a logistic function of its pre-activation.

    .. math:: y_i = x_i k_i, \quad k_i \sim \mathrm{Bernoulli}(q_i), \quad
              q_i = \sigma(s z_i + \beta), \quad \beta = \log\frac{1 - p}{p}; \qquad
              y_i = q_i x_i \ \text{in evaluation}

    ``z`` is the pre-activation of the unit. The paper computes q with a second network; as in its
    algorithm 2, this layer uses the weights of the network itself. Evaluation gives the mean of
    training. The mask passes no gradient.

    Args:
        p: Probability of dropping a unit whose pre-activation is 0, in [0, 1]. At 0 the output is
            bit-identical to ``x``.
        slope: ``s``, the paper's alpha; any number. At 0 this is standard dropout.
        mask: ``element`` draws for each example, ``batch`` once for the batch. Each example
            has its own probability in both cases.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``x``: ``(*p.shape, ...)``, any float dtype. Output: the same shape and dtype. If you call
        the layer, it uses ``x`` as the pre-activation. :meth:`connect` takes the pre-activation.

    Raises:
        ValueError: ``p`` is outside [0, 1] or nan, or its axes are not the leading axes of ``x``.

    Paper:
        Ba, Frey (2013), Adaptive dropout for training deep neural networks, NIPS. Slope 1 and
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
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply dropout to ``x`` with the pre-activations of ``entering``, then the linear map."""
        z = x if entering is None else entering.preactivation
        y = self._drop(x, z) if self.training else x * self.keep_probability(z)
        return affine(y, weight, bias)

    def drop(self, x: Tensor) -> Tensor:
        """Return ``x`` for kept units and 0 for dropped units, with ``x`` as pre-activation."""
        return self._drop(x, x)

    def eval_forward(self, x: Tensor) -> Tensor:
        """Return ``x`` times the keep probability, with ``x`` as pre-activation."""
        return x * self.keep_probability(x)

    def keep_probability(self, z: Tensor) -> Tensor:
        """Return the keep probability ``q = sigmoid(slope z + beta)``."""
        (beta,) = self.broadcast_constants(z)
        return torch.sigmoid(self.slope * z + beta)

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        """Return ``beta``, which is infinity at p = 0 and minus infinity at p = 1."""
        return ((1 - p).log() - p.log(),)

    def _drop(self, x: Tensor, z: Tensor) -> Tensor:
        """Return ``x`` for kept units and 0 for dropped units, with pre-activations ``z``."""
        fractions = lane_fractions(self.noise.lanes(self.noise_shape(x), x.device), x)
        return x * (fractions >= 1 - self.keep_probability(z.detach()))
