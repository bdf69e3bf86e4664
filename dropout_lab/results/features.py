"""The file features.npz of a run: the incoming weights of units of its first hidden layer."""

import io
from pathlib import Path
from typing import Any

import numpy as np

FEATURES = "features.npz"
Images = np.ndarray[Any, np.dtype[np.float16]]
Units = np.ndarray[Any, np.dtype[np.int64]]


def features_bytes(images: Images, units: Units, run_id: str) -> bytes:
    """Return the content of the file.

    Args:
        images: ``(units, 28, 28)``.
        units: Which units they are of, ``(units,)``.
        run_id: The run.
    """
    buffer = io.BytesIO()
    np.savez(buffer, images=images, units=units, run_id=run_id)
    return buffer.getvalue()


def read_features(path: Path) -> tuple[Images, Units] | None:
    """Return what :func:`features_bytes` was given of a run; None if there is no such file.

    Raises:
        ValueError: It is not what was written, or that of another run.
    """
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            images, units, run_id = file["images"], file["units"], str(file["run_id"])
    except Exception as error:  # whatever the bytes make of the reader
        raise ValueError(f"cannot be loaded ({type(error).__name__})") from error
    if run_id != path.parent.name:
        raise ValueError(f"is of another run, {run_id[:20]}")
    if images.ndim != 3 or images.shape[1:] != (28, 28) or units.shape != images.shape[:1]:
        raise ValueError("does not hold features")
    return images, units


def damage_of_features(path: Path) -> str:
    """Return what is wrong with kept features; empty if they are sound or absent."""
    try:
        read_features(path)
    except ValueError as error:
        return str(error)
    return ""
