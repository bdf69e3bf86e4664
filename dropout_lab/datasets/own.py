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

from dropout_lab.errors import DataError
from dropout_lab.files import open_file
from dropout_lab.printable import one_line

Array = np.ndarray[Any, np.dtype[Any]]
LARGEST_CLASSES = 1_000
MOST_MISTAKES = 20  # of a file that a message lists
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
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Correct dataset.path.") from None
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
                raise DataError(
                    f"{path} is no table, so it has no column {reading.target!r}: remove "
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
            for name in sorted(known & {each.removesuffix(".npy") for each in members}):
                with _name_damage(path, name), archive.open(f"{name}.npy") as member:
                    arrays[name] = _read_array(member)
            found = [name.removesuffix(".npy") for name in members]
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
            f"{path}: {name} is damaged ({one_line(str(error))}). Save it again with np.savez or "
            "np.save."
        ) from error


def _check(arrays: Mapping[str, Array], reading: Reading, problems: Problems) -> OwnData:
    """Check arrays, and number their classes.

    Raises:
        DataError: All mistakes.
    """
    names = list(arrays)
    checked: dict[str, Array] = {}
    for x, y in zip(names[::2], names[1::2], strict=True):
        checked[x] = _check_features(x, arrays[x], reading, problems)
        checked[y] = _check_labels(y, arrays[y], problems)
        if arrays[x].ndim and arrays[y].ndim and len(arrays[x]) != len(arrays[y]):
            problems.add(f"{x} has {len(arrays[x]):,} examples, but {y} has {len(arrays[y]):,}.")
    if len(names) == len(_NAMES) and arrays["x_train"].shape[1:] != arrays["x_test"].shape[1:]:
        shapes = [tuple(arrays[name].shape[1:]) for name in ("x_train", "x_test")]
        problems.add(f"the examples of x_train have shape {shapes[0]}, of x_test {shapes[1]}.")
    problems.check()
    labels = [checked[name] for name in names[1::2]]
    classes = np.unique(labels[0])
    _check_classes(classes, labels, problems)
    test_size = _check_test_size(reading, labels, len(classes), problems)
    problems.check()
    parts = [
        Arrays(checked[x], np.searchsorted(classes, each).astype(np.int64))
        for x, each in zip(names[::2], labels, strict=True)
    ]
    digest = hashlib.sha256()
    for array in checked.values():
        stored = array.astype(str) if array.dtype.kind == "U" else np.ascontiguousarray(array)
        digest.update(f"{stored.dtype.str} {stored.shape}".encode())
        digest.update(stored.view(np.uint8))
    class_names = tuple(str(each) for each in classes.tolist())
    test = parts[1] if len(parts) > 1 else None
    return OwnData(parts[0], test, class_names, test_size, digest.hexdigest())


def _check_features(name: str, x: Array, reading: Reading, problems: Problems) -> Array:
    """Return features as uint8 (pixels) or float32."""
    if x.ndim < 2 or not x.size:
        problems.add(f"{name} has shape {x.shape}; expected (examples, features).")
        return x
    if x.dtype.kind not in "buif":
        problems.add(f"{name} has entries of type {x.dtype}; expected numbers.")
        return x
    if x.dtype == np.uint8:
        return x
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = x.astype(np.float32, copy=False)
    missing, infinite = np.isnan(x), np.isinf(numbers)
    for where, what, advice in (
        (infinite, "is infinite or beyond the range of float32", ""),
        (missing & (reading.missing is None), "is missing",
         " Add it, or write dataset.missing: mean, which uses the mean of the training set."),
    ):  # fmt: skip
        if where.any():
            place = np.argwhere(where)[0]
            at = "".join(f"[{index}]" for index in place)
            problems.add(f"{name}{at} {what}, as are {where.sum():,} numbers in all.{advice}")
    empty = missing.all(axis=0)
    if reading.missing is not None and empty.any():
        problems.add(f"feature {np.argwhere(empty)[0].tolist()} of {name} is always missing.")
    return numbers


def _check_labels(name: str, y: Array, problems: Problems) -> Array:
    """Return labels as int64 or text."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        hint = f" For one-hot labels, save {name}.argmax(axis=1)." if y.ndim == 2 else ""
        problems.add(f"{name} has shape {y.shape}; expected (examples,).{hint}")
        return y
    if y.dtype.kind == "S":
        y = np.char.decode(y, "latin-1")
    if y.dtype.kind == "U":
        if (blank := np.flatnonzero(np.char.strip(y) == "")).size:
            problems.add(f"{name}[{blank[0]}] is empty; give each example a label.")
        return y
    if y.dtype.kind == "f":
        wrong = np.flatnonzero(~is_whole(y))
        if wrong.size:
            problems.add(
                f"{name}[{wrong[0]}] is {y[wrong[0]]}, but labels are whole numbers or text: "
                "dropout-lab trains classifiers. Bin a continuous target into classes first."
            )
            return y
    elif y.dtype.kind not in "bui":
        problems.add(f"{name} has entries of type {y.dtype}; expected whole numbers or text.")
        return y
    if y.dtype.kind == "u" and y.size and y.max() > np.iinfo(np.int64).max:
        problems.add(f"{name} has the label {y.max()}; labels are below 2**63.")
        return y
    return y.astype(np.int64)


def is_whole(numbers: Array) -> Array:
    """Return which numbers are whole and fit into int64."""
    return np.isfinite(numbers) & (numbers == np.floor(numbers)) & (np.abs(numbers) < 2.0**63)


def _check_classes(classes: Array, labels: list[Array], problems: Problems) -> None:
    if len(classes) < 2:
        problems.add(f"all labels are {classes[0]!s}; at least two classes are needed.")
    if len(classes) > LARGEST_CLASSES:
        problems.add(
            f"there are {len(classes):,} different labels; at most {LARGEST_CLASSES:,} classes. "
            "Is the target a number to predict, or a name of each row?"
        )
    if len(labels) > 1:
        unknown = [str(each) for each in np.setdiff1d(labels[1], classes)]
        if {each.dtype.kind for each in labels} == {"U", "i"}:
            problems.add("y_train and y_test differ in type: one has text, the other numbers.")
        elif unknown:
            problems.add(f"y_test has labels that y_train lacks: {', '.join(unknown[:10])}.")


def _check_test_size(
    reading: Reading, labels: list[Array], classes: int, problems: Problems
) -> int:
    """Return the number of test examples."""
    if len(labels) > 1:
        if reading.test_size is not None:
            problems.add(
                f"the file has a test set of {len(labels[1]):,}: remove dataset.test_size."
            )
        return len(labels[1])
    examples = len(labels[0])
    most = examples - classes
    if reading.test_size is None:
        problems.add(
            f"there is no test set: write dataset.test_size, e.g. {max(classes, examples // 5)}; "
            "so many examples are then drawn class by class."
        )
    elif not classes <= reading.test_size <= most:
        problems.add(
            f"dataset.test_size is {reading.test_size}; with {examples:,} examples in {classes} "
            f"classes, give {classes} to {most}."
        )
    return reading.test_size or 0
