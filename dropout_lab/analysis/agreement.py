"""The order of a paper's numbers and the order of ours, pair by pair."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from dropout_lab.analysis import phrases
from dropout_lab.analysis.family import Family, judge
from dropout_lab.analysis.paired import compared
from dropout_lab.analysis.published import Measured, error_of_value, measured, published_of
from dropout_lab.analysis.tables import StudyTables
from dropout_lab.config.published import PublishedSettings, PublishedValue
from dropout_lab.results import counted


@dataclass(frozen=True)
class Pair:
    """Two published numbers whose order is known, both of them measured here.

    Args:
        better: The label of the number with the lower error in the paper.
        worse: The label of the other number.
        theirs: How much higher the second error is in the paper, a fraction.
        ours: The same difference of our means; below 0 if our order is the opposite.
        significant: Whether the report calls our difference significant.
    """

    better: str
    worse: str
    theirs: float
    ours: float
    significant: bool


def beside_paper_of(study: StudyTables) -> list[str]:
    """Return :func:`beside_paper` of a study whose cells were not compared yet."""
    published = published_of(study)
    if published is None or not (published.too_small or published.values):
        return []
    table = compared(study)
    return beside_paper(study, table, judge(study, table))


def beside_paper(study: StudyTables, table: pd.DataFrame, family: Family) -> list[str]:
    """Say which of the paper's results this budget is too small for, and whose order is ours.

    Args:
        study: The study.
        table: Its cells.
        family: The comparisons of the report, which say what differs.
    """
    published = published_of(study)
    if published is None:
        return []
    text = published.too_small
    small = f"This budget is too small to show the paper's result: {text}" if text else ""
    return list(filter(None, [small, agreement_sentence(study, table, family)]))


def agreement_sentence(study: StudyTables, table: pd.DataFrame, family: Family) -> str:
    """Say how many pairs of a paper's numbers have the same order here, and which do not.

    Empty if the config has fewer than two numbers that were measured here.

    Args:
        study: The study.
        table: Its cells.
        family: The comparisons of the report, which say what differs.
    """
    published = published_of(study)
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
    listed = f" Opposite: {phrases.listed(examples)}." if examples else ""
    return (
        f"In {counted(len(pairs), 'pair')} of numbers from {published.citation}, our means have "
        f"{', '.join(parts[:-1])} and {parts[-1]}.{listed}"
    )


def pairs_of(
    study: StudyTables, table: pd.DataFrame, published: PublishedSettings, family: Family
) -> Iterator[Pair]:
    """Return the pairs of published numbers that were measured here and that differ in the paper.

    Two numbers that are closer than their printed standard deviations, or tolerances, together
    have no order.
    """
    rows = [row for row in measured(study, table, published) if len(row.ours)]
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


def _differ(family: Family, one: Measured, other: Measured) -> bool:
    """Return whether the report calls the difference significant; it tests the mean rule alone."""
    tested = one.value.inference == other.value.inference == "mean"
    if one.row is None or other.row is None or not tested:
        return False
    return family.differ(one.row, other.row)


def _spread(published: PublishedSettings, value: PublishedValue) -> float:
    """Return how uncertain a published number is, as a fraction."""
    return (value.sd or value.tolerance or 0.0) / (100 if published.unit == "%" else 1)


def _error(published: PublishedSettings, row: Measured) -> float:
    """Return our mean test error, a fraction."""
    mean = float(row.ours.mean()) / (100 if published.unit == "%" else 1)
    return mean if row.value.quantity == "test_error" else 1 - mean


def _counted(pairs: Sequence[Pair]) -> str:
    """Return how many pairs there are, and how many of them are significant."""
    significant = sum(pair.significant for pair in pairs)
    return f"{len(pairs)} ({significant} significant)" if significant else f"{len(pairs)}"
