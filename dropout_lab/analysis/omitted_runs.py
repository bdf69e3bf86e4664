"""Describe the runs of a study that its means do not contain, in sentences."""

from collections.abc import Iterator

import pandas as pd

from dropout_lab.analysis import phrases, style
from dropout_lab.analysis.family import Family
from dropout_lab.analysis.tables import (
    MISSING,
    StudyTables,
    describe_missing_runs,
    group_by_cell,
)
from dropout_lab.results import counted


def describe_incomplete_study(
    study: StudyTables, table: pd.DataFrame, family: Family
) -> Iterator[str]:
    """Describe how many planned runs of an incomplete study have no result, in which cells."""
    words = describe_missing_runs(study)
    if not words:
        return
    groups = [group for _, group in group_by_cell(study.runs, study.swept)]
    parts = []
    for i, cell in table.iterrows():
        statuses = groups[int(str(i))]["status"]
        count = int(statuses.isin([MISSING, "interrupted"]).sum())
        if count:
            parts.append(f"{count} of {len(statuses)} {phrases.cell_phrase(cell, study.swept)}")
    counts = ""
    if family.planned > 1:
        counts = f" The p-values are corrected for all {family.planned} planned comparisons."
    yield (
        f"This study is {words} ({phrases.join_some(parts)}). Run its command again to finish it; "
        f"what follows can still change.{counts}"
    )


def describe_removed_cells(study: StudyTables) -> Iterator[str]:
    """Describe the cells that were removed from the study."""
    words, count = study.removed
    if words:
        yield (
            f"Removed from this study: {words}. {counted(count, 'removed comparison')} still "
            f"{'counts' if count == 1 else 'count'} in the correction."
        )


def describe_lost_runs(study: StudyTables, table: pd.DataFrame) -> Iterator[str]:
    """List the runs that are excluded from means."""
    groups = [group for _, group in group_by_cell(study.runs, study.swept)]
    for status in ("diverged", "failed", "interrupted"):
        described, count = [], 0
        for i, cell in table.iterrows():
            group = groups[int(str(i))]
            seeds = sorted(group[group["status"] == status]["seed"])
            if seeds:
                count += len(seeds)
                numbers = ", ".join(str(seed) for seed in seeds)
                described.append(
                    f"{style.cell_name(cell, study.swept)} (seed{'s' if len(seeds) > 1 else ''} "
                    f"{numbers})"
                )
        if described:
            verb = "broke off" if status == "interrupted" else status
            yield (
                f"{counted(count, 'run')} {verb} and {'is' if count == 1 else 'are'} in no mean "
                f"and no pair: {phrases.join_some(described)}."
            )
