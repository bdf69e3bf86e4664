"""Load data sets as tensors: pixels as uint8, other features as float32, labels as int64."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dropout_lab.data.download import fetch
from dropout_lab.data.generated import generate
from dropout_lab.data.mnist_family import load_family
from dropout_lab.data.own import load_own
from dropout_lab.data.packaged import load_packaged
from dropout_lab.data.splits import Examples, Splits, draw_stratified, split
from dropout_lab.data.torchvision_class import load_class
from dropout_lab.datasets import DATASETS
from dropout_lab.datasets.own import Reading

# Takes the name of a data set and the folder of the data sets. Returns the training set and the
# test set.
Loader = Callable[[str, Path], tuple[Examples, Examples]]

__all__ = [
    "LOADERS",
    "Examples",
    "Splits",
    "draw_stratified",
    "fetch",
    "load",
    "load_examples",
    "load_family",
    "load_packaged",
    "split",
]


# By the source of a data set.
LOADERS: dict[str, Loader] = {
    "package": lambda name, data_dir: load_packaged(name),
    "torchvision": load_family,
    "torchvision_class": load_class,
    "generated": lambda name, data_dir: generate(name),
}


def load(
    name: str,
    data_dir: Path,
    say: Callable[[str], None],
    *,
    path: str | None = None,
    target: str | None = None,
    test_size: int | None = None,
    missing: str | None = None,
    contents: Mapping[str, Any] | None = None,
    **options: Any,
) -> Splits:
    """Return the splits of a data set. Download the data set first if it is absent.

    Args:
        name: One of :data:`~dropout_lab.datasets.DATASETS`, or ``arrays``.
        data_dir: The folder of the data sets. A data set in a package needs none.
        say: Shows the user a line, such as that of a download.
        path: With ``arrays``, the file, as in :class:`~dropout_lab.datasets.own.Reading`.
        target: With ``arrays``, the column of the classes.
        test_size: With ``arrays``, the number of test examples.
        missing: With ``arrays``, what is done with missing numbers.
        contents: With ``arrays``, what the config recorded of the file.
        options: See :func:`dropout_lab.data.split`.

    Raises:
        DataError: The data set is absent and cannot be downloaded, or is damaged.
    """
    if path is not None and contents is not None:
        training, test = load_own(Reading(path, target, test_size, missing), contents["sha256"])
        shape, classes = tuple(contents["shape"]), len(contents["classes"])
    else:
        dataset = DATASETS[name]
        if dataset.downloadable:
            fetch(name, data_dir, say)
        training, test = load_examples(name, data_dir)
        shape, classes = dataset.shape, dataset.classes
        options["white"] = dataset.white
    return split(training, test, shape=shape, classes=classes, **options)


def load_examples(name: str, data_dir: Path) -> tuple[Examples, Examples]:
    """Return the training set and the test set of a data set whose files are there.

    Raises:
        DataError: A file is missing or damaged.
    """
    return LOADERS[DATASETS[name].source](name, data_dir)
