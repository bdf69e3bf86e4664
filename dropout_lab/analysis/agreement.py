"""Compare the order of published values with the order of our results, pair by pair."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from dropout_lab.analysis import phrases
from dropout_lab.analysis.family import Family
from dropout_lab.analysis.published import (
    Measurement,
    error_of_value,
    measurements,
    part_of_value,
)
from dropout_lab.analysis.tables import StudyTables
from dropout_lab.config.published import PublishedSettings, PublishedValue
from dropout_lab.results import counted


@dataclass(frozen=True)
class Pair:
    """Two published values with a known order, and our results for both.

    Args:
        better: The label of the value with the lower error in the paper.
        worse: The label of the other value.
        theirs: How much higher the second error is in the paper, as a fraction.
        ours: The same difference of our means; negative if our order is the opposite.
        significant: Whether our difference is significant in the report.
    """

    better: str
    worse: str
    theirs: float
    ours: float
    significant: bool


def beside_paper(study: StudyTables, table: pd.DataFrame, family: Family) -> list[str]:
    """Describe the results that this budget is too small for, and the agreement with the paper.

    Args:
        study: The study.
        table: The cells, from :func:`compare_cells`.
        family: All comparisons of the report.
    """
    published = study.manifest.published
    if published is None:
        return []
    text = published.too_small
    small = f"This budget is too small to show the paper's result: {text}" if text else ""
    return list(filter(None, [small, agreement_sentence(study, table, family)]))


def agreement_sentence(study: StudyTables, table: pd.DataFrame, family: Family) -> str:
    """Describe how many pairs of published values have the same order here, and which do not.

    Empty without two published values that differ and for which there are results.

    Args:
        study: The study.
        table: The cells, from :func:`compare_cells`.
        family: All comparisons of the report.
    """
    published = study.manifest.published
    pairs = [] if published is None else list(pairs_of(study, table, published, family))
    if published is None or not pairs:
        return ""
    agreeing = [pair for pair in pairs if pair.ours > 0]
    against = sorted((pair for pair in pairs if pair.ours < 0), key=lambda pair: pair.ours)
    equal = len(pairs) - len(agreeing) - len(against)
    parts = [f"the paper's order in {_counted(agreeing)}"]
    parts += [f"no order in {equal}"] if equal else []
    parts += [f"the opposite order in {_counted(against)}"]
    examples = [
        f"{pair.better} has {phrases.least(pair.theirs)} less error than {pair.worse} in the "
        f"paper and {phrases.least(-pair.ours)} more here{' (significant)' * pair.significant}"
        for pair in against
    ]
    listed = f" Opposite: {phrases.join_some(examples)}." if examples else ""
    return (
        f"In {counted(len(pairs), 'pair')} of numbers from {published.citation}, our means have "
        f"{', '.join(parts[:-1])} and {parts[-1]}.{listed}"
    )


def pairs_of(
    study: StudyTables, table: pd.DataFrame, published: PublishedSettings, family: Family
) -> Iterator[Pair]:
    """Yield the pairs of published test results that differ in the paper and that we have.

    Two values differ if their distance exceeds the sum of their standard deviations or tolerances.
    """
    rows = [
        row
        for row in measurements(study, table, published)
        if len(row.ours) and part_of_value(row.value) == "test"
    ]
    for pair in combinations(rows, 2):
        errors = [error_of_value(published.unit, row.value) / 100 for row in pair]
        spread = sum(_spread(published, row.value) for row in pair)
        better, worse = pair if errors[0] < errors[1] else pair[::-1]
        theirs = abs(errors[1] - errors[0])
        if round(theirs - spread, 10) > 0:
            ours = round(_error(published, worse) - _error(published, better), 10)
            yield Pair(
                better.value.label, worse.value.label, theirs, ours, _differ(family, better, worse)
            )


def _differ(family: Family, one: Measurement, other: Measurement) -> bool:
    """Return whether two cells differ significantly; the report tests only the mean network."""
    tested = one.value.inference == other.value.inference == "mean"
    if one.row is None or other.row is None or not tested:
        return False
    return family.differ(one.row, other.row)


def _spread(published: PublishedSettings, value: PublishedValue) -> float:
    """Return the standard deviation or tolerance of a published value, as a fraction."""
    return (value.sd or value.tolerance or 0.0) / (100 if published.unit == "%" else 1)


def _error(published: PublishedSettings, row: Measurement) -> float:
    """Return our mean test error, as a fraction."""
    mean = float(row.ours.mean()) / (100 if published.unit == "%" else 1)
    return mean if row.value.quantity == "test_error" else 1 - mean


def _counted(pairs: Sequence[Pair]) -> str:
    """Return the number of pairs, and of significant ones, as text."""
    significant = sum(pair.significant for pair in pairs)
    return f"{len(pairs)} ({significant} significant)" if significant else f"{len(pairs)}"
