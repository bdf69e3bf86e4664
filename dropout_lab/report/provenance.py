"""The provenance of a study for its report: settings, commands, versions, machines, digests."""

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from typing import Any

import yaml
from pydantic import ValidationError

from dropout_lab.analysis.style import value_text
from dropout_lab.analysis.tables import MISSING, StudyTables, group_by_cell
from dropout_lab.config.grid import Cell, Run, sweep_cells
from dropout_lab.config.schema import Config
from dropout_lab.config.sections.dropout import is_baseline
from dropout_lab.config.sizes import layer_sizes
from dropout_lab.config.sweep import LABEL
from dropout_lab.files import sha256_of
from dropout_lab.report.cell_table import CellTable
from dropout_lab.results import MANIFEST, NEEDED, counted, one_line

_MAX_RUNS = 200
_MAX_MESSAGE = 500  # characters


@dataclass(frozen=True)
class Unfinished:
    """A run that did not complete."""

    run_id: str
    cell: str
    seed: int
    status: str
    epochs: str
    message: str


def unfinished(study: StudyTables, cells: CellTable) -> tuple[list[Unfinished], int]:
    """Return the runs that did not complete, up to a maximum, and the number of others."""
    groups = (group for _, group in group_by_cell(study.runs, study.swept))
    cell_of = {
        run_id: line.fields[0].text
        for line, group in zip(cells.rows, groups, strict=True)
        for run_id in group["run_id"]
    }
    rows = study.runs[~study.runs["status"].isin(["completed", MISSING])]
    listed = [
        Unfinished(
            run_id=str(row["run_id"]),
            cell=cell_of[row["run_id"]],
            seed=int(row["seed"]),
            status=str(row["status"]),
            epochs=value_text(row["epochs"]),
            message=one_line(str(row.get("message") or ""))[:_MAX_MESSAGE],
        )
        for _, row in rows.head(_MAX_RUNS).iterrows()
    ]
    return listed, max(0, len(rows) - _MAX_RUNS)


def overview(study: StudyTables) -> dict[str, str]:
    """Return an overview of the study: varied keys, runs, data, network, training time."""
    runs, settings = study.runs, study.manifest.study_settings()
    done = int((runs["status"] == "completed").sum())
    varied = [f"{key} ({_shown_values(study, key)})" for key in study.swept]
    cells = len(runs[list(study.swept)].drop_duplicates()) if study.swept else 1
    count = int((runs["status"] == MISSING).sum())
    missing = f", {count} not completed yet" if count else ""
    networks = {layer_sizes(run.settings) for run in study.runs_by_id.values()}
    return {
        "Varied": "; ".join(varied) or "nothing (one setting)",
        "Cells and seeds": f"{counted(cells, 'cell')}, {counted(runs['seed'].nunique(), 'seed')}",
        "Runs": f"{done} of {len(runs)} completed{missing}",
        "Data": settings.dataset.name,
        "Network": "varied" if len(networks) > 1 else "-".join(map(str, *networks)),
        "Training time": _duration(float(runs["seconds"].fillna(0).sum())) + ", sum of all runs",
    }


def config_text(study: StudyTables) -> str:
    """Return a config for the runs of the study as YAML, including all defaults."""
    manifest = study.manifest
    runs = list(manifest.list_runs().values())
    seeds = sorted({run.seed for run in runs})
    data: dict[str, Any] = {"name": manifest.name, "about": manifest.about, **manifest.settings}
    for key, noted in (("published", manifest.published), ("figure", manifest.figure)):
        if noted:
            data[key] = noted.model_dump(mode="json")
    data["seeds"] = len(seeds) if seeds == list(range(len(seeds))) else seeds
    data["sweep"] = _sweep_section(data, runs, study.swept, manifest.labelled)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def commands(study: StudyTables) -> list[str]:
    """Return the distinct commands that trained the study, in order."""
    sessions = (session.command for session in study.manifest.sessions)
    return [command for command in dict.fromkeys(sessions) if command]


def environments(study: StudyTables) -> list[dict[str, str]]:
    """Return the distinct versions and machines that the study was trained with."""
    found = []
    for session in study.manifest.sessions:
        facts = {
            "dropout-lab": session.dropout_lab or None,
            "git commit": session.git_commit,
            "python": session.python or None,
            **session.packages,
            **session.machine,
        }
        found.append({key: str(value) for key, value in facts.items() if value is not None})
    return [dict(facts) for facts in dict.fromkeys(tuple(each.items()) for each in found)]


def digests(study: StudyTables) -> dict[str, str]:
    """Return the SHA-256 of the settings, the data, the plugins and the files of the study.

    Raises:
        StorageError: A file cannot be read.
    """
    manifest = study.manifest
    found = {"settings": manifest.settings_digest}
    found |= {f"data {key}": value for key, value in manifest.data_digests.items()}
    found |= {f"plugin {name}": entry.sha256 for name, entry in manifest.plugins.items()}
    for name in (MANIFEST, *NEEDED):
        if digest := sha256_of(study.path / name):
            found[name] = digest
    return found


def _sweep_section(
    data: Mapping[str, Any], runs: list[Run], swept: tuple[str, ...], labelled: Sequence[str]
) -> dict[str, Any]:
    """Return a section ``sweep`` for these runs: a grid with listed cells, or all cells listed.

    Args:
        data: The other sections of the config.
        runs: The runs.
        swept: The swept keys.
        labelled: The swept keys that listed cells set.
    """
    cells = {run.settings: run.cell for run in runs}
    axes = [key for key in swept if key not in labelled]
    all_values: dict[str, list[Any]] = {key: [] for key in axes}
    dropout_values: dict[str, list[Any]] = {key: [] for key in axes}  # only cells with dropout
    listed_cells: list[dict[str, Any]] = []
    for settings, cell in cells.items():
        values = _values_as_json(cell)
        entry = {LABEL: cell.label} if cell.label else {}
        entry |= {key: value for key, value in values.items() if key in labelled}
        listed_cells += [entry] if entry and entry not in listed_cells else []
        for grid in (all_values,) if is_baseline(settings) else (all_values, dropout_values):
            for key in grid.keys() & values.keys():
                grid[key] += [values[key]] if values[key] not in grid[key] else []
    labelled_cells = [entry for entry in listed_cells if LABEL in entry]
    tried: list[dict[str, Any]] = []
    for grid, (baseline, listed) in product(
        (all_values, dropout_values),
        ((True, labelled_cells), (True, listed_cells), (False, listed_cells)),
    ):
        sweep = {"grid": grid, "baseline": baseline, **({"cells": listed} if listed else {})}
        if sweep in tried:
            continue
        tried.append(sweep)
        with suppress(ValidationError):  # the config refuses this combination
            swept_cells = sweep_cells(Config.model_validate({**data, "sweep": sweep}))
            labels = {cell.settings: cell.label for cell in swept_cells}
            if labels == {settings: cell.label for settings, cell in cells.items()}:
                return sweep
    return {
        "baseline": False,
        "cells": [
            {**({LABEL: cell.label} if cell.label else {}), **_values_as_json(cell)}
            for cell in cells.values()
        ],
    }


def _shown_values(study: StudyTables, key: str) -> str:
    values = [value for value in dict.fromkeys(study.runs[key]) if value is not None]
    words = list(dict.fromkeys(value_text(value) for value in values if value == value))
    shown = words if len(words) <= 12 else [*words[:5], "…", *words[-5:]]
    return ", ".join(shown)


def _values_as_json(cell: Cell) -> dict[str, Any]:
    """Return the swept values of a cell except null, with tuples as lists."""
    values: dict[str, Any] = json.loads(json.dumps(dict(cell.values)))
    return {key: value for key, value in values.items() if value is not None}


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if not math.isfinite(seconds) or seconds < 90:
        return f"{seconds:.1f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
