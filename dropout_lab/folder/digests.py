"""SHA-256 digests of a completed run's rows in each table and of its files.

The digest of rows does not depend on how another program spells, quotes or sorts them: it is that
of their values. Rows that another program rounded have another digest, and are recognised by their
digits.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Literal

from dropout_lab.files import sha256_of
from dropout_lab.folder.completeness import READERS, RunRows
from dropout_lab.results import AT_END, ENSEMBLES, METRICS, RUNS, Row, is_number_column, one_line
from dropout_lab.results.columns import LISTS, MESSAGE, TEXTS, WHOLE_NUMBERS

_ROUNDED = 15  # significant digits; of floats as they are written, some have 16 or 17
_LEFT_OUT = ("run_id", "seed")  # the manifest says them, as it says the swept values

Match = Literal["same", "rounded", "other"]


def rows_digest(name: str, run_id: str, rows: Iterable[Row]) -> str:
    """Return the SHA-256 of a run's rows in a table.

    Args:
        name: The table.
        run_id: The run; empty for a row of ensembles.csv, which is of several.
        rows: Its rows, in any order.
    """
    return _digest(name, run_id, ({key: _spelled(key, row[key]) for key in row} for row in rows))


def match(name: str, run_id: str, rows: Sequence[Row], digest: str) -> Match:
    """Compare rows with a digest: the same, rounded, or others."""
    # Mostly they are spelled as they were written, and spelling them again takes time.
    if digest in (_digest(name, run_id, rows), rows_digest(name, run_id, rows)):
        return "same"
    return "rounded" if _is_rounded(rows) else "other"


def _digest(name: str, run_id: str, rows: Iterable[Mapping[str, str]]) -> str:
    lines = []
    for row in rows:
        columns = _columns(name, tuple(row))
        values = ((column, row[column]) for column in columns)
        lines.append("\0".join([f"{c}={value}" for c, value in values if value not in ("", "nan")]))
    text = "\n".join([f"{name} {run_id}", *sorted(lines)])
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


@lru_cache(maxsize=64)
def _columns(name: str, header: tuple[str, ...]) -> list[str]:
    """Return the columns that the digest covers: ours, except those that repeat the manifest."""
    named = name == ENSEMBLES  # whose rows have no run_id: the swept values say what they are of
    ours = {c for c in header if is_number_column(c) or c in TEXTS or (named and "." in c)}
    return sorted(ours.difference(_LEFT_OUT))


def _spelled(column: str, value: str) -> str:
    """Return a value in our spelling."""
    if column == MESSAGE:
        return one_line(value)
    if column in TEXTS:
        return value
    if column in LISTS and value.startswith("["):
        return json.dumps(json.loads(value))
    try:
        number = float(value)
    except ValueError:  # empty, or a swept value that is no number
        return value
    if column in WHOLE_NUMBERS and number.is_integer():
        return str(int(number))
    return repr(number)


def _is_rounded(rows: Iterable[Row]) -> bool:
    """Return whether all numbers in the rows have fewer digits than we write."""
    found = False
    for row in rows:
        for column, value in row.items():
            if value and is_number_column(column) and column not in WHOLE_NUMBERS:
                digits = _digits(value)
                if digits > _ROUNDED:
                    return False
                found = found or digits > 0
    return found


def _digits(value: str) -> int:
    """Return the number of significant digits; 0 for a list and for text."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return 0
    return len(number.as_tuple().digits) if number.is_finite() else 0


def expected(rows: Iterable[Row]) -> dict[str, str]:
    """Return the digest of each table and file from rows of digests.csv."""
    return {row["file"]: row["sha256"] for row in rows}


def digest_rows(
    run_id: str, end: Row, rows: RunRows, folder: Path, there: Iterable[str] = ()
) -> list[Row]:
    """Return the rows that digests.csv lacks of a run that ended.

    Args:
        run_id: The run.
        end: Its row of runs.csv.
        rows: Its other rows.
        folder: Where it keeps its files.
        there: The tables and files that have a digest already.

    Raises:
        StorageError: The system refuses to read a file.
    """
    # Those of the records come last: where they are there, a kill cut nothing off.
    own: dict[str, Sequence[Row]] = {name: rows.at_end[name] for name in AT_END}
    own |= {RUNS: [end], METRICS: rows.metrics}
    kept = {name: sha256_of(folder / name) for name in READERS} if folder.is_dir() else {}
    found = {name: digest for name, digest in kept.items() if digest is not None}
    found |= {name: rows_digest(name, run_id, each) for name, each in own.items() if each}
    return [digest_row(run_id, name, found[name]) for name in found if name not in there]


def digest_row(run_id: str, name: str, digest: str) -> Row:
    """Return a row of digests.csv."""
    return {"run_id": run_id, "file": name, "sha256": digest}


def ensemble_digests(digests: Mapping[str, Sequence[Row]]) -> Iterator[Row]:
    """Yield the rows of digests.csv for ensembles.csv."""
    for rows in digests.values():
        yield from (row for row in rows if row["file"] == ENSEMBLES)
