"""Numbers and cells as they stand in a sentence."""

from collections.abc import Iterable, Sequence

import pandas as pd

from dropout_lab.analysis import style
from dropout_lab.analysis.statistics import Interval

_LISTED = 4  # things, before the rest is counted


def percent(value: float) -> str:
    """Return a share in percent: ``97.85%``."""
    return f"{100 * value:.2f}%"


def hundredths(value: float) -> str:
    """Return 100 times a share, without the unit: ``0.43``, ``−1.20``."""
    return f"{100 * value:z.2f}".replace("-", "−")


def points(value: float) -> str:
    """Return a difference of shares in percentage points: ``0.43 pp``, ``−1.20 pp``."""
    return f"{hundredths(value)} pp"


def least(value: float) -> str:
    """Return a difference above 0, also one that would be rounded to 0: ``less than 0.01 pp``."""
    return points(value) if value >= 0.00005 else "less than 0.01 pp"


def signed(value: float) -> str:
    """Return a difference of shares in percentage points, with its sign: ``+0.43 pp``."""
    return f"{'+' if value >= 0 else ''}{points(value)}"


def band(interval: Interval) -> str:
    """Return an interval of shares in brackets, after a space; nothing where there is none."""
    low, high = interval
    return "" if low != low or high != high else f" [{hundredths(low)}, {hundredths(high)}]"


def size(value: float, interval: Interval) -> str:
    """Return how large a difference is, whatever its sign: ``0.43 pp [0.30, 0.56]``."""
    low, high = interval
    turned = (-high, -low) if value < 0 else interval
    return f"{points(abs(value))}{band(turned)}"


def n_of(counts: Iterable[int], noun: str) -> str:
    """Return how many things stand behind a number: ``n = 6 seeds``, ``n = 3 to 6 seeds``."""
    values = sorted({int(count) for count in counts})
    span = str(values[-1]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
    return f"n = {span} {noun}" if values == [1] else f"n = {span} {noun}s"


def listed(texts: Sequence[str]) -> str:
    """Return a few texts in a row, the rest counted."""
    more = len(texts) - _LISTED
    return "; ".join([*texts[:_LISTED], *([f"{more} more"] if more > 0 else [])])


def label(cell: pd.Series, swept: Sequence[str]) -> str:
    """Return a cell in words, as in the pictures."""
    return style.cell_label(cell, tuple(swept), bool(cell["bare"]))


def named(cell: pd.Series, swept: Sequence[str]) -> str:
    """Return a cell after a verb: ``without dropout``, ``with p = 0.25``."""
    words = label(cell, swept)
    return words if words.startswith(("with ", "without ")) else f"with {words}"


def name(key: str) -> str:
    """Return a dotted key as the pictures call it: ``train size`` of ``dataset.train_size``."""
    return key.partition(".")[2].replace("_", " ")
