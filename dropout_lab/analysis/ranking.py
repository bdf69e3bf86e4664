"""The cells of a study in order of test error, and which neighbors differ."""

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from dropout_lab.analysis import phrases
from dropout_lab.analysis.family import LEAST_CELLS, MOST_CELLS, Family


def order_sentence(table: pd.DataFrame, swept: Sequence[str], family: Family) -> str:
    """List the cells in order of test error, and say which steps from one to the next are real.

    Empty for fewer than three cells, or more than a sentence holds.

    Args:
        table: Cells of equal data.
        swept: The keys that name them.
        family: The comparisons of the report, which say what differs.
    """
    trained = table[table["seeds"] > 0].sort_values(
        "test_accuracy_mean", ascending=False, kind="stable"
    )
    if not LEAST_CELLS <= len(trained) <= MOST_CELLS:
        return ""
    rows = [int(str(i)) for i in trained.index]
    names, places = {}, []
    for row, (_, cell) in zip(rows, trained.iterrows(), strict=True):
        names[row] = phrases.label(cell, swept)
        ends = (1 - cell["test_accuracy_high"], 1 - cell["test_accuracy_low"])
        error = phrases.percent(1 - cell["test_accuracy_mean"])
        places.append(f"{error}{phrases.band(ends)} {phrases.named(cell, swept)}")
    differing = [
        f"{names[better]} is better than {names[worse]}"
        for better, worse in pairwise(rows)
        if family.differ(better, worse)
    ]
    n = phrases.n_of(trained["seeds"], "seed")
    steps = f"{len(differing) or 'None'} of the {len(rows) - 1} steps from one cell to the next"
    verb = "are" if len(differing) > 1 else "is"
    listed = f": {'; '.join(differing)}" if differing else ""
    return f"In order of test error: {'; '.join(places)} ({n}). {steps} {verb} significant{listed}."
