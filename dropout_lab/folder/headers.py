"""The columns of a study's tables, in their order."""

from collections.abc import Iterable, Sequence

from dropout_lab import results
from dropout_lab.config.diagnostic_columns import diagnostic_columns
from dropout_lab.config.grid import Run
from dropout_lab.folder.run_summary import metrics_in
from dropout_lab.training import (
    ACTIVATION_COLUMNS,
    CURVE_COLUMNS,
    INFERENCE_COLUMNS,
    RECORD_COLUMNS,
    RELIABILITY_COLUMNS,
)

_ADDED = {
    results.INFERENCE: INFERENCE_COLUMNS,
    results.MONTE_CARLO: CURVE_COLUMNS,
    results.RELIABILITY: RELIABILITY_COLUMNS,
    results.ACTIVATIONS: ACTIVATION_COLUMNS,
    results.DIGESTS: ("file", "sha256"),
}
_BEST = ("best_epoch", "best_validation_accuracy", "best_test_accuracy")
_PACE = ("seconds", "examples_per_second", "message")


def record_columns(runs: Iterable[Run]) -> tuple[str, ...]:
    """Return the columns of a record that some of the runs have."""
    more = (column for run in runs for column in diagnostic_columns(run.settings))
    return tuple(dict.fromkeys([*RECORD_COLUMNS, *more]))


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
    if name == results.DIGESTS:
        return ["run_id", *_ADDED[name]]
    return ["run_id", "seed", *swept, *_ADDED.get(name, columns)]
