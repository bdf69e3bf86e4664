"""Notes below plots: missing runs, failed runs, early stops, label noise, and omitted settings."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from dropout_lab.analysis import style
from dropout_lab.analysis.tables import (
    StudyTables,
    describe_missing_runs,
    rows_of_cell,
)
from dropout_lab.results import counted

LOWER_VALIDATION = "with lower validation accuracy"
_MAX_NAMES = 3  # in a list of cells, seeds or combinations
_STATUS_VERBS = {"diverged": "diverged", "failed": "failed", "interrupted": "broke off"}


def notes_below_plot(
    study: StudyTables, table: pd.DataFrame, *, epochs: bool = False, training: bool = False
) -> list[str]:
    """Return the notes below a plot.

    Args:
        study: The study.
        table: The cells of the plot, drawn or not.
        epochs: Whether the plot has curves against epochs.
        training: Whether the plot shows values of the training set.
    """
    notes = [describe_missing_runs(study), *describe_lost_runs(study, table)]
    if epochs:
        notes.append(_describe_early_stops(study, table))
    if training:
        notes.append(describe_label_noise(study, table))
    return [note for note in notes if note]


def describe_lost_runs(study: StudyTables, table: pd.DataFrame) -> list[str]:
    """Return which runs are not drawn: ``1 run diverged (p = 0.2, seed 3): not drawn``.

    Includes cells that are not drawn because they have no completed run.
    """
    sentences = []
    for status, verb in _STATUS_VERBS.items():
        runs = study.runs[study.runs["status"] == status]
        own = [(cell, rows_of_cell(runs, cell, study.swept)) for _, cell in _rows(table, runs)]
        places = [
            f"{style.cell_name(cell, study.swept)}, {_seed_list(rows['seed'])}"
            for cell, rows in own
            if len(rows)
        ]
        count = sum(len(rows) for _, rows in own)
        if count:
            sentences.append(f"{counted(count, 'run')} {verb} ({_join_some(places)}): not drawn")
    empty = [
        style.cell_name(cell, study.swept) for _, cell in table[table["seeds"] == 0].iterrows()
    ]
    return [*sentences, f"no completed run: {_join_some(empty)}"] if empty else sentences


def describe_label_noise(study: StudyTables, table: pd.DataFrame) -> str:
    """Return a note that training labels are noisy but test labels are not; empty without noise."""
    highest = _highest_label_noise(study, table)
    several = "up to " if "dataset.label_noise" in study.swept else ""
    words = f"training labels include {several}{100 * highest:g}% moved ones; test labels are true"
    return words if highest else ""


def gap_title(study: StudyTables, table: pd.DataFrame) -> str:
    """Return the name of training minus test: it is no overfitting gap if labels are noisy."""
    return "training against test" if _highest_label_noise(study, table) else "overfitting gap"


def describe_not_shown(count: int, noun: str, which: str = "") -> str:
    """Return how many settings, lines or rows a plot does not show; empty if it shows all."""
    return f"{counted(count, noun)}{which and ' '}{which} not shown" if count else ""


def describe_not_drawn(words: Iterable[str]) -> str:
    """Return which combinations of settings have no plots of their own."""
    names = list(words)
    count = counted(len(names), "combination")
    return f"no plots of their own: {count} ({_join_some(names)})" if names else ""


def _rows(table: pd.DataFrame, runs: pd.DataFrame) -> Iterable[tuple[Any, pd.Series]]:
    """Return the rows of a table, or nothing if there are no runs."""
    return table.iterrows() if len(runs) else ()


def _highest_label_noise(study: StudyTables, table: pd.DataFrame) -> float:
    key = "dataset.label_noise"
    own = study.manifest.settings["dataset"].get("label_noise", 0.0)
    return float(table[key].max()) if key in study.swept else float(own)


def _describe_early_stops(study: StudyTables, table: pd.DataFrame) -> str:
    """Return where curves end, if seeds of a cell trained for different numbers of epochs."""
    ends = [study.completed[index]["epochs"] for index in table.index]
    if all(own.nunique() < 2 for own in ends):
        return ""
    every = pd.concat(ends)
    return (
        f"seeds stopped after {every.min():g} to {every.max():g} epochs: means end where the first "
        "seed of a setting stopped, thin lines are the seeds after that"
    )


def _seed_list(seeds: pd.Series) -> str:
    word = "seed" if len(seeds) == 1 else "seeds"
    return f"{word} {_join_some((f'{seed:g}' for seed in sorted(seeds)), ', ')}"


def _join_some(names: Iterable[str], between: str = "; ") -> str:
    """Join names; of many, the first three and the number of the others."""
    every = list(names)
    shown = every if len(every) <= _MAX_NAMES + 1 else every[:_MAX_NAMES]
    more = len(every) - len(shown)
    return between.join(shown) + (f" and {more} more" if more else "")
