"""Format numbers, intervals and names of cells for sentences."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from dropout_lab.analysis import style
from dropout_lab.analysis.statistics import Interval
from dropout_lab.analysis.tables import STUDY
from dropout_lab.config.sweep import LABEL

_MAX_LISTED = 4  # texts, before the others are counted


def percent(value: float) -> str:
    """Return a fraction as a percentage: ``97.85%``."""
    return f"{100 * value:.2f}%"


def hundredths(value: float) -> str:
    """Return 100 times a fraction, without a unit: ``0.43``, ``−1.20``."""
    return f"{100 * value:z.2f}".replace("-", "−")


def points(value: float) -> str:
    """Return a difference of fractions in percentage points: ``0.43 pp``, ``−1.20 pp``."""
    return f"{hundredths(value)} pp"


def least(value: float) -> str:
    """Return a difference above 0, also one that would be rounded to 0: ``less than 0.01 pp``."""
    return points(value) if value >= 0.00005 else "less than 0.01 pp"


def signed(value: float) -> str:
    """Return a difference of fractions in percentage points, with its sign: ``+0.43 pp``."""
    return f"{'+' if value >= 0 else ''}{points(value)}"


def interval_text(interval: Interval) -> str:
    """Return an interval of fractions in brackets, after a space; empty for nan."""
    low, high = interval
    return "" if low != low or high != high else f" [{hundredths(low)}, {hundredths(high)}]"


def magnitude(value: float, interval: Interval) -> str:
    """Return the absolute value of a difference, with its interval: ``0.43 pp [0.30, 0.56]``."""
    low, high = interval
    absolute = (-high, -low) if value < 0 else interval
    return f"{points(abs(value))}{interval_text(absolute)}"


def sample_size(counts: Iterable[int], noun: str) -> str:
    """Return a sample size or a range of them: ``n = 6 seeds``, ``n = 3 to 6 seeds``."""
    values = sorted({int(count) for count in counts})
    span = str(values[-1]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
    return f"n = {span} {noun}" if values == [1] else f"n = {span} {noun}s"


def join_some(texts: Sequence[str]) -> str:
    """Join texts; of many, the first four and the number of the others."""
    more = len(texts) - _MAX_LISTED
    return "; ".join([*texts[:_MAX_LISTED], *([f"{more} more"] if more > 0 else [])])


def listed(texts: Sequence[str]) -> str:
    """Return texts as a list in words: ``A, B and C``."""
    *most, last = texts
    return f"{', '.join(most)} and {last}" if most else last


def cell_phrase(cell: pd.Series, swept: Sequence[str]) -> str:
    """Return the name of a cell with a preposition: ``with no dropout``, ``with p = 0.25``."""
    words = style.cell_name(cell, swept)
    return words if words.startswith(("with ", "without ")) else f"with {words}"


def key_name(key: str) -> str:
    """Return the name of a dotted key in plots: ``train size`` for ``dataset.train_size``."""
    return key.partition(".")[2].replace("_", " ")


def reference_words(against: Mapping[str, Any] | None) -> str:
    """Return the name of a reference: ``baseline``, ``p = 0.25``, the name of a study or label."""
    if not against:
        return "baseline"
    return ", ".join(
        str(value) if key in (STUDY, LABEL) else f"{key_name(key)} = {style.value_text(value)}"
        for key, value in against.items()
    )
