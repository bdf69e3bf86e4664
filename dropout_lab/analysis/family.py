"""The comparisons of a report: one family, corrected together, with one verdict for each pair.

A report compares every cell with its reference, and some cells with each other: along an ordered
axis, or in order of test error. Which of the latter a sentence talks about depends on the results.
So the family holds every pair of cells that a sentence could compare, known before any result is.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from dropout_lab.analysis import statistics
from dropout_lab.analysis.statistics import ALPHA, LEAST_SEEDS, SHARE, Array
from dropout_lab.analysis.tables import StudyTables, as_text, paired_differences

P = "dropout.p"
LEAST_VALUES = 4  # of an axis, for it to have a shape
LEAST_CELLS, MOST_CELLS = 3, 9  # that make an order a sentence can hold
DATA_SETS = 6  # whose own findings a report has

Pair = frozenset[int]


@dataclass(frozen=True)
class Line:
    """Cells that differ in one key alone, or in keys that change with it.

    Args:
        rows: Their rows in the table.
        together: The keys that change with the axis.
    """

    rows: tuple[int, ...]
    together: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """Cells that a report speaks of together.

    Args:
        table: The cells, of equal data unless the axes are of data.
        axes: The keys over which test error is described.
        swept: The keys that name a cell in it; empty where the cells are not listed in order.
    """

    table: pd.DataFrame
    axes: tuple[str, ...]
    swept: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """The comparisons of a report after Holm's correction.

    Args:
        planned: How many comparisons with a reference were planned, the removed ones included.
        rate: The error rate of each of them while none is significant yet.
        p_values: Corrected p-values, a row for each cell; nan without pairs.
        smallest: The smallest that the pairs of each cell can reach.
        significant: The pairs of cells found to differ.
    """

    planned: int
    rate: float
    p_values: pd.Series
    smallest: pd.Series
    significant: frozenset[Pair]

    def differ(self, one: int, other: int) -> bool:
        """Return whether two cells differ, by the one verdict that the report has of them."""
        return frozenset((one, other)) in self.significant


def judge(study: StudyTables, table: pd.DataFrame) -> Family:
    """Correct all comparisons of a report together.

    A planned comparison without a result counts as one that found nothing, and so does one whose
    cell was removed from the study. A comparison with a
    reference is significant if it has at least six pairs, its t interval excludes 0, and the
    corrected p-value of the sign-flip test is below 0.05. Any other pair of cells is compared by a
    t test (by sign flips where all differences are equal, and there is no spread), with at least
    six pairs as well. Where there are such pairs, all of them together get 5 % of the error rate,
    the comparisons with a reference 95 % (weights of Holm's correction).

    Args:
        study: The study.
        table: Its cells, with the columns ``reference``, ``pairs``, ``difference_low``,
            ``difference_high``, ``p_value`` and ``smallest_p``.
    """
    planned = table["reference"].notna()
    compared = table["pairs"] > 0
    known = {frozenset((int(str(i)), int(table["reference"][i]))): i for i in table.index[planned]}
    others = sorted(set(_other_pairs(study, table)) - known.keys(), key=sorted)
    frames = study.completed
    tests = [_t_test(paired_differences(frames[i], frames[j])) for i, j in map(sorted, others)]
    of_planned, of_others = (SHARE, 1 - SHARE) if others and known else (1.0, 1.0)
    removed = study.removed[1]
    count = max(1, len(known) + removed)
    weights = [of_planned / count] * len(known)
    weights += [of_others / max(1, len(others))] * len(others) + [of_planned / count] * removed

    def corrected(p_values: pd.Series, others_p: Sequence[float]) -> Array:
        own = p_values[planned].where(compared[planned], 1.0)
        return statistics.holm([*own, *others_p, *[1.0] * removed], weights)

    found = corrected(table["p_value"], tests)
    reachable = corrected(table["smallest_p"], [1.0] * len(others))
    p_values, smallest = (
        pd.Series(values[: len(known)], index=table.index[planned])
        .where(compared[planned])
        .reindex(table.index)
        for values in (found, reachable)
    )
    excluded = (table["difference_low"] > 0) | (table["difference_high"] < 0)
    good = excluded & (table["pairs"] >= LEAST_SEEDS) & (p_values < ALPHA)
    significant = {pair for pair, row in known.items() if good[row]}
    of_pairs = found[len(known) : len(known) + len(others)]
    significant |= {pair for pair, p in zip(others, of_pairs, strict=True) if p < ALPHA}
    rate = of_planned * ALPHA / count
    return Family(len(known) + removed, rate, p_values, smallest, frozenset(significant))


def parts_of(study: StudyTables, table: pd.DataFrame) -> list[Part]:
    """Return the parts of a report: all cells, or each data set by itself and the data as axes.

    Cells of different data are never chosen between.
    """
    data, rest = keys_of_data(study), tuple(k for k in study.swept if not _is_data(k))
    groups = data_sets(study, table)
    if len(groups) < 2:
        return [Part(table, study.swept, study.swept)]
    own = [Part(group, rest, rest) for group in groups[:DATA_SETS]]
    return [*own, Part(table, data, ())]


def data_sets(study: StudyTables, table: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the cells of each data set (``dataset`` keys)."""
    data = list(keys_of_data(study))
    if not data:
        return [table]
    return [group for _, group in table.groupby(data, dropna=False, sort=False)]


def keys_of_data(study: StudyTables) -> tuple[str, ...]:
    """Return the swept keys that change the data."""
    return tuple(key for key in study.swept if _is_data(key))


def _is_data(key: str) -> bool:
    return key.startswith("dataset.")


def _other_pairs(study: StudyTables, table: pd.DataFrame) -> Iterator[Pair]:
    """Return the pairs of cells that a sentence about an axis or an order could compare."""
    for part in parts_of(study, table):
        lines = [line for key in part.axes for line in lines_over(study, part.table, key)]
        sets = [line.rows for line in lines]
        if not lines and part.swept and LEAST_CELLS <= len(part.table) <= MOST_CELLS:
            sets = [tuple(int(str(i)) for i in part.table.index)]
        for rows in sets:
            yield from map(frozenset, combinations(rows, 2))


def lines_over(study: StudyTables, table: pd.DataFrame, key: str) -> list[Line]:
    """Return the lines of cells with dropout over an ordered axis of at least four values.

    Over p the cell without dropout is p = 0 of every line, also where other keys change with p.
    Where no cell has dropout, the lines are those of the others.
    """
    every = bool(table["bare"].all())
    rows = table[table["bare"] == every]
    values = as_text(rows[key])
    others = [other for other in study.swept if other != key]
    together = tuple(
        other
        for other in others
        if as_text(rows[other]).nunique() == values.nunique() > 1
        and (values + " " + as_text(rows[other])).nunique() == values.nunique()
    )
    fixed = [as_text(rows[other]) for other in others if other not in together]
    lines = [line for _, line in rows.groupby(fixed, sort=False)] if fixed else [rows]
    changing = (key, *together)
    if P in changing and not every:
        lines = [_with_baseline(study, table, line, changing) for line in lines]
    found = []
    for line in lines:
        numbers = line[key].map(number).where(~(line["bare"] & (key == P)), 0.0)
        if len(line) >= LEAST_VALUES and numbers.notna().all() and not numbers.duplicated().any():
            found.append(Line(tuple(int(str(i)) for i in line.index), together))
    return found


def _with_baseline(
    study: StudyTables, table: pd.DataFrame, line: pd.DataFrame, changing: tuple[str, ...]
) -> pd.DataFrame:
    """Return a line over p after the cell without dropout and otherwise equal settings.

    A key that changes with p has a value of its own at each p, so it must have one at p = 0 too.
    """
    plain = [key for key in study.swept if not key.startswith("dropout.")]
    equal = table["bare"]
    for key in plain:
        taken = set(as_text(line[key]))
        values = as_text(table[key])
        equal = equal & (~values.isin(taken) if key in changing else values.isin(taken))
    return pd.concat([table[equal], line]) if equal.sum() == 1 else line


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


def _t_test(pairs: Array) -> float:
    """Return the p-value of two cells; 1 with fewer than six pairs, which show nothing.

    Counts of errors may happen to be equal and leave a t test no spread to go by: then the
    sign-flip test judges.
    """
    if len(pairs) < LEAST_SEEDS:
        return 1.0
    test = statistics.t_test_p if statistics.spread(pairs) else statistics.sign_flip_p
    return test(pairs)
