"""Read CIFAR, SVHN and USPS with torchvision's classes, once the MD5 of their files are checked.

A file of CIFAR is a pickle, which can run code when it is opened. So no file is opened whose MD5 is
not the published one.
"""

import hashlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dropout_lab.data.download import suggest_fetch
from dropout_lab.data.splits import Examples
from dropout_lab.datasets import DATASETS, Dataset, expand_home, paths_of
from dropout_lab.errors import DataError
from dropout_lab.files import open_file


def load_class(name: str, data_dir: Path) -> tuple[Examples, Examples]:
    """Check all files of a data set, then read the training set and the test set.

    Pixels are in the order rows, columns, colors.

    Raises:
        DataError: A file is missing, or not the one that was published.
    """
    from torchvision import datasets

    dataset = DATASETS[name]
    source: Any = getattr(datasets, dataset.path)
    published = dict(_checksums(source))
    for path, file in zip(paths_of(dataset, data_dir), dataset.files, strict=True):
        _check_md5(dataset, path, published[file], suggest_fetch(name, data_dir))
    root = str(expand_home(data_dir))
    return _read(dataset, source, root, train=True), _read(dataset, source, root, train=False)


def _checksums(source: Any) -> Iterator[tuple[str, str]]:
    """Yield the files of a class of torchvision, in the folder of the data sets, and their MD5."""
    if hasattr(source, "split_list"):  # SVHN, USPS
        for _, file, md5 in source.split_list.values():
            yield file, md5
    else:  # CIFAR
        meta = (source.meta["filename"], source.meta["md5"])
        for file, md5 in (*source.train_list, *source.test_list, meta):
            yield f"{source.base_folder}/{file}", md5


def _check_md5(dataset: Dataset, path: Path, wanted: str, remedy: str) -> None:
    try:
        with open_file(path) as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. {remedy}") from error
    if (found := digest.hexdigest()) != wanted:
        raise DataError(
            f"{path} is not the file of {dataset.name}: its MD5 is {found}, and the published one "
            f"has {wanted}. It was not opened. {remedy} Images of your own cannot take the place "
            f"of {dataset.name}."
        )


def _read(dataset: Dataset, source: Any, root: str, *, train: bool) -> Examples:
    by_name = "split" in inspect.signature(source).parameters
    option = {"split": "train" if train else "test"} if by_name else {"train": train}
    part = source(root, **option)
    images = np.asarray(part.data)
    if images.ndim == 4 and images.shape[1] == 3:  # SVHN: colors, rows, columns
        images = images.transpose(0, 2, 3, 1)
    labels = np.asarray(part.targets if hasattr(part, "targets") else part.labels, np.int64)
    examples = dataset.train if train else dataset.test
    shape = (examples, *dataset.shape)
    if images.dtype != np.uint8 or images.shape != shape or labels.shape != (examples,):
        raise DataError(
            f"{dataset.name} has images of shape {images.shape} and type {images.dtype} with "
            f"{labels.shape} labels; expected {shape} and uint8."
        )
    if labels.min() < 0 or labels.max() >= dataset.classes:
        raise DataError(
            f"{dataset.name} has labels from {labels.min()} to {labels.max()}; expected 0 to "
            f"{dataset.classes - 1}."
        )
    pixels = np.ascontiguousarray(images).reshape(examples, -1)
    return Examples(torch.from_numpy(pixels), torch.from_numpy(labels))
