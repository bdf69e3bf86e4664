"""Statistics of trained weights: condensation of incoming weights, and flatness of the loss."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dropout_lab.config.sections.evaluation import PERTURBED_PERCENTAGES
from dropout_lab.metrics import losses
from dropout_lab.model import MLP
from dropout_lab.rng import Purpose, stream

CONDENSED = 0.95  # two vectors with a larger cosine have the same orientation
DIRECTIONS = 5


def weight_similarity(vectors: Tensor) -> Tensor:
    r"""Return the mean absolute cosine between the incoming weights of two units: ``(runs,)``.

    .. math::
        \frac{2}{n (n - 1)} \sum_{i < j}
        \frac{|v_i^\top v_j|}{\lVert v_i \rVert \, \lVert v_j \rVert}

    over the n units whose vector is not zero; nan if there are fewer than two. The value is from 0
    to 1. For independent normal vectors with many components d it is about ``sqrt(2 / (pi d))``,
    0.028 at d = 785; for d = 3 it is 0.5.

    Args:
        vectors: The incoming weights and the bias of each unit, ``(runs, components, units)``.

    Paper:
        Zhang & Xu (2022), Implicit regularization of dropout, arXiv:2207.05952: condensation is
        that the input weights of hidden units gather at a few orientations.
    """
    cosines, nonzero = _cosines(vectors)
    n = nonzero.sum(dim=1).double()
    total = cosines.abs().sum(dim=(1, 2)) - n  # without the diagonal
    mean: Tensor = total / (n * (n - 1)).where(n > 1, torch.nan)
    return mean


def weight_orientations(vectors: Tensor) -> Tensor:
    r"""Return the number of different orientations of incoming weights, per unit: ``(runs,)``.

    The units are visited from the longest vector to the shortest. A unit has a new orientation if
    its cosine with each unit that has one is at most 0.95. The value is the number of orientations
    over the number n of units whose vector is not zero: 1 / n if all units have the same
    orientation, and 1 if all orientations differ; nan if there is no such unit. Opposite vectors
    differ, since a ReLU unit with -v is active where the unit with v is not.

    See :func:`weight_similarity` for the argument and the paper. The paper counts orientations as
    an "effective ratio" of units; its bound and its order of clustering are [unverified].
    """
    cosines, nonzero = _cosines(vectors)
    order = vectors.double().norm(dim=1).argsort(dim=1, descending=True, stable=True)
    close = cosines.gather(1, order.unsqueeze(2).expand_as(cosines)) > CONDENSED  # rows in order
    represented = ~nonzero  # (runs, units)
    orientations = torch.zeros(len(vectors), dtype=torch.float64, device=vectors.device)
    for position in range(order.shape[1]):
        unit = order[:, position : position + 1]  # (runs, 1)
        is_new = ~represented.gather(1, unit)
        orientations += is_new.squeeze(1)
        represented = represented | (is_new & close[:, position])
    n = nonzero.sum(dim=1).double()
    share: Tensor = orientations / n.where(n > 0, torch.nan)
    return share


def _cosines(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cosine of each pair of columns, 0 for a zero column, and which are not zero.

    Shape:
        ``vectors``: ``(runs, components, units)``. Output: ``(runs, units, units)``, float64, and
        ``(runs, units)``.
    """
    vectors = vectors.double()
    norms = vectors.norm(dim=1, keepdim=True)
    nonzero = norms > 0
    directions = torch.where(nonzero, vectors / norms.where(nonzero, 1.0), 0.0)
    return directions.mT @ directions, nonzero.squeeze(1)


def loss_rises(model: MLP, x: Tensor, labels: Tensor, seeds: Sequence[int]) -> dict[int, Tensor]:
    r"""Return how much the loss rises along random directions, by percentage: ``(runs,)`` each.

    .. math::
        \frac{1}{5} \sum_{k=1}^{5} L(w + a\, d_k) - L(w), \qquad
        d_{k,j} = \frac{g_{k,j}}{\lVert g_{k,j} \rVert} \lVert w_j \rVert

    with the mean cross-entropy L in nats, a = 0.1, 0.25 and 0.5, the incoming weights :math:`w_j`
    of each unit or class j, and standard normal draws :math:`g_{k,j}`. So each unit moves by the
    same share of its own length. Biases and normalizations keep their values. A small rise is a
    flat minimum. A run draws the same g at every call, in any fleet, and whatever its settings.

    Restores the weights to the bit, also after an exception.

    Args:
        model: In evaluation mode.
        x: ``(1, examples, inputs)``.
        labels: ``(examples,)``.
        seeds: The seed of each run.

    Papers:
        Li, Xu, Taylor, Studer, Goldstein (2018), Visualizing the Loss Landscape of Neural Nets,
        NeurIPS: the normalized directions. Zhang & Xu (2022), Implicit regularization of dropout,
        arXiv:2207.05952: dropout finds flatter minima. The numbers of directions, examples and
        percentages are ours.
    """
    labels = labels.expand(model.runs, -1)
    weights = [weight.detach() for weight in model.weights]
    start = [weight.clone() for weight in weights]
    before = losses(model(x), labels).double()
    totals = {percentage: torch.zeros_like(before) for percentage in PERTURBED_PERCENTAGES}
    try:
        for number in range(DIRECTIONS):
            directions = random_directions(start, seeds, number)
            for percentage, total in totals.items():
                for weight, origin, direction in zip(weights, start, directions, strict=True):
                    torch.add(origin, direction, alpha=percentage / 100, out=weight)
                total += losses(model(x), labels).double() - before
    finally:
        for weight, origin in zip(weights, start, strict=True):
            weight.copy_(origin)
    return {percentage: total / DIRECTIONS for percentage, total in totals.items()}


def random_directions(weights: Sequence[Tensor], seeds: Sequence[int], number: int) -> list[Tensor]:
    """Return a random direction for each weight matrix, as long as the matrix in each column.

    Args:
        weights: ``(runs, in, out)`` each.
        seeds: The seed of each run.
        number: Which direction of a run.
    """
    directions = []
    for layer, weight in enumerate(weights):
        shape = tuple(weight.shape[1:])
        streams = [stream(Purpose.FLATNESS, seed, number, layer) for seed in seeds]
        draws = [torch.from_numpy(s.standard_normal(shape, dtype="float32")) for s in streams]
        g = torch.stack(draws).to(weight)
        directions.append(g * (weight.norm(dim=1, keepdim=True) / g.norm(dim=1, keepdim=True)))
    return directions
