"""Data sets as tensors: one uint8 tensor of images, one of labels, nothing in between."""

import os
from collections.abc import Callable
from pathlib import Path

from dropout_lab.data.mnist_family import expanded, fetch, load_family, present
from dropout_lab.data.packaged import load_packaged
from dropout_lab.data.splits import Examples, Splits, split, stratified
from dropout_lab.datasets import DATASETS

# Takes the name of a data set, the folder of the data sets, and what shows the user a line. Returns
# the training set and the test set.
Loader = Callable[[str, Path, Callable[[str], None]], tuple[Examples, Examples]]

__all__ = [
    "LOADERS",
    "Examples",
    "Splits",
    "data_folder",
    "expanded",
    "fetch",
    "load",
    "load_family",
    "load_packaged",
    "present",
    "split",
    "stratified",
]


def data_folder(data_dir: Path | None) -> Path:
    """Return the folder of the data sets: ``data_dir``, or by default the user's cache.

    A ``~`` in it is resolved where a file is needed: mnist_5k needs none, and no home directory.
    """
    if data_dir is not None:
        return data_dir
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dropout-lab"


def _fetch_and_load(
    name: str, data_dir: Path, say: Callable[[str], None]
) -> tuple[Examples, Examples]:
    fetch(name, data_dir, say)
    return load_family(name, data_dir)


# By the source of a data set.
LOADERS: dict[str, Loader] = {
    "package": lambda name, data_dir, say: load_packaged(name),
    "torchvision": _fetch_and_load,
}


def load(
    name: str,
    data_dir: Path,
    say: Callable[[str], None],
    *,
    train_size: int | None,
    validation_size: int,
    label_noise: float,
    normalize: str,
    split_seed: int,
    subset: str | None = None,
    pca: int | None = None,
) -> Splits:
    """Return the parts of a data set, fetching it first if it is absent.

    Args:
        name: One of :data:`~dropout_lab.datasets.DATASETS`.
        data_dir: Where torchvision's layout begins, perhaps below ``~``; a data set that comes in a
            package needs none.
        say: Takes a line that tells the user of a download.
        train_size: See :func:`dropout_lab.data.split`, as for the rest.
        validation_size: Examples held out.
        label_noise: Fraction of labels moved.
        normalize: ``unit`` or ``standard``.
        split_seed: Seed of the split.
        subset: ``stratified``, the default, or ``first``.
        pca: Number of principal components in place of pixels.

    Raises:
        DataError: The data set is absent and cannot be fetched, or is damaged.
    """
    dataset = DATASETS[name]
    training, test = LOADERS[dataset.source](name, data_dir, say)
    return split(
        training,
        test,
        shape=dataset.shape,
        classes=dataset.classes,
        validation_size=validation_size,
        train_size=train_size,
        label_noise=label_noise,
        normalize=normalize,
        split_seed=split_seed,
        subset=subset,
        pca=pca,
    )
