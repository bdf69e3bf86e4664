"""A CSV table read back: its whole rows, and in words what is wrong with the others.

Whatever bytes stand in the file, reading ends in a table; how bad it is is for the reader to say.
"""

import csv
import os
import re
from collections.abc import Collection, Iterator, MutableSequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from dropout_lab.errors import StorageError
from dropout_lab.results import names
from dropout_lab.results.packed import PackedRows
from dropout_lab.results.text import Row, message_text

LARGEST_TABLE = 2_000_000_000  # bytes; rows in memory take several times that
MOST_FAULTS = 10_000  # more are no damage but another file
_LONGEST_LINE = 1_000_000
_TOLD = 5  # faults in sentences, before the rest is counted
_MARK = "\ufeff"  # that spreadsheets put before UTF-8
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NUMBER = re.compile(r"|[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan|-?inf", re.ASCII)
_ITEM = r"(-?\d+(\.\d+)?([eE][+-]?\d+)?|NaN|-?Infinity)"
_LIST = re.compile(rf"\[{_ITEM}(, ?{_ITEM})*\]", re.ASCII)
_COUNT = re.compile(r"0*[1-9]\d{0,8}", re.ASCII)


@dataclass(frozen=True)
class Fault:
    """Something wrong in a table.

    Args:
        line: Of the file, the header's is 1.
        run_id: The run whose row it is; empty where that cannot be told.
        words: What is wrong, as the rest of a sentence about the line.
        kind: ``torn``: the last row, cut short, as a kill leaves it where rows are added at the
            end; ``left out``: a row that is not believed; ``noted``: nothing is left out but what
            stands twice.
    """

    line: int
    run_id: str
    words: str
    kind: Literal["torn", "left out", "noted"] = "left out"

    def __str__(self) -> str:
        run = f" (run {self.run_id})" if self.run_id else ""
        return f"line {self.line}{run} {self.words}"


@dataclass
class Table:
    """What could be read of a CSV file.

    Args:
        path: The file.
        header: Its columns; empty if the file is missing or has no header of ours.
        rows: Its whole rows, each run's epochs in order, each once.
        faults: What is wrong, in the order of the file.
        unreadable: Why it is not the table that was written; empty if it is.
        delimiter: Between its fields.
    """

    path: Path
    header: list[str] = field(default_factory=list)
    rows: MutableSequence[Row] = field(default_factory=PackedRows)
    faults: list[Fault] = field(default_factory=list)
    unreadable: str = ""
    delimiter: str = ","

    @property
    def damaged_runs(self) -> set[str]:
        """The runs of which a row was left out."""
        return {fault.run_id for fault in self.faults if fault.kind == "left out"} - {""}

    @property
    def sentences(self) -> list[str]:
        """What is wrong, in a few lines. A torn last row is what a kill leaves, and not told."""
        told = [f"{self.path}: {fault}." for fault in self.faults if fault.kind != "torn"]
        rest = len(told) - _TOLD
        more = [f"{self.path}: {rest} more damaged rows."] if rest > 0 else []
        return told[:_TOLD] + more

    @property
    def foreign_columns(self) -> list[str]:
        """The columns that another program added."""
        return [name for name in self.header if not names.is_ours(name)]


def read_table(path: Path, known: Collection[str] | None = None) -> Table:
    """Read a CSV file of a results folder. A missing file has no rows.

    A row counts only with its newline and all its fields: a number cut short is still a number.

    Args:
        path: Its name says which columns it must have.
        known: The ids of the runs there can be; none: any.

    Raises:
        StorageError: The file is there and is not the table that was written.
    """
    table = scan_table(path, known)
    if table.unreadable:
        raise StorageError(
            f"{path} {table.unreadable}. Restore the file, or see what can be mended: "
            f"dropout-lab doctor {path.parent}"
        )
    return table


def read_rows(path: Path) -> list[Row]:
    """Return the whole rows of a CSV file; see :func:`read_table`."""
    return list(read_table(path).rows)


def scan_table(path: Path, known: Collection[str] | None = None) -> Table:
    """Return what can be read of a CSV file, whatever it holds; see :func:`read_table`."""
    table = Table(path)
    if not os.path.lexists(path):
        return table
    try:
        if not path.is_file():
            table.unreadable = "is no file"
        elif (size := path.stat().st_size) > LARGEST_TABLE:
            table.unreadable = f"has {size:,} bytes; tables up to {LARGEST_TABLE:,} are read"
        else:
            with path.open("rb") as file:
                _read_header(table, file.readline(_LONGEST_LINE))
                if table.header:
                    _read_rows(table, file, known)
    except OSError as error:
        table.unreadable = f"cannot be read: {error.strerror}"
    return table


def _read_header(table: Table, line: bytes) -> None:
    """Take in the first line; without a header of ours, say why not."""
    needed = names.NEEDED.get(table.path.name, ("run_id",))
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        table.unreadable = "cannot be read: its first line is no UTF-8 text"
        return
    if not line.endswith(b"\n") or _CONTROL.search(text.rstrip("\r\n")):
        what = "the file is empty" if not line else "its first line is cut short or no text"
        table.unreadable = f"cannot be read: {what}"
        return
    for delimiter in (",", ";", "\t"):
        header = _fields(text, delimiter) or []
        if set(needed) <= set(header) and len(set(header)) == len(header):
            table.header, table.delimiter = header, delimiter
            break
    else:
        header = _fields(text, ",") or []
        missing = ", ".join(name for name in needed if name not in header)
        why = f"has no column {missing}" if missing else "names a column twice in its header"
        if header and names.RUN_ID.fullmatch(header[0]):
            why += "; its first line is a row, not the header"
        table.unreadable = f"{why}; it was changed by another program"
        return
    if delimiter != ",":
        table.unreadable = (
            f"has no column {', '.join(needed)} between commas: its fields are separated by "
            f"{delimiter!r}; it was changed by another program"
        )


def _read_rows(table: Table, file: BinaryIO, known: Collection[str] | None) -> None:
    """Take in the rows, and what is wrong with them."""
    check = _RowCheck(table, known)
    for number, line in _lines(file):
        run_id, row = "", None
        kind: Literal["torn", "left out", "noted"] = "left out"
        if not line.endswith(b"\n"):
            kind, words = "torn", "is cut short: it does not end in a newline"
            if len(line) >= _LONGEST_LINE:
                kind, words = "left out", f"is longer than {_LONGEST_LINE:,} bytes"
        else:
            words, run_id, row = check(line)
            if words in (_EMPTY, _HEADER_AGAIN):
                kind = "noted"
        if words:
            table.faults.append(Fault(number, run_id, words, kind))
            if len(table.faults) > MOST_FAULTS:
                table.unreadable = f"has more than {MOST_FAULTS:,} damaged rows"
                return
        elif row is not None:
            check.add(number, row)
    check.sort()
    table.faults.sort(key=lambda fault: fault.line)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines after the header with their numbers; of one too long, only its beginning."""
    number = 1
    while line := file.readline(_LONGEST_LINE):
        number += 1
        yield number, line
        while len(line) >= _LONGEST_LINE and not line.endswith(b"\n"):
            line = file.readline(_LONGEST_LINE)


_EMPTY, _HEADER_AGAIN = "is empty", "is the header again"


class _RowCheck:
    """Says of each line what is wrong with it, and keeps the rows that stand."""

    def __init__(self, table: Table, known: Collection[str] | None) -> None:
        self.table, self.known = table, known
        self.ours = table.path.name in names.NEEDED
        self.id_at = table.header.index("run_id") if "run_id" in table.header else None
        self.numbers = [
            (index, name) for index, name in enumerate(table.header) if names.is_number_column(name)
        ]
        self.key = names.KEYS.get(table.path.name, ())
        self.lines: dict[tuple[str, ...], tuple[int, int]] = {}  # index of the row, line
        self.of_run: dict[str, list[int]] = {}
        self.last_epoch: dict[str, int] = {}
        self.unordered: set[str] = set()

    def __call__(self, line: bytes) -> tuple[str, str, Row | None]:
        """Return what is wrong with a line, whose run it is of, and its row if nothing is."""
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return "is no UTF-8 text", "", None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            return _EMPTY, "", None
        if _CONTROL.search(text):
            return "holds NUL bytes or other control characters", "", None
        header = self.table.header
        values = _fields(text, self.table.delimiter)
        if values is None:
            return "is not quoted as CSV is", "", None
        run_id = values[self.id_at] if self.id_at is not None and self.id_at < len(values) else ""
        shown = run_id if names.RUN_ID.fullmatch(run_id) or not self.ours else ""
        if values == header:
            return _HEADER_AGAIN, "", None
        if len(values) != len(header):
            return f"has {len(values)} fields, not {len(header)}", shown, None
        words = self._wrong_value(values, run_id) if self.ours else ""
        row = dict(zip(header, values, strict=True))
        if names.MESSAGE in row:
            row[names.MESSAGE] = message_text(row[names.MESSAGE])
        return words, shown, row

    def add(self, number: int, row: Row) -> None:
        """Keep a row; of two with one key the later holds."""
        rows, faults = self.table.rows, self.table.faults
        run_id = row.get("run_id", "")
        key = tuple(
            str(int(row[name])) if name in names.COUNTED else row[name] for name in self.key
        )
        if key and key in self.lines:
            index, before = self.lines[key]
            what = "is" if len(key) == 1 else f"is of {self.key[1]} {key[1]},"
            words = f"{what} there already in line {before}; the later holds"
            faults.append(Fault(number, run_id, words, "noted"))
            rows[index], self.lines[key] = row, (index, number)
            return
        if key:
            self.lines[key] = len(rows), number
        if self.key[1:] == ("epoch",):
            epoch = int(row["epoch"])
            if epoch < self.last_epoch.get(run_id, 0):
                self.unordered.add(run_id)
                words = f"is out of order: epoch {epoch} after {self.last_epoch[run_id]}"
                faults.append(Fault(number, run_id, words, "noted"))
            self.last_epoch[run_id] = max(epoch, self.last_epoch.get(run_id, 0))
            self.of_run.setdefault(run_id, []).append(len(rows))
        rows.append(row)

    def sort(self) -> None:
        """Put the epochs of runs that were out of order in order, in the places of these runs."""
        rows = self.table.rows
        for run_id in self.unordered:
            places = self.of_run[run_id]
            ordered = sorted((rows[i] for i in places), key=lambda row: int(row["epoch"]))
            for place, row in zip(places, ordered, strict=True):
                rows[place] = row

    def _wrong_value(self, values: list[str], run_id: str) -> str:
        if self.id_at is not None:
            if not names.RUN_ID.fullmatch(run_id):
                return f"has {_shown(run_id)} for a run_id"
            if self.known is not None and run_id not in self.known:
                return "is of a run that the manifest does not list"
        for index, name in self.numbers:
            value = values[index]
            if name in names.COUNTED:
                if not _COUNT.fullmatch(value):
                    return f"has {_shown(value)} in the column {name}, which counts from 1"
            elif not _NUMBER.fullmatch(value) and not (
                name in names.LISTS and _LIST.fullmatch(value)
            ):
                return f"has {_shown(value)} in the column {name}, which is no number"
        header = self.table.header
        if "status" in header and values[header.index("status")] not in names.STATUSES:
            return f"has the status {_shown(values[header.index('status')])}"
        return ""


def _fields(line: str, delimiter: str) -> list[str] | None:
    """Return the fields of a line; None if they are not quoted as CSV is."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [""])
    except csv.Error:
        return None


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else f"{value[:39]}…")
