"""Read and write features.npz: incoming weights of first-layer units."""

import io
from pathlib import Path

import numpy as np

from dropout_lab.results.predictions import Array, is_floating, read_arrays

FEATURES = "features.npz"


def features_bytes(images: Array, units: Array, run_id: str) -> bytes:
    """Serialize features for the file.

    Args:
        images: ``(units, 28, 28)``.
        units: Which units they are of, ``(units,)``.
        run_id: The run.
    """
    buffer = io.BytesIO()
    np.savez(buffer, images=images, units=units, run_id=run_id)
    return buffer.getvalue()


def read_features(path: Path) -> tuple[Array, Array] | None:
    """Read a run's features; None without the file.

    Raises:
        ValueError: It is not what was written, or that of another run.
        StorageError: The file cannot be read at all.
    """
    arrays = read_arrays(path, "images", "units")
    if arrays is None:
        return None
    images, units = arrays
    if images.ndim != 3 or images.shape[1:] != (28, 28) or units.shape != images.shape[:1]:
        raise ValueError("does not hold features")
    if not is_floating(images) or not np.isfinite(images).all() or units.dtype.kind != "i":
        raise ValueError("holds numbers that are no weights")
    return images, units
