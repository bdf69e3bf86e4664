"""Read and write boundary.npz: what a network with two inputs predicts over a grid of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dropout_lab.datasets import Dataset
from dropout_lab.results.predictions import Array, arrays_bytes, is_floating, read_arrays

BOUNDARY = "boundary.npz"


@dataclass(frozen=True)
class Boundary:
    """The predictions of a network over a grid of its two inputs, and training examples.

    Shape:
        ``probabilities``: ``(classes, rows, columns)``, float16, rows from the lowest second input.
        ``extent``: ``(4,)``, the lowest and highest first input, then second input, of the grid.
        ``points``: ``(examples, 2)``, inputs of training examples, float32. ``labels``:
        ``(examples,)``, their labels as trained on.
    """

    probabilities: Array
    extent: Array
    points: Array
    labels: Array

    def to_bytes(self, run_id: str) -> bytes:
        """Serialize the boundary of a run for the file."""
        return arrays_bytes(run_id, **vars(self))


def read_boundary(path: Path, dataset: Dataset | None = None) -> Boundary | None:
    """Read a run's boundary; None without the file.

    Args:
        path: The file.
        dataset: The data set of the run; None allows any number of classes.

    Raises:
        ValueError: It is not what was written, or that of another run.
        StorageError: The file cannot be read at all.
    """
    arrays = read_arrays(path, "probabilities", "extent", "points", "labels")
    if arrays is None:
        return None
    probabilities, extent, points, labels = arrays
    classes = len(probabilities) if dataset is None else dataset.classes
    if (
        probabilities.ndim != 3
        or len(probabilities) != classes
        or extent.shape != (4,)
        or points.shape != (len(labels), 2)
        or labels.dtype.kind not in "iu"
    ):
        raise ValueError("does not hold a boundary")
    numbers = (probabilities, extent, points)
    if not all(is_floating(array) and np.isfinite(array).all() for array in numbers):
        raise ValueError("holds numbers that are no boundary")
    if ((probabilities < 0) | (probabilities > 1)).any():
        raise ValueError("holds numbers that are no probabilities")
    if ((labels < 0) | (labels >= classes)).any():
        raise ValueError(f"holds labels beyond the {classes} classes")
    return Boundary(probabilities, extent, points, labels)
