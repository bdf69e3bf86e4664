"""Find numbers that contradict each other or were rounded by another program."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.folder.rounding import Precision, precision_of
from dropout_lab.folder.run_summary import RunEnd, metric_columns, summary
from dropout_lab.results import Row, counted
from dropout_lab.results.columns import WHOLE_NUMBERS

_ROUNDING = 1e-6  # a spreadsheet may have rounded what it saved
_BEST = ("best_epoch", "best_validation_accuracy", "best_test_accuracy")
_DIFFERENCES = (
    ("accuracy_gap", "train_accuracy", "test_accuracy"),
    ("loss_gap", "test_loss", "train_loss"),
)


def find_contradiction(run: Run, end: Row, records: Sequence[Row]) -> str:
    """Describe where a completed run's row of runs.csv contradicts its records.

    Args:
        run: The run.
        end: Its row.
        records: Its records, all that it needs.
    """
    made, names = _made(run, end, records)
    kept = [precision_of(end), precision_of(made)]
    for name in names:
        if name in end and not _same(name, end[name], made[name], kept):
            return f"{name} is {end[name] or 'empty'}, and {results.METRICS} makes it {made[name]}"
    return ""


def restore_digits(
    runs: Mapping[str, Run], ends: Mapping[str, Row], records: Callable[[str], Sequence[Row]]
) -> tuple[dict[str, Row], str]:
    """Restore the lost digits of rows of runs.csv; return the rows and notices.

    A program that saved a table with fewer digits rounded the numbers of all its rows. So the first
    completed run tells whether that was done to one of the two tables.

    Args:
        runs: The runs of the study.
        ends: Their rows of runs.csv.
        records: Gives the rows of metrics.csv of a run.
    """
    restored: dict[str, Row] = {}
    for run_id, end in ends.items():
        own = records(run_id) if end["status"] == "completed" and run_id in runs else ()
        if not own:
            continue
        if precision_of(end) is None:
            short = precision_of(own[-1])
            if short is None:
                break
            return {}, (
                f"{results.METRICS} has lost digits, which cannot be restored: its numbers have at "
                f"most {counted(short.decimals, 'decimal')}, those of {results.RUNS} have more"
            )
        made, names = _made(runs[run_id], end, own)
        if precision_of(made) is not None:
            break
        if not find_contradiction(runs[run_id], end, own):
            restored[run_id] = {**end, **{name: made[name] for name in names if name in end}}
    count = counted(len(restored), "run")
    return restored, f"{results.RUNS} has lost digits of {count}" if restored else ""


def _made(run: Run, end: Row, records: Sequence[Row]) -> tuple[Row, list[str]]:
    """Return the row that the records imply, and the columns to compare."""
    columns = [name for name in records[0] if results.is_number_column(name) and name in end]
    measured = metric_columns(columns)
    ended = RunEnd(run, end["status"], epochs=int(end["epochs"]))
    made = summary(ended, records, measured)
    told = [row for row in records if row["epoch"] == end.get("best_epoch")]
    best = made["best_validation_accuracy"]
    if told and told[0]["validation_accuracy"] == best and precision_of(records[-1]):
        # Of the epochs that rounding made equal, runs.csv knows the best.
        again = summary(ended, [*told, *(row for row in records if row not in told)], measured)
        patient = run.settings.training.patience is not None
        made |= again if patient else {name: again[name] for name in _BEST}
    made["updates"] = records[-1]["updates"]
    return made, ["updates", *measured, *_BEST]


def impossible(run: Run, records: Sequence[Row]) -> str:
    """Describe where a run's records cannot be true; empty if nowhere."""
    return next(_impossible(run, records), "")


def _impossible(run: Run, records: Sequence[Row]) -> Iterator[str]:
    examples = run.settings.dataset.describe().test
    for row in records:
        values = {
            name: float(text)
            for name, text in row.items()
            if results.is_number_column(name) and text and not text.startswith("[")
        }
        precision = precision_of(row)
        where = f"in epoch {row['epoch']} "
        for name, value in values.items():
            if name.endswith("_accuracy") and not math.isnan(value) and not 0 <= value <= 1:
                yield f"{where}{name} is {row[name]}"
        for name, *parts in _DIFFERENCES:
            one, other = (values.get(part, math.nan) for part in parts)
            given = values.get(name, math.nan)
            allowed = _ROUNDING * max(1, abs(one - other))
            if precision:
                allowed += sum(map(precision.error_of, (given, one, other)))
            if _differ(given, one - other, allowed):
                yield f"{where}{name} is {row[name]}, which is not {parts[0]} - {parts[1]}"
        accuracy = values.get("test_accuracy", math.nan)
        wrong = (1 - accuracy) * examples
        allowed = 0.5 + (precision.error_of(accuracy) * examples if precision else 0)
        if _differ(values.get("test_errors", math.nan), wrong, allowed):
            yield (
                f"{where}test_errors is {row['test_errors']}, and a test_accuracy of "
                f"{row['test_accuracy']} makes it {wrong:.0f}"
            )


def _differ(one: float, other: float, allowed: float) -> bool:
    """Return whether two numbers differ by more than the tolerance; a missing number does not."""
    return math.isfinite(one) and math.isfinite(other) and abs(one - other) > allowed


def _same(name: str, one: str, other: str, kept: Sequence[Precision | None]) -> bool:
    """Return whether two fields are the same number up to their digits."""
    if one == other or {one, other} <= {"", "nan"}:  # other programs write nothing for nan
        return True
    try:
        numbers = float(one), float(other)
    except ValueError:
        return False
    allowed = _ROUNDING / 1e3
    if name not in WHOLE_NUMBERS:
        allowed += sum(precision.error_of(numbers[1]) for precision in kept if precision)
    return math.isclose(*numbers, rel_tol=_ROUNDING, abs_tol=allowed)
