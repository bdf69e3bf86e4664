"""Rows of metrics.csv in little memory: a study of thousands of runs has hundreds of thousands."""

from collections.abc import Iterable, Iterator, MutableMapping
from sys import intern

from dropout_lab.results import Row

_BETWEEN = "\0"  # stands in no field: a file with it is damaged


class CompactRows(MutableMapping[str, list[Row]]):
    """The rows of each run, by its id: kept as one text each, and made into rows when asked for.

    As a dictionary of strings a row takes four times as much. What is returned is a copy; to change
    what is kept, set it.

    Args:
        rows: Those of any runs, each run's in their order.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._texts: dict[str, list[tuple[str, str]]] = {}  # names and values of each row's fields
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Add a row to those of its run."""
        self._texts.setdefault(row["run_id"], []).append(_packed(row))

    def __getitem__(self, run_id: str) -> list[Row]:
        return [
            dict(zip(names.split(_BETWEEN), values.split(_BETWEEN), strict=True))
            for names, values in self._texts[run_id]
        ]

    def __setitem__(self, run_id: str, rows: Iterable[Row]) -> None:
        self._texts[run_id] = [_packed(row) for row in rows]

    def __delitem__(self, run_id: str) -> None:
        del self._texts[run_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def _packed(row: Row) -> tuple[str, str]:
    return intern(_BETWEEN.join(row)), _BETWEEN.join(row.values())
