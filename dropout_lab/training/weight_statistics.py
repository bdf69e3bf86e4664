"""Statistics of trained weights: condensation of incoming weights, and flatness of the loss."""

import torch
from torch import Tensor

CONDENSED = 0.95  # smallest cosine of two vectors with the same orientation


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
