"""The stochastic delta rule: each weight has a noise that follows its gradient."""

import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Mask, UnitInputs, require_nonnegative
from dropout_lab.layers.gaussian_dropconnect import additive_noise_product
from dropout_lab.layers.weight_noise import LearnedWeightNoise
from dropout_lab.rng import Noise


class StochasticDeltaRule(LearnedWeightNoise):
    r"""Draw each weight from a normal distribution whose deviation grows with its gradient.

    .. math:: \tilde W_{ij} \sim \mathcal{N}(W_{ij}, s_{ij}^2), \qquad
              s_{ij} \leftarrow \zeta \left( s_{ij} + \alpha
              \left| \frac{\partial L}{\partial W_{ij}} \right| \right)
              \text{ after each update}

    A weight with a large gradient is uncertain and gets more noise. Without gradients the noise
    decays to 0. Evaluation uses W. Biases have no noise. The gradient is the gradient that the
    optimizer used for the weights, with the l1 term and without the l2 term.

    The deviations are parameters without a gradient, so checkpoints and state dicts have them.
    :meth:`on_gradient` updates them.

    Args:
        p: Sets the initial ``s**2`` to ``p / (1 - p)`` times the mean square of the weights; in
            [0, 1). Runs at p = 0 have no noise.
        noise_rate: alpha, at least 0.
        noise_decay: zeta, in [0, 1].
        mask: ``element`` draws the pre-activations of each example, ``batch`` draws the weights
            once for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``connect``: ``x``: ``(runs, batch, in)``, ``weight``: ``(runs, in, out)``, ``bias``:
        ``(runs, 1, out)`` or None. Output: ``(runs, batch, out)``. All may omit the run axis.
        ``deviation`` has the shape of ``weight``; :meth:`setup` creates it.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, another argument outside its range, or
            ``setup`` was not called.

    Paper:
        Hanson (1990), A stochastic version of the delta rule, Physica D 42; Frazier-Logue, Hanson
        (2018), Dropout is a special case of the stochastic delta rule, arXiv:1808.03578. Their
        README says that deviations change with the gradients in each iteration and converge to 0.
        The order of the two steps and the decay in each update are [unverified]. The defaults are
        ours.
    """

    variant = CATALOGUE["stochastic_delta"]
    deviation: Tensor

    def __init__(
        self,
        p: float | Tensor = 0.5,
        *,
        noise_rate: float = 0.1,
        noise_decay: float = 0.99,
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        self.noise_rate = require_nonnegative("noise_rate", noise_rate)
        if not 0 <= noise_decay <= 1:
            raise ValueError(f"noise_decay is {noise_decay:g}; it must be a number from 0 to 1.")
        self.noise_decay = noise_decay
        super().__init__(p, mask=mask, noise=noise)

    def set_initial_noise(self, squares: Tensor) -> None:
        """Set the deviations to their initial values at p."""
        odds = (self._p / (1 - self._p))[..., None, None].to(squares.device)
        self.set_parameter("deviation", (odds * squares).sqrt())
        self.deviation.requires_grad_(False)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply the linear map to ``x``, with noisy weights in training."""
        if not self.training:
            return affine(x, weight, bias)
        self.check_setup()
        return additive_noise_product(self, x, weight, bias, self.deviation.to(weight.dtype))

    def on_gradient(self, gradient: Tensor) -> None:
        """Raise the deviations by the size of the gradient, then let them decay."""
        with torch.no_grad():
            growth = self.noise_rate * gradient.abs().to(self.deviation.dtype)
            growth *= self.noise_indicator(growth)[..., None, None]
            self.deviation.add_(growth).mul_(self.noise_decay)
