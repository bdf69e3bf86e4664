"""What every plot of a study must say below it: missing runs, lost runs, and the data's labels."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from dropout_lab.analysis import style
from dropout_lab.analysis.tables import (
    StudyTables,
    incomplete,
    rows_of_cell,
)
from dropout_lab.results import counted

LOWER = "with lower validation accuracy"
_NAMED = 3  # cells, seeds or combinations of which each is named
_LOST = {"diverged": "diverged", "failed": "failed", "interrupted": "broke off"}


def notes_of(
    study: StudyTables, table: pd.DataFrame, *, epochs: bool = False, training: bool = False
) -> list[str]:
    """Return the notes below a plot.

    Args:
        study: The study.
        table: The cells that the plot is of, drawn or not.
        epochs: Whether the plot has curves over the training.
        training: Whether it has values of the training set.
    """
    notes = [incomplete(study), *lost(study, table)]
    if epochs:
        notes.append(_stopped(study, table))
    if training:
        notes.append(label_noise(study, table))
    return [note for note in notes if note]


def lost(study: StudyTables, table: pd.DataFrame) -> list[str]:
    """Say which runs of some cells are not drawn: ``1 run diverged (p = 0.2, seed 3): not drawn``.

    And which cells have no completed run, and are therefore not drawn at all.
    """
    said = []
    for status, verb in _LOST.items():
        runs = study.runs[study.runs["status"] == status]
        own = [(cell, rows_of_cell(runs, cell, study.swept)) for _, cell in _rows(table, runs)]
        places = [
            f"{_name(study, cell)}, {_seeds(rows['seed'])}" for cell, rows in own if len(rows)
        ]
        count = sum(len(rows) for _, rows in own)
        if count:
            said.append(f"{counted(count, 'run')} {verb} ({_listed(places)}): not drawn")
    empty = [_name(study, cell) for _, cell in table[table["seeds"] == 0].iterrows()]
    return [*said, f"no completed run: {_listed(empty)}"] if empty else said


def label_noise(study: StudyTables, table: pd.DataFrame) -> str:
    """Say that labels were moved, where they were: then train and test differ in their labels."""
    highest = _noise(study, table)
    several = "up to " if "dataset.label_noise" in study.swept else ""
    words = f"training labels include {several}{100 * highest:g}% moved ones; test labels are true"
    return words if highest else ""


def gap_words(study: StudyTables, table: pd.DataFrame) -> str:
    """Return what training minus test is: no overfitting gap where training labels were moved."""
    return "training against test" if _noise(study, table) else "overfitting gap"


def not_shown(count: int, noun: str, which: str = "") -> str:
    """Say how many settings, lines or rows have no room in a plot; nothing where all have."""
    return f"{counted(count, noun)}{which and ' '}{which} not shown" if count else ""


def not_drawn(words: Iterable[str]) -> str:
    """Say which combinations of settings have no plots of their own."""
    names = list(words)
    count = counted(len(names), "combination")
    return f"no plots of their own: {count} ({_listed(names)})" if names else ""


def _rows(table: pd.DataFrame, runs: pd.DataFrame) -> Iterable[tuple[Any, pd.Series]]:
    """Return the cells of a table to look for runs in; none where there are no runs."""
    return table.iterrows() if len(runs) else ()


def _noise(study: StudyTables, table: pd.DataFrame) -> float:
    key = "dataset.label_noise"
    own = study.manifest["settings"]["dataset"].get("label_noise", 0.0)
    return float(table[key].max()) if key in study.swept else float(own)


def _stopped(study: StudyTables, table: pd.DataFrame) -> str:
    """Say where curves end, where seeds of a cell trained for different numbers of epochs."""
    ends = [study.completed[index]["epochs"] for index in table.index]
    if all(own.nunique() < 2 for own in ends):
        return ""
    every = pd.concat(ends)
    return (
        f"seeds stopped after {every.min():g} to {every.max():g} epochs: means end where the first "
        "seed of a setting stopped, thin lines are the seeds after that"
    )


def _name(study: StudyTables, cell: pd.Series) -> str:
    return style.cell_label(cell, study.swept, bool(cell["bare"]))


def _seeds(seeds: pd.Series) -> str:
    word = "seed" if len(seeds) == 1 else "seeds"
    return f"{word} {_listed((f'{seed:g}' for seed in sorted(seeds)), ', ')}"


def _listed(names: Iterable[str], between: str = "; ") -> str:
    """Return names, the first three of many and how many more."""
    every = list(names)
    shown = every if len(every) <= _NAMED + 1 else every[:_NAMED]
    more = len(every) - len(shown)
    return between.join(shown) + (f" and {more} more" if more else "")
