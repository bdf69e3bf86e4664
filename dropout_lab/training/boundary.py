"""Measure what networks with two inputs predict over a grid of their inputs."""

import numpy as np
import torch

from dropout_lab.data import Splits
from dropout_lab.model import MLP
from dropout_lab.results.boundary import Boundary
from dropout_lab.training.evaluation import CHUNK

SIDE = 101  # points of the grid along each input
MARGIN = 0.1  # around the data, as a share of their range
MOST_POINTS = 500  # training examples that are kept


def boundaries(model: MLP, splits: Splits) -> list[Boundary]:
    """Return for each run the class probabilities over a grid of the two inputs, dropout off.

    The grid covers the training and the test set with a margin of 10 %. The points are the first
    500 training examples.

    Raises:
        ValueError: The networks do not have two inputs.
    """
    train, test = (splits.pixels(part.images) for part in (splits.train, splits.test))
    if train.shape[1] != 2:
        raise ValueError(f"the networks have {train.shape[1]} inputs, not 2")
    every = torch.cat([train, test])
    low, high = every.amin(0), every.amax(0)
    margin = MARGIN * (high - low).clamp_min(1e-6)
    axes = [
        torch.linspace(float(a), float(b), SIDE, dtype=train.dtype, device=train.device)
        for a, b in zip(low - margin, high + margin, strict=True)
    ]
    second, first = torch.meshgrid(axes[1], axes[0], indexing="ij")
    grid = torch.stack([first.flatten(), second.flatten()], dim=1)  # (points, 2)
    was_training = model.training
    try:
        with torch.inference_mode():
            pieces = [model.eval()(piece.unsqueeze(0)).softmax(-1) for piece in grid.split(CHUNK)]
    finally:
        model.train(was_training)
    probabilities = torch.cat(pieces, dim=1)  # (runs, points, classes)
    per_class = probabilities.unflatten(1, (SIDE, SIDE)).permute(0, 3, 1, 2).half().cpu().numpy()
    extent = np.array([float(edge) for axis in axes for edge in (axis[0], axis[-1])])
    points = train[:MOST_POINTS].float().cpu().numpy()
    labels = splits.train.labels[:MOST_POINTS].cpu().numpy()
    return [Boundary(each, extent, points, labels) for each in per_class]
