"""Bayes by Backprop: a normal posterior for each weight, with a normal prior."""

import math

from torch import Tensor
from torch.nn.functional import softplus

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Mask, UnitInputs, require_nonnegative
from dropout_lab.layers.gaussian_dropconnect import additive_noise_product
from dropout_lab.layers.variational import WarmUp, validate_warmup, warmup_factor
from dropout_lab.layers.weight_noise import LearnedWeightNoise
from dropout_lab.rng import Noise


def kl_of_normals(mean: Tensor, deviation: Tensor, prior_std: float) -> Tensor:
    """Return ``KL(N(mean, deviation**2) || N(0, prior_std**2))`` of each weight, in nats.

    ``log(prior_std / deviation) + (deviation**2 + mean**2) / (2 prior_std**2) - 1/2``.
    """
    squares = deviation * deviation + mean * mean
    return math.log(prior_std) - deviation.log() + squares / (2 * prior_std**2) - 0.5


class BayesByBackprop(LearnedWeightNoise):
    r"""Draw each weight from a normal distribution whose mean and variance are learned.

    .. math:: \tilde W_{ij} \sim \mathcal{N}(W_{ij}, s_{ij}^2), \qquad
              s_{ij} = \log(1 + e^{\rho_{ij}})

    :meth:`penalty` adds ``kl_weight`` KL / N to the loss, where KL is the sum of
    :func:`kl_of_normals` over the weights. Evaluation uses the means W; for the mean of sampled
    networks, use ``evaluation.inference: monte_carlo``. Biases have no noise and no prior.

    Args:
        p: Sets the initial ``s**2`` to ``p / (1 - p)`` times the mean square of the weights; in
            [0, 1). Runs at p = 0 have no noise, no KL, and learn no ``rho``.
        prior_std: Standard deviation of the prior, above 0.
        kl_weight: Factor of the KL, at least 0; 1 is the variational bound.
        kl_warmup: Fractions of the training between which the factor rises from 0.
        mask: ``element`` draws the pre-activations of each example, which has less variance.
            ``batch`` draws the weights once for the batch, as in the paper.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``connect``: ``x``: ``(runs, batch, in)``, ``weight``: ``(runs, in, out)``, ``bias``:
        ``(runs, 1, out)`` or None. Output: ``(runs, batch, out)``. All may omit the run axis. The
        learned ``rho`` has the shape of ``weight``; :meth:`setup` creates it.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, another argument outside its range, or
            ``setup`` was not called.

    Paper:
        Blundell, Cornebise, Kavukcuoglu, Wierstra (2015), Weight Uncertainty in Neural Networks,
        ICML. They also have a prior that is a mixture of two normal distributions, whose KL they
        sample, and a posterior for the biases [unverified]. The default of ``prior_std`` is ours.
    """

    variant = CATALOGUE["bayes_by_backprop"]
    rho: Tensor

    def __init__(
        self,
        p: float | Tensor = 0.5,
        *,
        prior_std: float = 0.1,
        kl_weight: float = 1.0,
        kl_warmup: WarmUp = (0.0, 0.0),
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        if not 0 < prior_std < math.inf:
            raise ValueError(f"prior_std is {prior_std:g}; it must be a number above 0.")
        self.prior_std = prior_std
        self.kl_weight = require_nonnegative("kl_weight", kl_weight)
        self.kl_warmup = validate_warmup(kl_warmup)
        super().__init__(p, mask=mask, noise=noise)

    def set_initial_noise(self, squares: Tensor) -> None:
        """Set every rho to its initial value at p."""
        odds = self.initial_p().logit().exp()[..., None, None].to(squares.device)
        deviation = (odds * squares).sqrt()
        self.set_parameter("rho", deviation + (-(-deviation).expm1()).log())  # softplus^-1

    def deviation(self) -> Tensor:
        """Return the standard deviation of each weight, ``log(1 + exp(rho))``."""
        self.check_setup()
        return softplus(self.rho)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply the linear map to ``x``, with noisy weights in training."""
        if not self.training:
            return affine(x, weight, bias)
        return additive_noise_product(self, x, weight, bias, self.deviation().to(weight.dtype))

    def penalty(self, weight: Tensor, progress: float) -> Tensor:
        """Return the weighted KL of the weights, ``(runs,)``."""
        kl = kl_of_normals(weight, self.deviation(), self.prior_std).sum(dim=(-2, -1))
        factor = self.kl_weight * warmup_factor(progress, self.kl_warmup)
        return kl * factor * self.noise_indicator(kl)
