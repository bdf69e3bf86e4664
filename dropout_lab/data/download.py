"""Download data sets into torchvision's folders, check them, and unpack them.

torchvision's classes say where the files are and what MD5 they have.
"""

import gzip
import math
import os
import shlex
import socket
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from dropout_lab.datasets import DATASETS, Dataset, expand_home, is_downloaded
from dropout_lab.errors import DataError
from dropout_lab.files import open_file

_HEADER = 16  # bytes of an IDX file's header at most: a magic number and three lengths
_BYTES_PER_PIXEL = 8  # at most, of a file that is no IDX file; that of USPS is packed text
_PATIENCE = 30.0  # seconds for a server's next sign of life
_FORMATS = {"ubyte": 1, "int": 4}  # bytes of an entry, by how the name of an IDX file ends
_COLUMNS = 8  # of the labels of QMNIST: the class, then who wrote the digit and where


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class _Packed:
    """A file on a server.

    Args:
        name: Its name there and here.
        addresses: Where it is, in the order in which they are tried.
        md5: The published checksum.
        files: The needed files in it, in the folder of the packed file, and the most bytes that
            each may have.
    """

    name: str
    addresses: tuple[str, ...]
    md5: str
    files: Mapping[str, int]


def fetch(name: str, data_dir: Path, say: Callable[[str], None]) -> None:
    """Download the missing files, check them against the published checksum, and unpack them.

    Packed files (``.gz``, ``.zip``) that are in the folder already are unpacked, not fetched again.

    Args:
        name: A data set that is downloaded.
        data_dir: The folder of the data sets, in torchvision's layout.
        say: Takes a line that tells the user what is going on.

    Raises:
        DataError: There is no home directory, no network, or no server has the files; the message
            names the offline way. No half-fetched file is left behind.
    """
    if is_downloaded(name, data_dir):  # the folder may be one that is only read
        return
    dataset = DATASETS[name]
    folder = expand_home(data_dir) / dataset.folder
    with _explain_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".fetch.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another dropout-lab, which is fetching {name}")
            lock.acquire()
    with lock, _limit_timeout(_PATIENCE):
        packed_files = _packed_files(dataset)
        for packed in packed_files:
            if all((folder / file).is_file() for file in packed.files):
                continue
            if failures := _download_and_unpack(packed, folder, say):
                raise DataError(_describe_failure(dataset, folder, packed_files, packed, failures))


def suggest_fetch(name: str, data_dir: Path) -> str:
    """Return what to do about a file that is not the published one."""
    again = ["dropout-lab", "data", "fetch", name, "--data-dir", str(expand_home(data_dir))]
    return f"Remove the file and run: {shlex.join(again)}; or copy it again."


def idx_axes(dataset: Dataset, file: str) -> tuple[int, ...]:
    """Return the lengths of the axes of an IDX file of a data set."""
    examples = dataset.train if "train" in file else dataset.test
    if "images" in file:
        return (examples, *dataset.shape)
    return (examples, _COLUMNS) if "idx2" in file else (examples,)


def idx_entry(file: str) -> int:
    """Return the bytes of an entry of an IDX file."""
    return _FORMATS[file.rpartition("-")[2]]


def _packed_files(dataset: Dataset) -> list[_Packed]:
    """Return what is downloaded of a data set."""
    from torchvision import datasets

    source: Any = getattr(datasets, dataset.path)
    most = _most_bytes(dataset)
    if hasattr(source, "split_list"):  # SVHN, USPS: not packed
        parts = [source.split_list[part] for part in ("train", "test")]
        return [_Packed(name, (url,), md5, {name: most[name]}) for url, name, md5 in parts]
    if hasattr(source, "tgz_md5"):  # CIFAR
        return [_Packed(source.filename, (source.url,), source.tgz_md5, most)]
    if hasattr(source, "md5"):  # EMNIST: one file for all its data sets
        return [_Packed(_last(source.url), (source.url,), source.md5, most)]
    resources: list[tuple[str, tuple[str, ...], str]]
    if isinstance(source.resources, Mapping):  # QMNIST
        chosen = [*source.resources["train"], *source.resources["test"]]
        resources = [(_last(url), (url,), md5) for url, md5 in chosen]
    else:
        resources = [
            (name, tuple(f"{mirror}{name}" for mirror in source.mirrors), md5)
            for name, md5 in source.resources
        ]
    unpacked = {name: name.removesuffix(".gz") for name, _, _ in resources}
    return [
        _Packed(name, addresses, md5, {unpacked[name]: most[unpacked[name]]})
        for name, addresses, md5 in resources
    ]


def _last(url: str) -> str:
    return url.rpartition("/")[2]


def _most_bytes(dataset: Dataset) -> dict[str, int]:
    """Return the most bytes of each unpacked file of the data sets that share the download."""
    sizes = {}
    for each in DATASETS.values():
        if (each.source, each.path) != (dataset.source, dataset.path):
            continue
        for file in each.files:
            if each.source == "torchvision":
                sizes[file] = _HEADER + idx_entry(file) * math.prod(idx_axes(each, file))
            else:
                sizes[file] = _BYTES_PER_PIXEL * max(each.train, each.test) * each.features
    return sizes


def _download_and_unpack(packed: _Packed, folder: Path, say: Callable[[str], None]) -> list[str]:
    """Unpack a file, after a download if it is absent; return what went wrong."""
    from torchvision.datasets.utils import check_md5, download_url

    failures = []
    path = folder / packed.name
    if path.is_file():
        if check_md5(str(path), packed.md5):
            say(f"unpacking {path}")
            return _unpack(path, packed, folder)
        failures.append(f"{path}: its checksum is not the published one")
    fetched = folder / f".{packed.name}.tmp"
    for url in packed.addresses:
        say(f"downloading {url}")
        try:
            download_url(url, str(folder), fetched.name, packed.md5)
            problems = _unpack(fetched, packed, folder)
        except (OSError, RuntimeError, HTTPException) as error:
            problems = [str(error)]
        finally:
            fetched.unlink(missing_ok=True)
        if not problems:
            return []
        failures += [f"{url.removesuffix(packed.name)}: {problem}" for problem in problems]
    return failures


def _unpack(path: Path, packed: _Packed, folder: Path) -> list[str]:
    """Unpack the missing files, each atomically and if not too large; return what went wrong."""
    missing = {file for file in packed.files if not (folder / file).is_file()}
    try:
        for file, stream in _open_members(path, packed.name, missing):
            content = stream.read(packed.files[file] + 1)
            if len(content) > packed.files[file]:
                return [f"{packed.name} holds more than the {packed.files[file]} bytes of {file}"]
            _write(folder / file, content)
            missing -= {file}
    except (OSError, EOFError, KeyError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
        return [f"{packed.name}: {error}"]
    return [f"{packed.name} lacks {', '.join(sorted(missing))}"] if missing else []


def _open_members(path: Path, name: str, files: set[str]) -> Iterator[tuple[str, _Readable]]:
    """Open some of the files in a packed file, one after the other.

    Args:
        path: The packed file, whose checksum is the published one.
        name: Its published name, which says how it is packed.
        files: The files.
    """
    with open_file(path) as whole:
        if name.endswith(".tar.gz"):
            with tarfile.open(fileobj=whole, mode="r:gz") as tar:
                for member in tar:
                    content = tar.extractfile(member) if member.name in files else None
                    if content is not None:
                        yield member.name, content
        elif name.endswith(".zip"):
            with zipfile.ZipFile(whole) as archive:
                for file in sorted(files):
                    with archive.open(f"gzip/{file}.gz") as packed, gzip.open(packed) as unpacked:
                        yield file, unpacked
        elif name.endswith(".gz"):
            with gzip.open(whole) as unpacked:
                yield next(iter(files)), unpacked
        else:
            yield next(iter(files)), whole


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(exist_ok=True)
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _describe_failure(
    dataset: Dataset, folder: Path, packed_files: list[_Packed], failed: _Packed, tried: list[str]
) -> str:
    files, packed = ", ".join(dataset.files), [each.name for each in packed_files]
    count = {2: "two ", 4: "four "}.get(len(dataset.files), "")
    if len(packed) < len(dataset.files):
        what = f"the file {', '.join(packed)} (or its files, unpacked: {files})"
    elif packed == list(dataset.files):
        what = f"the {count}files {files}"
    else:
        what = f"the {count}files {files} (or the same with .gz)"
    lines = [f"  tried {each}" for each in tried]
    return "\n".join([
        f"{dataset.name} is not in {folder} and {failed.name} could not be downloaded.",
        *lines,
        f"Offline: copy {what} from a machine that has them into {folder}, or name their folder "
        "with --data-dir or DROPOUT_LAB_DATA. The data set mnist_5k needs no download: "
        "--set dataset.name=mnist_5k.",
    ])  # fmt: skip


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
