"""Rank the cells of a study by test error, and find neighbors that differ significantly."""

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from dropout_lab.analysis import phrases, style
from dropout_lab.analysis.family import MAX_CELLS, MIN_CELLS, Family


def ranking_sentence(table: pd.DataFrame, swept: Sequence[str], family: Family) -> str:
    """List the cells in order of test error, and which neighbors differ significantly.

    Empty for fewer than three cells, and for more than nine.

    Args:
        table: Cells with equal data.
        swept: The keys in the names of the cells.
        family: All comparisons of the report.
    """
    trained = table[table["seeds"] > 0].sort_values(
        "test_accuracy_mean", ascending=False, kind="stable"
    )
    if not MIN_CELLS <= len(trained) <= MAX_CELLS:
        return ""
    rows = [int(str(i)) for i in trained.index]
    names, entries = {}, []
    for row, (_, cell) in zip(rows, trained.iterrows(), strict=True):
        names[row] = style.cell_name(cell, swept)
        interval = (1 - cell["test_accuracy_high"], 1 - cell["test_accuracy_low"])
        error = phrases.percent(1 - cell["test_accuracy_mean"])
        entries.append(
            f"{error}{phrases.interval_text(interval)} {phrases.cell_phrase(cell, swept)}"
        )
    differing = [
        f"{names[better]} is better than {names[worse]}"
        for better, worse in pairwise(rows)
        if family.differ(better, worse)
    ]
    n = phrases.sample_size(trained["seeds"], "seed")
    steps = f"{len(differing) or 'None'} of the {len(rows) - 1} steps from one cell to the next"
    verb = "are" if len(differing) > 1 else "is"
    listed = f": {'; '.join(differing)}" if differing else ""
    return (
        f"In order of test error: {'; '.join(entries)} ({n}). {steps} {verb} significant{listed}."
    )
