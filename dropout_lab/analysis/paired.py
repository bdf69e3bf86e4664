"""Compare each cell with its reference, paired by seed, and choose a cell on the validation set.

Two runs are a pair if they have the same seed, and so the same initial weights, data and data
order. Only their settings differ, so few seeds are enough to detect a difference.

:func:`compare_cells` adds these columns to the table of cells, all about test accuracy as a
fraction:

- ``test_accuracy_low``, ``_high``: 95% t interval of the mean; ``test_accuracy_bca_low``,
  ``_bca_high``: bootstrap;
- ``reference``: the row of the reference, or missing; ``pairs``: seeds in common with it;
- ``difference_mean``, ``_sd``, ``_half``, ``_low``, ``_high``, ``_bca_low``, ``_bca_high``: of the
  paired differences; ``effect_size``;
- ``p_value``: sign flips; ``p_holm``: corrected over all comparisons of the report, see
  :func:`~dropout_lab.analysis.family.correct_comparisons`; ``smallest_p``, ``smallest_p_holm``: the
  smallest possible for this number of pairs;
- ``seeds_needed``: for a difference to be significant with 80% power, at the level of the smallest
  corrected p-value;
- ``margin``: missing without one; ``p_equivalence``: two one-sided tests that the difference is
  smaller; ``p_equivalence_holm``: corrected over all equivalences of the report;
- ``verdict``: see :func:`~dropout_lab.analysis.verdicts.verdict_of`; ``seeds_to_decide``: only if
  it is ``undecided``, see :func:`~dropout_lab.analysis.equivalence.seeds_to_decide`.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dropout_lab.analysis import statistics
from dropout_lab.analysis.equivalence import equivalence_p, seeds_to_decide
from dropout_lab.analysis.family import Family, correct_comparisons
from dropout_lab.analysis.statistics import NO_INTERVAL, Array, Optimism
from dropout_lab.analysis.tables import (
    StudyTables,
    candidates,
    chosen_on_validation,
    group_by_cell,
    paired_differences,
    summarize_cells,
)
from dropout_lab.analysis.verdicts import UNDECIDED, study_margin, verdict_of
from dropout_lab.config.conditional_keys import OPTIONAL_KEYS
from dropout_lab.config.sweep import LABEL
from dropout_lab.errors import ConfigError
from dropout_lab.results import comparable


def compare_cells(
    study: StudyTables,
    against: Mapping[str, Any] | None = None,
    difference: float = 0.001,
    margin: float | None = None,
    *,
    bootstrap: bool = True,
) -> pd.DataFrame:
    """Return the table of :func:`summarize_cells` with intervals and comparisons of each cell.

    The reference of a cell is the baseline: the cell without dropout and with otherwise equal
    settings. With ``against``, it is the cell with these values and equal other swept keys. Keys
    that have no effect in the reference need not be equal: the other keys of dropout if these
    values switch dropout off, and keys that nothing reads there. With the key ``label`` alone, the
    cell with this label is the reference of all other cells, whatever differs.

    The module :mod:`~dropout_lab.analysis.paired` lists the additional columns.

    Args:
        study: The study.
        against: Dotted keys and values of the reference.
        difference: The difference in test accuracy for ``seeds_needed``.
        margin: The margin in test accuracy, as a fraction; by default, the study's
            ``report.margin``.
        bootstrap: Whether to compute the bootstrap intervals, which take most of the time; else
            they are missing.

    Raises:
        ConfigError: No cell has the values of ``against``.
    """
    margin = study_margin(study, margin)
    table, frames, rows = summarize_cells(study), study.completed, []
    references = _references(study, table, against)
    for frame, reference in zip(frames, references, strict=True):
        pairs = statistics.finite_values(())
        if reference is not None:
            pairs = paired_differences(frame, frames[reference])
        row = {**_accuracy_intervals(frame, bootstrap=bootstrap), "reference": reference}
        row |= _comparison(pairs, bootstrap=bootstrap)
        equivalence = math.nan if margin is None else equivalence_p(pairs, margin)
        rows.append({**row, "margin": margin, "p_equivalence": equivalence})
    found = pd.DataFrame(rows, index=table.index)
    found["reference"] = found["reference"].astype("Int64")
    found["margin"] = found["margin"].astype("float64")
    summary = table.drop(columns=[name for name in table if name in found])
    joined = pd.concat([summary, found], axis=1)
    _add_corrected(joined, correct_comparisons(study, joined), difference)
    joined.attrs["difference"] = difference
    return joined


compared = compare_cells  # the name in earlier versions, for scripts of users


def seeds_option(study: StudyTables, needed: int) -> str:
    """Return the option for at least ``needed`` seeds: ``--seeds 7`` or ``--seeds 5,6,7``."""
    seeds = sorted({run.seed for run in study.runs_by_id.values()})
    if seeds == list(range(len(seeds))):
        return f"--seeds {max(needed, len(seeds))}"
    while len(seeds) < needed:
        seeds.append(seeds[-1] + 1)
    return f"--seeds {','.join(map(str, seeds))}"


def _accuracy_intervals(frame: pd.DataFrame, *, bootstrap: bool) -> dict[str, Any]:
    """Return the columns of one cell about the interval of its test accuracy."""
    accuracy = frame["test_accuracy"].to_numpy()
    low, high = statistics.t_interval(accuracy)
    bca_low, bca_high = statistics.bca_interval(accuracy) if bootstrap else NO_INTERVAL
    return {
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "test_accuracy_bca_low": bca_low,
        "test_accuracy_bca_high": bca_high,
    }


def _comparison(pairs: Array, *, bootstrap: bool) -> dict[str, Any]:
    """Return the columns of one cell about its paired differences."""
    low, high = statistics.t_interval(pairs)
    bca_low, bca_high = statistics.bca_interval(pairs) if bootstrap else NO_INTERVAL
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


def _add_corrected(table: pd.DataFrame, family: Family, difference: float) -> None:
    """Add the columns that depend on the correction: p-values, needed seeds and verdicts."""
    table["p_holm"], table["smallest_p_holm"] = family.p_values, family.smallest
    table["p_equivalence_holm"] = family.equivalence
    minimum = statistics.min_seeds(max(1, family.planned))
    needed, verdicts, to_decide = [], [], []
    for i, row in table.iterrows():
        mean, sd, pairs = row["difference_mean"], row["difference_sd"], row["pairs"]
        seeds = statistics.seeds_needed(difference, sd, level=1 - family.rate)
        needed.append(max(seeds, minimum) if seeds == seeds else seeds)  # nan stays
        differs = pairs > 0 and family.differ(int(str(i)), int(row["reference"]))
        verdicts.append(verdict_of(row, differs=differs))
        undecided = verdicts[-1] == UNDECIDED
        margin = None if pd.isna(row["margin"]) else row["margin"]
        seeds = seeds_to_decide(mean, sd, margin, family.rate) if undecided else math.nan
        to_decide.append(max(minimum, pairs + 1, seeds) if undecided else seeds)
    table["seeds_needed"], table["verdict"], table["seeds_to_decide"] = needed, verdicts, to_decide


def _references(
    study: StudyTables, table: pd.DataFrame, against: Mapping[str, Any] | None
) -> Sequence[int | None]:
    """Return the row of each cell's reference; None without one, or if it is the cell itself."""
    if against and LABEL in against:
        return _references_with_label(table, against)
    if against:
        return _references_with_values(study, table, against)
    groups = [group for _, group in group_by_cell(study.runs, study.swept)]
    cell_of = {run_id: i for i, group in enumerate(groups) for run_id in group["run_id"]}
    found = []
    for i, group in enumerate(groups):
        baselines = {cell_of[run_id] for run_id in group["baseline_run_id"] if run_id in cell_of}
        found.append(min(baselines - {i}, default=None))
    return found


def _references_with_label(table: pd.DataFrame, against: Mapping[str, Any]) -> Sequence[int | None]:
    """Return for each cell the row of the cell with this label, whatever else differs."""
    labels = [label.text if label is not None else "" for label in table[LABEL]]
    wanted = against[LABEL]
    if len(against) > 1:
        raise ConfigError(["against label: it names one cell; leave the other keys out."])
    if wanted not in labels:
        known = ", ".join(filter(None, labels)) or "none"
        raise ConfigError([f"against label = {wanted}: no cell has it; the labels are {known}."])
    reference = labels.index(wanted)
    return [None if i == reference else reference for i in range(len(labels))]


def _references_with_values(
    study: StudyTables, table: pd.DataFrame, against: Mapping[str, Any]
) -> Sequence[int | None]:
    """Return for each cell the row of the cell with these values and equal other keys."""
    mistakes = []
    matching = pd.Series(True, index=table.index)
    for key, value in against.items():
        if key not in study.swept:
            known = ", ".join(study.swept) or "nothing"
            mistakes.append(f"against {key}: it was not swept here; swept: {known}.")
            continue
        equal = table[key].map(lambda own, value=value: comparable(own) == comparable(value))
        matching &= equal
        if not equal.any():
            values = ", ".join(dict.fromkeys(map(comparable, table[key])))
            mistakes.append(
                f"against {key} = {comparable(value)}: no cell has it; there are: {values}."
            )
    if not mistakes and not matching.any():
        words = ", ".join(f"{key} = {comparable(value)}" for key, value in against.items())
        mistakes.append(f"against {words}: no cell has all of these; leave one out.")
    if mistakes:
        raise ConfigError(mistakes)
    others = tuple(key for key in study.swept if key not in against)
    of_dropout = any(key.startswith("dropout.") for key in against)
    # By the keys that must be equal, first all of them: their values, and the row that has them.
    by_keys: dict[tuple[str, ...], dict[tuple[str, ...], int]] = {others: {}}
    for i, row in table[matching].iterrows():
        no_effect = {key for key in others if key in OPTIONAL_KEYS and pd.isna(row[key])}
        if row["is_baseline"] and of_dropout:
            no_effect |= {key for key in others if key.startswith("dropout.")}
        for names in (others, tuple(key for key in others if key not in no_effect)):
            own = tuple(comparable(row[name]) for name in names)
            by_keys.setdefault(names, {}).setdefault(own, int(str(i)))
    found: list[int | None] = []
    for i, row in table.iterrows():
        references = (
            rows.get(tuple(comparable(row[name]) for name in names))
            for names, rows in by_keys.items()
        )
        reference = next((each for each in references if each is not None), None)
        found.append(None if reference == i else reference)
    return found


@dataclasses.dataclass(frozen=True)
class ValidationChoice:
    """The cell chosen on the validation set, and the cell that the test set would choose.

    Args:
        chosen: The row with the highest mean validation accuracy. Report its test accuracy.
        best_on_test: The row with the highest mean test accuracy.
        optimism: How much choosing on the test set overstates the accuracy of ``best_on_test``.
    """

    chosen: pd.Series
    best_on_test: pd.Series
    optimism: Optimism


def choose_on_validation(study: StudyTables, table: pd.DataFrame) -> ValidationChoice | None:
    """Choose among the candidates; None without a validation set or with fewer than two of them.

    Args:
        study: The study.
        table: Rows of :func:`compare_cells` or :func:`summarize_cells`.
    """
    rows, chosen = candidates(table), chosen_on_validation(table)
    if len(rows) < 2 or chosen is None:
        return None
    best = rows.iloc[int(np.argmax(rows["test_accuracy_mean"].to_numpy()))]
    frames = study.completed
    columns = {i: frames[int(str(i))]["test_accuracy"] for i in rows.index}
    values = pd.DataFrame(columns).to_numpy(dtype=np.float64)
    return ValidationChoice(chosen, best, statistics.selection_optimism(values))
