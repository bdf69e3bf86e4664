"""The headers of a study's tables."""

from collections.abc import Iterable, Sequence

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.config.sections.evaluation import diagnostic_columns
from dropout_lab.folder.run_summary import metric_columns
from dropout_lab.training import RECORD_COLUMNS


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
    own = results.columns_after_key(name)
    if name == results.RUNS:
        status, epochs, updates, *rest = own
        after = rest[rest.index("best_epoch") :]
        return ["run_id", status, "seed", *swept, epochs, updates, *metric_columns(columns), *after]
    if name == results.DIGESTS:
        return ["run_id", *own]
    return ["run_id", "seed", *swept, *(columns if name == results.METRICS else own)]
