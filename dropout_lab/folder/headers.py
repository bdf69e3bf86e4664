"""The columns of a study's tables, in their order."""

from collections.abc import Iterable, Sequence

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.training import (
    ACTIVATION_COLUMNS,
    CURVE_COLUMNS,
    INFERENCE_COLUMNS,
    RECORD_COLUMNS,
    RELIABILITY_COLUMNS,
    diagnostic_columns,
)

FIRST_METRIC = "noisy_train_loss"  # what comes before says when and with what it was measured
_AT_END = {
    results.INFERENCE: INFERENCE_COLUMNS,
    results.MONTE_CARLO: CURVE_COLUMNS,
    results.RELIABILITY: RELIABILITY_COLUMNS,
    results.ACTIVATIONS: ACTIVATION_COLUMNS,
}
_BEST = ("best_epoch", "best_validation_accuracy", "best_test_accuracy")
_PACE = ("seconds", "examples_per_second", "message")


def record_columns(runs: Iterable[Run]) -> tuple[str, ...]:
    """Return the columns of a record that some of the runs have."""
    more = (column for run in runs for column in diagnostic_columns(run.settings))
    return tuple(dict.fromkeys([*RECORD_COLUMNS, *more]))


def metrics_in(columns: Sequence[str]) -> tuple[str, ...]:
    """Return those of a record's columns that are measured."""
    return tuple(columns[columns.index(FIRST_METRIC) :])


def header_of(name: str, swept: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Return the header of a table that has rows of runs.

    Args:
        name: The file.
        swept: The swept keys.
        columns: Those of a record, see :func:`record_columns`.
    """
    if name == results.RUNS:
        after = ("epochs", "updates", *metrics_in(columns), *_BEST, *_PACE)
        return ["run_id", "status", "seed", *swept, *after]
    return ["run_id", "seed", *swept, *_AT_END.get(name, columns)]
