"""Sparse variational dropout: the noise of each weight is learned, and drowned weights go."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers.affine import affine
from dropout_lab.layers.base import Entering, Mask, WeightDropout, at_least_0
from dropout_lab.layers.gaussian_dropconnect import noisy_product
from dropout_lab.layers.learned import NOT_BEGUN, LearnedDropout
from dropout_lab.layers.variational import WarmUp, checked_warmup, warmed_up
from dropout_lab.rng import Noise

K1, K2, K3 = 0.63576, 1.8732, 1.48695
PRUNED_FROM = 3.0  # log alpha
_LOWEST, _HIGHEST = -8.0, 8.0  # of log alpha
_TINY = 1e-8  # added to a squared weight before its logarithm


def kl_of_log_alpha(log_alpha: Tensor) -> Tensor:
    """Return KL(q || log-uniform prior) of a weight, in nats; 0 for alpha to infinity.

    ``-(k1 sigmoid(k2 + k3 log alpha) - 0.5 log(1 + 1/alpha) - k1)`` (Molchanov et al. 2017).
    """
    return K1 - K1 * torch.sigmoid(K2 + K3 * log_alpha) + 0.5 * softplus(-log_alpha)


class SparseVariationalDropout(LearnedDropout, WeightDropout):
    r"""Add normal noise of a learned variance to each weight; prune where noise is all there is.

    .. math:: z_j \sim \mathcal{N}\Big(\sum_i x_i w_{ij} + b_j,\;
              \sum_i x_i^2 \alpha_{ij} w_{ij}^2\Big), \qquad \alpha_{ij} = s_{ij}^2 / w_{ij}^2

    What is learned is ``log s**2``. The loss gains KL / N, summed over the weights
    (:meth:`penalty`), with :func:`kl_of_log_alpha`; ``log alpha`` is clipped to [-8, 8], so a
    weight of exactly 0 carries no noise. Evaluation sets weights with ``log alpha >= 3`` to 0;
    :meth:`sparsity` is their share. Biases carry no noise.

    Args:
        p: Sets ``s**2`` at the start, to ``p / (1 - p)`` times the mean square of the weights; in
            [0, 1). The paper starts at ``log s**2 = -10``, which is p = 0.02 with He's weights of
            784 inputs.
        kl_weight: Factor of the KL, at least 0.
        kl_warmup: Shares of the training between which the factor rises from 0; in the paper
            epochs 5 and 20 of 200.
        mask: ``element`` draws pre-activations for each example, ``batch`` weights once for all.
        noise: Source of the normal draws; by default PyTorch's global generator.

    Shape:
        ``connect(x, weight, bias)``: ``(runs, batch, in)``, ``(runs, in, out)``, ``(runs, 1, out)``
        to ``(runs, batch, out)``; or all of them without the run axis. The learned ``log_variance``
        has the shape of ``weight``; ``begin`` makes it.

    Raises:
        ValueError: ``p`` is outside [0, 1) or nan, another argument outside its range, or
            ``begin`` was not called.

    Paper:
        Molchanov, Ashukha, Vetrov (2017), Variational Dropout Sparsifies Deep Neural Networks,
        ICML. They train with Adam. Their code can set drowned weights to 0 in training as well;
        this does so in evaluation only.
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
        self.kl_weight = at_least_0("kl_weight", kl_weight)
        self.kl_warmup = checked_warmup(kl_warmup)
        self._mean_squares: Tensor | None = None  # of the weights, until begin says
        super().__init__(p, mask=mask, noise=noise)

    def begin(self, weight: Tensor, activation: str) -> None:
        """Make a variance for each weight."""
        squares = (weight.detach() ** 2).mean(dim=(-2, -1), keepdim=True)
        self._mean_squares = squares.expand(weight.shape)
        self.restart()

    def restart(self) -> None:
        """Put every variance where p says."""
        squares = self._mean_squares
        if squares is not None:
            odds = self.started().logit()[..., None, None].to(squares.device)
            self.set_parameter("log_variance", odds + squares.log())

    def learned_p(self) -> Tensor:
        """Return p as it was set: what is learned tells only beside the weights; see sparsity."""
        return self._p

    def log_alpha(self, weight: Tensor) -> Tensor:
        """Return ``log s**2 - log w**2`` of each weight, clipped to [-8, 8]."""
        if self._mean_squares is None:
            raise ValueError(NOT_BEGUN)
        log_square = (weight * weight + _TINY).log()
        return (self.log_variance - log_square).clamp(_LOWEST, _HIGHEST)

    def connect(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, entering: Entering | None = None
    ) -> Tensor:
        """Carry ``x`` through the weights: with noise in training, pruned in evaluation."""
        if not self.training:
            (active,) = self.placed(weight)
            return affine(x, weight * ~(self._drowned(weight) & active), bias)
        deviation = (0.5 * self.log_alpha(weight)).exp()
        return noisy_product(self, x, weight, bias, deviation)

    def penalty(self, weight: Tensor, progress: float) -> Tensor:
        """Return the KL over the weights: ``(runs,)``."""
        kl = kl_of_log_alpha(self.log_alpha(weight)).sum(dim=(-2, -1))
        return kl * (self.kl_weight * warmed_up(progress, self.kl_warmup)) * self.active(kl)

    def sparsity(self, weight: Tensor) -> Tensor:
        """Return the share of the weights that evaluation sets to 0: ``(runs,)``."""
        return self._drowned(weight).double().mean(dim=(-2, -1)) * self.active(weight)

    def _drowned(self, weight: Tensor) -> Tensor:
        return self.log_alpha(weight) >= PRUNED_FROM
