"""Merge the rows of ensembles.csv on disk with new ones."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dropout_lab import results
from dropout_lab.config.grid import Cell, Run
from dropout_lab.config.schema import Settings
from dropout_lab.files import backup_file, replace_file
from dropout_lab.folder.digests import rows_digest
from dropout_lab.results import Row, cell_text


@dataclass(frozen=True)
class Ensembles:
    """The new content of ensembles.csv.

    Args:
        path: The file.
        header: Its columns.
        lines: Its rows, one for each cell.
        digests: The SHA-256 of each row, by the first run of its cell.
        damaged: Whether rows are lost by it, or are written in another way.
    """

    path: Path
    header: Sequence[str]
    lines: Sequence[Row]
    digests: Mapping[str, str]
    damaged: bool

    def write(self) -> list[str]:
        """Write the file; describe the damage of the old one in a sentence."""
        told = []
        if self.damaged:
            beside = backup_file(self.path).name
            told = [f"{self.path} was damaged; the original is {beside}."]
        if self.lines:
            replace_file(self.path, results.table_text(self.header, self.lines))
        return told


def new_ensembles(
    path: Path,
    made: Sequence[Mapping[str, Any]],
    swept: Sequence[str],
    runs: Iterable[Run],
    base: Mapping[str, Any],
    believed: Collection[str] | None,
) -> Ensembles:
    """Return the new content of ensembles.csv; see :func:`merged`.

    A row that is there and averages more networks than can be had now stays: predictions that are
    no longer there make no result less.

    Args:
        path: The file.
        made: What could be made now, with the swept values of each cell.
        swept: The swept keys.
        runs: Those of the study.
        base: The study's own settings.
        believed: The digests of the rows to keep of those that are there; None: all.
    """
    there = results.read_table(path)
    kept = [row for row in there.rows if believed is None or _digest(row) in believed]
    firsts: dict[Settings, Run] = {}
    for run in runs:
        firsts.setdefault(run.settings, run)
    header, lines, strange = merged(made, kept, swept, firsts.values(), base)
    damaged = strange or there.foreign or any(fault.kind != "torn" for fault in there.faults)
    digests = {run_id: _digest(line) for run_id, line in lines.items()}
    damaged = bool(damaged or len(kept) < len(there.rows))
    return Ensembles(path, header, list(lines.values()), digests, damaged)


def _digest(row: Row) -> str:
    return rows_digest(results.ENSEMBLES, "", [row])


def merged(
    made: Sequence[Mapping[str, Any]],
    there: Sequence[Row],
    swept: Sequence[str],
    runs: Iterable[Run],
    base: Mapping[str, Any],
) -> tuple[list[str], dict[str, Row], int]:
    """Return header and rows; each cell has the row that averages the most networks.

    A row has the id of the first run of its cell.

    The last number is how many rows that are there are of no cell, and left out.

    Args:
        made: What could be made now, with the swept values of each cell.
        there: What stands in the file; it may lack keys that are swept only since.
        swept: The swept keys.
        runs: The first of each cell.
        base: The study's own settings, which hold where a key was not swept yet.
    """
    new = [{key: cell_text(value) for key, value in row.items()} for row in made]
    header = list(dict.fromkeys([*swept, *(key for row in (*new, *there) for key in row)]))
    rows: dict[str, Row] = {}
    placed: set[int] = set()
    for run in runs:
        cell = run.cell
        values = {key: cell_text(cell.values.get(key)) for key in swept}
        own = [row for row in new if all(row[key] == text for key, text in values.items())]
        before = [i for i, row in enumerate(there) if _is_of(row, cell, values, base)]
        placed |= set(before)
        old = [{**there[i], **values} for i in before]
        candidates = [*old, *own]
        if candidates:
            rows[run.run_id] = max(
                reversed(candidates), key=lambda row: int(float(row["seeds"] or 0))
            )
    return header, rows, len(there) - len(placed)


def _is_of(row: Row, cell: Cell, values: Row, base: Mapping[str, Any]) -> bool:
    """Return whether a row belongs to a cell."""
    for key, text in values.items():
        section, _, name = key.partition(".")
        at_base = ("", cell_text(base.get(section, {}).get(name)))
        if key in row and not _same(row[key], text):
            return False
        if key not in row and text not in at_base:
            return False
    return True


def _same(one: str, other: str) -> bool:
    try:
        return one == other or float(one) == float(other)
    except ValueError:
        return False
