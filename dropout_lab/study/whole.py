"""What must be on disk of a run that is done, and whether it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.config.inference_rules import inferences
from dropout_lab.config.schema import Settings
from dropout_lab.config.sizes import length, training_examples
from dropout_lab.results import Row
from dropout_lab.results.predictions import PREDICTIONS, read_predictions
from dropout_lab.study.checkpoint import checkpoints_in
from dropout_lab.study.summary import end_of_records, summary
from dropout_lab.training.loop import due

FIRST_METRIC = "noisy_train_loss"  # what comes before says when and with what it was measured


@dataclass
class RunRows:
    """A run's rows: those of metrics.csv, inference.csv and monte_carlo.csv."""

    metrics: list[Row] = field(default_factory=list)
    inference: list[Row] = field(default_factory=list)
    curve: list[Row] = field(default_factory=list)


def by_run(
    metrics: Sequence[Row], tables: Mapping[str, Sequence[Row]], ids: Sequence[str]
) -> dict[str, RunRows]:
    """Return the rows of each of the runs."""
    rows = {run_id: RunRows() for run_id in ids}
    for name, every in ((results.METRICS, metrics), *tables.items()):
        for row in every:
            own = rows.get(row["run_id"])
            if own is not None:
                part = {results.METRICS: own.metrics, results.INFERENCE: own.inference}
                part.get(name, own.curve).append(row)
    return rows


def missing_epochs(settings: Settings, rows: Sequence[Row], until: int) -> list[int]:
    """Return the epochs up to one that are to be measured and have no record."""
    last_epoch, _ = length(settings, training_examples(settings))
    there = {int(row["epoch"]) for row in rows}
    every = range(1, min(until, last_epoch) + 1)
    return [e for e in every if due(e, last_epoch, settings) and e not in there]


def keeps_inferences(manifest: results.Manifest | None) -> bool:
    """Whether a study was begun by a version that writes inference.csv; the first ones did not."""
    return manifest is None or "inference" in manifest["settings"].get("evaluation", {})


def missing_inferences(settings: Settings, rows: RunRows, *, kept: bool) -> list[str]:
    """Return in words what was asked of the trained network and has no row.

    Args:
        settings: Those of the run.
        rows: Its rows.
        kept: Whether the row of the mean network alone is kept; see :func:`keeps_inferences`.
    """
    evaluation = settings.evaluation
    there = {row["inference"] for row in rows.inference}
    asked = [name for name in inferences(evaluation) if name != "ensemble"]
    missing = [name for name in asked if name not in there]
    if evaluation.curve is not None:
        drawn = {int(row["samples"]) for row in rows.curve}
        if not set(range(1, evaluation.curve + 1)) <= drawn:
            missing.append("the curve")
    return missing if kept or missing != ["mean"] else []


def lacking(run: Run, row: Row, rows: RunRows, folder: Path, *, kept: bool) -> str:
    """Return in words what a completed run lacks; empty if it is whole.

    Its predictions.npz may be absent, since they are not published with a study.

    Args:
        run: The run.
        row: Its row of runs.csv.
        rows: Its other rows.
        folder: Where it keeps its files.
        kept: Whether inferences are; see :func:`keeps_inferences`.
    """
    settings = run.settings
    last_epoch, _ = length(settings, training_examples(settings))
    epochs = int(row["epochs"]) if row["epochs"].isdecimal() else 0
    if not 1 <= epochs <= last_epoch or (
        epochs < last_epoch and settings.training.patience is None
    ):
        return f"{results.RUNS} says it completed after {epochs} of {last_epoch} epochs"
    missing = missing_epochs(settings, rows.metrics, epochs)
    if missing:
        return f"{results.METRICS} lacks its {_epochs(missing)}"
    names = missing_inferences(settings, rows, kept=kept)
    if names:
        return f"{results.INFERENCE} or {results.MONTE_CARLO} lacks {', '.join(names)} of it"
    if "ensemble" in inferences(settings.evaluation):
        damage = damage_of_predictions(folder / PREDICTIONS)
        if damage:
            return f"its {PREDICTIONS} {damage}"
    return ""


def lacking_of(
    runs: Mapping[str, Run],
    ends: Mapping[str, Row],
    rows: Mapping[str, RunRows],
    folder: Path,
    *,
    kept: bool,
) -> dict[str, str]:
    """Return in words what each completed run lacks; empty for one that is whole.

    Args:
        runs: Those of the study.
        ends: The rows of runs.csv.
        rows: The other rows of each.
        folder: That of the folders of the runs.
        kept: Whether inferences are; see :func:`keeps_inferences`.
    """
    return {
        run_id: lacking(runs[run_id], row, rows[run_id], folder / run_id, kept=kept)
        for run_id, row in ends.items()
        if row["status"] == "completed" and run_id in runs
    }


def restored_end(run: Run, rows: RunRows, folder: Path, *, kept: bool) -> Row | None:
    """Return a run's row of runs.csv made again from its records; None if they do not prove it.

    Args:
        run: The run.
        rows: Its rows.
        folder: Where it keeps its files.
        kept: Whether inferences are; see :func:`keeps_inferences`.
    """
    end = end_of_records(run, rows.metrics) if rows.metrics else None
    if end is None or missing_epochs(run.settings, rows.metrics, end.epochs):
        return None
    if missing_inferences(run.settings, rows, kept=kept):
        return None
    # The checkpoint goes after the row of runs.csv was written, but of one epoch there is none.
    if end.epochs == 1 or checkpoints_in(folder):
        return None
    columns = [name for name in rows.metrics[0] if results.is_number_column(name)]
    return summary(end, rows.metrics, columns[columns.index(FIRST_METRIC) :])


def damage_of_predictions(path: Path) -> str:
    """Return what is wrong with kept predictions; empty if they are sound or absent."""
    try:
        read_predictions(path)
    except ValueError as error:
        return str(error)
    return ""


def _epochs(missing: Sequence[int]) -> str:
    if len(missing) == 1:
        return f"epoch {missing[0]}"
    return f"{len(missing)} epochs from {missing[0]} to {missing[-1]}"
