"""Make a run's row of runs.csv from its records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dropout_lab.config.grid import Run
from dropout_lab.config.sections.evaluation import diagnostics
from dropout_lab.config.sizes import training_examples, training_length
from dropout_lab.results import Row, cell_text

_FIRST_METRIC = "noisy_train_loss"  # what comes before says when and with what it was measured
_TRAINED = ("noisy_train_loss", "dropout_loss", "train_loss", "test_loss")  # finite, or diverged


@dataclass(frozen=True)
class RunEnd:
    """How a run ended or was interrupted.

    Args:
        run: The run.
        status: ``completed``, ``diverged``, ``failed`` or ``interrupted``.
        message: Why, where that needs saying.
        epochs: Epochs begun or done; of a diverged run, the one in which it did.
        updates: Optimizer steps done by then.
        examples: Training examples seen by then.
        seconds: The run's share of its fleet's time by then.
    """

    run: Run
    status: str
    message: str = ""
    epochs: int = 0
    updates: int = 0
    examples: int = 0
    seconds: float = 0.0


def summary(end: RunEnd, rows: Sequence[Row], columns: Sequence[str]) -> Row:
    """Return a run's row of runs.csv: its last finite record, best epoch and speed.

    Args:
        end: How it ended.
        rows: Its records.
        columns: The metric columns.
    """
    finite = [row for row in rows if row["test_loss"] not in ("", "nan", "inf")]
    judged = [row for row in finite if row["validation_accuracy"] not in ("", "nan")]
    best: Row = max(judged, key=lambda row: float(row["validation_accuracy"]), default={})
    last: Row = finite[-1] if finite else {}
    if end.run.settings.training.patience is not None:
        last = best  # early stopping gives the network of that epoch back
    if last and not end.epochs:  # what its training had come to is no longer known
        epochs, updates = int(last["epoch"]), int(last["updates"])
        end = replace(end, epochs=epochs, updates=updates, seconds=float(last["seconds"]))
    return {
        "run_id": end.run.run_id,
        "status": end.status,
        "epochs": str(end.epochs),
        "updates": str(end.updates),
        **{column: last.get(column, "") for column in columns},
        "best_epoch": best.get("epoch", ""),
        "best_validation_accuracy": best.get("validation_accuracy", ""),
        "best_test_accuracy": best.get("test_accuracy", ""),
        "seconds": cell_text(end.seconds),
        "examples_per_second": cell_text(end.examples / end.seconds)
        if end.examples and end.seconds
        else "",
        "message": end.message,
    }


def metric_columns(columns: Sequence[str]) -> tuple[str, ...]:
    """Return the measured columns of a record."""
    return tuple(columns[columns.index(_FIRST_METRIC) :])


def end_from_records(run: Run, rows: Sequence[Row]) -> RunEnd | None:
    """Return how a run with all its records ended; None if the records cannot tell.

    They do not tell when early stopping gave up, what the diagnostic of the noise found, nor how
    a training given in updates was cut.
    """
    settings, last = run.settings, rows[-1]
    if (
        settings.training.patience is not None
        or settings.training.updates is not None
        or "noise" in diagnostics(settings.evaluation)
        or not all(math.isfinite(float(last.get(name, "0") or "nan")) for name in _TRAINED)
    ):
        return None
    examples = training_examples(settings)
    epochs, updates = training_length(settings, examples)
    if (last["epoch"], last["updates"]) != (str(epochs), str(updates)):
        return None
    seconds = float(last.get("seconds") or 0)
    return RunEnd(run, "completed", "", epochs, updates, epochs * examples, seconds)
