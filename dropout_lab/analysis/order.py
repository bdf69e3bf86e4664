"""The cells of a study in order of test accuracy, and which neighbours can be told apart."""

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from dropout_lab.analysis import phrases
from dropout_lab.analysis.paired import paired_differences
from dropout_lab.analysis.shape import told_apart
from dropout_lab.analysis.tables import StudyTables

_LEAST, _MOST = 3, 9  # cells that make an order a sentence can hold


def order_sentence(study: StudyTables, table: pd.DataFrame, swept: Sequence[str]) -> str:
    """Say in which order the cells came, and how far the order can be trusted.

    Each is compared with the next by a paired t test, Holm-corrected over the neighbours. That the
    test part itself put them in order makes neighbours more alike than any two, so such tests find
    less than they may, never more. Empty for fewer than three cells, or more than a sentence holds.

    Args:
        study: The study.
        table: Cells of equal data.
        swept: The keys that name them.
    """
    trained = table[table["seeds"] > 0].sort_values(
        "test_accuracy_mean", ascending=False, kind="stable"
    )
    if not _LEAST <= len(trained) <= _MOST:
        return ""
    runs = study.completed
    frames = [runs[int(str(i))] for i in trained.index]
    apart = told_apart([paired_differences(*neighbours) for neighbours in pairwise(frames)])
    names, places = [], []
    for _, cell in trained.iterrows():
        names.append(phrases.label(cell, swept))
        ends = (1 - cell["test_accuracy_high"], 1 - cell["test_accuracy_low"])
        error = phrases.percent(1 - cell["test_accuracy_mean"])
        places.append(f"{error}{phrases.band(ends)} {phrases.named(cell, swept)}")
    told = [
        f"{better} is better than {worse}"
        for (better, worse), found in zip(pairwise(names), apart, strict=True)
        if found
    ]
    n = phrases.n_of(trained["seeds"], "seed")
    listed = f": {'; '.join(told)}" if told else ""
    return (
        f"In order of test error: {'; '.join(places)} ({n}). {len(told) or 'None'} of the "
        f"{len(apart)} steps from one to the next can be told from chance (paired t tests, "
        f"Holm-corrected){listed}."
    )
