"""Statistics of hidden units: activity, variance, correlation, effective rank, redundancy."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dropout_lab.layers import Dropout, TargetedUnitDropout, UnitDropout, UnitInputs, affine
from dropout_lab.model import MLP
from dropout_lab.normalization import fixed_statistics
from dropout_lab.rng import Purpose, stream

_ORDERS = 5  # random orders of removal
_INACTIVE = 0.01  # largest absolute activation of an inactive unit


def mean_activation(h: Tensor) -> Tensor:
    """Return the mean activation over the units of a layer and the examples: ``(runs,)``.

    Shape:
        ``h``: ``(runs, examples, units)``, the activations, dropout off.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, section 7.2 and Fig. 8.
    """
    return h.mean(dim=(1, 2))


def activation_sparsity(h: Tensor) -> Tensor:
    """Return the share of a layer's activations with absolute value at most 0.01: ``(runs,)``.

    See :func:`mean_activation` for shape and paper. The paper does not give the bound.
    """
    return (h.abs() <= _INACTIVE).double().mean(dim=(1, 2))


def activation_variance(h: Tensor) -> Tensor:
    r"""Return the variance of all activations of a layer: ``(runs,)``.

    .. math:: \frac{1}{n d} \sum_{e, u} (h_{eu} - \bar h)^2

    over the n examples e and the d units u, around the mean of the layer.

    Shape:
        ``h``: ``(runs, examples, units)``.
    """
    return h.double().var(dim=(1, 2), correction=0)


def units_with_dropout(model: MLP, x: Tensor) -> list[Tensor]:
    """Return the units of each hidden layer as the next layer gets them, dropout on.

    Dropped units are 0, and the units of a variant that scales are scaled. Variants that act on
    weights leave the units of their own layer unchanged. With ``batchwise``, the dropped units come
    last. The model makes one pass in training mode, with the current noise.

    Args:
        model: In any mode; left in training mode.
        x: ``(1, examples, inputs)``.

    Shape:
        Each output: ``(runs, examples, units)``.
    """
    hidden: list[Tensor] = []
    passed_on: dict[int, Tensor] = {}
    with _record_units(model, passed_on), fixed_statistics(model):
        model.train()(x, hidden)
    return [passed_on.get(place, h) for place, h in enumerate(hidden, start=1)]


@contextmanager
def _record_units(model: MLP, passed_on: dict[int, Tensor]) -> Iterator[None]:
    """Record the units that pass each dropout layer, by place, inside a ``with`` block."""

    def record(place: int, layer: Dropout, units: int) -> None:
        connect = layer.connect

        def connect_and_record(
            h: Tensor, weight: Tensor, bias: Tensor | None, entering: UnitInputs | None = None
        ) -> Tensor:
            # With the identity as weights, the output of connect are the units themselves.
            identity = torch.eye(h.shape[-1], dtype=h.dtype, device=h.device)
            identity = identity.expand(h.shape[0], -1, -1)
            kept = connect(h, identity, None, entering)
            # batchwise dropout does not compute the units that it drops
            passed_on[place] = functional.pad(kept, (0, units - kept.shape[-1]))
            return affine(kept, weight, bias)

        layer.connect = connect_and_record  # type: ignore[method-assign, assignment]

    changed = []
    for place, (layer, weight, _) in enumerate(model.places()):
        if place and isinstance(layer, UnitDropout | TargetedUnitDropout):
            record(place, layer, weight.shape[1])
            changed.append(layer)
    handles = []
    if model.normalized_at == 3:  # after dropout, so connect is not called
        for place, normalization in enumerate(model.normalizations, start=1):
            handles.append(
                normalization.register_forward_pre_hook(
                    lambda _, given, place=place: passed_on.update({place: given[0]})
                )
            )
    try:
        yield
    finally:
        for layer in changed:
            del layer.connect
        for handle in handles:
            handle.remove()


def unit_correlation(h: Tensor) -> Tensor:
    """Return the mean absolute correlation between two units of a layer: ``(runs,)``.

    Excludes constant units, which have no correlation; nan if fewer than two units vary. For n
    examples, independent units give about ``sqrt(2 / (pi n))``, 0.025 at n = 1,000.

    Shape:
        ``h``: ``(runs, examples, units)``.
    """
    centered = _center(h)
    norms = centered.norm(dim=1, keepdim=True)
    varying = norms > 1e-9 * h.shape[1] ** 0.5
    z = torch.where(varying, centered / norms.where(varying, 1.0), 0.0)
    n = varying.sum(dim=(1, 2)).double()
    total = (z.mT @ z).abs().sum(dim=(1, 2)) - n  # without the diagonal
    mean: Tensor = total / (n * (n - 1)).where(n > 1, torch.nan)
    return mean


def effective_rank(h: Tensor) -> Tensor:
    r"""Return the effective rank of a layer's activations: ``(runs,)``, from 1 to its width.

    .. math:: \exp\Bigl(-\sum_k \pi_k \log \pi_k\Bigr), \qquad \pi_k = \sigma_k / \sum_j \sigma_j

    with the singular values :math:`\sigma` of the centered activations; nan if all units are
    constant.

    Shape:
        ``h``: ``(runs, examples, units)``.

    Paper:
        Roy & Vetterli (2007), The effective rank: a measure of effective dimensionality, EUSIPCO.
    """
    # eigvalsh fails for nan. So replace a diverged run by zeros, for the sake of the others.
    finite = h.isfinite().all(dim=2, keepdim=True).all(dim=1, keepdim=True)
    centered = _center(h.where(finite, 0.0))
    smaller = centered.mT if h.shape[1] < h.shape[2] else centered
    squares = torch.linalg.eigvalsh(smaller.mT @ smaller).clamp_min(0)
    # Below this bound, the square of a singular value is rounding error of 0.
    size = max(h.shape[1:]) * torch.finfo(squares.dtype).eps
    rounding = squares.amax(dim=-1, keepdim=True) * size
    values = squares.where(squares > rounding, 0.0).sqrt()
    entropy: Tensor = torch.special.entr(values / values.sum(dim=-1, keepdim=True)).sum(dim=-1)
    return entropy.exp()


def accuracy_after_removal(
    model: MLP, x: Tensor, labels: Tensor, seeds: Sequence[int], percentage: int
) -> Tensor:
    """Return the accuracy after removing a percentage of each hidden layer's units: ``(runs,)``.

    Sets the activations of the removed units to 0, without rescaling the others. Removes the units
    in random order, given by the seed of the run and equal in every epoch. Returns the mean over
    five orders.

    Args:
        model: In evaluation mode.
        x: ``(1, examples, inputs)``.
        labels: ``(examples,)``.
        seeds: The seed of each run.
        percentage: The percentage of units to remove.
    """
    correct = torch.zeros(model.runs, dtype=torch.float64, device=labels.device)
    for order in range(_ORDERS):
        removal = _UnitRemoval(percentage, seeds, order)
        handle = model.activation.register_forward_hook(removal)
        try:
            correct += (model(x).argmax(dim=-1) == labels).sum(dim=-1)
        finally:
            handle.remove()
    return correct / _ORDERS / len(labels)


class _UnitRemoval:
    """Forward hook of the activation module that removes units of each hidden layer in turn."""

    def __init__(self, percentage: int, seeds: Sequence[int], order: int) -> None:
        self.percentage, self.seeds, self.order = percentage, seeds, order
        self.layer = 0

    def __call__(self, module: nn.Module, inputs: object, h: Tensor) -> Tensor:
        self.layer += 1
        size = h.shape[-1]
        streams = [stream(Purpose.DIAGNOSTICS, s, 1, self.layer, self.order) for s in self.seeds]
        ranks = np.stack([generator.permutation(size) for generator in streams])
        kept = torch.from_numpy(ranks >= round(self.percentage * size / 100))  # (runs, units)
        return h * kept.unsqueeze(1).to(h.device)


def _center(h: Tensor) -> Tensor:
    """Return the activations in float64, minus the mean of each unit."""
    h = h.double()
    return h - h.mean(dim=1, keepdim=True)
