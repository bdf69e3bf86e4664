"""Read IDX files: MNIST and the data sets that took its place, in torchvision's folders."""

import hashlib
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dropout_lab.data.download import idx_axes, idx_entry, suggest_fetch
from dropout_lab.data.splits import Examples
from dropout_lab.datasets import DATASETS, Dataset, paths_of
from dropout_lab.errors import DataError
from dropout_lab.files import open_file

_MOST_BLANK = 0.01  # of the images of a data set without published digests
# The magic number less the number of axes, and the type of an entry, by the bytes of an entry.
_TYPES: dict[int, tuple[int, np.dtype[Any]]] = {
    1: (0x0800, np.dtype(np.uint8)),
    4: (0x0C00, np.dtype(">i4")),
}


def load_family(name: str, data_dir: Path) -> tuple[Examples, Examples]:
    """Read and check the training set and the test set.

    Raises:
        DataError: A file is missing, truncated, too long, or not the one that was published.
    """
    dataset = DATASETS[name]
    remedy = suggest_fetch(name, data_dir)
    train_images, train_labels, test_images, test_labels = paths_of(dataset, data_dir)
    return (
        _load_examples(dataset, train_images, train_labels, remedy),
        _load_examples(dataset, test_images, test_labels, remedy),
    )


def _load_examples(dataset: Dataset, path: Path, labels_path: Path, remedy: str) -> Examples:
    images = _read_idx(dataset, path, remedy)
    if dataset.transposed:
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    images = images.reshape(len(images), -1)
    blank = 0 if dataset.sha256 else int((~images.any(axis=1)).sum())
    if blank > _MOST_BLANK * len(images):
        raise DataError(f"{path} holds {blank:,} blank images. {remedy}")
    table = _read_idx(dataset, labels_path, remedy)
    labels = table.reshape(len(table), -1)[:, 0].astype(np.int64)
    first, last = dataset.first_label, dataset.first_label + dataset.classes - 1
    if labels.min() < first or labels.max() > last:
        wrong = labels.max() if labels.max() > last else labels.min()
        raise DataError(f"{labels_path} holds the label {wrong}; labels are {first} to {last}.")
    return Examples(torch.from_numpy(images), torch.from_numpy(labels - first))


def _check_digest(dataset: Dataset, path: Path, content: bytearray, remedy: str) -> None:
    """Check that a file is the published file of its data set, if its digest is known.

    Raises:
        DataError: The file is a different file.
    """
    name, found = dataset.name, hashlib.sha256(content).hexdigest()
    wanted = dict(zip(dataset.files, dataset.sha256, strict=False)).get(path.name)
    owner = next((other.name for other in DATASETS.values()
                  if found in other.sha256 and path.name in other.files), None)  # fmt: skip
    if found == wanted or (wanted is None and owner is None):
        return
    whose = f"it is a file of {owner}" if owner else f"its SHA-256 is {found}"
    expected = f", and the published one has {wanted}" if wanted else ""
    raise DataError(
        f"{path} is not the file of {name}: {whose}{expected}. {remedy} "
        f"Images of your own cannot take the place of {name}."
    )


def _read_idx(dataset: Dataset, path: Path, remedy: str) -> "np.ndarray[Any, np.dtype[Any]]":
    """Read an IDX file: a magic number, the lengths of the axes, then the entries."""
    shape = idx_axes(dataset, path.name)
    base, kind = _TYPES[idx_entry(path.name)]
    magic = base + len(shape)
    entries = "bytes" if kind.itemsize == 1 else f"numbers of {kind.itemsize} bytes"
    wanted = f"expected {' x '.join(map(str, shape))} {entries} after a header with {magic}"
    header = struct.Struct(f">{1 + len(shape)}i")
    size = header.size + kind.itemsize * math.prod(shape)
    try:
        # One byte more than it should have: a longer file shows, and is not read whole.
        with open_file(path) as file:
            content = bytearray(file.read(size + 1))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. {remedy}") from error
    if len(content) < header.size or header.unpack_from(content) != (magic, *shape):
        raise DataError(f"{path} is not the file its name says: {wanted}. {remedy}")
    if len(content) != size:
        fault = "is truncated" if len(content) < size else "is too long"
        raise DataError(f"{path} {fault}: {wanted}. {remedy}")
    _check_digest(dataset, path, content, remedy)
    return np.frombuffer(content, dtype=kind, offset=header.size).reshape(shape)
