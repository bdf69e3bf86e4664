"""Every cell of a study against its reference, paired by seed; and the cell chosen on validation.

Two runs are a pair if they have the same seed: the same initial weights, data and order. What is
left between them is what their settings do, so few seeds show much.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dropout_lab.analysis import statistics
from dropout_lab.analysis.family import Family, judge
from dropout_lab.analysis.statistics import ALPHA, LEAST_SEEDS, Array, Optimism
from dropout_lab.analysis.tables import StudyTables, by_cell, cells, paired_differences
from dropout_lab.errors import ConfigError
from dropout_lab.results import comparable

SIGNIFICANT = "significant"
NOT_SIGNIFICANT = "not significant"
TOO_FEW_SEEDS = "too few seeds"
NO_PAIRS = "no pairs"


def compared(
    study: StudyTables, against: Mapping[str, Any] | None = None, difference: float = 0.001
) -> pd.DataFrame:
    """Return the table of :func:`cells` with intervals and each cell's comparison.

    A cell is compared with its reference: the cell without dropout and otherwise equal settings,
    or, with ``against``, the cell that has these values and is equal in all other swept keys.
    Where the values are of dropout and leave the reference without it, it need not be equal in
    its other keys, which mean nothing to it.

    Columns beside those of ``cells``, all of test accuracy as a fraction: ``test_accuracy_low``,
    ``test_accuracy_high`` (95 % t interval), ``test_accuracy_bca_low``, ``_bca_high`` (bootstrap);
    ``reference`` (the row of the reference, missing where there is none); and of the differences,
    this cell minus its reference at equal seeds, ``pairs``, ``difference_mean``, ``_sd``,
    ``_half``, ``_low``, ``_high``, ``_bca_low``, ``_bca_high``; ``p_value`` (sign flips),
    ``p_holm`` (corrected over all comparisons of the report, the planned ones without a result
    included, see :func:`~dropout_lab.analysis.family.judge`), ``smallest_p`` and
    ``smallest_p_holm`` (that so many pairs can reach), ``effect_size``, ``seeds_needed`` (to call
    ``difference`` significant with 80 % power: at the level that the correction leaves the
    smallest p-value, and no fewer than can reach it) and ``verdict``:

    - ``significant``: the t interval excludes 0, p_holm < 0.05, and there are at least six pairs;
    - ``not significant``: it could have been, and is not;
    - ``too few seeds``: fewer than six pairs, or so few that no result could reach p_holm < 0.05;
    - ``no pairs``: no reference with a seed in common; the references themselves are among these.

    Args:
        study: The study.
        against: Dotted keys and values of the reference.
        difference: What ``seeds_needed`` is asked to find.

    Raises:
        ConfigError: No cell has the values of ``against``.
    """
    table = cells(study)
    frames = study.completed
    references = _references(study, table, against)
    rows = []
    for frame, reference in zip(frames, references, strict=True):
        pairs = statistics.finite(())
        if reference is not None:
            pairs = paired_differences(frame, frames[reference])
        rows.append({**_own(frame), "reference": reference, **_comparison(pairs)})
    found = pd.DataFrame(rows, index=table.index)
    found["reference"] = found["reference"].astype("Int64")
    kept = table.drop(columns=[name for name in table if name in found])
    whole = pd.concat([kept, found], axis=1)
    family = judge(study, whole)
    whole["p_holm"], whole["smallest_p_holm"] = family.p_values, family.smallest
    least = statistics.least_seeds(max(1, family.planned))
    needed = [
        statistics.seeds_needed(difference, sd, level=1 - family.rate)
        for sd in found["difference_sd"]
    ]
    whole["seeds_needed"] = [max(n, least) if n == n else n for n in needed]  # nan stays
    whole["verdict"] = [_verdict(row, family) for _, row in whole.iterrows()]
    whole.attrs["difference"] = difference
    return whole


def seeds_option(study: StudyTables, needed: int) -> str:
    """Return the option that gives a study so many seeds: ``--seeds 7``, ``--seeds 5,6,7``."""
    seeds = sorted({run.seed for run in study.known.values()})
    if seeds == list(range(len(seeds))):
        return f"--seeds {max(needed, len(seeds))}"
    while len(seeds) < needed:
        seeds.append(seeds[-1] + 1)
    return f"--seeds {','.join(map(str, seeds))}"


def _own(frame: pd.DataFrame) -> dict[str, Any]:
    """Return the columns of one cell's own test accuracy."""
    accuracy = frame["test_accuracy"].to_numpy()
    low, high = statistics.t_interval(accuracy)
    bca_low, bca_high = statistics.bca_interval(accuracy)
    return {
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "test_accuracy_bca_low": bca_low,
        "test_accuracy_bca_high": bca_high,
    }


def _comparison(pairs: Array) -> dict[str, Any]:
    """Return the columns of one cell's paired differences."""
    low, high = statistics.t_interval(pairs)
    bca_low, bca_high = statistics.bca_interval(pairs)
    return {
        "pairs": len(pairs),
        "difference_mean": float(pairs.mean()) if len(pairs) else math.nan,
        "difference_sd": statistics.spread(pairs),
        "difference_half": (high - low) / 2,
        "difference_low": low,
        "difference_high": high,
        "difference_bca_low": bca_low,
        "difference_bca_high": bca_high,
        "p_value": statistics.sign_flip_p(pairs),
        "smallest_p": statistics.smallest_p(len(pairs)),
        "effect_size": statistics.effect_size(pairs),
    }


def _verdict(row: pd.Series, family: Family) -> str:
    """Return what may be said of a cell's comparison, in one of four words."""
    if row["pairs"] == 0:
        return NO_PAIRS
    if row["pairs"] < LEAST_SEEDS or row["smallest_p_holm"] >= ALPHA:
        return TOO_FEW_SEEDS
    differs = family.differ(int(str(row.name)), int(row["reference"]))
    return SIGNIFICANT if differs else NOT_SIGNIFICANT


def _references(
    study: StudyTables, table: pd.DataFrame, against: Mapping[str, Any] | None
) -> Sequence[int | None]:
    """Return for each cell the number of its reference; None where it has none or is its own."""
    if against:
        return _with_values(study, table, against)
    groups = [group for _, group in by_cell(study.runs, study.swept)]
    cell_of = {run_id: i for i, group in enumerate(groups) for run_id in group["run_id"]}
    found = []
    for i, group in enumerate(groups):
        partners = {cell_of[run_id] for run_id in group["partner"] if run_id in cell_of} - {i}
        found.append(min(partners, default=None))
    return found


def _with_values(
    study: StudyTables, table: pd.DataFrame, against: Mapping[str, Any]
) -> Sequence[int | None]:
    """Return for each cell the one that has these values and is otherwise equal."""
    mistakes = []
    there = pd.Series(True, index=table.index)
    for key, value in against.items():
        if key not in study.swept:
            known = ", ".join(study.swept) or "nothing"
            mistakes.append(f"against {key}: it was not swept here; swept: {known}.")
            continue
        equal = table[key].map(lambda own, value=value: comparable(own) == comparable(value))
        there &= equal
        if not equal.any():
            values = ", ".join(dict.fromkeys(map(comparable, table[key])))
            mistakes.append(
                f"against {key} = {comparable(value)}: no cell has it; there are: {values}."
            )
    if not mistakes and not there.any():
        words = ", ".join(f"{key} = {comparable(value)}" for key, value in against.items())
        mistakes.append(f"against {words}: no cell has all of these; leave one out.")
    if mistakes:
        raise ConfigError(mistakes)
    others = [key for key in study.swept if key not in against]
    plain = [key for key in others if not key.startswith("dropout.")]
    of_dropout = any(key.startswith("dropout.") for key in against)
    exact: dict[tuple[str, ...], int] = {}
    without: dict[tuple[str, ...], int] = {}
    for i, row in table[there].iterrows():
        exact.setdefault(tuple(comparable(row[key]) for key in others), int(str(i)))
        if row["bare"] and of_dropout:
            without.setdefault(tuple(comparable(row[key]) for key in plain), int(str(i)))
    found = []
    for i, row in table.iterrows():
        own = without.get(tuple(comparable(row[key]) for key in plain))
        reference = exact.get(tuple(comparable(row[key]) for key in others), own)
        found.append(None if reference == i else reference)
    return found


@dataclasses.dataclass(frozen=True)
class Choice:
    """What validation chose, beside what the test part would have chosen.

    Args:
        chosen: The row of the candidate of the highest mean validation accuracy. Its test
            accuracy is the one to report.
        best_on_test: The row of the candidate of the highest mean test accuracy.
        optimism: By how much the test accuracy of the latter is too high, for having been chosen.
    """

    chosen: pd.Series
    best_on_test: pd.Series
    optimism: Optimism


def choice(study: StudyTables, table: pd.DataFrame) -> Choice | None:
    """Return the choice among a table's candidates; None without validation or with less than two.

    Args:
        study: The study.
        table: Rows of :func:`compared` or :func:`cells`, of which one is to be chosen.
    """
    rows = candidates(table)
    scores = rows["validation_accuracy_mean"]
    if len(rows) < 2 or scores.isna().all():
        return None
    chosen = rows.iloc[int(np.nanargmax(scores.to_numpy()))]
    best = rows.iloc[int(np.argmax(rows["test_accuracy_mean"].to_numpy()))]
    frames = study.completed
    columns = {i: frames[int(str(i))]["test_accuracy"] for i in rows.index}
    values = pd.DataFrame(columns).to_numpy(dtype=np.float64)
    return Choice(chosen, best, statistics.chosen_optimism(values))


def candidates(table: pd.DataFrame) -> pd.DataFrame:
    """Return the cells to choose from: those with dropout, or all where none has it."""
    trained = table[table["seeds"] > 0]
    dropped = trained[~trained["bare"]]
    return dropped if len(dropped) else trained
