"""The rows of ensembles.csv, put together from those that are there and those made now."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dropout_lab import results
from dropout_lab.config.grid import Cell, Run
from dropout_lab.files import keep_beside, replace_file
from dropout_lab.results import Row, cell_text


def write_ensembles(
    path: Path,
    made: Sequence[Mapping[str, Any]],
    swept: Sequence[str],
    runs: Iterable[Run],
    base: Mapping[str, Any],
) -> str:
    """Write ensembles.csv anew, see :func:`merged`; return in words what was wrong with it.

    A row that is there and averages more networks than can be had now stays: predictions that are
    no longer there make no result less.
    """
    there = results.read_table(path)
    header, lines, strange = merged(made, there.rows, swept, runs, base)
    damage = ""
    if strange or there.foreign or any(fault.kind != "torn" for fault in there.faults):
        damage = f"{path} was damaged; as it was, it is {keep_beside(path).name}."
    if lines:
        replace_file(path, results.table_text(header, lines))
    return damage


def merged(
    made: Sequence[Mapping[str, Any]],
    there: Sequence[Row],
    swept: Sequence[str],
    runs: Iterable[Run],
    base: Mapping[str, Any],
) -> tuple[list[str], list[Row], int]:
    """Return header and rows: for each cell the row that averages more networks, of two the new.

    The last number is how many rows that are there are of no cell, and left out.

    Args:
        made: What could be made now, with the swept values of each cell.
        there: What stands in the file; it may lack keys that are swept only since.
        swept: The swept keys.
        runs: Those of the study, for its cells.
        base: The study's own settings, which hold where a key was not swept yet.
    """
    new = [{key: cell_text(value) for key, value in row.items()} for row in made]
    header = list(dict.fromkeys([*swept, *(key for row in (*new, *there) for key in row)]))
    cells = list({run.settings: run.cell for run in runs}.values())
    rows, placed = [], set()
    for cell in cells:
        values = {key: cell_text(cell.values.get(key)) for key in swept}
        own = [row for row in new if all(row[key] == text for key, text in values.items())]
        before = [i for i, row in enumerate(there) if _is_of(row, cell, values, base)]
        placed |= set(before)
        old = [{**there[i], **values} for i in before]
        candidates = [*old, *own]
        if candidates:
            rows.append(max(reversed(candidates), key=lambda row: int(float(row["seeds"] or 0))))
    return header, rows, len(there) - len(placed)


def _is_of(row: Row, cell: Cell, values: Row, base: Mapping[str, Any]) -> bool:
    """Whether a row that is there is of a cell."""
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
