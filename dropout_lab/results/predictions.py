"""Read a run's predictions on the test set (predictions.npz)."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from dropout_lab.datasets import Dataset
from dropout_lab.files import read_optional_file
from dropout_lab.printable import one_line

PREDICTIONS = "predictions.npz"
_LARGEST = 2**26  # bytes of all arrays of a file; ours take 1 MB
_ROUNDING = 1e-3  # of a sum of probabilities in float32
Array = np.ndarray[Any, np.dtype[Any]]


def read_predictions(path: Path, dataset: Dataset | None = None) -> tuple[Array, Array] | None:
    """Read a run's test log-probabilities and labels; None without the file.

    Args:
        path: The file.
        dataset: The data set of the run; None allows any number of test examples and classes.

    Raises:
        ValueError: They are not what was written, or those of another run.
        StorageError: The file cannot be read at all.
    """
    arrays = read_arrays(path, "log_probabilities", "labels")
    if arrays is None:
        return None
    log_probabilities, labels = arrays
    if not is_floating(log_probabilities) or labels.dtype.kind not in "iu":
        raise ValueError("holds numbers of another type than predictions")
    if dataset is None:
        expected = (labels.size, log_probabilities.size // max(labels.size, 1))
    else:
        expected = (dataset.test, dataset.classes)
    if labels.shape != expected[:1] or log_probabilities.shape != expected:
        shapes = f"{log_probabilities.shape} and {labels.shape}"
        raise ValueError(f"has arrays of shape {shapes}, not {expected} and {expected[:1]}")
    with np.errstate(all="ignore"):
        sums = np.exp(log_probabilities, dtype=np.float64).sum(axis=1)
    if not (np.abs(sums - 1) < _ROUNDING).all():  # not, so that nan is wrong too
        raise ValueError("holds numbers that are no log-probabilities")
    if ((labels < 0) | (labels >= expected[1])).any():
        raise ValueError(f"holds labels beyond the {expected[1]} classes")
    return log_probabilities, labels


def read_arrays(path: Path, *names: str) -> tuple[Array, ...] | None:
    """Read arrays of a file in a run's folder; None without the file.

    Raises:
        ValueError: They are not what was written, or are those of another run.
        StorageError: The system refuses to read the file.
    """
    content = read_optional_file(path)
    if content is None:
        return None
    if len(content) > _LARGEST:
        raise ValueError(f"has more than {_LARGEST:,} bytes")
    try:
        # What it says it holds is held against it: no more than that is unpacked.
        size = sum(e.file_size for e in zipfile.ZipFile(io.BytesIO(content)).infolist())
        if size > _LARGEST:
            raise ValueError(f"it holds {size:,} bytes")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = tuple(file[name] for name in names)
            run_id = str(file["run_id"]) if "run_id" in file else path.parent.name
    except Exception as error:  # whatever the bytes make of the reader
        raise ValueError(f"cannot be loaded ({type(error).__name__})") from error
    if run_id != path.parent.name:
        raise ValueError(f"is of another run, {one_line(run_id)[:20]}")
    return arrays


def arrays_bytes(run_id: str, **arrays: Array) -> bytes:
    """Serialize arrays for a file in a run's folder, which :func:`read_arrays` reads."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, run_id=run_id)  # type: ignore[arg-type]  # a text is an array, too
    return buffer.getvalue()


def is_floating(array: Array) -> bool:
    """Return whether an array has floating-point numbers."""
    return np.issubdtype(array.dtype, np.floating)
