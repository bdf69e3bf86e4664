"""Format values and rows as CSV that pandas, R and Excel read."""

import csv
import io
import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from dropout_lab.printable import one_line
from dropout_lab.results.columns import MESSAGE

Row = dict[str, str]

# What a spreadsheet takes for a formula, also in the wide characters of East Asian keyboards, and
# whatever was put before it to prevent that.
_FORMULA = re.compile(r"'*[=+\-@＝＋－＠]")
_ROWS_A_PART = 500


def cell_text(value: object) -> str:
    """Format a value as a CSV field: empty for None, ``nan``, a JSON list for a list."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return json.dumps(list(value))
    return str(value)


def comparable(value: object) -> str:
    """Return one form for equal swept values: 512, 512.0 and their texts."""
    if value is None or value != value or value == "":
        return "none"
    text = cell_text(value)
    if text in ("True", "False"):  # NumPy's
        return text.lower()
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text


def message_cell(text: str) -> str:
    """Format free text so that no spreadsheet reads it as a formula."""
    line = one_line(text)
    return f"'{line}" if _FORMULA.match(line) else line


def message_text(cell: str) -> str:
    """Reverse :func:`message_cell`."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Format rows as CSV text; each row ends in a newline."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def table_text(header: Sequence[str], rows: Iterable[Row]) -> str:
    """Format a table as CSV text; missing fields are empty."""
    return "".join(table_parts(header, rows))


def table_parts(header: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Yield a table's CSV text in parts of some hundred rows."""
    lines = itertools.chain([header], (fields(header, row) for row in rows))
    while part := list(itertools.islice(lines, _ROWS_A_PART)):
        yield csv_text(part)


class TableText:
    """Formats a table that is rewritten often; caches the text of each row.

    A table that is replaced whole after each fleet would otherwise cost the square of its rows.

    Args:
        header: Its columns.
    """

    def __init__(self, header: Sequence[str]) -> None:
        self.header = tuple(header)
        self._lines: dict[int, tuple[Row, str]] = {}  # the row is kept, so that its id stays its

    def __call__(self, rows: Iterable[Row], whole: Callable[[Row], Row]) -> str:
        """Return the table.

        Args:
            rows: They must not change once they were given; another row takes the place of one.
            whole: Makes of a row what is written of it.
        """
        lines: dict[int, tuple[Row, str]] = {}
        for row in rows:
            lines[id(row)] = self._lines.get(id(row)) or (
                row,
                csv_text([fields(self.header, whole(row))]),
            )
        self._lines = lines
        return csv_text([self.header]) + "".join(text for _, text in lines.values())


def split_line(line: str, delimiter: str = ",") -> list[str] | None:
    """Split a CSV line into fields; None if its quoting is invalid."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [""])
    except csv.Error:
        return None


def fields(header: Sequence[str], row: Row) -> list[str]:
    """Return a row's fields in the order of the header."""
    return [
        message_cell(row.get(name, "")) if name == MESSAGE else row.get(name, "") for name in header
    ]
