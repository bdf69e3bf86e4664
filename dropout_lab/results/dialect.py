"""Read tables that a spreadsheet or another program saved.

A spreadsheet or a statistics program writes the same numbers in another way: another delimiter, a
decimal comma, UTF-16, ``NA``, ``TRUE``, ``1E-05``. Where every number can be read in one way only,
the table is read. Where it cannot, such as with thousands separators, nothing is guessed.
"""

import io
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TextIO

from dropout_lab.files import open_file
from dropout_lab.printable import printable
from dropout_lab.results import columns, names
from dropout_lab.results.ids import possible_ids
from dropout_lab.results.text import cell_text, split_line

LONGEST_LINE = 1_000_000
_DELIMITERS = (",", ";", "\t", "|")
_HEADER_WITHIN = 100_000  # lines; a sorted table may have its header anywhere
_SAMPLE = 5_000  # rows that decide about the decimal mark
_MOST_DISAGREE = 0.1  # of the numbers; more are no damage but a mixture
_MINUS = str.maketrans({"\u2212": "-"})
MISSING = {
    "", "na", "n/a", "#n/a", "#n/a n/a", "#na", "#nv", "<na>", "nan", "-nan", "+nan", "null",
    "none", "1.#qnan", "-1.#ind",
}  # fmt: skip
_INFINITE = {"inf": "inf", "+inf": "inf", "infinity": "inf", "∞": "inf", "1.#inf": "inf"}
_TRUE = {"true", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar"}
_FALSE = {"false", "falsch", "faux", "falso", "onwaar"}
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_PLAIN = re.compile(rf"[+-]?\d+{_EXPONENT}", re.ASCII)
_MARKED = re.compile(rf"[+-]?(?:\d+[.,]\d*|[.,]\d+){_EXPONENT}", re.ASCII)
_THREE = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)  # thousands, or three decimals
_GROUPED = re.compile(
    r"[+-]?\d{1,3}(?:(?P<by>[ \u00a0\u2009\u202f'’])\d{3}(?:(?P=by)\d{3})*(?:[.,]\d+)?"
    r"|(?:,\d{3})+\.\d+|(?:\.\d{3})+,\d+|(?:,\d{3}){2,}|(?:\.\d{3}){2,})",
    re.ASCII,
)


@dataclass
class Dialect:
    """The encoding, separator and decimal mark of a table.

    Args:
        path: The file.
        encoding: Of its text.
        delimiter: Between its fields.
        header: Its columns that have a name.
        header_line: The line they are in, from 1.
        places: The places of these columns among the fields of a row.
        width: How many fields a row has.
        mark: The decimal mark.
        refused: Why its numbers cannot be read in one way only; empty if they can.
        advice: What can be done about that.
        restored: The ids of runs that were made numbers of, as they are written and as they are.
    """

    path: Path
    encoding: str
    delimiter: str = ","
    header: list[str] = field(default_factory=list)
    header_line: int = 1
    places: list[int] = field(default_factory=list)
    width: int = 0
    mark: str = "."
    refused: str = ""
    advice: str = ""
    restored: dict[str, str] = field(default_factory=dict)
    _translated: bool = False

    @property
    def words(self) -> str:
        """Describe how the table differs from ours; empty if it does not."""
        odd = []
        if self.encoding.startswith("utf-16"):
            odd.append("it is UTF-16 text")
        if self.delimiter != ",":
            odd.append(f"its fields are separated by {self.delimiter!r}")
        if self.mark != ".":
            odd.append("its numbers have a decimal comma")
        if self.header_line > 1:
            odd.append(f"its header is in line {self.header_line}")
        if self.restored:
            pairs = [f"{shown!r} is {run_id}" for shown, run_id in self.restored.items()]
            more = ", …" if len(pairs) > 3 else ""
            odd.append(f"run ids had become numbers ({', '.join(pairs[:3])}{more})")
        if not odd and self._translated:
            odd.append("its values are spelled in another way")
        return f"was written by another program: {', '.join(odd)}" if odd else ""

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield all lines except the header with their numbers.

        A last line without a line end counts if the other lines end in a carriage return.
        """
        for number, line in _lines(self.path, self.encoding):
            if number != self.header_line and not line.startswith("sep="):
                yield number, line

    def fields(self, text: str) -> list[str] | None:
        """Return the fields of a line; None if it is not valid CSV."""
        values = split_line(text, self.delimiter)
        if values is None or len(values) != self.width:
            return values
        return [values[place].strip() for place in self.places]

    def disagrees(self, values: list[str]) -> str:
        """Describe a number in another notation than most; empty if there is none."""
        for name, value in zip(self.header, values, strict=True):
            if name in columns.WHOLE_NUMBERS and _THREE.fullmatch(value):
                return f"has {value!r} in the column {name}, perhaps with a thousands separator"
            point = self.mark == "," and "." in value and _MARKED.fullmatch(value)
            if point and columns.is_number_column(name):
                return f"has {value!r} in the column {name}; other numbers have a decimal comma"
        return ""

    def translated(self, values: list[str], known: Collection[str] | None) -> list[str]:
        """Return the fields of a row in our spelling; other fields stay unchanged."""
        row = dict(zip(self.header, values, strict=True))
        new = {name: self._value(name, value) for name, value in row.items()}
        completed = row.get("status", "completed") == "completed"
        for name, value in row.items():
            missing = value != "nan" and value.casefold() in MISSING
            if missing and columns.is_number_column(name):
                always = name in columns.MEASURED and completed
                new[name] = "nan" if always else ""
        if "run_id" in new and not names.RUN_ID.fullmatch(new["run_id"]):
            found = possible_ids(new["run_id"].replace(self.mark, "."), new, known)
            if len(found) == 1:
                self.restored[new["run_id"]] = new["run_id"] = found[0]
        result = list(new.values())
        self._translated = self._translated or result != values
        return result

    def _value(self, name: str, value: str) -> str:
        if name == columns.MESSAGE or not (columns.is_number_column(name) or "." in name):
            return value
        plain = value.translate(_MINUS)
        folded = plain.casefold()
        if "." in name and not columns.is_number_column(name):
            if folded in _TRUE | _FALSE:
                return "true" if folded in _TRUE else "false"
            if folded in MISSING and value != "none":  # which is a variant
                return ""
        sign = "-" if folded.startswith("-") else ""
        if folded.removeprefix("-") in _INFINITE:
            return sign + _INFINITE[folded.removeprefix("-")]
        if name in columns.LISTS and value.startswith("["):
            return value
        if not (_PLAIN.fullmatch(plain) or _MARKED.fullmatch(plain)):
            return value
        if self.mark == "." and "," in plain:
            return value
        number = plain.replace(self.mark, ".")
        if name in columns.WHOLE_NUMBERS or ("." in name and number.lstrip("+-").isdecimal()):
            return _whole(number) or cell_text(float(number))
        return cell_text(float(number))


def dialect_of(path: Path, needed: Sequence[str]) -> Dialect | None:
    """Detect the dialect of a file; None if its header lacks needed columns."""
    dialect = Dialect(path, _encoding(path))
    for number, line in _lines(path, dialect.encoding):
        if number > _HEADER_WITHIN:
            return None
        if needed[0] in line and _take_header(dialect, line, needed):
            dialect.header_line = number
            break
    else:
        return None
    _take_sample(dialect)
    return dialect


def advice(how: str) -> str:
    """Return a remedy for a table whose numbers cannot be read."""
    return (
        f"nothing was thrown away; save the table again {how}, or restore the file. To train its "
        "runs again instead, remove the file"
    )


def _encoding(path: Path) -> str:
    with open_file(path) as file:
        start = file.read(4)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    if len(start) == 4 and start[1] == start[3] == 0 != start[0]:
        return "utf-16-le"
    if len(start) == 4 and start[0] == start[2] == 0 != start[1]:
        return "utf-16-be"
    return "utf-8-sig"


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text with their numbers; each ends in a newline."""
    errors = "surrogateescape" if encoding.startswith("utf-8") else "replace"
    with io.TextIOWrapper(open_file(path), encoding, errors, newline=None) as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            if not line.endswith("\n") and _ends_like_another_program(file):
                line += "\n"
            yield number, _as_text(line)
            while len(line) >= LONGEST_LINE and not line.endswith("\n"):
                line = file.readline(LONGEST_LINE)


def _ends_like_another_program(file: TextIO) -> bool:
    """Return whether the lines end in a carriage return, which we never write."""
    return file.newlines in ("\r\n", "\r")


def _as_text(line: str) -> str:
    """Decode a line; bytes that are not UTF-8 as Windows-1252."""
    if line.isascii() or not any("\udc80" <= c <= "\udcff" for c in line):
        return line
    return line.encode("utf-8", "surrogateescape").decode("cp1252", "replace")


def _take_header(dialect: Dialect, line: str, needed: Sequence[str]) -> bool:
    """Read the header, if a line is one."""
    for delimiter in _DELIMITERS:
        header = [printable(n.strip()) for n in split_line(line.rstrip("\n"), delimiter) or []]
        named = [name for name in header if name]
        if set(needed) <= set(named) and len(set(named)) == len(named):
            dialect.delimiter, dialect.header, dialect.width = delimiter, named, len(header)
            dialect.places = [place for place, name in enumerate(header) if name]
            return True
    return False


def _take_sample(dialect: Dialect) -> None:
    """Detect the decimal mark and the number of fields from the first rows."""
    rows = []
    for _, line in dialect.lines():
        rows.append(split_line(line.rstrip("\n"), dialect.delimiter) or [])
        if len(rows) == _SAMPLE:
            break
    widths = Counter(map(len, rows))
    if widths and widths.most_common(1)[0][0] == dialect.width + 1:  # row names without a title
        dialect.width += 1
        dialect.places = [place + 1 for place in dialect.places]
    numbers = [
        (name, row[place].strip().translate(_MINUS))
        for row in rows
        if len(row) == dialect.width
        for place, name in zip(dialect.places, dialect.header, strict=True)
        if columns.is_number_column(name)
    ]
    _take_mark(dialect, numbers)


def _take_mark(dialect: Dialect, numbers: Sequence[tuple[str, str]]) -> None:
    """Detect the decimal mark, or describe why it is ambiguous."""
    how = "without thousands separators"
    for name, value in numbers:
        if _GROUPED.fullmatch(value) or (name in columns.WHOLE_NUMBERS and _THREE.fullmatch(value)):
            dialect.refused = (
                f"has {value!r} in the column {name}: a thousands separator and a decimal mark "
                "cannot be distinguished"
            )
            dialect.advice = advice(how)
            return
    marked = [value for _, value in numbers if _MARKED.fullmatch(value)]
    commas = [value for value in marked if "," in value]
    points = len(marked) - len(commas)
    if len(commas) > points:
        dialect.mark = ","
    if min(len(commas), points) > _MOST_DISAGREE * len(marked):
        dialect.refused = "has a decimal comma in some numbers and a decimal point in others"
        dialect.advice = advice("with one decimal mark")
    elif dialect.mark == "," and all(_THREE.fullmatch(value) for value in commas):
        dialect.refused = (
            f"has commas in its numbers that may be decimal or of thousands, such as {commas[0]!r}"
        )
        dialect.advice = advice(how)


def _whole(number: str) -> str:
    """Return a whole number without decimals and exponent; empty for other numbers."""
    try:
        value = Decimal(number)
    except InvalidOperation:
        return ""
    if value.adjusted() > 15 or value != value.to_integral_value():
        return ""
    return str(int(value))
