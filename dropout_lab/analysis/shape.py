"""How test error runs over an ordered axis: where it is flat, and how much it rises beyond.

The cells of a line differ in one number alone, p or a width or a data size, or in settings that
change with it. Each is compared, paired by seed, with the cell of the line that validation holds
for the best.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dropout_lab.analysis import phrases, statistics
from dropout_lab.analysis.paired import paired_differences
from dropout_lab.analysis.statistics import ALPHA, Interval
from dropout_lab.analysis.tables import StudyTables

LEAST_VALUES = 4  # of an axis, for it to have a shape
P = "dropout.p"


@dataclass(frozen=True)
class Point:
    """A value of the axis against the best one.

    Args:
        value: The value.
        pairs: Paired seeds.
        rise: Mean paired difference in test error to the best; 0 at the best itself.
        interval: Its 95 % t interval.
        reach: The larger end, without sign, of its interval at the level (Bonferroni's) that makes
            all intervals of a line hold together.
        apart: Whether the two can be told apart: t test, Holm-corrected over the line, below 0.05.
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
        best: The position of the best, by validation where there is one.
        validated: Whether it was chosen on validation; else the test part had to choose.
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
        """The first and last position around the best up to which none can be told from it."""
        first = last = self.best
        while first > 0 and not self.points[first - 1].apart:
            first -= 1
        while last < len(self.points) - 1 and not self.points[last + 1].apart:
            last += 1
        return first, last

    @property
    def open(self) -> float:
        """The largest difference within the flat range that the intervals do not exclude."""
        first, last = self.flat
        reaches = [point.reach for point in self.points[first : last + 1] if point.pairs]
        return max([0.0, *reaches])


def shape_through(
    study: StudyTables, table: pd.DataFrame, cell: pd.Series, key: str
) -> Shape | None:
    """Return how test error runs over a key, at the other settings of a cell.

    None where fewer than four values have at least two seeds in common with the best of them.

    Args:
        study: The study.
        table: Rows of its cells.
        cell: One of them.
        key: The axis, a swept key.
    """
    line, together = _line(study, table, cell, key)
    values = line[key].map(number)
    if values.isna().any() or values.duplicated().any():
        return None
    line = line.assign(value=values).sort_values("value")
    line = line[line["test_accuracy_mean"].notna()]
    validated = bool(line["validation_accuracy_mean"].notna().all())
    scores = line["validation_accuracy_mean" if validated else "test_accuracy_mean"].to_numpy()
    if len(line) < LEAST_VALUES:
        return None
    frames = study.completed
    rows = [int(str(i)) for i in line.index]
    theirs = frames[rows[int(np.argmax(scores))]]
    pairs = [-paired_differences(frames[row], theirs) for row in rows]
    kept = [i for i, each in enumerate(pairs) if len(each) > 1]
    if len(kept) < LEAST_VALUES:
        return None
    best = kept.index(int(np.argmax(scores)))
    points = _points([float(line["value"].iloc[i]) for i in kept], [pairs[i] for i in kept], best)
    return Shape(key, together, points, best, validated, frozenset(rows[i] for i in kept))


def number(value: object) -> float:
    """Return the number of an ordered axis that a swept value is; nan if it is none.

    A list of equal numbers, such as the widths [512, 512], is one number.
    """
    try:
        read = json.loads(str(value))
    except ValueError:
        return math.nan
    values = read if isinstance(read, list) else [read]
    if not values or not all(type(each) in (int, float) for each in values):
        return math.nan
    return float(values[0]) if len(set(values)) == 1 else math.nan


def told_apart(pairs: "Sequence[statistics.Array]") -> list[bool]:
    """Return which of several paired differences can be told from 0.

    By t tests, Holm-corrected over those with at least three pairs. Counts of errors may happen to
    be equal and leave a t test no spread to go by: then the sign-flip test judges.
    """
    p_values = []
    for each in pairs:
        test = statistics.t_test_p if statistics.spread(each) else statistics.sign_flip_p
        p_values.append(test(each) if len(each) >= 3 else math.nan)
    return [bool(p_value < ALPHA) for p_value in statistics.holm(p_values)]


def _line(
    study: StudyTables, table: pd.DataFrame, cell: pd.Series, key: str
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the rows that differ from a cell in a key alone, and the keys that change with it.

    Over p the cell without dropout is p = 0 of every line.
    """
    others = [other for other in study.swept if other != key]
    bare = False if key.startswith("dropout.") else cell["bare"]
    dropped = table[table["bare"] == bare]
    values = dropped[key].astype(str)
    together = tuple(
        other
        for other in others
        if dropped[other].astype(str).nunique() == values.nunique() > 1
        and (values + " " + dropped[other].astype(str)).nunique() == values.nunique()
    )
    fixed = [other for other in others if other not in together]
    line = dropped[_equal(dropped, cell, fixed)]
    if key == P and not together:
        plain = [other for other in fixed if not other.startswith("dropout.")]
        without = table[table["bare"] & _equal(table, cell, plain)]
        line = pd.concat([without, line]) if len(without) == 1 else line
    return line, together


def _equal(table: pd.DataFrame, cell: pd.Series, keys: Sequence[str]) -> pd.Series:
    """Return which rows of a table equal a cell in some keys."""
    mask = pd.Series(True, index=table.index)
    for key in keys:
        mask &= table[key].astype(str) == str(cell[key])
    return mask


def _points(
    values: Sequence[float], pairs: "Sequence[statistics.Array]", best: int
) -> tuple[Point, ...]:
    """Return the points of a line, compared with the best of them."""
    # The best against itself is no comparison, and not counted.
    apart = told_apart([each if i != best else each[:0] for i, each in enumerate(pairs)])
    together = 1 - ALPHA / (len(values) - 1)
    return tuple(
        Point(
            value,
            0 if i == best else len(each),
            0.0 if i == best else float(each.mean()),
            statistics.t_interval(each),
            max(map(abs, statistics.t_interval(each, together))),
            apart[i],
        )
        for i, (value, each) in enumerate(zip(values, pairs, strict=True))
    )


def sentence(shape: Shape, where: str = "") -> str:
    """Say where test error is flat and how much it rises beyond, and how that was judged.

    The word flat comes with the largest difference that the intervals leave open, and only where
    that is at most half the largest change seen.

    Args:
        shape: The shape.
        where: The settings that are held, in words.
    """

    def at(position: int) -> str:
        return f"{phrases.name(shape.key)} = {shape.points[position].value:g}"

    first, last = shape.flat
    end = len(shape.points) - 1
    along = " and ".join(phrases.name(key) for key in shape.together)
    along = f", {along} changing with it," if along else ""
    subject = f"Test error over {phrases.name(shape.key)}{along}{where}"
    n = phrases.n_of([point.pairs for point in shape.points if point.pairs], "paired seed")
    chosen = (
        "best of these by validation"
        if shape.validated
        else "best of these on test, without a validation part"
    )
    tests = f"paired t tests, Holm-corrected over {end} values"
    left = f"differences of up to {phrases.points(shape.open)} points remain open"
    if shape.open >= 1:
        left = "any difference remains open"
    if (first, last) == (0, end):
        values = f"from {at(0)} to {at(end)} no value can be told from {at(shape.best)}"
        return f"{subject.rstrip(',')}: {values}, the {chosen} ({tests}; {n}); {left}."
    sides = (range(last + 1, end + 1)[::-1], range(first))
    beyond = [i for side in sides if (i := _outermost(shape, side)) is not None]
    verb = "rises" if all(shape.points[i].rise > 0 for i in beyond) else "changes"
    both = " at both ends" if len(beyond) > 1 else " beyond"
    changes = ", ".join(
        f"{'by' if point.rise > 0 or verb == 'rises' else 'falling by'} "
        f"{phrases.size(point.rise, point.interval)} at {at(i)}"
        for i in beyond
        for point in (shape.points[i],)
    )
    if first == last:
        side = both if len(beyond) > 1 else ""
        found = f"is lowest at {at(shape.best)}, the {chosen}, and {verb}{side}: {changes} ({n})"
        return f"{subject} {found}. Each neighbour can be told from it ({tests})."
    span = f"from {at(first)} to {at(last)}"
    if shape.open <= max(abs(shape.points[i].rise) for i in beyond) / 2:
        found = f"is flat to within {phrases.points(shape.open)} points {span}"
        left = "the simultaneous 95 % intervals leave no more open"
    else:
        found = f"does not differ by what can be told {span}"
    return (
        f"{subject} {found}, and {verb}{both}: {changes} ({n}). No value {span} can be told from "
        f"{at(shape.best)}, the {chosen} ({tests}); {left}."
    )


def _outermost(shape: Shape, positions: Iterable[int]) -> int | None:
    """Return the first of some positions that can be told from the best."""
    return next((i for i in positions if shape.points[i].apart), None)
