"""Store rows of tables compactly: large studies have hundreds of thousands."""

from collections.abc import Iterable, MutableSequence
from sys import intern
from typing import overload

from dropout_lab.results.text import Row

_BETWEEN = "\0"  # stands in no field: a file with it is damaged


class PackedRows(MutableSequence[Row]):
    """A list of rows that stores each row as one text.

    As a dictionary of strings a row takes four times as much. What is returned is a copy; to change
    what is kept, set it.

    Args:
        rows: What is in it.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows = [(names_of(row), values_of(row)) for row in rows]

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> "PackedRows": ...

    def __getitem__(self, index: int | slice) -> "Row | PackedRows":
        if isinstance(index, int):
            [row] = rows_of(*self._rows[index])
            return row
        part = PackedRows()
        part._rows = self._rows[index]
        return part

    @overload
    def __setitem__(self, index: int, value: Row) -> None: ...

    @overload
    def __setitem__(self, index: slice, value: Iterable[Row]) -> None: ...

    def __setitem__(self, index: int | slice, value: Row | Iterable[Row]) -> None:
        if isinstance(index, int):
            [self._rows[index]] = PackedRows([value])._rows  # type: ignore[list-item]
        else:
            self._rows[index] = PackedRows(value)._rows  # type: ignore[arg-type]

    def __delitem__(self, index: int | slice) -> None:
        del self._rows[index]

    def insert(self, index: int, value: Row) -> None:
        """Insert a row before an index."""
        self._rows.insert(index, (names_of(value), values_of(value)))

    def __len__(self) -> int:
        return len(self._rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MutableSequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))


def names_of(row: Row) -> str:
    """Return the names of a row's fields as one interned text."""
    return intern(_BETWEEN.join(row))


def values_of(row: Row) -> str:
    """Return a row's fields as one text."""
    return _BETWEEN.join(row.values())


def rows_of(names: str, values: str) -> list[Row]:
    """Return the rows that a text stores."""
    keys, fields = names.split(_BETWEEN), values.split(_BETWEEN)
    width = len(keys)
    return [
        dict(zip(keys, fields[at : at + width], strict=True)) for at in range(0, len(fields), width)
    ]


def joined(one: str, other: str) -> str:
    """Join two texts of rows with the same fields."""
    return f"{one}{_BETWEEN}{other}"
