"""Download, check and read MNIST, Fashion-MNIST and KMNIST in torchvision's folders."""

import gzip
import hashlib
import math
import os
import shlex
import socket
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from dropout_lab.data.splits import Examples
from dropout_lab.datasets import (
    DATASETS,
    FILES,
    Dataset,
    expand_home,
    is_downloaded,
    raw_folder,
)
from dropout_lab.errors import DataError
from dropout_lab.files import open_file

_MOST_BLANK = 0.01  # of the images of a data set without published digests
_HEADER = 16  # bytes of an IDX file's header at most: a magic number and three lengths
_PATIENCE = 30.0  # seconds for a server's next sign of life
_UNSIGNED_BYTES = 0x0800  # the magic number of an IDX file, less its number of axes


def fetch(name: str, data_dir: Path, say: Callable[[str], None]) -> None:
    """Download the missing files, check them against the published checksum, and unpack them.

    Packed files (``*-ubyte.gz``) that lie in the folder already are unpacked, not fetched again.

    Args:
        name: ``mnist``, ``fashion_mnist`` or ``kmnist``.
        data_dir: Where torchvision's layout begins.
        say: Takes a line that tells the user what is going on.

    Raises:
        DataError: There is no home directory, no network, or no server has the files; the message
            names the offline way. No half-fetched file is left behind.
    """
    if is_downloaded(name, data_dir):  # the folder may be one that is only read
        return

    from torchvision import datasets

    source: Any = getattr(datasets, DATASETS[name].path)
    folder = raw_folder(name, data_dir)
    with _explain_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".fetch.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another dropout-lab, which is fetching {name}")
            lock.acquire()
    with lock, _limit_timeout(_PATIENCE):
        for packed_name, md5 in source.resources:
            unpacked = folder / packed_name.removesuffix(".gz")
            if not unpacked.is_file():
                most = _HEADER + math.prod(_axes(DATASETS[name], unpacked.name))
                failures = _download_and_unpack(
                    source.mirrors, folder / packed_name, md5, unpacked, most, say
                )
                if failures:
                    raise DataError(
                        _describe_failed_download(name, data_dir, packed_name, failures)
                    )


def _download_and_unpack(
    mirrors: Sequence[str],
    packed: Path,
    md5: str,
    unpacked: Path,
    most: int,
    say: Callable[[str], None],
) -> list[str]:
    """Unpack a file, after a download if it is absent; return what went wrong.

    Args:
        mirrors: The addresses of the folders to fetch it from.
        packed: The packed file.
        md5: Its published checksum.
        unpacked: The unpacked file.
        most: The bytes that the unpacked file may have.
        say: Takes a line that tells the user what is going on.
    """
    from torchvision.datasets.utils import check_md5, download_url

    failures = []
    if packed.is_file():
        if check_md5(str(packed), md5):
            say(f"unpacking {packed}")
            return _unpack(packed, unpacked, most)
        failures.append(f"{packed}: its checksum is not the published one")
    fetched = packed.with_name(f".{packed.name}.tmp")
    for mirror in mirrors:
        url = f"{mirror}{packed.name}"
        say(f"downloading {url}")
        try:
            download_url(url, str(fetched.parent), fetched.name, md5)
            problems = _unpack(fetched, unpacked, most)
        except (OSError, RuntimeError, HTTPException) as error:
            problems = [str(error)]
        finally:
            fetched.unlink(missing_ok=True)
        if not problems:
            return []
        failures += [f"{mirror}: {problem}" for problem in problems]
    return failures


def _unpack(packed: Path, unpacked: Path, most: int) -> list[str]:
    """Unpack a file atomically, if it is not larger than ``most`` bytes; return what went wrong."""
    unfinished = unpacked.with_name(f".{unpacked.name}.tmp")
    try:
        with open_file(packed) as file, gzip.open(file) as unzipped:
            content = unzipped.read(most + 1)
        if len(content) > most:
            return [f"{packed.name} holds more than the {most} bytes of {unpacked.name}"]
        unfinished.write_bytes(content)
        os.replace(unfinished, unpacked)
    except (OSError, EOFError, zlib.error) as error:
        return [f"{packed.name}: {error}"]
    finally:
        unfinished.unlink(missing_ok=True)
    return []


def load_family(name: str, data_dir: Path) -> tuple[Examples, Examples]:
    """Read and check the training set and the test set.

    Raises:
        DataError: A file is missing, truncated, too long, or not the one that was published.
    """
    folder, dataset = raw_folder(name, data_dir), DATASETS[name]
    train_images, train_labels, test_images, test_labels = (folder / file for file in FILES)
    return (
        _load_examples(dataset, train_images, train_labels),
        _load_examples(dataset, test_images, test_labels),
    )


def _load_examples(dataset: Dataset, path: Path, labels_path: Path) -> Examples:
    images = _read_idx(dataset, path)
    images = images.reshape(len(images), -1)
    blank = 0 if dataset.sha256 else int((~images.any(axis=1)).sum())
    if blank > _MOST_BLANK * len(images):
        raise DataError(
            f"{path} holds {blank:,} blank images. {_suggest_fetch(dataset.name, path)}"
        )
    labels = _read_idx(dataset, labels_path)
    if labels.max() >= dataset.classes:
        raise DataError(
            f"{labels_path} holds the label {labels.max()}; labels are 0 to {dataset.classes - 1}."
        )
    return Examples(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)))


def _check_digest(dataset: Dataset, path: Path, content: bytearray) -> None:
    """Check that a file is the published file of its data set, if its digest is known.

    Raises:
        DataError: The file is a different file.
    """
    name, found = dataset.name, hashlib.sha256(content).hexdigest()
    wanted = dict(zip(FILES, dataset.sha256, strict=False)).get(path.name)
    owner = next((other.name for other in DATASETS.values() if found in other.sha256), None)
    if found == wanted or (wanted is None and owner is None):
        return
    whose = f"it is a file of {owner}" if owner else f"its SHA-256 is {found}"
    expected = f", and the published one has {wanted}" if wanted else ""
    raise DataError(
        f"{path} is not the file of {name}: {whose}{expected}. {_suggest_fetch(name, path)} "
        f"Images of your own cannot take the place of {name}."
    )


def _suggest_fetch(name: str, path: Path) -> str:
    again = ["dropout-lab", "data", "fetch", name, "--data-dir", str(path.parents[2])]
    return f"Remove the file and run: {shlex.join(again)}; or copy it again."


def _axes(dataset: Dataset, file: str) -> tuple[int, ...]:
    """Return the lengths of the axes of one of the ``FILES``."""
    examples = dataset.train if file.startswith("train") else dataset.test
    return (examples, *dataset.shape) if "images" in file else (examples,)


def _read_idx(dataset: Dataset, path: Path) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Read an IDX file: a magic number, the lengths of the axes, then a byte for each entry."""
    shape = _axes(dataset, path.name)
    magic = _UNSIGNED_BYTES + len(shape)
    wanted = f"expected {' x '.join(map(str, shape))} bytes after a header with {magic}"
    header = struct.Struct(f">{1 + len(shape)}i")
    size = header.size + math.prod(shape)
    remedy = _suggest_fetch(dataset.name, path)
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
    _check_digest(dataset, path, content)
    return np.frombuffer(content, dtype=np.uint8, offset=header.size).reshape(shape)


def _describe_failed_download(name: str, data_dir: Path, file: str, failures: list[str]) -> str:
    tried = "\n".join(f"  tried {failure}" for failure in failures)
    return (
        f"{name} is not in {expand_home(data_dir)} and {file} could not be downloaded.\n{tried}\n"
        f"Offline: copy the four files {', '.join(FILES)} (or the same with .gz) from a machine "
        f"that has them into {raw_folder(name, data_dir)}, or name their folder with --data-dir "
        "or DROPOUT_LAB_DATA. The data set mnist_5k needs no download: "
        "--set dataset.name=mnist_5k."
    )


@contextmanager
def _explain_unwritable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{folder} cannot be made: {error.strerror}. Give another place with --data-dir."
        ) from error


@contextmanager
def _limit_timeout(seconds: float) -> Iterator[None]:
    """Limit how long connections of this process wait for an answer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
