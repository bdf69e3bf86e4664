"""The rows of each run in compact form."""

from collections.abc import Iterable, Iterator, MutableMapping

from dropout_lab.results import Row
from dropout_lab.results.packed import joined, names_of, rows_of, values_of


class CompactRows(MutableMapping[str, list[Row]]):
    """A mapping from run id to rows, which stores each run's rows as one text.

    As dictionaries of strings they take five times as much. What is returned is a copy; to change
    what is kept, set it.

    Args:
        rows: Those of any runs, each run's in their order.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._texts: dict[str, list[tuple[str, str]]] = {}  # names, and fields of all such rows
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Append a row to the rows of its run."""
        self._add(row["run_id"], row)

    def _add(self, run_id: str, row: Row) -> None:
        texts = self._texts.setdefault(run_id, [])
        names, fields = names_of(row), values_of(row)
        if texts and texts[-1][0] is names:
            texts[-1] = names, joined(texts[-1][1], fields)
        else:
            texts.append((names, fields))

    def __getitem__(self, run_id: str) -> list[Row]:
        return [row for names, fields in self._texts[run_id] for row in rows_of(names, fields)]

    def __setitem__(self, run_id: str, rows: Iterable[Row]) -> None:
        self._texts[run_id] = []
        for row in rows:
            self._add(run_id, row)

    def __delitem__(self, run_id: str) -> None:
        del self._texts[run_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._texts  # without making its rows
