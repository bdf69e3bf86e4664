"""A study's CSV files as data frames, and its cells summed up over the seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dropout_lab import results
from dropout_lab.analysis.statistics import t_interval
from dropout_lab.config.grid import Run, run_id, without
from dropout_lab.config.schema import Settings, without_dropout
from dropout_lab.errors import DamageError, StorageError
from dropout_lab.folder.judge import READING_ORDER, damages, in_short
from dropout_lab.results import Table

MISSING = "missing"  # the status of a planned run that has no row in runs.csv


@dataclass(frozen=True)
class Label:
    """A cell's name in the config, and the dotted keys that it stands for."""

    text: str
    keys: frozenset[str]


@dataclass(frozen=True)
class StudyTables:
    """A study as it was read.

    Args:
        path: Its folder.
        manifest: What was asked.
        swept: The swept keys, dotted.
        known: The runs that the manifest lists, by id.
        runs: runs.csv, with three more columns: ``bare`` (nothing is dropped), ``partner`` (the
            run_id of the run without dropout of the same seed and otherwise equal settings) and
            ``label`` (the cell's name in the config). A planned run that has no row there yet is
            at the end, with the status ``missing``.
        metrics: metrics.csv, with the same three columns.
        inference: inference.csv, with the same three columns; empty if there is none.
        monte_carlo: monte_carlo.csv, likewise.
        ensembles: ensembles.csv; empty if there is none.
        findings: What another program or a kill left in the files, in sentences.
        reliability: reliability.csv, likewise.
        activations: activations.csv, likewise.
    """

    path: Path
    manifest: dict[str, Any]
    swept: tuple[str, ...]
    known: Mapping[str, Run]
    runs: pd.DataFrame
    metrics: pd.DataFrame
    inference: pd.DataFrame
    monte_carlo: pd.DataFrame
    ensembles: pd.DataFrame
    findings: tuple[str, ...] = ()
    reliability: pd.DataFrame = field(default_factory=pd.DataFrame)
    activations: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def removed(self) -> tuple[str, int]:
        """The cells that were removed from the study, in words, and how many were compared."""
        records = [
            record
            for record in self.manifest.get("removed", ())
            if not self.known.keys() & set(record["runs"])  # else they are trained again
        ]
        words = [
            ", ".join(f"{key} = {value or 'none'}" for key, value in record["values"].items())
            for record in records
        ]
        return "; ".join(words), sum(record["comparisons"] for record in records)

    @cached_property
    def completed(self) -> list[pd.DataFrame]:
        """The completed runs of each cell by seed, in the order of :func:`cells`."""
        return [
            group[group["status"] == "completed"].set_index("seed")
            for _, group in by_cell(self.runs, self.swept)
        ]


def read_study(path: Path) -> StudyTables:
    """Read a study's folder.

    Raises:
        DamageError: Something in it is not what was written.
        StorageError: It is no study's folder, has no finished run yet, or cannot be read.
    """
    manifest = results.read_manifest(path)
    if manifest is None:
        raise StorageError(f"{path} has no {results.MANIFEST}; it is not the folder of a study.")
    known, swept = results.runs_in(manifest), tuple(manifest["swept"])
    tables = {name: results.read_table(path / name, known) for name in READING_ORDER}
    if damaged := damages(path, manifest, known, tables):
        raise DamageError(
            f"{path} is damaged.\n{in_short(damaged)}\n"
            f"To repair it: {results.command('doctor', path, '--fix')}, then run the command that "
            "made the study again."
        )
    ensembles = tables.pop(results.ENSEMBLES)
    findings = [line for table in (*tables.values(), ensembles) for line in table.sentences]
    if not tables[results.RUNS].rows:
        lost = "; ".join(["", *findings])
        raise StorageError(
            f"{path} has no finished run yet{lost}; run the command that trains it again."
        )
    del tables[results.DIGESTS]
    for table in tables.values():
        table.rows = list(table.rows)  # to be changed
    _add_missing(tables[results.RUNS], known)
    extra = pd.DataFrame(
        [
            (
                run.run_id,
                without_dropout(run.settings),
                run_id(without(run.settings), run.seed),
                run.cell.label,
            )
            for run in known.values()
        ],
        columns=["run_id", "bare", "partner", "label"],
    )
    frames = {name: _frame(_led(table, known, swept)) for name, table in tables.items()}
    merged = {name: frame.merge(extra, on="run_id") for name, frame in frames.items()}
    return StudyTables(
        path=path,
        manifest=manifest,
        swept=swept,
        known=known,
        runs=merged[results.RUNS],
        metrics=merged[results.METRICS],
        inference=merged[results.INFERENCE],
        monte_carlo=merged[results.MONTE_CARLO],
        ensembles=_frame(_widened(ensembles, manifest)),
        findings=tuple(findings),
        reliability=merged[results.RELIABILITY],
        activations=merged[results.ACTIVATIONS],
    )


def incomplete(study: StudyTables) -> str:
    """Say how many planned runs have no result yet: ``incomplete: 12 of 24 runs are missing``.

    Interrupted runs count as missing, since the same command trains them on; diverged and failed
    runs do not. Empty where nothing is missing.
    """
    runs = study.runs
    count = int(runs["status"].isin([MISSING, "interrupted"]).sum())
    verb = "is" if count == 1 else "are"
    return f"incomplete: {count} of {results.counted(len(runs), 'run')} {verb} missing" * bool(
        count
    )


def when(study: StudyTables) -> str:
    """Return in words what a study's last values are of: its last epoch, or its best."""
    patience = study.manifest["settings"]["training"].get("patience")
    if "training.patience" in study.swept or patience is not None:
        return "at the best epoch by validation"
    return "after the last epoch"


@np.errstate(all="ignore")  # the loss of a run may be infinite
def cells(study: StudyTables) -> pd.DataFrame:
    """Return one row for each planned cell, over its completed runs.

    Columns: the swept keys; ``label`` (a :class:`Label` or None); ``bare``; ``seeds`` (completed
    runs); ``others`` (diverged, failed or interrupted ones); ``missing`` (runs that are planned
    and have no result); for test_accuracy,
    validation_accuracy, accuracy_gap and test_loss ``<name>_mean`` and ``<name>_sd`` (n - 1); for
    the paired difference in test accuracy to the run without dropout of the same seed
    ``difference_mean``, ``difference_half`` (half the width of its 95 % t interval) and ``pairs``.
    nan where there are too few runs.
    """
    runs = study.runs
    done = _with_difference(runs)
    rows = []
    keys = frozenset(study.manifest.get("labelled", ()))
    for values, group in by_cell(runs, study.swept):
        mine = done[done["run_id"].isin(group["run_id"])]
        row: dict[str, Any] = dict(zip(study.swept, values, strict=True))
        label = group["label"].iloc[0]
        row["label"] = Label(label, keys) if label else None
        row |= {"bare": bool(group["bare"].iloc[0]), "seeds": len(mine)}
        row["missing"] = int((group["status"] == MISSING).sum())
        row["others"] = len(group) - len(mine) - row["missing"]
        for name in ("test_accuracy", "validation_accuracy", "accuracy_gap", "test_loss"):
            row[f"{name}_mean"], row[f"{name}_sd"] = mine[name].mean(), mine[name].std()
        pairs = mine["difference"].dropna()
        row["difference_mean"] = pairs.mean()
        row["difference_half"] = half_width(pairs.to_numpy())
        row["pairs"] = len(pairs)
        rows.append(row)
    return _without_named_too(pd.DataFrame(rows), keys)


def _without_named_too(table: pd.DataFrame, keys: frozenset[str]) -> pd.DataFrame:
    """Give the cells that were added without dropout the label of those they stand beside.

    Only where the labels say nothing of dropout.
    """
    if not keys or any(key.startswith("dropout.") for key in keys):
        return table
    if not keys <= {*table.columns}:  # the config lists cells, and none of them was run
        return table
    own = table[sorted(keys)].apply(as_text).agg("\n".join, axis=1)
    names = dict(zip(own[table["label"].notna()], table["label"].dropna(), strict=True))
    table["label"] = [
        label or names.get(key) for key, label in zip(own, table["label"], strict=True)
    ]
    return table


def as_text(column: pd.Series) -> pd.Series:
    """Return swept values as text. ``astype(str)`` would leave missing values missing."""
    return column.map(str)


def differences_of_cell(
    study: StudyTables, cell: pd.Series
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the test accuracy of a cell's runs minus that of the same seed without dropout."""
    runs = rows_of_cell(_with_difference(study.runs), cell, study.swept)
    values: np.ndarray[tuple[int], np.dtype[np.float64]] = (
        runs["difference"].dropna().to_numpy(dtype=np.float64)
    )
    return values


def paired_differences(
    mine: pd.DataFrame, theirs: pd.DataFrame, column: str = "test_accuracy"
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the differences of two cells' runs (see ``StudyTables.completed``) at equal seeds.

    They are rounded to twelve decimals: 0.94 - 0.93 and 0.98 - 0.97 are the same difference.
    """
    values = (mine[column] - theirs[column]).to_numpy(dtype=np.float64)
    finite: np.ndarray[tuple[int], np.dtype[np.float64]] = values[np.isfinite(values)].round(12)
    return finite


def _with_difference(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the completed runs with a column ``difference``, nan where there is no partner."""
    done = runs[runs["status"] == "completed"]
    accuracy = done.set_index("run_id")["test_accuracy"]
    difference = done["test_accuracy"] - done["partner"].map(accuracy)
    return done.assign(difference=difference.where(~done["bare"]))


def half_width(values: "np.ndarray[Any, np.dtype[Any]]") -> float:
    """Return half the width of the 95 % t interval of the mean; nan below two values."""
    low, high = t_interval(values)
    return (high - low) / 2


def chosen_on_validation(table: pd.DataFrame) -> pd.Series | None:
    """Return the cell with dropout of the highest mean validation accuracy; None without one."""
    scored = table["validation_accuracy_mean"].notna() & (table["seeds"] > 0)
    candidates = table[~table["bare"] & scored]
    if candidates.empty:
        return None
    best = int(np.argmax(candidates["validation_accuracy_mean"].to_numpy()))
    return candidates.iloc[best]


def with_and_without(table: pd.DataFrame) -> list[pd.Series]:
    """Return the cells that stand for dropout: the one without and the best with, by validation.

    A cell without a completed run is neither.
    """
    bare = table[table["bare"] & (table["seeds"] > 0)]
    chosen = chosen_on_validation(table)
    return [cell for cell in (bare.iloc[0] if len(bare) else None, chosen) if cell is not None]


def settings_of_cell(study: StudyTables, cell: pd.Series) -> Settings:
    """Return the complete settings of a cell."""
    run_id = rows_of_cell(study.runs, cell, study.swept)["run_id"].iloc[0]
    return study.known[run_id].settings


def ends_of_cell(
    study: StudyTables, cell: pd.Series, column: str
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Return the last values of a column, one for each completed run of a cell."""
    runs = study.runs[study.runs["status"] == "completed"]
    values = np.asarray(rows_of_cell(runs, cell, study.swept)[column], dtype=np.float64)
    finite: np.ndarray[tuple[int], np.dtype[np.float64]] = values[np.isfinite(values)]
    return finite


def rows_of_cell(frame: pd.DataFrame, cell: pd.Series, swept: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a frame that belong to a cell."""
    mask = pd.Series(True, index=frame.index)
    for key in swept:
        mask &= frame[key].isna() if pd.isna(cell[key]) else frame[key] == cell[key]
    return frame[mask]


def by_cell(
    frame: pd.DataFrame, swept: Sequence[str]
) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Return the swept values and the rows of each cell, in the order of :func:`cells`."""
    if not swept:
        return [((), frame)] if len(frame) else []
    groups = frame.groupby(list(swept), dropna=False, sort=False)
    return [(values if isinstance(values, tuple) else (values,), group) for values, group in groups]


def _add_missing(runs: Table, known: Mapping[str, Run]) -> None:
    """Add a row for each planned run that has none."""
    there = {row["run_id"] for row in runs.rows}
    runs.rows += [
        dict.fromkeys(runs.header, "") | {"run_id": name, "status": MISSING}
        for name in known
        if name not in there
    ]


def _led(table: Table, known: Mapping[str, Run], swept: Sequence[str]) -> Table:
    """Return a table whose seeds and swept values are those of the manifest, whose they are."""
    for row in table.rows:
        run = known[row["run_id"]]
        row["seed"] = str(run.seed)
        row |= {key: results.cell_text(run.cell.values.get(key)) for key in swept}
    if table.header:
        table.header = list(dict.fromkeys([*table.header, "seed", *swept]))
    return table


def _widened(table: Table, manifest: results.Manifest) -> Table:
    """Return ensembles.csv with the keys that are swept only since: at the study's own values."""
    for key in manifest["swept"] if table.header else ():
        if key not in table.header:
            section, _, name = key.partition(".")
            table.header.insert(0, key)
            for row in table.rows:
                row[key] = results.cell_text(manifest["settings"][section].get(name))
    return table


def _frame(table: Table) -> pd.DataFrame:
    """Return a table's rows; columns of numbers as numbers."""
    columns = table.header or [*results.NEEDED[table.path.name]]
    frame = pd.DataFrame(table.rows, columns=pd.Index(columns))
    for column in frame.columns:
        if column in ("run_id", "status", "message", "inference", "of"):
            continue
        numbers = pd.to_numeric(frame[column].replace("", "nan"), errors="coerce")
        texts = frame[column].isin(["", "nan", "inf", "-inf"])
        if (numbers.notna() | texts).all():
            frame[column] = numbers
        else:
            frame[column] = frame[column].where(frame[column] != "", None)
    return frame


def completed_rows(study: StudyTables, frame: pd.DataFrame, cell: pd.Series) -> pd.DataFrame:
    """Return a frame's rows of a cell's completed runs. Every plot takes its rows from here."""
    if frame.empty:  # and perhaps without any columns
        return frame
    completed = study.runs[study.runs["status"] == "completed"]["run_id"]
    rows = frame[frame["run_id"].isin(completed)]
    return rows_of_cell(rows, cell, study.swept) if len(rows) else rows
