"""Read CSV tables: the intact rows, and the faults of the others in words.

Whatever bytes stand in the file, reading ends in a table; how bad it is is for the reader to say.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from dropout_lab.errors import DamageError
from dropout_lab.files import open_file, read_error
from dropout_lab.printable import command, printable
from dropout_lab.results import columns, names
from dropout_lab.results.dialect import LONGEST_LINE, advice, dialect_of
from dropout_lab.results.faults import Table
from dropout_lab.results.row_check import CONTROL, RowCheck
from dropout_lab.results.text import Row, split_line

LARGEST_TABLE = 2_000_000_000  # bytes; rows in memory take several times that
_NO_HEADER = "its first line is a row, not the header"
MOST_FAULTS = 10_000  # more are no damage but another file


def read_table(path: Path, known: Collection[str] | None = None) -> Table:
    """Read a CSV file of a results folder. A missing file has no rows.

    A row counts only with its newline and all its fields: a number cut short is still a number.

    Args:
        path: Its name says which columns it must have.
        known: The ids of the runs there can be; none: any.

    Raises:
        DamageError: The file is there and is not the table that was written.
        StorageError: The system refuses to read it.
    """
    table = scan_table(path, known)
    if table.advice:
        raise DamageError(f"{path} {table.unreadable}; {table.advice}.")
    if table.unreadable:
        raise DamageError(
            f"{path} {table.unreadable}. Restore the file, or see what can be repaired: "
            f"{command('doctor', path.parent)}"
        )
    return table


def read_rows(path: Path) -> list[Row]:
    """Return the intact rows of a CSV file; see :func:`read_table`."""
    return list(read_table(path).rows)


def scan_table(
    path: Path, known: Collection[str] | None = None, header: Sequence[str] = ()
) -> Table:
    """Read as much as possible of any CSV file; see :func:`read_table`.

    It is read as it was written here. Where that fails, perhaps another program wrote it.

    Args:
        path: Its name says which columns it must have.
        known: The ids of the runs there can be; none: any.
        header: What its header was, in case that is lost and its first line is a row.

    Raises:
        StorageError: The system refuses to read it: that says nothing of its content.
    """
    table = Table(path)
    if not os.path.lexists(path):
        return table
    try:
        if not path.is_file():
            table.unreadable = "is no file"
        elif (size := path.stat().st_size) > LARGEST_TABLE:
            table.unreadable = f"has {size:,} bytes; tables up to {LARGEST_TABLE:,} are read"
        else:
            with open_file(path) as file:
                _read_header(table, file.readline(LONGEST_LINE), header)
                if table.foreign:  # the first line is a row
                    file.seek(0)
                if table.header:
                    _read_rows(table, RowCheck(table, known), _lines(file))
            if table.unreadable or table.left_out or table.foreign:
                table = _better(table, _of_another_program(path, known))
    except OSError as error:
        raise read_error(path, error) from error
    return table


def _of_another_program(path: Path, known: Collection[str] | None) -> Table | None:
    """Read a table that another program wrote; None if it is not one of ours."""
    dialect = dialect_of(path, columns.NEEDED.get(path.name, ("run_id",)))
    if dialect is None:
        return None
    table = Table(path, dialect.header, unreadable=dialect.refused, advice=dialect.advice)
    if not table.unreadable:
        check = RowCheck(table, known, dialect)
        _read_rows(table, check, dialect.lines())
        table.foreign = dialect.words
    return table


def _better(table: Table, other: Table | None) -> Table:
    """Return the reading of a file that omits fewer rows."""
    fails = bool(table.unreadable or table.foreign)
    if other is not None and (fails or other.advice or other.left_out < table.left_out):
        table = other
    odd = [fault for fault in table.faults if fault.odd and fault.kind == "left out"]
    if len(odd) > max(1, len(table.rows)) and not table.unreadable:
        table.unreadable = f"has mostly rows that cannot be read, such as: {odd[0]}"
        table.advice = advice("with plain numbers, without per cent signs, dates or currencies")
    return table


def _read_header(table: Table, line: bytes, lost: Sequence[str]) -> None:
    """Read the header; describe why it is not ours.

    Where the first line is a row as wide as the header that the table had, that is its header.
    """
    needed = columns.NEEDED.get(table.path.name, ("run_id",))
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        table.unreadable = "cannot be read: its first line is no UTF-8 text"
        return
    if not line.endswith(b"\n") or CONTROL.search(text.rstrip("\r\n")):
        what = "the file is empty" if not line else "its first line is cut short or no text"
        table.unreadable = f"cannot be read: {what}"
        return
    header = [printable(name) for name in split_line(text) or []]
    if lost and len(header) == len(lost) and names.RUN_ID.fullmatch(header[0]):
        table.header = list(lost)
        table.foreign = f"has lost its header: {_NO_HEADER}"
        table.headless = True
        return
    if set(needed) <= set(header) and len(set(header)) == len(header):
        table.header = header
        return
    missing = ", ".join(name for name in needed if name not in header)
    why = f"has no column {missing}" if missing else "names a column twice in its header"
    if header and names.RUN_ID.fullmatch(header[0]):
        why += f"; {_NO_HEADER}"
    table.unreadable = f"{why}; it was changed by another program"


def _read_rows(
    table: Table, check: RowCheck, lines: Iterable[tuple[int, bytes]] | Iterable[tuple[int, str]]
) -> None:
    """Read the rows and their faults."""
    worse = 0
    for number, line in lines:
        fault, row = check(number, line)
        if fault is not None:
            table.faults.append(fault)
            worse += 1
            if worse > MOST_FAULTS:
                table.unreadable = f"has more than {MOST_FAULTS:,} damaged rows"
                table.advice = advice("as it was") if table.rows else ""
                return
        elif row is not None:
            check.add(number, row)
    check.sort()
    table.faults.sort(key=lambda fault: fault.line)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the remaining lines with their numbers; only the beginning of overlong lines."""
    number = 1 if file.tell() else 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        yield number, line
        while len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE)
