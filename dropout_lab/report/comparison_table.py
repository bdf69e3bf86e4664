"""The table of a comparison of studies: one row for each cell and study, in every format."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dropout_lab import __version__
from dropout_lab.analysis.study_comparison import StudyComparison, facts_of, number_ranges
from dropout_lab.analysis.style import cell_name
from dropout_lab.analysis.tables import (
    STUDY,
    StudyTables,
    describe_epoch,
    describe_missing_runs,
)
from dropout_lab.report import provenance
from dropout_lab.report.cell_table import (
    CellTable,
    Column,
    Field,
    TableRow,
    cell_table,
    interval,
    percent,
    percent_and_sd,
)
from dropout_lab.report.exports import records
from dropout_lab.report.json_format import FORMAT, ComparisonData

_MISSING = Field("–", math.nan)
# Places in the table of cells, after the columns of cells and studies.
_ACCURACY, _DIFFERENCE = 2, 5
_SHOWN = 12  # characters of a digest


def comparison_table(comparison: StudyComparison, *, errors: bool = False) -> CellTable:
    """Return the table of a comparison.

    Args:
        comparison: The compared cells.
        errors: Whether to show test errors in percent, as papers do, instead of accuracies.
    """
    tables = comparison.joined.tables
    made = cell_table(tables, comparison.table, comparison.against, errors=errors)
    chosen = {cell.name for cells in comparison.chosen.values() for cell in cells}
    rows = []
    for row, (index, cell) in zip(made.rows, comparison.table.iterrows(), strict=True):
        fields = [row.fields[0], Field(cell[STUDY]), *row.fields[1:]]
        if not math.isnan(cell["unpaired_difference"]):
            fields[_DIFFERENCE] = _unpaired(cell, errors=errors)
        fields.append(_reproduced(cell))
        several = len(comparison.cells_of(cell[STUDY])) > 1
        marked = index in chosen and several
        rows.append(TableRow(tuple(fields), marked, row.reference))
    studies = Column(STUDY, "The study that trained the cell.", short=True, numeric=False)
    reproduced = Column(
        "equal runs",
        "Where a cell and its reference have the same settings: pairs of runs with identical "
        "numbers in every recorded epoch.",
    )
    note = made.note.replace(
        "best mean validation accuracy with dropout",
        "best mean validation accuracy with dropout in its study",
    )
    if comparison.table["unpaired_difference"].notna().any():
        note = f"{note.removesuffix('.')}; unpaired: Welch's interval."
    return replace(
        made,
        title=f"{tables.manifest.name}: {describe_epoch(tables)}, dropout off",
        columns=(made.columns[0], studies, *made.columns[1:], reproduced),
        rows=tuple(rows),
        note=note,
    )


def side_by_side(
    comparison: StudyComparison, cells: CellTable, *, errors: bool = False
) -> CellTable | None:
    """Return the short table with a row for each cell, and the studies as columns.

    None if cells are not compared with the same cell of another study.

    Args:
        comparison: The compared cells.
        cells: The table of :func:`comparison_table`.
        errors: Whether the table shows test errors.
    """
    if comparison.against is None or set(comparison.against) != {STUDY}:
        return None
    names = comparison.joined.names
    others = [name for name in names if name != comparison.against[STUDY]]
    rows = []
    for indices in comparison.rows:
        place_of = {comparison.table.at[place, STUDY]: place for place in indices}
        fields = {name: cells.rows[place].fields for name, place in place_of.items()}
        values = [_value_field(cells.rows[place_of[n]]) if n in fields else _MISSING for n in names]
        differences = [
            fields[name][_DIFFERENCE + offset] if name in fields else _MISSING
            for name in others
            for offset in range(3)
        ]
        label = cells.rows[indices[0]].fields[0]
        rows.append(TableRow((label, *values, *differences), chosen=False, reference=False))
    what = "error" if errors else "accuracy"
    columns = [cells.columns[0]]
    columns += [
        Column(name, f"Test {what} in %, mean ± SD (n), of {name}.", short=True) for name in names
    ]
    for name in others:
        prefix = f"{name}: " if len(others) > 1 else ""
        columns += [
            replace(column, name=f"{prefix}{column.name}")
            for column in cells.columns[_DIFFERENCE : _DIFFERENCE + 3]
        ]
    title = cells.title.replace(": ", f": test {what} in %, ", 1)
    note = cells.note.replace("gap: train − test accuracy; ", "").replace("* best", "*: best")
    return replace(cells, title=title, columns=tuple(columns), rows=tuple(rows), note=note)


def comparison_rows(
    comparison: StudyComparison, cells: CellTable, *, errors: bool
) -> list[dict[str, Any]]:
    """Return all numbers of each cell; see :func:`exports.records`."""
    rows = records(comparison.table, cells, errors=errors)
    studies = comparison.table[STUDY]
    found = []
    for row, reference in zip(rows, comparison.table["reference"], strict=True):
        row["reference_study"] = None if row["reference"] is None else studies[int(reference)]
        found.append({"cell": row.pop("cell"), STUDY: row.pop(STUDY), **row})
    return found


def study_facts(comparison: StudyComparison) -> dict[str, list[str]]:
    """Return the rows of the table of studies: a text for each study."""
    joined = comparison.joined
    rows: dict[str, list[str]] = {"Question": [study.manifest.about for study in joined.studies]}
    for key, values in joined.differences.items():
        rows[key] = list(values)
    overviews = [provenance.overview(study) for study in joined.studies]
    for name in ("Varied", "Runs", "Data", "Network"):
        rows[name] = [overview[name] for overview in overviews]
    rows["Seeds"] = [_seeds(study) for study in joined.studies]
    rows["Best by validation"] = [
        "; ".join(
            f"{cell_name(cell, joined.tables.swept)}: "
            f"{percent_and_sd(cell['test_accuracy_mean'], cell['test_accuracy_sd'])}%"
            for cell in comparison.chosen[name]
        )
        or "–"
        for name in joined.names
    ]
    facts = [facts_of(study) for study in joined.studies]
    for key in dict.fromkeys(key for each in facts for key in each):
        rows[key] = [each.get(key) or "not recorded" for each in facts]
    rows["SHA-256 of the data"] = [_data(study) for study in joined.studies]
    return {name: texts for name, texts in rows.items() if any(texts)}


def comparison_data(
    comparison: StudyComparison, cells: CellTable, conclusions: Sequence[str], *, errors: bool
) -> ComparisonData:
    """Return the numbers and verdicts of a comparison.

    Raises:
        StorageError: A file of a study cannot be read.
    """
    joined, facts = comparison.joined, study_facts(comparison)
    studies = []
    for place, (name, study) in enumerate(zip(joined.names, joined.studies, strict=True)):
        chosen = [cell_name(cell, joined.tables.swept) for cell in comparison.chosen[name]]
        studies.append(
            {
                STUDY: name,
                "about": study.manifest.about,
                "incomplete": describe_missing_runs(study),
                "facts": {key: texts[place] for key, texts in facts.items()},
                "best_cells": chosen,
                "commands": provenance.commands(study),
                "digests": provenance.digests(study),
            }
        )
    return ComparisonData.model_validate(
        {
            "format": FORMAT,
            "kind": "comparison",
            "dropout_lab": __version__,
            "studies": studies,
            "differing_settings": {
                key: dict(zip(joined.names, values, strict=True))
                for key, values in joined.differences.items()
            },
            "damage": list(joined.tables.damage),
            "conclusions": list(conclusions),
            "planned_comparisons": comparison.planned,
            "cells": comparison_rows(comparison, cells, errors=errors),
        }
    )


def _value_field(row: TableRow) -> Field:
    """Return mean ± SD (n) of a row, with a star if validation chose the row in its study."""
    field = row.fields[_ACCURACY]
    return replace(field, text=field.text + " *" * row.chosen)


def _unpaired(cell: Any, *, errors: bool) -> Field:
    """Return the difference of two means of runs that are not paired."""
    mean, low, high = (cell[f"unpaired_{part}"] for part in ("difference", "low", "high"))
    if errors:
        mean, low, high = -mean, -high, -low
    return Field(f"{percent(mean, sign=True)} {interval(low, high)} unpaired", mean)


def _reproduced(cell: Any) -> Field:
    """Return how many pairs of runs have identical numbers."""
    if not cell["same_settings"] or not cell["pairs"]:
        return Field("–", math.nan)
    return Field(f"{cell['identical_runs']} of {cell['pairs']}", float(cell["identical_runs"]))


def _seeds(study: StudyTables) -> str:
    return number_ranges([run.seed for run in study.runs_by_id.values()])


def _data(study: StudyTables) -> str:
    """Return the beginnings of the digests of a study's data."""
    digests = list(dict.fromkeys(study.manifest.data_digests.values()))
    more = f" and {len(digests) - 3} more" if len(digests) > 3 else ""
    return ", ".join(f"{digest[:_SHOWN]}…" for digest in digests[:3]) + more
