"""Read and write features.npz: incoming weights of first-layer units."""

from pathlib import Path

import numpy as np

from dropout_lab.datasets import COLORS, Dataset
from dropout_lab.results.predictions import Array, arrays_bytes, is_floating, read_arrays

FEATURES = "features.npz"


def features_bytes(images: Array, units: Array, run_id: str) -> bytes:
    """Serialize features for the file.

    Args:
        images: ``(units, rows, columns)``, or ``(units, rows, columns, 3)`` for colors.
        units: Which units they are of, ``(units,)``.
        run_id: The run.
    """
    return arrays_bytes(run_id, images=images, units=units)


def read_features(path: Path, dataset: Dataset | None = None) -> tuple[Array, Array] | None:
    """Read a run's features; None without the file.

    Args:
        path: The file.
        dataset: The data set of the run; None allows images of any shape.

    Raises:
        ValueError: It is not what was written, or that of another run.
        StorageError: The file cannot be read at all.
    """
    arrays = read_arrays(path, "images", "units")
    if arrays is None:
        return None
    images, units = arrays
    shape = images.shape[1:]
    drawable = len(shape) == 2 or (len(shape) == 3 and shape[2] == COLORS)
    expected = shape if dataset is None else dataset.shape
    if not drawable or shape != expected or units.shape != images.shape[:1]:
        raise ValueError("does not hold features")
    if not is_floating(images) or not np.isfinite(images).all() or units.dtype.kind != "i":
        raise ValueError("holds numbers that are no weights")
    return images, units
