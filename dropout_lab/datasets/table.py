"""Read a table, CSV or Parquet, as features and labels.

Numeric columns become a feature each. A column of text becomes a feature for each of its values,
1 where the row has the value and 0 elsewhere (one-hot).
"""

import csv
import datetime
import io
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dropout_lab.datasets.array_checks import LARGEST_CLASSES, Array, is_whole
from dropout_lab.datasets.own import Problems, Reading
from dropout_lab.errors import DataError
from dropout_lab.files import read_file
from dropout_lab.printable import counted, one_line

if TYPE_CHECKING:
    import pandas as pd

_MOST_VALUES = 100  # of a column of text: more look like names of rows
_SEPARATORS = ",;\t"
_QUOTED = re.compile(r'"[^"]*"')
_BLANK_LINES = re.compile(r"\A(?:\s*\n)+")
# A number that is not written as a program writes it: 1,5 or 20% or $ 1 000.
_FOREIGN_NUMBER = re.compile(r"[-+\u2212]?\s*[$\u20ac\u00a3]?\s*\d[\d.,'\s]*%?")


# Types that Parquet can hold besides, whatever pandas makes of them.
_NO_ENTRY = (bytes, list, dict, np.ndarray, datetime.date, datetime.time, datetime.timedelta)


def read_table(path: Path, reading: Reading, problems: Problems) -> dict[str, Array]:
    """Return the features ``x`` and the labels ``y`` of a table.

    Args:
        path: A ``.csv``, ``.tsv`` or ``.parquet`` file.
        reading: The column of the classes, and what is done with missing numbers.
        problems: Collects the mistakes in the table.

    Raises:
        DataError: It cannot be read as a table, has no such column, or no row.
    """
    frame = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    target = _find_target(path, frame, reading.target)
    if frame.empty:
        raise DataError(f"{path} has no row below its header.")
    columns = [name for name in frame.columns if name != target]
    if not columns:
        raise DataError(f"{path} has no column besides {target!r}; add at least one feature.")
    labels = _convert_labels(frame[target], target, problems)
    features = [_convert(frame[name], name, reading, problems) for name in columns]
    problems.check()
    return {"x": np.concatenate(features, axis=1), "y": labels}


def _read_csv(path: Path) -> "pd.DataFrame":
    """Read a CSV file with a header; its entries stay text.

    Raises:
        DataError: It is none; the message says in which line.
    """
    import pandas as pd

    text = _decode(path, read_file(path))
    if not text.strip():
        raise DataError(f"{path} is empty; give a header and a row for each example.")
    line = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=_QUOTED.sub("", line).count)
    rows = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    try:
        names = [name.strip() for name in next(rows)]
        first = next((row for row in rows if row), [])
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as a table: {error}.") from error
    if all(_is_number(name) for name in names):
        raise DataError(f"{path}:1: the first line has only numbers; it must name the columns.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        wrong = f"two columns are called {twice[0]!r}" if twice else "a column has no name"
        remedy = "give each column a name of its own."
        if names[0] == "" and not twice:
            wrong, remedy = "the first column has no name", "give it a name, or remove it."
            remedy += " If it is the index of pandas, write to_csv(file, index=False)."
        raise DataError(f"{path}:1: {wrong}; {remedy}")
    if any(first[len(names) :]) or 0 < len(first) < len(names):
        raise DataError(
            f"{path}: the first line names {counted(len(names), 'column')}, but row 1 has "
            f"{len(first)} entries. Each row needs an entry for each column, which may be empty."
        )
    try:
        return pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, names=names, header=0, index_col=False,
            skipinitialspace=True, on_bad_lines="error",
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        reason = one_line(str(error)).removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"{path} cannot be read as a table: {reason.strip()}.") from error


def _decode(path: Path, content: bytes) -> str:
    """Return the text of a file, without blank lines at its start, with newlines as line ends.

    Raises:
        DataError: It is not UTF-8 text; the message says in which line.
    """
    try:
        text = content.decode("utf-8-sig")
        place = content.find(b"\0")
    except UnicodeDecodeError as error:
        text, place = "", error.start
    if place >= 0:
        row = content[:place].count(b"\n") + 1
        raise DataError(f"{path}:{row}: this line is not UTF-8 text; save the file as UTF-8.")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _BLANK_LINES.sub("", text)


def _read_parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd

    content = read_file(path)
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except ImportError as error:
        raise DataError(
            f"{path} needs a package that reads Parquet: pip install pyarrow. Or save it as CSV."
        ) from error
    except Exception as error:  # whatever the bytes make of the reader
        raise DataError(f"{path} cannot be read as Parquet: {one_line(str(error))}") from error
    frame.columns = [str(name) for name in frame.columns]
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise DataError(f"{path}: two columns are called {twice[0]!r}; give each another name.")
    for name in frame.columns:
        entries = frame[name].dropna()
        first = entries.iloc[0] if len(entries) else None
        if isinstance(first, _NO_ENTRY):
            raise DataError(
                f"{path}: column {name} has entries of type {type(first).__name__}; expected "
                "numbers or text. Write lists as columns, and dates as numbers, such as days."
            )
    return frame


def _find_target(path: Path, frame: "pd.DataFrame", target: str | None) -> str:
    from difflib import get_close_matches

    names = [str(name) for name in frame.columns]
    if target in names:
        return target
    near = get_close_matches(target or "", names, n=1)
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    if target is None:
        raise DataError(
            f"{path}: write dataset.target, the column of the classes, e.g. target: "
            f"{names[-1]}. The columns are {shown}."
        )
    meant = f" Did you mean {near[0]!r}?" if near else ""
    raise DataError(f"{path} has no column {target!r}.{meant} The columns are {shown}.")


def _convert_labels(column: "pd.Series[Any]", name: str, problems: Problems) -> Array:
    """Return the labels of a table: whole numbers where all are numbers, else text."""
    missing = np.flatnonzero(column.isna())
    if missing.size:
        problems.add(
            f"row {missing[0] + 1}, column {name}: the label is missing ({missing.size:,} in "
            "all). Add it, or remove the row. NA, null, None and nan also mean missing."
        )
        return np.zeros(len(column), np.int64)
    numbers = _to_numbers(column)
    if np.isnan(numbers).any():
        return column.astype(str).str.strip().to_numpy().astype(str)
    whole = is_whole(numbers)
    if not whole.all():
        row = np.flatnonzero(~whole)[0]
        if column.nunique() > LARGEST_CLASSES or len(np.unique(numbers)) > len(numbers) / 2:
            advice = "dropout-lab trains classifiers: bin a continuous target into classes first."
        else:
            advice = "Labels are whole numbers or text."
        problems.add(f"row {row + 1}, column {name}: the label is {numbers[row]:g}. {advice}")
        return np.zeros(len(column), np.int64)
    return numbers.astype(np.int64)


def _convert(
    column: "pd.Series[Any]", name: str, reading: Reading, problems: Problems
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the features of a column, ``(rows, features)``."""
    missing = column.isna().to_numpy()
    numbers = _to_numbers(column)
    present = int((~missing).sum())
    text = np.isnan(numbers) & ~missing
    if missing.any() and not (reading.missing == "mean" and present and not text.any()):
        row = int(np.flatnonzero(missing)[0])
        advice = "Add it, or write dataset.missing: mean, which uses the mean of the training set."
        if present == 0:
            advice = "The column has no entry at all: remove it."
        elif text.any():
            advice = "A column of text has no mean: add the entry, or remove the row."
        problems.add(
            f"row {row + 1}, column {name}: the entry is missing ({missing.sum():,} in "
            f"all). {advice}"
        )
        return np.zeros((len(column), 1), np.float32)
    if text.sum() * 2 > present:
        texts = column[text].astype(str).str.strip()
        if all(map(_FOREIGN_NUMBER.fullmatch, texts)):
            problems.add(
                f"column {name} has numbers such as {texts.iloc[0][:40]!r}; write digits and a "
                "decimal point only."
            )
            return np.zeros((len(column), 1), np.float32)
        return _one_hot(column, name, problems)
    if text.any():
        row = int(np.flatnonzero(text)[0])
        problems.add(
            f"row {row + 1}, column {name}: {str(column.iloc[row])[:40]!r} is no number, but "
            f"{present - int(text.sum()):,} entries of the column are."
        )
    with np.errstate(over="ignore"):
        features = numbers.astype(np.float32)
    if np.isinf(features).any():
        row = int(np.flatnonzero(np.isinf(features))[0])
        problems.add(
            f"row {row + 1}, column {name}: {column.iloc[row]} is infinite or beyond the range of "
            "float32."
        )
    return features[:, None]


def _one_hot(
    column: "pd.Series[Any]", name: str, problems: Problems
) -> np.ndarray[Any, np.dtype[np.float32]]:
    text = column.astype(str).str.strip()
    values = np.unique(text.to_numpy().astype(str))
    if len(values) > _MOST_VALUES:
        problems.add(
            f"column {name} has {len(values):,} different texts; at most {_MOST_VALUES} become "
            "features. If it names the rows, remove it."
        )
        return np.zeros((len(column), 1), np.float32)
    return np.asarray(text.to_numpy().astype(str)[:, None] == values, np.float32)


def _to_numbers(column: "pd.Series[Any]") -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the numbers of a column; NaN where an entry is missing or is text."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(str)
    numbers: np.ndarray[Any, np.dtype[np.float64]] = np.asarray(
        pd.to_numeric(column, errors="coerce"), dtype=np.float64
    )
    return numbers


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
