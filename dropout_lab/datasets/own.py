"""Read data of the user: arrays in an npz file or in a folder of npy files, or a table.

Nothing in a file is executed: arrays of Python objects, which need pickle, are refused.
"""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from dropout_lab.datasets.array_checks import (
    Array,
    check_classes,
    check_features,
    check_labels,
    check_test_size,
)
from dropout_lab.errors import DataError
from dropout_lab.files import open_file
from dropout_lab.printable import one_line

MOST_MISTAKES = 20  # of a file that a message lists
_LONGEST_REASON = 100  # characters of what a reader of damaged bytes says
_TABLES = (".csv", ".tsv", ".parquet")
_NAMES = ("x_train", "y_train", "x_test", "y_test")
_WHOLE = ("x", "y")
_ARRAYS = f"give {', '.join(_NAMES)}, or x and y"


@dataclass(frozen=True)
class Reading:
    """Which file is read, and how: the keys of the config's section ``dataset``.

    Args:
        path: An ``.npz``, ``.csv``, ``.tsv`` or ``.parquet`` file, or a folder of ``.npy`` files;
            ``~`` is the user's home directory.
        target: The column of a table that has the classes.
        test_size: Number of test examples, where the file has no test set.
        missing: ``mean`` replaces a missing number by the mean of the training set; None refuses
            it.
    """

    path: str
    target: str | None = None
    test_size: int | None = None
    missing: str | None = None

    @property
    def file(self) -> Path:
        """The path, with ``~`` replaced by the user's home directory.

        Raises:
            DataError: There is no such home directory.
        """
        try:
            return Path(self.path).expanduser()
        except RuntimeError as error:
            raise DataError(
                f"{self.path} cannot be found: there is no such home directory. Write the path "
                "from / on in dataset.path."
            ) from error


@dataclass(frozen=True)
class Arrays:
    """Features and labels as a file has them.

    Shape:
        ``x``: ``(examples, *shape)``, uint8 if they are pixels, else float32, NaN where a number
        is missing. ``labels``: ``(examples,)``, int64, indices of ``OwnData.class_names``.
    """

    x: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class OwnData:
    """What a file holds.

    Args:
        training: All examples, or those of the training set if the file has a test set.
        test: The test set of the file, if it has one.
        class_names: The labels as the file writes them, sorted.
        test_size: Number of test examples; they are drawn from ``training`` if ``test`` is None.
        sha256: The digest of the arrays.
    """

    training: Arrays
    test: Arrays | None
    class_names: tuple[str, ...]
    test_size: int
    sha256: str

    @property
    def contents(self) -> dict[str, Any]:
        """What the study records of the file; see ``config.sections.dataset.Contents``."""
        return {
            "sha256": self.sha256,
            "shape": self.training.x.shape[1:],
            "classes": self.class_names,
            "train": len(self.training) - (self.test_size if self.test is None else 0),
            "test": self.test_size,
            "dtype": str(self.training.x.dtype),
        }


class Problems:
    """The mistakes in a file, which are reported together."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.found: list[str] = []

    def add(self, message: str) -> None:
        """Add a mistake."""
        self.found.append(message)

    def check(self) -> None:
        """Raise an error if there are mistakes.

        Raises:
            DataError: All mistakes, or the first 20.
        """
        if not self.found:
            return
        more = len(self.found) - MOST_MISTAKES
        lines = [f"{self.path}: {message}" for message in self.found[:MOST_MISTAKES]]
        raise DataError("\n".join([*lines, *([f"and {more:,} more"] if more > 0 else [])]))


def read_own(reading: Reading) -> OwnData:
    """Read a file and check it.

    The arrays stay in memory, for the next call with the same file, until :func:`forget`.

    Raises:
        DataError: The file is absent, or has mistakes; each is named with its row and column.
    """
    return _read(reading, _fingerprint(reading.file))


def forget() -> None:
    """Let go of the arrays of the last file."""
    _read.cache_clear()


def _fingerprint(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Return the name, size and time of change of each file.

    Raises:
        DataError: There is no such file.
    """
    try:
        paths = sorted(path.glob("*.npy")) if path.is_dir() else [path]
        stats = [(each.name, each.stat()) for each in paths]
    except (OSError, ValueError) as error:  # ValueError: the path has a NUL
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{path} cannot be read: {reason}. Correct dataset.path.") from None
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


@lru_cache(maxsize=1)
def _read(reading: Reading, fingerprint: tuple[tuple[str, int, int], ...]) -> OwnData:
    path = reading.file
    problems = Problems(str(path))
    try:
        if path.suffix.lower() in _TABLES and not path.is_dir():
            from dropout_lab.datasets.table import read_table

            arrays: Mapping[str, Array] = read_table(path, reading, problems)
        else:
            if reading.target is not None:
                kind = "a folder" if path.is_dir() else "no table"
                raise DataError(
                    f"{path} is {kind}, so it has no column {reading.target!r}: remove "
                    f"dataset.target, or name a file that ends in {', '.join(_TABLES)}."
                )
            arrays = _read_arrays(path)
        return _check(arrays, reading, problems)
    except (OSError, MemoryError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it does not fit into memory"
        raise DataError(f"{path} cannot be read: {reason}.") from error


def _read_arrays(path: Path) -> dict[str, Array]:
    """Read the arrays of an npz file or of a folder.

    Raises:
        DataError: It is neither, it is damaged, or it has arrays of Python objects.
    """
    known, arrays = {*_NAMES, *_WHOLE}, {}
    if path.is_dir():
        for each in sorted(path.glob("*.npy")):
            if each.stem in known:
                with open_file(each) as file, _name_damage(path, each.name):
                    arrays[each.stem] = _read_array(file)
        found = sorted(entry.name for entry in path.iterdir())
    elif path.suffix.lower() == ".npz":
        with open_file(path) as opened:
            with _name_damage(path, path.name):
                archive = zipfile.ZipFile(opened)
                members = sorted(archive.namelist())
            for name in sorted(each for each in known if f"{each}.npy" in members):
                with _name_damage(path, name), archive.open(f"{name}.npy") as member:
                    arrays[name] = _read_array(member)
            found = [
                each.removesuffix(".npy") if each.endswith(".npy") else f"{each} (no .npy file)"
                for each in members
            ]
    else:
        raise DataError(
            f"{path} has no known ending; write a file that ends in .npz, {', '.join(_TABLES)}, or "
            "a folder of .npy files."
        )
    both = sorted({*arrays} & {*_NAMES}) if {*_WHOLE} <= {*arrays} else []
    if both:
        raise DataError(f"{path} has x and y, but also {', '.join(both)}: {_ARRAYS}, not both.")
    names = _WHOLE if "x" in arrays else _NAMES
    if missing := [name for name in names if name not in arrays]:
        has = one_line(", ".join(found[:10])) or "nothing"
        raise DataError(f"{path} lacks {', '.join(missing)}; it has {has}: {_ARRAYS}.")
    return {name: arrays[name] for name in names}


def _read_array(file: IO[bytes]) -> Array:
    """Read the content of a ``.npy`` file. Nothing else is read, no pickle either."""
    return np.lib.format.read_array(file, allow_pickle=False)


@contextmanager
def _name_damage(path: Path, name: str) -> Iterator[None]:
    """Convert whatever damaged bytes make of a reader to an error that names the file or array.

    Raises:
        DataError: See above.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise  # not the bytes, but the system
        if "Object arrays" in str(error):
            raise DataError(
                f"{path}: {name} is an array of Python objects, which is never opened. Save "
                "arrays of numbers: np.savez(file, x=..., y=...)."
            ) from error
        raise DataError(
            f"{path}: {name} is damaged ({one_line(str(error))[:_LONGEST_REASON]}). Save it again "
            "with np.savez or np.save."
        ) from error


def _check(arrays: Mapping[str, Array], reading: Reading, problems: Problems) -> OwnData:
    """Check arrays, and number their classes.

    Raises:
        DataError: All mistakes.
    """
    names = list(arrays)
    checked: dict[str, Array] = {}
    for x, y in zip(names[::2], names[1::2], strict=True):
        checked[x] = check_features(x, arrays[x], reading, problems)
        checked[y] = check_labels(y, arrays[y], problems)
        if arrays[x].ndim and arrays[y].ndim and len(arrays[x]) != len(arrays[y]):
            problems.add(f"{x} has {len(arrays[x]):,} examples, but {y} has {len(arrays[y]):,}.")
    if len(names) == len(_NAMES) and arrays["x_train"].shape[1:] != arrays["x_test"].shape[1:]:
        shapes = [tuple(arrays[name].shape[1:]) for name in ("x_train", "x_test")]
        problems.add(f"the examples of x_train have shape {shapes[0]}, of x_test {shapes[1]}.")
    problems.check()
    labels = [checked[name] for name in names[1::2]]
    classes = np.unique(labels[0])
    check_classes(classes, labels, problems)
    problems.check()
    test_size = check_test_size(reading, labels, len(classes), problems)
    problems.check()
    parts = [
        Arrays(checked[x], np.searchsorted(classes, each).astype(np.int64))
        for x, each in zip(names[::2], labels, strict=True)
    ]
    digest = hashlib.sha256()
    for array in checked.values():
        stored = array.astype(str) if array.dtype.kind == "U" else np.ascontiguousarray(array)
        digest.update(f"{stored.dtype.str} {stored.shape}".encode())
        digest.update(stored.view(np.uint8).data)
    class_names = tuple(str(each) for each in classes.tolist())
    test = parts[1] if len(parts) > 1 else None
    return OwnData(parts[0], test, class_names, test_size, digest.hexdigest())
