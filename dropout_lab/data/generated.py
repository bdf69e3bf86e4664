"""Generate data sets of two features, for pictures of what a network has learned.

The draws come from a stream of their own with a fixed seed, so the examples are always the same.
Coordinates are rounded to 1e-4, since sines differ between machines in their last bits.
"""

from collections.abc import Callable

import numpy as np
import torch

from dropout_lab.data.splits import Examples
from dropout_lab.datasets import DATASETS
from dropout_lab.rng import Purpose, stream

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Labels = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

MOON_SD, SPIRAL_SD = 0.3, 0.2  # of the noise: of a coordinate, and of an angle in radians
_DIGITS = 4


def two_moons(labels: Labels, generator: np.random.Generator) -> Floats:
    r"""Draw points around two half circles that reach into each other.

    .. math::

        x = (\cos t,\; \sin t) + 0.3 z \quad\text{for class 0}, \qquad
        x = (1 - \cos t,\; 0.5 - \sin t) + 0.3 z \quad\text{for class 1}

    with t uniform on [0, π) and z from the standard normal distribution.

    Args:
        labels: The class of each example, ``(examples,)``.
        generator: Source of the draws.

    Returns:
        ``(examples, 2)``.
    """
    angles = generator.uniform(0, np.pi, len(labels))
    first = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.where(labels[:, None] == 0, first, [1.0, 0.5] - first)
    return points + MOON_SD * generator.standard_normal(points.shape)


def spirals(labels: Labels, generator: np.random.Generator) -> Floats:
    r"""Draw points on three spirals, which turn by 4 radians from the center to the edge.

    .. math::

        x = r\,(\sin a,\; \cos a), \qquad a = 4\,(r + c) + 0.2 z

    with r uniform on [0, 1), the class c in {0, 1, 2}, and z from the standard normal distribution.

    Args:
        labels: The class of each example, ``(examples,)``.
        generator: Source of the draws.

    Returns:
        ``(examples, 2)``.
    """
    radii = generator.uniform(0, 1, len(labels))
    angles = 4 * (radii + labels) + SPIRAL_SD * generator.standard_normal(len(labels))
    return np.stack([radii * np.sin(angles), radii * np.cos(angles)], axis=1)


GENERATORS: dict[str, Callable[[Labels, np.random.Generator], Floats]] = {
    "two_moons": two_moons,
    "spirals": spirals,
}


def generate(name: str) -> tuple[Examples, Examples]:
    """Return the training set and the test set, always the same. Classes take turns."""
    dataset = DATASETS[name]
    drawn = []
    for part, examples in enumerate((dataset.train, dataset.test)):
        labels = np.arange(examples) % dataset.classes
        points = GENERATORS[dataset.path](labels, stream(Purpose.GENERATED, 0, part))
        features = torch.from_numpy(points.round(_DIGITS).astype(np.float32))
        drawn.append(Examples(features, torch.from_numpy(labels.astype(np.int64))))
    training, test = drawn
    return training, test
