"""Numbers of a study that contradict each other: what is no damage to the eye of a reader."""

import math
from collections.abc import Iterator, Sequence

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.config.sizes import TEST_PARTS
from dropout_lab.results import Row
from dropout_lab.study.summary import RunEnd, summary
from dropout_lab.study.whole import FIRST_METRIC

_ROUNDING = 1e-6  # a spreadsheet may have rounded what it saved
_DIFFERENCES = (
    ("accuracy_gap", "train_accuracy", "test_accuracy"),
    ("loss_gap", "test_loss", "train_loss"),
)


def contradicted(run: Run, end: Row, records: Sequence[Row]) -> str:
    """Return where a completed run's row of runs.csv is not what its records make it.

    Args:
        run: The run.
        end: Its row.
        records: Its records, all that it needs.
    """
    epochs = int(end["epochs"])
    columns = [name for name in records[0] if results.is_number_column(name) and name in end]
    measured = columns[columns.index(FIRST_METRIC) :]
    made = summary(RunEnd(run, end["status"], epochs=epochs), records, measured)
    made["updates"] = records[-1]["updates"]
    compared = ("updates", *measured, "best_epoch", "best_validation_accuracy")
    for name in (*compared, "best_test_accuracy"):
        if name in end and not _same(end[name], made[name]):
            return f"{name} is {end[name] or 'empty'}, and {results.METRICS} makes it {made[name]}"
    return ""


def impossible(run: Run, records: Sequence[Row]) -> str:
    """Return where a run's records cannot be true; empty if nowhere."""
    return next(_impossible(run, records), "")


def _impossible(run: Run, records: Sequence[Row]) -> Iterator[str]:
    examples = TEST_PARTS[run.settings.dataset.name]
    for row in records:
        values = {
            name: float(text)
            for name, text in row.items()
            if results.is_number_column(name) and text and not text.startswith("[")
        }
        where = f"in epoch {row['epoch']} "
        for name, value in values.items():
            if name.endswith("_accuracy") and not math.isnan(value) and not 0 <= value <= 1:
                yield f"{where}{name} is {row[name]}"
        for name, one, other in _DIFFERENCES:
            if not _close(values, name, values.get(one, math.nan) - values.get(other, math.nan)):
                yield f"{where}{name} is {row[name]}, which is not {one} - {other}"
        wrong = (1 - values.get("test_accuracy", math.nan)) * examples
        if not _close(values, "test_errors", wrong, 0.5):
            yield (
                f"{where}test_errors is {row['test_errors']}, and a test_accuracy of "
                f"{row['test_accuracy']} makes it {wrong:.0f}"
            )


def _close(
    values: dict[str, float], name: str, expected: float, allowed: float = _ROUNDING
) -> bool:
    """Whether a value is what it should be; one that is not there, or no number, is."""
    value = values.get(name, math.nan)
    if not (math.isfinite(value) and math.isfinite(expected)):
        return True
    return abs(value - expected) <= allowed * max(1, abs(expected) if allowed < 0.5 else 1)


def _same(one: str, other: str) -> bool:
    """Whether two fields say the same number."""
    if one == other:
        return True
    try:
        return math.isclose(float(one), float(other), rel_tol=_ROUNDING, abs_tol=_ROUNDING / 1e3)
    except ValueError:
        return False
