"""Compare mini-batch gradients with each other and with the gradient of many examples."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from dropout_lab.data import Examples, Splits
from dropout_lab.metrics import losses
from dropout_lab.model import MLP
from dropout_lab.training.evaluation import CHUNK

Gradient = Sequence[Tensor]  # one tensor (runs, ...) for each weight and bias


def compare_gradients(
    model: MLP, batches: Iterable[tuple[Tensor, Tensor]], full: Gradient
) -> dict[str, Tensor]:
    r"""Return norm, direction variance and direction error of mini-batch gradients: (runs,) each.

    With G mini-batch gradients :math:`g_i` of the cross-entropy, dropout on, at the same weights,
    and the gradient :math:`\hat g` of many examples, dropout off:

    .. math:: \text{norm} = \frac1G \sum_i \lVert g_i \rVert_2, \quad
              \text{variance} = \frac{2}{G (G - 1)} \sum_{i < j} \frac{1 - \cos(g_i, g_j)}{2},
              \quad \text{error} = \frac1G \sum_i \frac{1 - \cos(g_i, \hat g)}{2}

    A variance or error of 0 means equal directions, 1/2 means orthogonal directions.

    Args:
        model: In training mode, with noise from streams that training does not use.
        batches: At least two: pixels ``(runs, batch, inputs)`` and labels ``(runs, batch)`` each.
        full: The return value of :func:`full_gradient`.

    Paper:
        Liu, Xu, Jin, Shen, Darrell (2023), Dropout Reduces Underfitting, ICML. The factor 1/2 of
        their cosine distance is [unverified].
    """
    directions = [torch.zeros_like(part) for part in full]  # the sum of g_i / |g_i|
    norms, cosines = [], []
    full_norm = _dot(full, full).sqrt()
    for x, labels in batches:
        gradient = _gradient(model, losses(model(x), labels))
        norm = _dot(gradient, gradient).sqrt()
        norms.append(norm)
        cosines.append(_dot(gradient, full) / (norm * full_norm))
        for total, part in zip(directions, gradient, strict=True):
            total += part / norm.view(-1, 1, 1).to(part.dtype)
    count = len(norms)
    # |sum of unit vectors|^2 = G + 2 sum_{i<j} cos(g_i, g_j)
    mean_cosine = (_dot(directions, directions) - count) / (count * (count - 1))
    return {
        "gradient_norm": torch.stack(norms).mean(dim=0),
        "gradient_direction_variance": (1 - mean_cosine) / 2,
        "gradient_direction_error": (1 - torch.stack(cosines).mean(dim=0)) / 2,
    }


def full_gradient(model: MLP, examples: Examples, splits: Splits) -> Gradient:
    """Return the gradient of the mean cross-entropy over many examples, dropout off.

    Args:
        model: In evaluation mode.
        examples: The same examples for every run.
        splits: Converts images to pixels.
    """
    total: list[Tensor] = []
    for images, labels in zip(
        examples.images.split(CHUNK), examples.labels.split(CHUNK), strict=True
    ):
        logits = model(splits.pixels(images).unsqueeze(0))
        loss = losses(logits, labels.expand(model.runs, -1)) * (len(labels) / len(examples))
        part = _gradient(model, loss)
        total = [a + b for a, b in zip(total, part, strict=True)] if total else list(part)
    return total


def _gradient(model: MLP, loss: Tensor) -> Gradient:
    """Return the gradient of each run's loss, ``(runs,)``, in its own weights and biases."""
    return torch.autograd.grad(loss.sum(), [*model.weights, *model.biases])


def _dot(one: Gradient, other: Gradient) -> Tensor:
    """Return the dot product of two gradients for each run: ``(runs,)``, float64."""
    products = [(a * b).double().sum(dim=(1, 2)) for a, b in zip(one, other, strict=True)]
    return torch.stack(products).sum(dim=0)
