"""Correct all comparisons of a report for multiple testing, as one family.

A report compares every cell with its reference, and some cells with each other: along an ordered
axis, or in order of test error. Which of these other pairs the report mentions depends on the
results. So the family contains every pair that the report could mention.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from dropout_lab.analysis import statistics
from dropout_lab.analysis.statistics import ALPHA, MIN_SEEDS, REFERENCE_SHARE, Array
from dropout_lab.analysis.tables import STUDY, StudyTables, as_text, paired_differences

P_KEY = "dropout.p"
MIN_VALUES = 4  # values of an axis with a response curve
MIN_CELLS, MAX_CELLS = 3, 9  # cells in a ranking
MAX_DATASETS = 6  # datasets with their own conclusions

Pair = frozenset[int]


@dataclass(frozen=True)
class AxisLine:
    """Cells along an axis: they differ only in one key, and in keys that change with it.

    Args:
        rows: The rows of the cells in the table.
        coupled_keys: The keys that change with the axis.
    """

    rows: tuple[int, ...]
    coupled_keys: tuple[str, ...]


@dataclass(frozen=True)
class ReportPart:
    """A group of cells that a report describes together.

    Args:
        table: The cells, with equal data unless the axes are keys of the data.
        axes: The keys along which the report describes test error.
        swept: The keys in the names of the cells; empty if the report does not rank the cells.
    """

    table: pd.DataFrame
    axes: tuple[str, ...]
    swept: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """All comparisons of a report, after Holm's correction.

    Args:
        planned: Number of planned comparisons with a reference, including removed cells.
        rate: The error rate of the first rejection.
        p_values: The corrected p-value of each cell; nan without pairs.
        smallest: The smallest possible corrected p-value of each cell, given its pairs.
        equivalence: The corrected p-value of each cell that its difference is smaller than the
            margin; nan without pairs or without a margin.
        significant: The pairs of cells that differ significantly.
    """

    planned: int
    rate: float
    p_values: pd.Series
    smallest: pd.Series
    equivalence: pd.Series
    significant: frozenset[Pair]

    def differ(self, one: int, other: int) -> bool:
        """Return whether two cells differ significantly."""
        return frozenset((one, other)) in self.significant


@dataclass(frozen=True)
class ComparisonPlan:
    """The comparisons of a report and their shares of the error rate, fixed before any result.

    Args:
        references: The row of each cell with a reference, by the pair of the two.
        others: The other pairs of cells that the report may compare.
        removed: Number of comparisons with cells that were removed.
    """

    references: dict[Pair, int]
    others: tuple[Pair, ...]
    removed: int

    @property
    def count(self) -> int:
        """Number of planned comparisons with a reference."""
        return len(self.references) + self.removed

    @property
    def shares(self) -> tuple[float, float]:
        """The share of the error rate of a comparison with a reference, and of another pair."""
        both = bool(self.others and self.references)
        parts = (REFERENCE_SHARE, 1 - REFERENCE_SHARE) if both else (1.0, 1.0)
        return parts[0] / max(1, self.count), parts[1] / max(1, len(self.others))

    def correct(self, references: Array, others: Array) -> tuple[Array, Array]:
        """Return the p-values of all differences, corrected together.

        Args:
            references: p-values of the comparisons with a reference.
            others: p-values of the other pairs.
        """
        k, (share, other_share) = len(references), self.shares
        found = statistics.holm(
            [*references, *others, *[1.0] * self.removed],
            [share] * k + [other_share] * len(others) + [share] * self.removed,
        )
        return found[:k], found[k : k + len(others)]

    def correct_equivalences(self, references: Array) -> Array:
        """Return the p-values of all equivalences with a reference, corrected together.

        They are a family of their own: of a comparison, only the difference or only the
        equivalence can be claimed falsely.
        """
        return statistics.holm([*references, *[1.0] * self.removed])[: len(references)]


def plan_comparisons(study: StudyTables, table: pd.DataFrame) -> ComparisonPlan:
    """Return the comparisons of a report.

    Args:
        study: The study.
        table: The cells, with the column ``reference``.
    """
    references = {
        frozenset((int(str(i)), int(table["reference"][i]))): int(str(i))
        for i in table.index[table["reference"].notna()]
    }
    others = sorted(set(_other_pairs(study, table)) - references.keys(), key=sorted)
    return ComparisonPlan(references, tuple(others), study.removed[1])


def correct_comparisons(study: StudyTables, table: pd.DataFrame) -> Family:
    """Correct the p-values of all comparisons of a report together, and find significant pairs.

    A planned comparison without a result counts as not significant, also if its cell was removed
    from the study. A comparison with a reference is significant if it has at least six pairs, its t
    interval excludes 0, and the corrected p-value of the sign-flip test is below 0.05. Other pairs
    of cells are compared by a t test (by sign flips if all differences are equal), also with at
    least six pairs. If there are such other pairs, they get 5% of the error rate together, and the
    comparisons with a reference 95% (as weights of Holm's correction).

    The equivalences with a reference are corrected separately, so that a margin does not change
    which differences are significant.

    Args:
        study: The study.
        table: The cells, with the columns ``reference``, ``pairs``, ``difference_low``,
            ``difference_high``, ``p_value``, ``smallest_p`` and ``p_equivalence``.
    """
    plan = plan_comparisons(study, table)
    frames = study.completed
    tests = [_t_test(paired_differences(frames[i], frames[j])) for i, j in map(sorted, plan.others)]
    rows = list(plan.references.values())
    has_pairs = table["pairs"] > 0

    def values(name: str) -> Array:
        return table[name].where(has_pairs, 1.0)[rows].to_numpy(dtype=np.float64)

    def column(corrected: Array) -> pd.Series:
        return pd.Series(corrected, index=rows).where(has_pairs[rows]).reindex(table.index)

    found, other_found = plan.correct(values("p_value"), np.array(tests))
    smallest, _ = plan.correct(values("smallest_p"), np.ones(len(tests)))
    equivalence = pd.Series(np.nan, index=table.index)
    if table["p_equivalence"].notna().any():
        equivalence = column(plan.correct_equivalences(values("p_equivalence")))
    p_values = column(found)
    excluded = (table["difference_low"] > 0) | (table["difference_high"] < 0)
    passed = excluded & (table["pairs"] >= MIN_SEEDS) & (p_values < ALPHA)
    significant = {pair for pair, row in plan.references.items() if passed[row]}
    significant |= {pair for pair, p in zip(plan.others, other_found, strict=True) if p < ALPHA}
    return Family(
        plan.count,
        plan.shares[0] * ALPHA,
        p_values,
        column(smallest),
        equivalence,
        frozenset(significant),
    )


def report_parts(study: StudyTables, table: pd.DataFrame) -> list[ReportPart]:
    """Return the parts of a report: one part with all cells, or also a part for each dataset.

    So the report never chooses among cells with different data. A comparison of several studies has
    no parts: it describes only the comparisons with the references.
    """
    if STUDY in study.swept:
        return []
    data, rest = dataset_keys(study), tuple(k for k in study.swept if not _is_data(k))
    groups = group_by_dataset(study, table)
    if len(groups) < 2:
        return [ReportPart(table, study.swept, study.swept)]
    dataset_parts = [ReportPart(group, rest, rest) for group in groups[:MAX_DATASETS]]
    return [*dataset_parts, ReportPart(table, data, ())]


def group_by_dataset(study: StudyTables, table: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the cells of each dataset (each combination of ``dataset`` keys)."""
    data = list(dataset_keys(study))
    if not data:
        return [table]
    return [group for _, group in table.groupby(data, dropna=False, sort=False)]


def dataset_keys(study: StudyTables) -> tuple[str, ...]:
    """Return the swept keys that change the data."""
    return tuple(key for key in study.swept if _is_data(key))


def _is_data(key: str) -> bool:
    return key.startswith("dataset.")


def _other_pairs(study: StudyTables, table: pd.DataFrame) -> Iterator[Pair]:
    """Yield the pairs that a report could compare in a response curve or a ranking."""
    for part in report_parts(study, table):
        lines = [line for key in part.axes for line in lines_along(study, part.table, key)]
        sets = [line.rows for line in lines]
        if not lines and part.swept and MIN_CELLS <= len(part.table) <= MAX_CELLS:
            sets = [tuple(int(str(i)) for i in part.table.index)]
        for rows in sets:
            yield from map(frozenset, combinations(rows, 2))


def lines_along(study: StudyTables, table: pd.DataFrame, key: str) -> list[AxisLine]:
    """Return the lines of cells along a numeric axis with at least four values.

    The lines contain the cells with dropout, or all cells if no cell has dropout. Along p, each
    line starts with the baseline as p = 0, also if other keys change with p.
    """
    all_baselines = bool(table["is_baseline"].all())
    rows = table[table["is_baseline"] == all_baselines]
    values = as_text(rows[key])
    others = [other for other in study.swept if other != key]
    coupled = tuple(
        other
        for other in others
        if as_text(rows[other]).nunique() == values.nunique() > 1
        and (values + " " + as_text(rows[other])).nunique() == values.nunique()
    )
    fixed = [as_text(rows[other]) for other in others if other not in coupled]
    lines = [line for _, line in rows.groupby(fixed, sort=False)] if fixed else [rows]
    changing = (key, *coupled)
    if P_KEY in changing and not all_baselines:
        lines = [_with_baseline(study, table, line, changing) for line in lines]
    found = []
    for line in lines:
        numbers = line[key].map(axis_value).where(~(line["is_baseline"] & (key == P_KEY)), 0.0)
        if len(line) >= MIN_VALUES and numbers.notna().all() and not numbers.duplicated().any():
            found.append(AxisLine(tuple(int(str(i)) for i in line.index), coupled))
    return found


def _with_baseline(
    study: StudyTables, table: pd.DataFrame, line: pd.DataFrame, changing: tuple[str, ...]
) -> pd.DataFrame:
    """Prepend the baseline with otherwise equal settings to a line along p, if it is unique.

    A key that changes with p has a different value at each p, so also at p = 0.
    """
    without_dropout_keys = [key for key in study.swept if not key.startswith("dropout.")]
    equal = table["is_baseline"]
    for key in without_dropout_keys:
        taken = set(as_text(line[key]))
        values = as_text(table[key])
        equal = equal & (~values.isin(taken) if key in changing else values.isin(taken))
    return pd.concat([table[equal], line]) if equal.sum() == 1 else line


def axis_value(value: object) -> float:
    """Return a swept value as a number; nan if it is not numeric.

    A list of equal numbers, such as the widths [512, 512], counts as one number.
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
    """Return the p-value of paired differences: a t test; 1 for fewer than six pairs.

    If all differences are equal, a t test is undefined, and the sign-flip test is used.
    """
    if len(pairs) < MIN_SEEDS:
        return 1.0
    test = statistics.t_test_p if statistics.spread(pairs) else statistics.sign_flip_p
    return test(pairs)
