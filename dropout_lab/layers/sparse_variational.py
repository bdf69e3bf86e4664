"""Sparse variational dropout: learn the noise of each weight, and prune the noisiest weights."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Mask, UnitInputs, require_nonnegative
from dropout_lab.layers.gaussian_dropconnect import noisy_product
from dropout_lab.layers.variational import WarmUp, validate_warmup, warmup_factor
from dropout_lab.layers.weight_noise import LearnedWeightNoise
from dropout_lab.rng import Noise

K1, K2, K3 = 0.63576, 1.8732, 1.48695
PRUNED_FROM = 3.0  # log alpha
_MIN, _MAX = -8.0, 8.0  # limits of log alpha
_TINY = 1e-8  # added to squared weights before the logarithm


def kl_of_log_alpha(log_alpha: Tensor) -> Tensor:
    """Return KL(q || log-uniform prior) of a weight, in nats. It tends to 0 as alpha grows.

    ``-(k1 sigmoid(k2 + k3 log alpha) - 0.5 log(1 + 1/alpha) - k1)`` (Molchanov et al. 2017).
    """
    return K1 - K1 * torch.sigmoid(K2 + K3 * log_alpha) + 0.5 * softplus(-log_alpha)


class SparseVariationalDropout(LearnedWeightNoise):
    r"""Add normal noise with a learned variance to each weight, and prune the noisiest weights.

    .. math:: z_j \sim \mathcal{N}\Big(\sum_i x_i w_{ij} + b_j,\;
              \sum_i x_i^2 \alpha_{ij} w_{ij}^2\Big), \qquad \alpha_{ij} = s_{ij}^2 / w_{ij}^2

    The learned parameter is ``log s**2``. :meth:`penalty` adds KL / N to the loss, where KL is the
    sum of :func:`kl_of_log_alpha` over the weights. ``log alpha`` is clipped to [-8, 8], so a
    weight of exactly 0 has no noise. Evaluation sets weights with ``log alpha >= 3`` to 0, and
    :meth:`sparsity` is their fraction. Biases have no noise.

    Args:
        p: Sets the initial ``s**2`` to ``p / (1 - p)`` times the mean square of the weights; in
            [0, 1). The paper starts at ``log s**2 = -10``, which is p = 0.02 with He initialization
            and 784 inputs.
        kl_weight: Factor of the KL, at least 0.
        kl_warmup: Fractions of the training between which the factor rises from 0; in the paper,
            epochs 5 and 20 of 200.
        mask: ``element`` draws the pre-activations of each example, ``batch`` draws the weights
            once for the batch.
        noise: Source of the random draws; by default PyTorch's global generator.

    Shape:
        ``connect``: ``x``: ``(runs, batch, in)``, ``weight``: ``(runs, in, out)``, ``bias``:
        ``(runs, 1, out)`` or None. Output: ``(runs, batch, out)``. All may omit the run axis. The
        learned ``log_variance`` has the shape of ``weight``; :meth:`setup` creates it.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, another argument outside its range, or
            ``setup`` was not called.

    Paper:
        Molchanov, Ashukha, Vetrov (2017), Variational Dropout Sparsifies Deep Neural Networks,
        ICML. They train with Adam. Their code can also prune in training; this layer prunes only in
        evaluation.
    """

    variant = CATALOGUE["sparse_variational"]
    log_variance: Tensor

    def __init__(
        self,
        p: float | Tensor = 0.5,
        *,
        kl_weight: float = 1.0,
        kl_warmup: WarmUp = (0.025, 0.1),
        mask: Mask = "element",
        noise: Noise | None = None,
    ) -> None:
        self.kl_weight = require_nonnegative("kl_weight", kl_weight)
        self.kl_warmup = validate_warmup(kl_warmup)
        super().__init__(p, mask=mask, noise=noise)

    def set_initial_noise(self, squares: Tensor) -> None:
        """Set the variances to their initial values at p."""
        odds = self.initial_p().logit()[..., None, None].to(squares.device)
        self.set_parameter("log_variance", odds + squares.log())

    def log_alpha(self, weight: Tensor) -> Tensor:
        """Return ``log alpha = log s**2 - log w**2`` of each weight, clipped to [-8, 8]."""
        self.check_setup()
        log_square = (weight * weight + _TINY).log()
        return (self.log_variance - log_square).clamp(_MIN, _MAX)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
    ) -> Tensor:
        """Apply the linear map to ``x``, with noise in training and pruned in evaluation."""
        if not self.training:
            (active,) = self.broadcast_constants(weight)
            return affine(x, weight * ~(self._is_pruned(weight) & active), bias)
        deviation = (0.5 * self.log_alpha(weight)).exp()
        return noisy_product(self, x, weight, bias, deviation)

    def penalty(self, weight: Tensor, progress: float) -> Tensor:
        """Return the sum of the KL over the weights, ``(runs,)``."""
        kl = kl_of_log_alpha(self.log_alpha(weight)).sum(dim=(-2, -1))
        return (
            kl
            * (self.kl_weight * warmup_factor(progress, self.kl_warmup))
            * self.noise_indicator(kl)
        )

    def sparsity(self, weight: Tensor) -> Tensor:
        """Return the fraction of the weights that evaluation sets to 0, ``(runs,)``."""
        return self._is_pruned(weight).double().mean(dim=(-2, -1)) * self.noise_indicator(weight)

    def _is_pruned(self, weight: Tensor) -> Tensor:
        """Return whether the noise of each weight is large enough to prune the weight."""
        return self.log_alpha(weight) >= PRUNED_FROM
