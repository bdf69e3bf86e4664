"""Recover run ids that a spreadsheet changed to numbers: 123e45678901, 000123456789."""

from collections.abc import Collection, Mapping
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, InvalidOperation

from dropout_lab.config.grid import Run
from dropout_lab.results.text import Row, cell_text

_LARGEST = 308  # the exponent of the largest double; a larger number is infinite


def possible_ids(text: str, row: Row, known: Collection[str] | None) -> list[str]:
    """Return the run ids that a number may have been.

    Args:
        text: The number, with a decimal point.
        row: The row that it is of: its seed and its swept values tell runs apart.
        known: The runs there can be, by id, or their ids alone; none: nothing can be told.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        return []
    found = [run_id for run_id in known or () if _became(run_id, number)]
    if len(found) > 1 and isinstance(known, Mapping):
        found = [run_id for run_id in found if _is_of(row, known[run_id])]
    return found


def _became(run_id: str, number: Decimal) -> bool:
    """Return whether a run id may have become this number."""
    try:
        value = Decimal(run_id)
    except InvalidOperation:  # most ids have letters
        return False
    if number.is_nan():
        return False
    if number.is_infinite():
        return bool(value.adjusted() > _LARGEST)
    digits = max(len(number.as_tuple().digits), 1)
    context = Context(prec=digits, Emax=MAX_EMAX, Emin=MIN_EMIN)
    return value == number or context.create_decimal(value) == number


def _is_of(row: Row, run: Run) -> bool:
    """Return whether a row's seed and swept values match a run."""
    values = {key: cell_text(value) for key, value in run.cell.values.items()}
    values["seed"] = str(run.seed)
    return all(_same(row[key], text) for key, text in values.items() if key in row)


def _same(one: str, other: str) -> bool:
    try:
        return one == other or float(one) == float(other)
    except ValueError:
        return False
