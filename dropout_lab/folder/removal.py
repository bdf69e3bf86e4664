"""Remove cells from a study; the manifest records the removal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dropout_lab.config.grid import Run
from dropout_lab.config.sections.dropout import is_baseline
from dropout_lab.errors import ConfigError, StorageError
from dropout_lab.folder.study_folder import StudyFolder
from dropout_lab.results import RemovalEntry, cell_text, comparable


@dataclass(frozen=True)
class Removal:
    """The result of a removal.

    Args:
        runs: The runs, without their results.
        findings: What was done to the files, in sentences.
    """

    runs: tuple[Run, ...]
    findings: tuple[str, ...]


def remove_cells(path: Path, values: Mapping[str, Any], *, dry_run: bool = False) -> Removal:
    """Remove the cells that have some values from a study.

    Each table that loses rows is backed up first. The manifest records what was removed, so that
    the comparisons still count in the correction of a report: results were seen.

    Args:
        path: The study's folder.
        values: Swept keys, dotted, and the values that a cell must have to be removed.
        dry_run: Whether to leave everything as it is.

    Raises:
        ConfigError: A key was not swept, or no cell has these values.
        StorageError: It is no study's folder, all its cells have the values, or another process
            writes it.
    """
    folder = StudyFolder(path)
    if folder.manifest is None:
        raise StorageError(f"{path} is not the folder of a study.")
    known = folder.manifest.list_runs()
    removed = _matching(tuple(known.values()), folder.manifest.swept, values)
    rest = {run_id: run for run_id, run in known.items() if run not in removed}
    if not rest:
        raise StorageError(
            f"All runs of {path} have these values, and nothing would be left. To remove the whole "
            "study, delete its folder."
        )
    if dry_run:
        return Removal(removed, ())
    with folder:
        manifest = folder.manifest
        manifest.runs = {i: entry for i, entry in manifest.runs.items() if i in rest}
        fleets = [[i for i in fleet if i in rest] for fleet in manifest.fleets]
        manifest.fleets = [fleet for fleet in fleets if fleet]
        record = RemovalEntry(
            values={key: cell_text(value) for key, value in values.items()},
            removed=datetime.now(UTC).isoformat(timespec="seconds"),
            runs=[run.run_id for run in removed],
            comparisons=len({run.cell.settings for run in removed if _is_compared(run)}),
        )
        manifest.removed = [*manifest.removed, record]
        folder.write_manifest(manifest)  # first: rows that no manifest lists are left out
        folder.rewrite(rest, manifest.swept)
        folder.write_ensembles([])
        return Removal(removed, tuple(folder.findings))


def _is_compared(run: Run) -> bool:
    return not is_baseline(run.settings)


def _matching(
    runs: Sequence[Run], swept: Sequence[str], values: Mapping[str, Any]
) -> tuple[Run, ...]:
    """Return the runs of the cells that have the values."""
    unknown = [key for key in values if key not in swept]
    if unknown:
        known = ", ".join(swept) or "nothing"
        raise ConfigError([f"{key} was not swept here; swept: {known}." for key in unknown])
    found = tuple(
        run
        for run in runs
        if all(
            comparable(run.cell.values.get(key)) == comparable(value)
            for key, value in values.items()
        )
    )
    if found:
        return found
    mistakes = []
    for key, value in values.items():
        there = ", ".join(dict.fromkeys(comparable(run.cell.values.get(key)) for run in runs))
        mistakes.append(f"No cell has {key}={comparable(value)} with the rest; there are {there}.")
    raise ConfigError(mistakes)
