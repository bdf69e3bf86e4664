"""Check whether everything that a completed run must have is on disk."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.evaluation import (
    at_end,
    diagnostic_columns,
    inferences,
    keeps_predictions,
)
from dropout_lab.config.sizes import (
    BINS,
    HISTOGRAM_EXAMPLES,
    is_evaluated,
    training_examples,
    training_length,
)
from dropout_lab.datasets import Dataset
from dropout_lab.folder.run_summary import end_from_records, metric_columns, summary
from dropout_lab.folder.weights import WEIGHTS, check_weights
from dropout_lab.results import Row
from dropout_lab.results.boundary import BOUNDARY, read_boundary
from dropout_lab.results.features import FEATURES, read_features
from dropout_lab.results.predictions import PREDICTIONS, read_predictions

# None where there is no file; ValueError where it is damaged, or of another data set than the given
Reader = Callable[[Path, Dataset | None], object]
READERS: dict[str, Reader] = {
    PREDICTIONS: read_predictions,
    FEATURES: read_features,
    BOUNDARY: read_boundary,
    WEIGHTS: lambda path, dataset: check_weights(path),
}
_CHECKPOINT = re.compile(r"checkpoint_(\d+)\.pt")


@dataclass
class RunRows:
    """The rows of one run in metrics.csv and in the tables written at its end."""

    metrics: list[Row] = field(default_factory=list)
    at_end: dict[str, list[Row]] = field(
        default_factory=lambda: {name: [] for name in results.ADDED}
    )


class RowsByRun(Mapping[str, RunRows]):
    """A mapping from run id to :class:`RunRows`, built on access.

    Args:
        metrics: Those of metrics.csv, by run.
        tables: Those of the tables that are added to at the end, by the table and the run.
        ids: The runs.
    """

    def __init__(
        self,
        metrics: Mapping[str, list[Row]],
        tables: Mapping[str, Mapping[str, list[Row]]],
        ids: Iterable[str],
    ) -> None:
        self._metrics, self._tables = metrics, tables
        self._ids = dict.fromkeys(ids)

    def __getitem__(self, run_id: str) -> RunRows:
        at_end = {name: table.get(run_id, []) for name, table in self._tables.items()}
        return RunRows(self._metrics.get(run_id, []), at_end)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


def missing_epochs(settings: Settings, rows: Sequence[Row], until: int) -> list[int]:
    """Return the epochs up to ``until`` that should have a record and have none."""
    last_epoch, _ = training_length(settings, training_examples(settings))
    there = {int(row["epoch"]) for row in rows}
    every = range(1, min(until, last_epoch) + 1)
    return [e for e in every if is_evaluated(e, last_epoch, settings) and e not in there]


def has_inference_table(manifest: results.Manifest | None) -> bool:
    """Return whether a study has inference.csv; the first versions did not write it."""
    return manifest is None or "inference" in manifest.settings.get("evaluation", {})


def missing_at_end(settings: Settings, rows: RunRows, *, kept: bool) -> str:
    """Describe the final measurements that have no row; empty if none is missing.

    Args:
        settings: Those of the run.
        rows: Its rows.
        kept: Whether the row of the mean network alone is kept; see :func:`has_inference_table`.
    """
    evaluation = settings.evaluation
    tables = rows.at_end
    there = {row["inference"] for row in tables[results.INFERENCE]}
    asked = [name for name in inferences(evaluation) if name != "ensemble"]
    missing = [name for name in asked if name not in there]
    if evaluation.curve is not None:
        drawn = {int(row["samples"]) for row in tables[results.MONTE_CARLO]}
        if not set(range(1, evaluation.curve + 1)) <= drawn:
            missing.append("the curve")
    if missing and (kept or missing != ["mean"]):
        return f"{results.INFERENCE} or {results.MONTE_CARLO} lacks {', '.join(missing)} of it"
    wanted = at_end(evaluation)
    if "reliability" in wanted:
        bins = {(row["inference"], int(row["bin"])) for row in tables[results.RELIABILITY]}
        lost = {(name, index) for name in asked for index in range(1, BINS + 1)} - bins
        if lost:
            return f"{results.RELIABILITY} lacks {results.counted(len(lost), 'bin')} of it"
    if "histograms" in wanted:
        lost_of = list(_missing_histograms(settings, tables[results.ACTIVATIONS]))
        if lost_of:
            return f"{results.ACTIVATIONS} lacks bins of it: {', '.join(lost_of)}"
    return ""


def _missing_histograms(settings: Settings, rows: Sequence[Row]) -> Iterator[str]:
    """Describe the histograms whose counts are incomplete; empty bins have no row."""
    counts: Counter[tuple[int, str]] = Counter()
    for row in rows:
        counts[int(row["layer"]), row["of"]] += int(row["count"])
    examples = min(HISTOGRAM_EXAMPLES, settings.dataset.describe().test)
    for layer, units in enumerate(settings.model.hidden, start=1):
        for of, expected in (("unit_mean", units), ("activation", units * examples)):
            if counts[layer, of] != expected:
                yield f"{of} of layer {layer}"


def describe_missing(run: Run, row: Row, rows: RunRows, *, kept: bool) -> str:
    """Describe what the tables lack of a completed run; empty if it is complete.

    Args:
        run: The run.
        row: Its row of runs.csv.
        rows: Its other rows.
        kept: Whether inferences are; see :func:`has_inference_table`.
    """
    settings = run.settings
    last_epoch, _ = training_length(settings, training_examples(settings))
    epochs = int(row["epochs"]) if row["epochs"].isdecimal() else 0
    if not 1 <= epochs <= last_epoch or (
        epochs < last_epoch and settings.training.patience is None
    ):
        return f"{results.RUNS} says it completed after {epochs} of {last_epoch} epochs"
    missing = missing_epochs(settings, rows.metrics, epochs)
    if missing:
        return f"{results.METRICS} lacks its {_epochs(missing)}"
    for name, header in ((results.METRICS, next(iter(rows.metrics), row)), (results.RUNS, row)):
        lost = [column for column in diagnostic_columns(settings) if column not in header]
        if lost:
            return f"{name} has no column {', '.join(lost)}"
    return missing_at_end(settings, rows, kept=kept)


def files_of_run(settings: Settings) -> list[str]:
    """Return the names of the files that a trained run keeps under these settings.

    They may be absent: they are not published with a study.
    """
    predictions = [PREDICTIONS] if keeps_predictions(settings.evaluation) else []
    asked = at_end(settings.evaluation)
    return predictions + [name for name in (FEATURES, BOUNDARY) if Path(name).stem in asked]


def rebuild_end(run: Run, rows: RunRows, folder: Path, *, kept: bool) -> Row | None:
    """Rebuild a run's row of runs.csv from its records; None if they are not sufficient.

    Args:
        run: The run.
        rows: Its rows.
        folder: Where it keeps its files.
        kept: Whether inferences are; see :func:`has_inference_table`.
    """
    end = end_from_records(run, rows.metrics) if rows.metrics else None
    if end is None or missing_epochs(run.settings, rows.metrics, end.epochs):
        return None
    if missing_at_end(run.settings, rows, kept=kept):
        return None
    # The checkpoint goes after the row of runs.csv was written, but of one epoch there is none.
    if end.epochs == 1 or checkpoints_in(folder):
        return None
    columns = [name for name in rows.metrics[0] if results.is_number_column(name)]
    return summary(end, rows.metrics, metric_columns(columns))


def damage_of_run_file(path: Path, dataset: Dataset | None = None) -> str:
    """Describe the damage of a file that a run keeps; empty if it is intact or absent.

    Args:
        path: The file.
        dataset: The data set of the run; None if it is not known.

    Raises:
        StorageError: The system refuses to read it.
    """
    try:
        READERS[path.name](path, dataset)
    except ValueError as error:
        return str(error)
    return ""


def checkpoints_in(folder: Path) -> dict[int, Path]:
    """Return the checkpoints in a run's folder, by their epoch."""
    if not folder.is_dir():
        return {}
    matches = ((_CHECKPOINT.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in matches if match}


def _epochs(missing: Sequence[int]) -> str:
    if len(missing) == 1:
        return f"epoch {missing[0]}"
    return f"{len(missing)} epochs from {missing[0]} to {missing[-1]}"
