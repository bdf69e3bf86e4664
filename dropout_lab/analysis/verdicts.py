"""The verdict of a comparison: better, worse, equivalent or undecided, and its words in tables."""

import math

import pandas as pd

from dropout_lab.analysis.equivalence import MANY_SEEDS
from dropout_lab.analysis.statistics import ALPHA, MIN_SEEDS
from dropout_lab.analysis.tables import StudyTables

BETTER = "better"
WORSE = "worse"
EQUIVALENT = "equivalent"
UNDECIDED = "undecided"
NO_PAIRS = "no pairs"
SIGNIFICANT = (BETTER, WORSE)


def study_margin(study: StudyTables, margin: float | None = None) -> float | None:
    """Return a margin as a fraction; without one, the ``report.margin`` of the study's config."""
    points = study.manifest.report.margin
    return points / 100 if margin is None and points is not None else margin


def verdict_of(cell: pd.Series, *, differs: bool) -> str:
    """Return the verdict of a cell.

    - ``better`` or ``worse``: the difference is significant. The t interval excludes 0,
      p_holm < 0.05, and there are at least six pairs;
    - ``equivalent``: it is not, p_equivalence_holm < 0.05, and there are at least six pairs;
    - ``undecided``: neither;
    - ``no pairs``: the cell has no reference, or no seed in common with it.

    Args:
        cell: A row of :func:`compare_cells` without its verdict.
        differs: Whether the difference from its reference is significant.
    """
    if cell["pairs"] == 0:
        return NO_PAIRS
    if differs:
        return BETTER if cell["difference_mean"] > 0 else WORSE
    return EQUIVALENT if is_within_margin(cell) else UNDECIDED


def is_within_margin(cell: pd.Series) -> bool:
    """Return whether the difference of a cell is certainly smaller than the margin."""
    return bool(cell["p_equivalence_holm"] < ALPHA)


def has_too_few_seeds(cell: pd.Series) -> bool:
    """Return whether a cell is undecided because no difference could have been significant."""
    few = cell["pairs"] < MIN_SEEDS or cell["smallest_p_holm"] >= ALPHA
    return bool(cell["verdict"] == UNDECIDED and few)


def margin_text(margin: float) -> str:
    """Return a margin in percentage points: ``0.1 pp``."""
    return f"{100 * margin:.6g} pp"


def seeds_text(cell: pd.Series, noun: str) -> str:
    """Return how many seeds would decide: ``about 14 seeds``; ``at least 6 seeds`` without an SD.

    Args:
        cell: An undecided cell.
        noun: The noun, such as ``seeds``.
    """
    seeds = cell["seeds_to_decide"]
    if seeds > MANY_SEEDS:
        return f"more than {MANY_SEEDS:,} {noun}"
    return f"{'at least' if math.isnan(cell['difference_sd']) else 'about'} {seeds:.0f} {noun}"


def verdict_text(cell: pd.Series) -> str:
    """Return the verdict of a cell for a table, with what limits it.

    ``better, by less than 0.1 pp``; ``undecided: needs about 14 seeds``; ``undecided: too few
    seeds, needs about 14 seeds``.
    """
    verdict = str(cell["verdict"])
    if verdict in SIGNIFICANT and is_within_margin(cell):
        return f"{verdict}, by less than {margin_text(cell['margin'])}"
    if verdict != UNDECIDED:
        return verdict
    reason = "too few seeds, " * has_too_few_seeds(cell)
    return f"{verdict}: {reason}needs {seeds_text(cell, 'seeds')}"
