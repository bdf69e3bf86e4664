"""Read the CSV files of a study as data frames, and summarize its cells over the seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dropout_lab import results
from dropout_lab.analysis.statistics import t_interval
from dropout_lab.config.grid import Run, baseline_of, run_id
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.dropout import is_baseline
from dropout_lab.errors import DamageError, StorageError
from dropout_lab.folder.judge import READING_ORDER, damages, in_short
from dropout_lab.results import Table

Values = np.ndarray[tuple[int], np.dtype[np.float64]]
MISSING = "missing"  # status of a planned run without a row in runs.csv
STUDY = "study"  # the key of a table that joins several studies


@dataclass(frozen=True)
class Label:
    """The name of a cell in the config, and the dotted keys whose values it replaces."""

    text: str
    keys: frozenset[str]


@dataclass(frozen=True)
class StudyTables:
    """The files of a study as data frames.

    Args:
        path: The folder of the study.
        manifest: The contents of manifest.json.
        swept: The swept keys, dotted.
        runs_by_id: The runs that the manifest lists, by id.
        runs: runs.csv, with three more columns: ``is_baseline`` (whether the run has no dropout),
            ``baseline_run_id`` (the run without dropout, with the same seed and otherwise equal
            settings) and ``label`` (the cell's name in the config). Planned runs without a row are
            at the end, with the status ``missing``.
        metrics: metrics.csv, with the same three columns.
        inference: inference.csv, with the same three columns; empty without the file.
        monte_carlo: monte_carlo.csv, as ``inference``.
        ensembles: ensembles.csv; empty without the file.
        damage: Messages about what another program or a kill left in the files.
        reliability: reliability.csv, as ``inference``.
        activations: activations.csv, as ``inference``.
    """

    path: Path
    manifest: results.Manifest
    swept: tuple[str, ...]
    runs_by_id: Mapping[str, Run]
    runs: pd.DataFrame
    metrics: pd.DataFrame
    inference: pd.DataFrame
    monte_carlo: pd.DataFrame
    ensembles: pd.DataFrame
    damage: tuple[str, ...] = ()
    reliability: pd.DataFrame = field(default_factory=pd.DataFrame)
    activations: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def removed(self) -> tuple[str, int]:
        """The cells removed from the study, as text, and the number of comparisons they had."""
        records = self.manifest.removals()
        words = [
            ", ".join(f"{key} = {value or 'none'}" for key, value in record.values.items())
            for record in records
        ]
        return "; ".join(words), sum(record.comparisons for record in records)

    @cached_property
    def completed(self) -> list[pd.DataFrame]:
        """The completed runs of each cell, by seed, in the order of :func:`summarize_cells`."""
        return [
            group[group["status"] == "completed"].set_index("seed")
            for _, group in group_by_cell(self.runs, self.swept)
        ]


def read_study(path: Path) -> StudyTables:
    """Read the folder of a study.

    Raises:
        DamageError: A file of the study is damaged.
        StorageError: The folder has no study, has no finished run yet, or cannot be read.
    """
    manifest = results.read_manifest(path)
    if manifest is None:
        raise StorageError(f"{path} has no {results.MANIFEST}; it is not the folder of a study.")
    known, swept = manifest.list_runs(), tuple(manifest.swept)
    tables = {name: results.read_table(path / name, known) for name in READING_ORDER}
    if found := damages(path, manifest, known, tables):
        raise DamageError(
            f"{path} is damaged.\n{in_short(found)}\n"
            f"To repair it: {results.command('doctor', path, '--fix')}, then run the command that "
            "made the study again."
        )
    ensembles = tables.pop(results.ENSEMBLES)
    damage = [line for table in (*tables.values(), ensembles) for line in table.sentences]
    if not tables[results.RUNS].rows:
        lost = "; ".join(["", *damage])
        raise StorageError(
            f"{path} has no finished run yet{lost}; run the command that trains it again."
        )
    del tables[results.DIGESTS]
    for table in tables.values():
        table.rows = list(table.rows)  # to be changed
    _add_missing_runs(tables[results.RUNS], known)
    run_columns = pd.DataFrame(
        [
            (
                run.run_id,
                is_baseline(run.settings),
                run_id(baseline_of(run.settings), run.seed),
                run.cell.label,
            )
            for run in known.values()
        ],
        columns=["run_id", "is_baseline", "baseline_run_id", "label"],
    )
    frames = {
        name: _to_frame(_set_manifest_values(table, known, swept)) for name, table in tables.items()
    }
    merged = {name: frame.merge(run_columns, on="run_id") for name, frame in frames.items()}
    return StudyTables(
        path=path,
        manifest=manifest,
        swept=swept,
        runs_by_id=known,
        runs=merged[results.RUNS],
        metrics=merged[results.METRICS],
        inference=merged[results.INFERENCE],
        monte_carlo=merged[results.MONTE_CARLO],
        ensembles=_to_frame(_add_new_swept_keys(ensembles, manifest)),
        damage=tuple(damage),
        reliability=merged[results.RELIABILITY],
        activations=merged[results.ACTIVATIONS],
    )


def describe_missing_runs(study: StudyTables) -> str:
    """Return how many planned runs have no result: ``incomplete: 12 of 24 runs are missing``.

    Counts interrupted runs, since the same command resumes them, but not diverged and failed runs.
    Empty if no run is missing.
    """
    runs = study.runs
    count = int(runs["status"].isin([MISSING, "interrupted"]).sum())
    verb = "is" if count == 1 else "are"
    return f"incomplete: {count} of {results.counted(len(runs), 'run')} {verb} missing" * bool(
        count
    )


def describe_epoch(study: StudyTables) -> str:
    """Return the epoch that final values belong to: ``after the last epoch``, or the best one."""
    patience = study.manifest.settings["training"].get("patience")
    if "training.patience" in study.swept or patience is not None:
        return "at the best epoch by validation"
    return "after the last epoch"


@np.errstate(all="ignore")  # the loss of a run may be infinite
def summarize_cells(study: StudyTables) -> pd.DataFrame:
    """Return a table with one row for each planned cell, summarizing its completed runs.

    Columns: the swept keys; ``label`` (a :class:`Label` or None); ``is_baseline``; ``seeds``
    (number of completed runs); ``others`` (number of diverged, failed or interrupted runs);
    ``missing`` (number of planned runs without a result); ``<name>_mean`` and ``<name>_sd``
    (n - 1) of test_accuracy, validation_accuracy, accuracy_gap and test_loss; and for the
    difference in test accuracy from the baseline run with the same seed, ``difference_mean``,
    ``difference_half`` (half the width of its 95% t interval) and ``pairs``. nan if there are too
    few runs.
    """
    runs = study.runs
    completed = _add_difference(runs)
    rows = []
    keys = frozenset(study.manifest.labelled)
    for values, group in group_by_cell(runs, study.swept):
        own = completed[completed["run_id"].isin(group["run_id"])]
        row: dict[str, Any] = dict(zip(study.swept, values, strict=True))
        label = group["label"].iloc[0]
        row["label"] = Label(label, keys) if label else None
        row |= {"is_baseline": bool(group["is_baseline"].iloc[0]), "seeds": len(own)}
        row["missing"] = int((group["status"] == MISSING).sum())
        row["others"] = len(group) - len(own) - row["missing"]
        for name in ("test_accuracy", "validation_accuracy", "accuracy_gap", "test_loss"):
            row[f"{name}_mean"], row[f"{name}_sd"] = own[name].mean(), own[name].std()
        pairs = own["difference"].dropna()
        row["difference_mean"] = pairs.mean()
        row["difference_half"] = half_width(pairs.to_numpy())
        row["pairs"] = len(pairs)
        rows.append(row)
    return _label_baselines(pd.DataFrame(rows), keys)


def _label_baselines(table: pd.DataFrame, keys: frozenset[str]) -> pd.DataFrame:
    """Give each added baseline cell the label of the cells that it is the baseline of.

    Does so only if the labels do not include settings of dropout.
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


def baseline_differences(study: StudyTables, cell: pd.Series) -> Values:
    """Return the test accuracy of a cell's runs minus that of the baseline, paired by seed."""
    runs = rows_of_cell(_add_difference(study.runs), cell, study.swept)
    values: Values = runs["difference"].dropna().to_numpy(dtype=np.float64)
    return values


def paired_differences(
    mine: pd.DataFrame, theirs: pd.DataFrame, column: str = "test_accuracy"
) -> Values:
    """Return the differences between two cells of ``StudyTables.completed``, paired by seed.

    Rounds to twelve decimals, so that 0.94 - 0.93 and 0.98 - 0.97 are equal.
    """
    values = (mine[column] - theirs[column]).to_numpy(dtype=np.float64)
    finite: Values = values[np.isfinite(values)].round(12)
    return finite


def _add_difference(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the completed runs with a column ``difference``, nan for runs without a baseline."""
    done = runs[runs["status"] == "completed"]
    accuracy = done.set_index("run_id")["test_accuracy"]
    difference = done["test_accuracy"] - done["baseline_run_id"].map(accuracy)
    return done.assign(difference=difference.where(~done["is_baseline"]))


def half_width(values: "np.ndarray[Any, np.dtype[Any]]") -> float:
    """Return half the width of the 95% t interval of the mean; nan for fewer than two values."""
    low, high = t_interval(values)
    return (high - low) / 2


def candidates(table: pd.DataFrame) -> pd.DataFrame:
    """Return the cells to choose from: cells with dropout, or all cells if none has dropout."""
    trained = table[table["seeds"] > 0]
    with_dropout = trained[~trained["is_baseline"]]
    return with_dropout if len(with_dropout) else trained


def chosen_on_validation(table: pd.DataFrame) -> pd.Series | None:
    """Return the candidate with the highest mean validation accuracy; the first of several.

    None if no candidate has a validation accuracy.
    """
    scored = candidates(table).dropna(subset="validation_accuracy_mean")
    if scored.empty:
        return None
    return scored.iloc[int(np.argmax(scored["validation_accuracy_mean"].to_numpy()))]


def baseline_and_best(table: pd.DataFrame) -> list[pd.Series]:
    """Return the first baseline cell, and the best cell with dropout by validation, if they exist.

    Ignores cells without completed runs.
    """
    baselines = table[table["is_baseline"] & (table["seeds"] > 0)]
    chosen = chosen_on_validation(table)
    cells = [baselines.iloc[0]] if len(baselines) else []
    return cells if chosen is None or chosen["is_baseline"] else [*cells, chosen]


def settings_of_cell(study: StudyTables, cell: pd.Series) -> Settings:
    """Return the complete settings of a cell."""
    run_id = rows_of_cell(study.runs, cell, study.swept)["run_id"].iloc[0]
    return study.runs_by_id[run_id].settings


def final_values(study: StudyTables, cell: pd.Series, column: str) -> Values:
    """Return the final values of a column of runs.csv, one for each completed run of a cell."""
    runs = study.runs[study.runs["status"] == "completed"]
    values = np.asarray(rows_of_cell(runs, cell, study.swept)[column], dtype=np.float64)
    finite: Values = values[np.isfinite(values)]
    return finite


def rows_of_cell(frame: pd.DataFrame, cell: pd.Series, swept: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a frame that belong to a cell."""
    mask = pd.Series(True, index=frame.index)
    for key in swept:
        mask &= frame[key].isna() if pd.isna(cell[key]) else frame[key] == cell[key]
    return frame[mask]


def group_by_cell(
    frame: pd.DataFrame, swept: Sequence[str]
) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Return swept values and rows of each cell, in the order of :func:`summarize_cells`."""
    if not swept:
        return [((), frame)] if len(frame) else []
    groups = frame.groupby(list(swept), dropna=False, sort=False)
    return [(values if isinstance(values, tuple) else (values,), group) for values, group in groups]


def _add_missing_runs(runs: Table, known: Mapping[str, Run]) -> None:
    """Add a row for each planned run without a row."""
    present = {row["run_id"] for row in runs.rows}
    runs.rows += [
        dict.fromkeys(runs.header, "") | {"run_id": name, "status": MISSING}
        for name in known
        if name not in present
    ]


def _set_manifest_values(table: Table, known: Mapping[str, Run], swept: Sequence[str]) -> Table:
    """Replace the seeds and swept values of a table by those of the manifest, and return it."""
    for row in table.rows:
        run = known[row["run_id"]]
        row["seed"] = str(run.seed)
        row |= {key: results.cell_text(run.cell.values.get(key)) for key in swept}
    if table.header:
        table.header = list(dict.fromkeys([*table.header, "seed", *swept]))
    return table


def _add_new_swept_keys(table: Table, manifest: results.Manifest) -> Table:
    """Add columns for keys that were not swept when ensembles.csv was written, and return it."""
    for key in manifest.swept if table.header else ():
        if key not in table.header:
            section, _, name = key.partition(".")
            table.header.insert(0, key)
            for row in table.rows:
                row[key] = results.cell_text(manifest.settings[section].get(name))
    return table


def _to_frame(table: Table) -> pd.DataFrame:
    """Return a table as a data frame, with numeric columns as numbers."""
    columns = table.header or [*results.NEEDED[table.path.name]]
    frame = pd.DataFrame(table.rows, columns=pd.Index(columns))
    for column in frame.columns:
        if column in ("run_id", "status", "message", "inference", "of"):
            continue
        frame[column] = column_of_texts(frame[column])
    return frame


def column_of_texts(texts: pd.Series) -> pd.Series:
    """Return texts as numbers if all of them are numbers; empty texts are missing values."""
    numbers = pd.to_numeric(texts.replace("", "nan"), errors="coerce")
    if (numbers.notna() | texts.isin(["", "nan", "inf", "-inf"])).all():
        return numbers
    return texts.where(texts != "", None)


def completed_rows(study: StudyTables, frame: pd.DataFrame, cell: pd.Series) -> pd.DataFrame:
    """Return the rows of a cell's completed runs. All plots get their rows here."""
    if frame.empty:  # and perhaps without any columns
        return frame
    completed = study.runs[study.runs["status"] == "completed"]["run_id"]
    rows = frame[frame["run_id"].isin(completed)]
    return rows_of_cell(rows, cell, study.swept) if len(rows) else rows
