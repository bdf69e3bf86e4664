"""What a run predicts of the test part, as it keeps it; numpy's, so not among the text files."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from dropout_lab.files import read_bytes

PREDICTIONS = "predictions.npz"
Array = np.ndarray[Any, np.dtype[Any]]


def read_predictions(path: Path) -> tuple[Array, Array] | None:
    """Return a run's test log-probabilities and the labels; None if there are none.

    Raises:
        ValueError: They are not what was written, or those of another run.
    """
    arrays = read_arrays(path, "log_probabilities", "labels")
    if arrays is None:
        return None
    log_probabilities, labels = arrays
    if log_probabilities.ndim != 2 or labels.shape != log_probabilities.shape[:1]:
        raise ValueError("does not hold predictions")
    return log_probabilities, labels


def read_arrays(path: Path, *names: str) -> tuple[Array, ...] | None:
    """Return arrays of a file that a run keeps in its folder; None if there is no such file.

    Raises:
        ValueError: They cannot be read, or are those of another run.
        StorageError: The system refuses to read the file.
    """
    content = read_bytes(path)
    if content is None:
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = tuple(file[name] for name in names)
            run_id = str(file["run_id"]) if "run_id" in file else path.parent.name
    except Exception as error:  # whatever the bytes make of the reader
        raise ValueError(f"cannot be loaded ({type(error).__name__})") from error
    if run_id != path.parent.name:
        raise ValueError(f"is of another run, {run_id[:20]}")
    return arrays
