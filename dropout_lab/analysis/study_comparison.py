"""Compare the cells of several studies, paired by seed: differences, and reproduced results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy

from dropout_lab.analysis.family import group_by_dataset
from dropout_lab.analysis.joined_studies import JoinedStudies, same_training
from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.statistics import LEVEL, NO_INTERVAL, Interval
from dropout_lab.analysis.tables import (
    STUDY,
    StudyTables,
    chosen_on_validation,
    group_by_cell,
    paired_differences,
)
from dropout_lab.results.columns import RECORD
from dropout_lab.results.versions import versions_of

BASELINE = "baseline"  # the word for the reference of --against
# The numbers of a record. Lists depend on p only, and time is never the same.
_COUNTS = ("identical_runs", "differing_epochs", "recorded_epochs")
_NUMBERS = [column.name for column in RECORD if column.kind != "list" and column.name != "seconds"]


@dataclass(frozen=True)
class StudyComparison:
    """The compared cells of several studies.

    Args:
        joined: The studies.
        table: The table of :func:`~dropout_lab.analysis.paired.compare_cells` for all cells, with
            more columns: ``same_settings`` (whether a cell and its reference train equal networks),
            ``identical_runs`` (the number of pairs of runs with equal numbers in every recorded
            epoch; missing unless the settings are the same), ``differing_epochs`` and
            ``recorded_epochs`` (of these pairs), ``largest_run_difference`` (the largest absolute
            difference in test accuracy of a pair), and for cells without pairs
            ``unpaired_difference``, ``unpaired_low`` and ``unpaired_high`` (Welch's 95% interval).
        against: The values of the reference; None for the baseline.
        fallback: Whether the baseline is the reference because no cell is in the first study.
    """

    joined: JoinedStudies
    table: pd.DataFrame
    against: Mapping[str, Any] | None
    fallback: bool

    @cached_property
    def across(self) -> pd.DataFrame:
        """The cells that are compared with a cell of another study."""
        compared = self.table[self.table["reference"].notna()]
        studies = self.table.loc[compared["reference"].astype(int), STUDY]
        found: pd.DataFrame = compared[compared[STUDY].to_numpy() != studies.to_numpy()]
        return found

    @cached_property
    def margin(self) -> float | None:
        """The margin of equivalence, as a fraction."""
        margins = self.table["margin"].dropna()
        return float(margins.iloc[0]) if len(margins) else None

    @cached_property
    def planned(self) -> int:
        """The number of comparisons that the p-values are corrected for."""
        return int(self.table["reference"].notna().sum()) + self.joined.tables.removed[1]

    @cached_property
    def rows(self) -> list[list[int]]:
        """The cells with equal values of the varied keys, which are in different studies."""
        keys = list(self.joined.keys)
        groups = self.table.groupby(keys, dropna=False, sort=False) if keys else [((), self.table)]
        return [[int(str(i)) for i in group.index] for _, group in groups]

    def cells_of(self, name: str) -> pd.DataFrame:
        """Return the cells of a study."""
        return self.table[self.table[STUDY] == name]

    @cached_property
    def chosen(self) -> dict[str, list[pd.Series]]:
        """The cells that validation chose in each study, one for each data set."""
        return {
            name: [
                cell
                for group in group_by_dataset(self.joined.tables, self.cells_of(name))
                if (cell := chosen_on_validation(group)) is not None
            ]
            for name in self.joined.names
        }


def compare_studies(
    joined: JoinedStudies,
    against: Mapping[str, Any] | str | None = None,
    difference: float = 0.001,
    margin: float | None = None,
) -> StudyComparison:
    """Compare each cell of several studies with its reference.

    By default, the reference of a cell is the cell of the first study with equal values of the
    varied keys. If the other studies have no such cell, it is the baseline of the cell's own study.

    Args:
        joined: The studies.
        against: Dotted keys and values of another reference, see
            :func:`~dropout_lab.analysis.paired.compare_cells`. The key ``study`` names the study of
            the reference; without it, each cell is compared within its own study. ``baseline``: the
            baseline of the cell's own study.
        difference: The difference in test accuracy for ``seeds_needed``.
        margin: The margin of equivalence, as a fraction; by default, the first study's.

    Raises:
        ConfigError: No cell has the values of ``against``.
    """
    wanted: Mapping[str, Any] | None = None
    if against is None:
        wanted = {STUDY: joined.names[0]}
    elif not isinstance(against, str):
        wanted = against
    table = compare_cells(joined.tables, wanted, difference, margin)
    fallback = against is None and bool(table["reference"].isna().all())
    if fallback:
        wanted, table = None, compare_cells(joined.tables, None, difference, margin)
    return StudyComparison(joined, _with_reproductions(joined, table), wanted, fallback)


def facts_of(study: StudyTables) -> dict[str, str]:
    """Return the versions, processors and devices that trained a study's runs."""
    used = {place for entry in study.manifest.runs.values() for place in entry.sessions}
    values: dict[str, dict[str, None]] = {}
    for place, session in enumerate(study.manifest.sessions):
        if used and place not in used:
            continue
        facts = [*versions_of(session), ("Python", session.python)]
        facts += [(key, str(session.machine.get(key) or "")) for key in ("processor", "device")]
        for key, value in facts:
            values.setdefault(key, {})[value] = None
    return {key: ", ".join(filter(None, each)) for key, each in values.items()}


def welch_interval(one: "pd.Series[float]", other: "pd.Series[float]") -> Interval:
    """Return the 95% interval of the difference between two means of independent samples.

    Welch's interval (Welch 1947), which does not assume equal variances; computed by
    ``scipy.stats.ttest_ind``. nan for fewer than two values in a sample; width 0 if the values of
    each sample are equal.
    """
    if min(len(one), len(other)) < 2:
        return NO_INTERVAL
    if one.nunique() == other.nunique() == 1:
        difference = float(one.iloc[0] - other.iloc[0])
        return difference, difference
    found = scipy.stats.ttest_ind(one, other, equal_var=False).confidence_interval(LEVEL)
    return float(found.low), float(found.high)


def _with_reproductions(joined: JoinedStudies, table: pd.DataFrame) -> pd.DataFrame:
    """Add the columns about reproduced results and unpaired differences."""
    groups = [group for _, group in group_by_cell(joined.tables.runs, joined.tables.swept)]
    completed = joined.tables.completed
    records = _Records(joined)
    rows = []
    for i, cell in table.iterrows():
        own = int(str(i))
        row: dict[str, Any] = {
            "same_settings": False,
            **dict.fromkeys(_COUNTS, pd.NA),
            "largest_run_difference": np.nan,
            "unpaired_difference": np.nan,
            "unpaired_low": np.nan,
            "unpaired_high": np.nan,
        }
        if pd.notna(cell["reference"]):
            other = int(cell["reference"])
            first, second = (
                joined.tables.runs_by_id[groups[place]["run_id"].iloc[0]] for place in (own, other)
            )
            row["same_settings"] = same_training(first, second)
            mine, theirs = completed[own], completed[other]
            shared = mine.index.intersection(theirs.index)
            mine_shared, theirs_shared = mine.loc[shared], theirs.loc[shared]
            if row["same_settings"]:
                pairs = zip(mine_shared["run_id"], theirs_shared["run_id"], strict=True)
                counts = [records.count_epochs(*pair) for pair in pairs]
                row["identical_runs"] = sum(differing == 0 for differing, _ in counts)
                row["differing_epochs"] = sum(differing for differing, _ in counts)
                row["recorded_epochs"] = sum(recorded for _, recorded in counts)
            if len(shared):
                differences = paired_differences(mine_shared, theirs_shared)
                row["largest_run_difference"] = np.abs(differences).max(initial=0)
            elif len(mine) and len(theirs):
                samples = mine["test_accuracy"], theirs["test_accuracy"]
                row["unpaired_difference"] = samples[0].mean() - samples[1].mean()
                row["unpaired_low"], row["unpaired_high"] = welch_interval(*samples)
        rows.append(row)
    found = pd.DataFrame(rows, index=table.index)
    found = found.astype(dict.fromkeys(_COUNTS, "Int64"))
    joined_table = pd.concat([table, found], axis=1)
    joined_table.attrs = table.attrs
    return joined_table


class _Records:
    """The recorded numbers of runs, to compare them."""

    def __init__(self, joined: JoinedStudies) -> None:
        self._by_run: dict[str, pd.DataFrame] = {}
        for place, study in enumerate(joined.studies):
            kept = [name for name in _NUMBERS if name in study.metrics]
            for run_id, rows in study.metrics.groupby("run_id"):
                values = rows.set_index("epoch")[[name for name in kept if name != "epoch"]]
                self._by_run[f"{place}:{run_id}"] = values.sort_index()

    def count_epochs(self, one: str, other: str) -> tuple[int, int]:
        """Return in how many recorded epochs two runs have different numbers, and of how many.

        Only columns that both have count. An epoch that one run did not record counts if it is
        after the last epoch of the other run.
        """
        first, second = self._by_run[one], self._by_run[other]
        epochs = first.index.intersection(second.index)
        columns = first.columns.intersection(second.columns)
        mine, theirs = (
            frame.loc[epochs, columns].to_numpy(dtype=np.float64) for frame in (first, second)
        )
        same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
        last = min(first.index[-1], second.index[-1])
        later = int((first.index > last).sum() + (second.index > last).sum())
        return int((~same.all(axis=1)).sum()) + later, len(epochs) + later


def number_ranges(numbers: Sequence[int]) -> str:
    """Return whole numbers in words: ``0–7``, ``1, 3–5``."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    words = [
        str(part[0]) if len(part) == 1 else f"{part[0]}{'–' if len(part) > 2 else ', '}{part[-1]}"
        for part in parts
    ]
    return ", ".join(words)
