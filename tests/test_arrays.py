"""The arrays that a run keeps: what is not as it was written is refused, and named."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dropout_lab.datasets import DATASETS
from dropout_lab.results.features import features_bytes, read_features
from dropout_lab.results.predictions import PREDICTIONS, read_predictions
from tests.faults.mutations import ARRAYS

RUN = "0123456789ab"
TWENTY = replace(DATASETS["mnist_5k"], test=20)
Array = np.ndarray[Any, np.dtype[Any]]
AS_GOOD = {  # they hold the same numbers
    ("labels", "of integers"),
    ("labels", "flat"),
    ("labels", "transposed"),
    ("log_probabilities", "of half precision"),
}


def predictions(folder: Path, **changes: Array) -> Path:
    """Write the predictions of 20 examples, some arrays changed."""
    logits = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    arrays = {"log_probabilities": log_probabilities, "labels": np.arange(20, dtype=np.uint8) % 10}
    path = folder / RUN / PREDICTIONS
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **{**arrays, "run_id": np.array(RUN), **changes})
    return path


def of(path: Path, name: str) -> Array:
    with np.load(path) as file:
        array: Array = file[name]
        return array


def test_sound_predictions_are_read(tmp_path: Path) -> None:
    path = predictions(tmp_path)
    read = read_predictions(path, TWENTY)
    assert read is not None
    assert [array.shape for array in read] == [(20, 10), (20,)]
    assert read_predictions(tmp_path / RUN / "none.npz") is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in ("log_probabilities", "labels")
        for kind in ARRAYS
        if (name, kind) not in AS_GOOD
    ],
)
def test_other_arrays_are_no_predictions(tmp_path: Path, name: str, kind: str) -> None:
    path = predictions(tmp_path, **{name: ARRAYS[kind](of(predictions(tmp_path), name))})
    with pytest.raises(ValueError, match=r"^(has arrays|holds|cannot be loaded)"):
        read_predictions(path, TWENTY)


@pytest.mark.parametrize(
    ("place", "value"), [((3, 4), np.nan), ((3, 4), 0.5), ((0, 0), np.inf), ((19, 9), -np.inf)]
)
def test_one_wrong_number_is_seen(tmp_path: Path, place: tuple[int, int], value: float) -> None:
    whole = of(predictions(tmp_path), "log_probabilities")
    whole[place] = value
    with pytest.raises(ValueError, match="holds numbers that are no log-probabilities"):
        read_predictions(predictions(tmp_path, log_probabilities=whole))


def test_a_run_that_is_another_is_named_in_print(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is of another run, \\x1b\[31m"):
        read_predictions(predictions(tmp_path, run_id=np.array("\x1b[31m")))


def test_a_small_file_that_unpacks_to_a_large_one_is_not_unpacked(tmp_path: Path) -> None:
    path = predictions(tmp_path)
    deflated = zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED)
    with deflated as archive, archive.open("more.npy", "w") as entry:
        for _ in range(100):
            entry.write(bytes(2**20))
    assert path.stat().st_size < 2**18
    with pytest.raises(ValueError, match="cannot be loaded"):
        read_predictions(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda images, units: (images.astype(np.int8), units),
        lambda images, units: (np.full_like(images, np.nan), units),
        lambda images, units: (images[0], units),
        lambda images, units: (images, units[1:]),
        lambda images, units: (images, units.astype(str)),
        lambda images, units: (images.astype(complex), units),
    ],
)
def test_other_arrays_are_no_features(
    tmp_path: Path, change: Callable[[Array, Array], tuple[Array, Array]]
) -> None:
    path = tmp_path / RUN / "features.npz"
    path.parent.mkdir()
    sound = np.ones((3, 28, 28), np.float16), np.arange(3)
    path.write_bytes(features_bytes(*sound, RUN))
    assert read_features(path) is not None
    path.write_bytes(features_bytes(*change(*sound), RUN))
    with pytest.raises(ValueError, match=r"holds numbers that are|does not hold features"):
        read_features(path)
