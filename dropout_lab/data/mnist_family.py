"""MNIST, Fashion-MNIST and KMNIST in torchvision's layout: found, fetched, checked, read."""

import gzip
import hashlib
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

from dropout_lab.data.splits import CLASSES, Examples
from dropout_lab.errors import DataError

FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_SIZES = {"train": 60_000, "t10k": 10_000}
_SIDE = 28
# SHA-256 of the labels of MNIST: the three sets have equal names and sizes, so that only the
# content tells the files of MNIST from those of another set in their place.
_MNIST_LABELS = {
    "train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "t10k": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
_HEADER = 16  # bytes of an IDX file's header at most: a magic number and three lengths
_PATIENCE = 30.0  # seconds for a server's next sign of life
_IMAGES_MAGIC, _LABELS_MAGIC = 2051, 2049  # unsigned bytes in three axes, in one


def expanded(data_dir: Path) -> Path:
    """Return a folder with ``~`` replaced by the user's home directory.

    Raises:
        DataError: There is no home directory, as in a container whose user has no name.
    """
    try:
        return data_dir.expanduser()
    except RuntimeError as error:
        raise DataError(
            f"{data_dir} cannot be found: there is no home directory. Name the folder of the "
            "data sets with --data-dir or DROPOUT_LAB_DATA. The data set mnist_5k needs no folder."
        ) from error


def raw_folder(name: str, data_dir: Path) -> Path:
    """Return the folder the four files of a data set lie in.

    Raises:
        DataError: It is below a home directory, and there is none.
    """
    return expanded(data_dir) / FOLDERS[name] / "raw"


def present(name: str, data_dir: Path) -> bool:
    """Whether all four files are there; nothing is said of what is in them.

    Raises:
        DataError: The folder is below a home directory, and there is none.
    """
    folder = raw_folder(name, data_dir)
    # Not Path.is_file, which raises where a folder above may not be searched.
    return all(os.path.isfile(folder / file) for file in FILES)


def fetch(name: str, data_dir: Path, say: Callable[[str], None]) -> None:
    """Download what is missing, check it against the published checksum, and unpack it.

    Packed files (``*-ubyte.gz``) that lie in the folder already are unpacked, not fetched again.

    Args:
        name: ``mnist``, ``fashion_mnist`` or ``kmnist``.
        data_dir: Where torchvision's layout begins.
        say: Takes a line that tells the user what is going on.

    Raises:
        DataError: There is no home directory, no network, or no server has the files; the message
            names the offline way. No half-fetched file is left behind.
    """
    if present(name, data_dir):  # the folder may be one that is only read
        return

    from torchvision import datasets

    source: Any = getattr(datasets, FOLDERS[name])
    folder = raw_folder(name, data_dir)
    with _writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".fetch.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another dropout-lab, which is fetching {name}")
            lock.acquire()
    with lock, _no_longer_than(_PATIENCE):
        for packed_name, md5 in source.resources:
            unpacked = folder / packed_name.removesuffix(".gz")
            if not unpacked.is_file():
                failures = _get(source.mirrors, folder / packed_name, md5, unpacked, say)
                if failures:
                    raise DataError(_offline(name, data_dir, packed_name, failures))


def _get(
    mirrors: Sequence[str], packed: Path, md5: str, unpacked: Path, say: Callable[[str], None]
) -> list[str]:
    """Unpack a file that is here, or is fetched from one of the mirrors; return why not."""
    from torchvision.datasets.utils import check_md5, download_url

    failures = []
    if packed.is_file():
        if check_md5(str(packed), md5):
            say(f"unpacking {packed}")
            return _unpack(packed, unpacked)
        failures.append(f"{packed}: its checksum is not the published one")
    fetched = packed.with_name(f".{packed.name}.tmp")
    for mirror in mirrors:
        url = f"{mirror}{packed.name}"
        say(f"downloading {url}")
        try:
            download_url(url, str(fetched.parent), fetched.name, md5)
            problems = _unpack(fetched, unpacked)
        except (OSError, RuntimeError, HTTPException) as error:
            problems = [str(error)]
        finally:
            fetched.unlink(missing_ok=True)
        if not problems:
            return []
        failures += [f"{mirror}: {problem}" for problem in problems]
    return failures


def _unpack(packed: Path, unpacked: Path) -> list[str]:
    """Unpack a file, whole or not at all, and no more of it than it may hold; return why not."""
    part = "train" if unpacked.name.startswith("train") else "t10k"
    most = _HEADER + _SIZES[part] * (_SIDE**2 if "images" in unpacked.name else 1)
    unfinished = unpacked.with_name(f".{unpacked.name}.tmp")
    try:
        with gzip.open(packed) as file:
            content = file.read(most + 1)
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
    """Read and check the training part (60,000) and the test part (10,000).

    Raises:
        DataError: A file is missing, truncated, too long, or not what its name says.
    """
    folder = raw_folder(name, data_dir)
    return _part(name, folder, "train"), _part(name, folder, "t10k")


def _part(name: str, folder: Path, part: str) -> Examples:
    images = _idx(folder / f"{part}-images-idx3-ubyte", _IMAGES_MAGIC, (_SIZES[part], _SIDE, _SIDE))
    path = folder / f"{part}-labels-idx1-ubyte"
    labels = _idx(path, _LABELS_MAGIC, (_SIZES[part],))
    if labels.max() >= CLASSES:
        raise DataError(f"{path} holds the label {labels.max()}; labels are 0 to {CLASSES - 1}.")
    is_mnist = hashlib.sha256(labels.tobytes()).hexdigest() == _MNIST_LABELS[part]
    if is_mnist != (name == "mnist"):
        whose = "not MNIST's" if name == "mnist" else "MNIST's"
        raise DataError(f"{path} is {whose}: the files of another data set lie in {folder}.")
    return Examples(
        torch.from_numpy(images.reshape(len(images), -1)), torch.from_numpy(labels.astype(np.int64))
    )


def _idx(path: Path, magic: int, shape: tuple[int, ...]) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Read one IDX file: a magic number, the lengths of the axes, then a byte for each entry."""
    wanted = f"expected {' x '.join(map(str, shape))} bytes after a header with {magic}"
    header = struct.Struct(f">{1 + len(shape)}i")
    size = header.size + int(np.prod(shape))
    name = next((n for n, f in FOLDERS.items() if f == path.parents[1].name), "mnist")
    again = ["dropout-lab", "data", "fetch", name, "--data-dir", str(path.parents[2])]
    remedy = f"Remove the file and run: {shlex.join(again)}; or copy it anew."
    try:
        # One byte more than it should have: a longer file shows, and is not read whole.
        with path.open("rb") as file:
            content = bytearray(file.read(size + 1))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. {remedy}") from error
    if len(content) < header.size or header.unpack_from(content) != (magic, *shape):
        raise DataError(f"{path} is not the file its name says: {wanted}. {remedy}")
    if len(content) != size:
        fault = "is truncated" if len(content) < size else "is too long"
        raise DataError(f"{path} {fault}: {wanted}. {remedy}")
    return np.frombuffer(content, dtype=np.uint8, offset=header.size).reshape(shape)


def _offline(name: str, data_dir: Path, file: str, failures: list[str]) -> str:
    tried = "\n".join(f"  tried {failure}" for failure in failures)
    return (
        f"{name} is not in {expanded(data_dir)} and {file} could not be downloaded.\n{tried}\n"
        f"Offline: copy the four files {', '.join(FILES)} (or the same with .gz) from a machine "
        f"that has them into {raw_folder(name, data_dir)}, or name their folder with --data-dir "
        "or DROPOUT_LAB_DATA. The data set mnist_5k needs no download: "
        "--set dataset.name=mnist_5k."
    )


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{folder} cannot be made: {error.strerror}. Give another place with --data-dir."
        ) from error


@contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    """Let no connection of this process wait longer for an answer."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
