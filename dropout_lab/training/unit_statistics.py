"""What the hidden units do, dropout off: how active they are, how much they repeat each other."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from dropout_lab.model import MLP
from dropout_lab.rng import Purpose, stream

REMOVED = (10, 25, 50, 75)  # per cent of the units of each hidden layer
_ORDERS = 5  # in which they are removed, at random
_INACTIVE = 0.01


def mean_activation(h: Tensor) -> Tensor:
    """Return the mean over a layer's units and examples: ``(runs,)``.

    Shape:
        ``h``: ``(runs, examples, units)``, the activations, dropout off.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, section 7.2 and Fig. 8.
    """
    return h.mean(dim=(1, 2))


def activation_sparsity(h: Tensor) -> Tensor:
    """Return the share of a layer's activations of at most 0.01 in size: ``(runs,)``.

    Shape and paper are those of :func:`mean_activation`; the bound is ours.
    """
    return (h.abs() <= _INACTIVE).double().mean(dim=(1, 2))


def unit_correlation(h: Tensor) -> Tensor:
    """Return the mean absolute correlation of two units of a layer: ``(runs,)``.

    Units that never change have no correlation and are left out; nan below two that do. Of n
    examples, independent units come to about ``sqrt(2 / (pi n))``, 0.025 at n = 1,000.

    Shape:
        ``h``: ``(runs, examples, units)``.
    """
    centred = _centred(h)
    norms = centred.norm(dim=1, keepdim=True)
    live = norms > 1e-9 * h.shape[1] ** 0.5
    z = torch.where(live, centred / norms.where(live, 1.0), 0.0)
    n = live.sum(dim=(1, 2)).double()
    total = (z.mT @ z).abs().sum(dim=(1, 2)) - n  # without the diagonal
    mean: Tensor = total / (n * (n - 1)).where(n > 1, torch.nan)
    return mean


def effective_rank(h: Tensor) -> Tensor:
    r"""Return the effective rank of a layer's activations: ``(runs,)``, from 1 to its units.

    .. math:: \exp\Bigl(-\sum_k \pi_k \log \pi_k\Bigr), \qquad \pi_k = \sigma_k / \sum_j \sigma_j

    with the singular values :math:`\sigma` of the activations, each unit less its mean; nan where
    no unit ever changes.

    Shape:
        ``h``: ``(runs, examples, units)``.

    Paper:
        Roy & Vetterli (2007), The effective rank: a measure of effective dimensionality, EUSIPCO.
    """
    # A run that has diverged must not stop the others: it is looked at as if it were all 0.
    finite = h.isfinite().all(dim=2, keepdim=True).all(dim=1, keepdim=True)
    centred = _centred(h.where(finite, 0.0))
    smaller = centred.mT if h.shape[1] < h.shape[2] else centred
    squares = torch.linalg.eigvalsh(smaller.mT @ smaller).clamp_min(0)
    # Below this, a square of a singular value is what rounding makes of 0.
    size = max(h.shape[1:]) * torch.finfo(squares.dtype).eps
    rounding = squares.amax(dim=-1, keepdim=True) * size
    values = squares.where(squares > rounding, 0.0).sqrt()
    entropy: Tensor = torch.special.entr(values / values.sum(dim=-1, keepdim=True)).sum(dim=-1)
    return entropy.exp()


def accuracy_without(
    model: MLP, x: Tensor, labels: Tensor, seeds: Sequence[int], share: int
) -> Tensor:
    """Return the accuracy when a share of each hidden layer's units is removed: ``(runs,)``.

    Their activations are set to 0 and the others left as they are; which units, is drawn from the
    run's seed, the same in every epoch, and more are removed by going on in the same order. The
    mean over five orders is returned.

    Args:
        model: In evaluation mode.
        x: ``(1, examples, inputs)``.
        labels: ``(examples,)``.
        seeds: The seed of each run.
        share: In per cent.
    """
    right = torch.zeros(model.runs, dtype=torch.float64, device=labels.device)
    for order in range(_ORDERS):
        removal = _Removal(share, seeds, order)
        handle = model.activation.register_forward_hook(removal)
        try:
            right += (model(x).argmax(dim=-1) == labels).sum(dim=-1)
        finally:
            handle.remove()
    return right / _ORDERS / len(labels)


class _Removal:
    """A hook on the activation that removes units, of one hidden layer after the other."""

    def __init__(self, share: int, seeds: Sequence[int], order: int) -> None:
        self.share, self.seeds, self.order = share, seeds, order
        self.layer = 0

    def __call__(self, module: nn.Module, inputs: object, h: Tensor) -> Tensor:
        self.layer += 1
        size = h.shape[-1]
        streams = [stream(Purpose.DIAGNOSTICS, s, 1, self.layer, self.order) for s in self.seeds]
        ranks = np.stack([generator.permutation(size) for generator in streams])
        kept = torch.from_numpy(ranks >= round(self.share * size / 100))  # (runs, units)
        return h * kept.unsqueeze(1).to(h.device)


def _centred(h: Tensor) -> Tensor:
    """Return the activations in float64, each unit's mean taken from it."""
    h = h.double()
    return h - h.mean(dim=1, keepdim=True)
