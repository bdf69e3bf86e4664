"""Describe how test error changes along a numeric axis: where it is flat, and how much it differs.

The cells along the axis differ only in one number (p, a width, a data size), and in settings that
change with it. Each cell is compared, paired by seed, with the cell that validation chose.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from dropout_lab.analysis import phrases, statistics
from dropout_lab.analysis.family import MIN_VALUES, P_KEY, Family, axis_value, lines_along
from dropout_lab.analysis.statistics import ALPHA, Array, Interval
from dropout_lab.analysis.tables import StudyTables, paired_differences


@dataclass(frozen=True)
class CurvePoint:
    """A value of the axis, compared with the chosen value.

    Args:
        value: The value.
        pairs: Number of paired seeds.
        rise: Mean paired difference in test error from the chosen value; 0 for the chosen value.
        interval: The 95% t interval of this difference.
        max_difference: The largest absolute difference in its simultaneous interval (Bonferroni
            correction over all pairs of the curve).
        differs: Whether the two values differ significantly.
    """

    value: float
    pairs: int
    rise: float
    interval: Interval
    max_difference: float
    differs: bool


@dataclass(frozen=True)
class ResponseCurve:
    """Test error along an axis.

    Args:
        key: The axis, a dotted key.
        coupled_keys: Other keys that change with it.
        points: The values of the axis, ascending.
        best: The position of the chosen value, which is the best by validation if possible.
        validated: Whether the value was chosen on the validation set, not on the test set.
        rows: The rows of the table that make the curve.
    """

    key: str
    coupled_keys: tuple[str, ...]
    points: tuple[CurvePoint, ...]
    best: int
    validated: bool
    rows: frozenset[int]

    @property
    def flat_range(self) -> tuple[int, int]:
        """First and last position of the range around the chosen value that does not differ."""
        first = last = self.best
        while first > 0 and not self.points[first - 1].differs:
            first -= 1
        while last < len(self.points) - 1 and not self.points[last + 1].differs:
            last += 1
        return first, last

    @property
    def max_undetected(self) -> float:
        """The largest difference within the flat range that the intervals allow."""
        first, last = self.flat_range
        maxima = [point.max_difference for point in self.points[first : last + 1] if point.pairs]
        return max([0.0, *maxima])


def response_curve_through(
    study: StudyTables, table: pd.DataFrame, cell: pd.Series, key: str, family: Family
) -> ResponseCurve | None:
    """Return the response curve along a key, with the other settings of a cell.

    None if fewer than four values have at least two seeds in common with the best value.

    Args:
        study: The study.
        table: Cells of the study.
        cell: One of these cells.
        key: The axis, a swept key.
        family: All comparisons of the report.
    """
    lines = lines_along(study, table, key)
    axis_line = next((each for each in lines if cell.name in each.rows), None)
    if axis_line is None:
        return None
    line = table.loc[list(axis_line.rows)]
    line = line.assign(value=line[key].map(axis_value)).sort_values("value")
    line.loc[line["is_baseline"] & (key == P_KEY), "value"] = 0.0
    line = line.sort_values("value")
    line = line[line["test_accuracy_mean"].notna()]
    validated = bool(line["validation_accuracy_mean"].notna().all())
    scores = line["validation_accuracy_mean" if validated else "test_accuracy_mean"].round(12)
    if len(line) < MIN_VALUES:
        return None
    frames = study.completed
    rows = [int(str(i)) for i in line.index]
    tied = [row for row, score in zip(rows, scores, strict=True) if score == scores.max()]
    chosen = int(str(cell.name)) if cell.name in tied else tied[0]  # one choice in all sentences
    pairs = {row: -paired_differences(frames[row], frames[chosen]) for row in rows}
    kept = [i for i, row in enumerate(rows) if len(pairs[row]) > 1]
    if len(kept) < MIN_VALUES:
        return None
    level = 1 - ALPHA / math.comb(len(axis_line.rows), 2)  # simultaneous for all pairs
    points = tuple(
        _point(float(line["value"].iloc[i]), pairs[rows[i]], level, family.differ(rows[i], chosen))
        if rows[i] != chosen
        else CurvePoint(float(line["value"].iloc[i]), 0, 0.0, statistics.NO_INTERVAL, 0.0, False)
        for i in kept
    )
    best = [rows[i] for i in kept].index(chosen)
    shown_rows = frozenset(rows[i] for i in kept)
    return ResponseCurve(key, axis_line.coupled_keys, points, best, validated, shown_rows)


def _point(value: float, pairs: Array, level: float, differs: bool) -> CurvePoint:
    """Compare a value of the axis with the chosen one, from their paired differences."""
    max_difference = max(map(abs, statistics.t_interval(pairs, level)))
    return CurvePoint(
        value,
        len(pairs),
        float(pairs.mean()),
        statistics.t_interval(pairs),
        max_difference,
        differs,
    )


def response_sentence(curve: ResponseCurve, where: str = "") -> str:
    """Describe how test error changes along an axis, relative to the chosen value.

    The sentence never calls a value lowest or best, since the validation set chose it. It calls a
    range flat only if the largest difference that the intervals allow is at most a quarter of the
    largest observed change.

    Args:
        curve: The response curve.
        where: The names of the fixed settings.
    """

    def at(position: int) -> str:
        return f"{phrases.key_name(curve.key)} = {curve.points[position].value:g}"

    first, last = curve.flat_range
    end = len(curve.points) - 1
    along = " and ".join(phrases.key_name(key) for key in curve.coupled_keys)
    along = f", {along} changing with it" if along else ""
    n = phrases.sample_size([point.pairs for point in curve.points if point.pairs], "paired seed")
    chosen = f"validation chose {at(curve.best)}"
    if not curve.validated:
        chosen = f"without a validation set, the reference is {at(curve.best)}"
    subject = f"Over {phrases.key_name(curve.key)}{where}{along}, {chosen}"
    span = f"from {at(first)} to {at(last)}"
    left = f"differences of up to {phrases.points(curve.max_undetected)} remain possible"
    if curve.max_undetected >= 1:
        left = "any difference remains possible"
    if (first, last) == (0, end):
        return f"{subject}. No test error {span} differs detectably from it ({n}); {left}."
    sides = (range(last + 1, end + 1)[::-1], range(first))
    beyond = [i for side in sides if (i := _first_differing(curve, side)) is not None]
    changes = " and ".join(
        f"{phrases.magnitude(point.rise, point.interval)} "
        f"{'higher' if point.rise > 0 else 'lower'} at {at(i)}"
        for i in beyond
        for point in (curve.points[i],)
    )
    found = f"{subject}. Compared with it, test error is {changes} ({n})."
    if first == last:
        return f"{found} Each neighboring value differs from it."
    if curve.max_undetected <= max(abs(curve.points[i].rise) for i in beyond) / 4:
        return (
            f"{found} Test error is flat to within {phrases.points(curve.max_undetected)} {span}."
        )
    return f"{found} No test error {span} differs detectably from it; {left}."


def _first_differing(curve: ResponseCurve, positions: Iterable[int]) -> int | None:
    """Return the first of these positions whose value differs from the chosen one, or None."""
    return next((i for i in positions if curve.points[i].differs), None)
