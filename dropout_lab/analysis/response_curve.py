"""How test error changes over an ordered axis: where it is flat, and by how much it differs.

The cells of a line differ in one number alone, p or a width or a data size, or in settings that
change with it. Each is compared, paired by seed, with the cell of the line that validation chose.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dropout_lab.analysis import phrases, statistics
from dropout_lab.analysis.family import LEAST_VALUES, Family, P, lines_over, number
from dropout_lab.analysis.statistics import ALPHA, Array, Interval
from dropout_lab.analysis.tables import StudyTables, paired_differences


@dataclass(frozen=True)
class Point:
    """A value of the axis against the chosen one.

    Args:
        value: The value.
        pairs: Paired seeds.
        rise: Mean paired difference in test error to the chosen value; 0 at that value itself.
        interval: Its 95 % t interval.
        reach: The larger end, without sign, of its interval at the level (Bonferroni's) that makes
            the intervals of all pairs of the line hold together.
        apart: Whether the two differ, by the report's one verdict of the pair.
    """

    value: float
    pairs: int
    rise: float
    interval: Interval
    reach: float
    apart: bool


@dataclass(frozen=True)
class Shape:
    """Test error over an axis.

    Args:
        key: The axis, a dotted key.
        together: Other keys that change with it.
        points: Its values, ascending.
        best: The position of the chosen value: the best by validation where there is one.
        validated: Whether it was chosen on validation; else the test set had to choose.
        rows: The rows of the table that make the line.
    """

    key: str
    together: tuple[str, ...]
    points: tuple[Point, ...]
    best: int
    validated: bool
    rows: frozenset[int]

    @property
    def flat(self) -> tuple[int, int]:
        """The first and last position around the chosen value up to which none differs from it."""
        first = last = self.best
        while first > 0 and not self.points[first - 1].apart:
            first -= 1
        while last < len(self.points) - 1 and not self.points[last + 1].apart:
            last += 1
        return first, last

    @property
    def open(self) -> float:
        """The largest difference within the flat range that the intervals leave possible."""
        first, last = self.flat
        reaches = [point.reach for point in self.points[first : last + 1] if point.pairs]
        return max([0.0, *reaches])


def shape_through(
    study: StudyTables, table: pd.DataFrame, cell: pd.Series, key: str, family: Family
) -> Shape | None:
    """Return how test error runs over a key, at the other settings of a cell.

    None where fewer than four values have at least two seeds in common with the best of them.

    Args:
        study: The study.
        table: Rows of its cells.
        cell: One of them.
        key: The axis, a swept key.
        family: The comparisons of the report, which say what differs.
    """
    whole = next((each for each in lines_over(study, table, key) if cell.name in each.rows), None)
    if whole is None:
        return None
    line = table.loc[list(whole.rows)]
    line = line.assign(value=line[key].map(number)).sort_values("value")
    line.loc[line["bare"] & (key == P), "value"] = 0.0
    line = line.sort_values("value")
    line = line[line["test_accuracy_mean"].notna()]
    validated = bool(line["validation_accuracy_mean"].notna().all())
    scores = line["validation_accuracy_mean" if validated else "test_accuracy_mean"].to_numpy()
    if len(line) < LEAST_VALUES:
        return None
    frames = study.completed
    rows = [int(str(i)) for i in line.index]
    chosen = rows[int(np.argmax(scores))]
    pairs = {row: -paired_differences(frames[row], frames[chosen]) for row in rows}
    kept = [i for i, row in enumerate(rows) if len(pairs[row]) > 1]
    if len(kept) < LEAST_VALUES:
        return None
    level = 1 - ALPHA / math.comb(len(whole.rows), 2)  # of all pairs of the line together
    points = tuple(
        _point(float(line["value"].iloc[i]), pairs[rows[i]], level, family.differ(rows[i], chosen))
        if rows[i] != chosen
        else Point(float(line["value"].iloc[i]), 0, 0.0, statistics.NO_INTERVAL, 0.0, False)
        for i in kept
    )
    best = [rows[i] for i in kept].index(chosen)
    return Shape(key, whole.together, points, best, validated, frozenset(rows[i] for i in kept))


def _point(value: float, pairs: Array, level: float, differs: bool) -> Point:
    """Return a value of the axis against the best one."""
    reach = max(map(abs, statistics.t_interval(pairs, level)))
    return Point(
        value, len(pairs), float(pairs.mean()), statistics.t_interval(pairs), reach, differs
    )


def sentence(shape: Shape, where: str = "") -> str:
    """Say how test error changes over an axis, seen from the value that validation chose.

    Nothing is called lowest or best on the test set: the value was chosen on the validation set.
    The word flat appears with the largest difference that the intervals leave possible, and only
    where that is at most a quarter of the largest change found.

    Args:
        shape: The shape.
        where: The settings that are held, in words.
    """

    def at(position: int) -> str:
        return f"{phrases.name(shape.key)} = {shape.points[position].value:g}"

    first, last = shape.flat
    end = len(shape.points) - 1
    along = " and ".join(phrases.name(key) for key in shape.together)
    along = f", {along} changing with it" if along else ""
    n = phrases.n_of([point.pairs for point in shape.points if point.pairs], "paired seed")
    chosen = f"validation chose {at(shape.best)}"
    if not shape.validated:
        chosen = f"without a validation set, the reference is {at(shape.best)}"
    subject = f"Over {phrases.name(shape.key)}{where}{along}, {chosen}"
    span = f"from {at(first)} to {at(last)}"
    left = f"differences of up to {phrases.points(shape.open)} remain possible"
    if shape.open >= 1:
        left = "any difference remains possible"
    if (first, last) == (0, end):
        return f"{subject}. No test error {span} differs detectably from it ({n}); {left}."
    sides = (range(last + 1, end + 1)[::-1], range(first))
    beyond = [i for side in sides if (i := _outermost(shape, side)) is not None]
    changes = " and ".join(
        f"{phrases.size(point.rise, point.interval)} "
        f"{'higher' if point.rise > 0 else 'lower'} at {at(i)}"
        for i in beyond
        for point in (shape.points[i],)
    )
    found = f"{subject}. Compared with it, test error is {changes} ({n})."
    if first == last:
        return f"{found} Each neighboring value differs from it."
    if shape.open <= max(abs(shape.points[i].rise) for i in beyond) / 4:
        return f"{found} Test error is flat to within {phrases.points(shape.open)} {span}."
    return f"{found} No test error {span} differs detectably from it; {left}."


def _outermost(shape: Shape, positions: Iterable[int]) -> int | None:
    """Return the first of some positions that differs from the chosen value."""
    return next((i for i in positions if shape.points[i].apart), None)
