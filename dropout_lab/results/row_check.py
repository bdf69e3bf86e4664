"""Check the rows of a table one by one."""

import re
from collections.abc import Collection

from dropout_lab.printable import printable
from dropout_lab.results import columns, names
from dropout_lab.results.dialect import LONGEST_LINE, MISSING, Dialect
from dropout_lab.results.faults import Fault, Table
from dropout_lab.results.text import Row, message_text, split_line

_SHOWN = 40  # characters of a value that a message repeats
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# No number that is measured here reaches 1e150, whose square is a number still.
_EXPONENT = r"[eE](-\d{1,3}|\+?0*(\d{1,2}|1[0-4]\d))"
_FINITE = re.compile(rf"[+-]?(\d{{1,99}}\.?\d*|\.\d+)({_EXPONENT})?", re.ASCII)
_NUMBER = re.compile(rf"|{_FINITE.pattern}|nan|-?inf", re.ASCII)
_DATE = re.compile(r"^\d{1,4}[-./]\d{1,2}[-./]\d{1,4}|[A-Za-z]{3,}\.?[- ]?\d|\d[-. ]+[A-Za-z]{3}")
_ITEM = r"(-?\d+(\.\d+)?([eE][+-]?\d+)?|NaN|-?Infinity)"
_LIST = re.compile(rf"\[{_ITEM}(, ?{_ITEM})*\]", re.ASCII)
_UNLISTED = "is of a run that the manifest does not list"
_COUNT = re.compile(r"0*[1-9]\d{0,8}", re.ASCII)
_WHOLE = re.compile(r"|nan|\d{1,19}", re.ASCII)  # a seed has up to 19 digits


class RowCheck:
    """Checks each line of a table and collects the valid rows."""

    def __init__(
        self, table: Table, known: Collection[str] | None, dialect: Dialect | None = None
    ) -> None:
        self.table, self.known, self.dialect = table, known, dialect
        self.ours = table.path.name in columns.NEEDED
        self.id_at = table.header.index("run_id") if "run_id" in table.header else None
        self.numbers = [
            (index, name)
            for index, name in enumerate(table.header)
            if columns.is_number_column(name)
        ]
        self.words = [
            (index, name) for index, name in enumerate(table.header) if name in columns.WORDS
        ]
        self.key = columns.KEYS.get(table.path.name, ())
        self.lines: dict[tuple[str, ...], tuple[int, int]] = {}  # index of the row, line
        self.of_run: dict[str, list[int]] = {}
        self.last_epoch: dict[str, int] = {}
        self.unordered: set[str] = set()
        self.returned = False  # whether the line before ended in a carriage return

    def __call__(self, number: int, line: bytes | str) -> tuple[Fault | None, Row | None]:
        """Return the fault of a line, or its row."""
        end = line[-2:] if isinstance(line, bytes) else line[-1:].encode()
        if not end.endswith(b"\n"):
            if len(line) >= LONGEST_LINE:
                return Fault(number, "", f"is longer than {LONGEST_LINE:,} bytes"), None
            words = "is cut short: it does not end in a newline"
            return Fault(number, "", words, "torn", odd=self.returned), None
        self.returned = end == b"\r\n"
        try:
            text = line.decode() if isinstance(line, bytes) else line
        except UnicodeDecodeError:
            return Fault(number, "", "is no UTF-8 text"), None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            return Fault(number, "", "is empty", "noted"), None
        if CONTROL.search(text):
            return Fault(number, "", "holds NUL bytes or other control characters"), None
        values = self.dialect.fields(text) if self.dialect else split_line(text)
        if values is None:
            return Fault(number, "", "is not quoted as CSV is"), None
        if not text.isprintable():
            values = [printable(value) for value in values]
        return self._judged(number, values)

    def _judged(self, number: int, values: list[str]) -> tuple[Fault | None, Row | None]:
        header, odd = self.table.header, ""
        if values == header:
            return Fault(number, "", "is the header again", "noted"), None
        if self.dialect and len(values) == len(header):
            odd = self.dialect.disagrees(values)
            values = self.dialect.translated(values, self.known)
        run_id = values[self.id_at] if self.id_at is not None and self.id_at < len(values) else ""
        shown = run_id if names.RUN_ID.fullmatch(run_id) or not self.ours else ""
        if len(values) != len(header):
            return Fault(number, shown, f"has {len(values)} fields, not {len(header)}"), None
        if self.ours:
            unknown = self._wrong_run(run_id)
            odd = odd or ("" if unknown else self._wrong_value(values))
            if unknown or odd:
                words = unknown or odd
                if words == _UNLISTED:
                    return Fault(number, shown, words, "unlisted"), None
                return Fault(number, shown, words, odd=bool(odd)), None
        row = dict(zip(header, values, strict=True))
        if columns.MESSAGE in row:
            message = message_text(row[columns.MESSAGE])
            missing = row.get("status") == "completed" and message.casefold() in MISSING
            row[columns.MESSAGE] = "" if missing else message
        return None, row

    def add(self, number: int, row: Row) -> None:
        """Add a row; it replaces an earlier row with the same key."""
        rows, faults = self.table.rows, self.table.faults
        run_id = row.get("run_id", "")
        key = tuple(
            str(int(row[name])) if name in columns.COUNTS else row[name] for name in self.key
        )
        if key and key in self.lines:
            index, before = self.lines[key]
            what = "is" if len(key) == 1 else f"is of {self.key[1]} {key[1][:_SHOWN]},"
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
        """Sort the rows of runs whose epochs are out of order."""
        rows = self.table.rows
        for run_id in self.unordered:
            places = self.of_run[run_id]
            ordered = sorted((rows[i] for i in places), key=lambda row: int(row["epoch"]))
            for place, row in zip(places, ordered, strict=True):
                rows[place] = row

    def _wrong_run(self, run_id: str) -> str:
        if self.id_at is not None:
            if not names.RUN_ID.fullmatch(run_id):
                return f"has {_shown(run_id)} for a run_id"
            if self.known is not None and run_id not in self.known:
                return _UNLISTED
        return ""

    def _wrong_value(self, values: list[str]) -> str:
        for index, name in self.numbers:
            value = values[index]
            if name in columns.COUNTS:
                if not _COUNT.fullmatch(value):
                    return f"has {_shown(value)} in the column {name}, which counts from 1"
                continue
            kind = (
                _WHOLE
                if name in columns.WHOLE_NUMBERS
                else _FINITE
                if name in columns.EDGES
                else _NUMBER
            )
            if not kind.fullmatch(value) and not (name in columns.LISTS and _LIST.fullmatch(value)):
                date = ", but perhaps a date made of one" if _DATE.search(value) else ""
                noun = "whole number" if kind is _WHOLE else "number"
                return f"has {_shown(value)} in the column {name}, which is no {noun}{date}"
        for index, name in self.words:
            if values[index] not in columns.WORDS[name]:
                return f"has the {name} {_shown(values[index])}"
        header = self.table.header
        if "sha256" in header and not names.SHA256.fullmatch(values[header.index("sha256")]):
            return f"has {_shown(values[header.index('sha256')])} for a SHA-256"
        return ""


def _shown(value: str) -> str:
    return repr(value if len(value) <= _SHOWN else f"{value[: _SHOWN - 1]}…")
