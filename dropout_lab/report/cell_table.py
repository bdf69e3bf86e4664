"""The table of cells as it is read: one line for each cell, the same in every form it is given."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dropout_lab.analysis.family import data_sets
from dropout_lab.analysis.style import cell_label, value_text
from dropout_lab.analysis.tables import StudyTables, chosen_on_validation, incomplete, when

INTERVAL, GAP = "95 % interval", "gap, points"  # columns that the narrowest tables leave out
_NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        name: What stands above it.
        explained: What it is, in a sentence for the reader who asks.
        short: Whether it is in the short table too: terminal, paper, Markdown and LaTeX.
        numeric: Whether it holds numbers.
    """

    name: str
    explained: str
    short: bool = False
    numeric: bool = True


@dataclass(frozen=True)
class Field:
    """What a line has in a column: as text, and as a number to sort by where it is one."""

    text: str
    number: float | None = None


@dataclass(frozen=True)
class Line:
    """A cell of the study.

    Args:
        fields: One for each column.
        chosen: Whether it is the cell with dropout that is best on validation.
        reference: Whether others are compared with it.
    """

    fields: tuple[Field, ...]
    chosen: bool
    reference: bool


@dataclass(frozen=True)
class CellTable:
    """The table of a study.

    Args:
        title: What it shows, of what moment.
        columns: Its columns; the first has the names of the cells.
        lines: Its lines.
        note: What the numbers and marks mean.
    """

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    note: str

    def short(self, without: Sequence[str] = ()) -> "CellTable":
        """Return the table with the columns that fit on paper and in a terminal.

        Args:
            without: Names of columns to leave out too.
        """
        kept = [
            index
            for index, column in enumerate(self.columns)
            if column.short and column.name not in without
        ]
        lines = tuple(
            Line(tuple(line.fields[index] for index in kept), line.chosen, line.reference)
            for line in self.lines
        )
        return CellTable(self.title, tuple(self.columns[i] for i in kept), lines, self.note)


def cell_table(
    study: StudyTables,
    table: pd.DataFrame,
    against: Mapping[str, Any] | None = None,
    *,
    errors: bool = False,
) -> CellTable:
    """Return the table of a study's cells.

    Args:
        study: The study.
        table: Its cells with their statistics, from :func:`analysis.paired.compared`.
        against: The swept values of the cell that each is compared with; without them the one
            without dropout.
        errors: Whether to tell test errors in per cent, as the papers do, not accuracies.
    """
    best = chosen_cells(study, table)
    references = set(table["reference"].dropna())
    makers = _short_columns(_reference_words(against), errors=errors)
    makers += _long_columns(percent(table.attrs["difference"]), errors=errors)
    lines = []
    for index, cell in table.iterrows():
        reference = index in references
        label = cell_label(cell, study.swept, bool(cell["bare"]))
        fields = [Field(label), *(make(cell) for _, make in makers)]
        chosen = index in best and len(table) > 1
        lines.append(Line(tuple(fields), chosen, reference))
    names = (
        Column("cell", "A setting of what was varied.", short=True, numeric=False),
        *(c for c, _ in makers),
    )
    return CellTable(title_of(study), names, tuple(lines), _note(study, table, lines))


def percent(fraction: float, *, sign: bool = False) -> str:
    """Return a fraction as per cent, or a difference of fractions in points."""
    if math.isnan(fraction):
        return _NOTHING
    return f"{100 * fraction:{'+' if sign else ''}z.2f}".replace("-", "−")


def percent_and_sd(mean: float, sd: float) -> str:
    """Return a mean and, where there is one, its standard deviation in per cent."""
    spread = "" if math.isnan(sd) or math.isnan(mean) else f" ± {percent(sd)}"
    return f"{percent(mean)}{spread}"


def interval(low: float, high: float) -> str:
    """Return an interval of fractions in per cent."""
    return _NOTHING if math.isnan(low) else f"[{percent(low)}, {percent(high)}]"


def p_text(p: float) -> str:
    """Return a p-value in words."""
    if math.isnan(p):
        return _NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


_Maker = Callable[[Any], Field]


def _short_columns(reference: str, *, errors: bool) -> list[tuple[Column, _Maker]]:
    """Return the columns of the short table after the first, each with what makes its field."""
    what = "test error" if errors else "test accuracy"
    return [
        (
            Column(
                f"{what} %, mean ± SD (n)",
                "Over the n completed runs, one for each seed.",
                short=True,
            ),
            lambda cell: _mean(cell, "test_accuracy", errors=errors, n=True),
        ),
        (
            Column(INTERVAL, "Of the mean over seeds, by Student's t.", short=True),
            lambda cell: _interval(cell, "test_accuracy", errors=errors),
        ),
        (
            Column(GAP, "Train − test accuracy, mean ± SD: overfitting.", short=True),
            lambda cell: _mean(cell, "accuracy_gap"),
        ),
        (
            Column(
                f"vs {reference}, points",
                f"Difference in {what}, paired by seed: mean and 95 % t interval.",
                short=True,
            ),
            lambda cell: _difference(cell, errors=errors),
        ),
        (
            Column(
                "p-value, Holm",
                "Of the sign-flip permutation test, corrected over all planned comparisons.",
                short=True,
            ),
            lambda cell: _number(cell["p_holm"], p_text),
        ),
        (
            Column(
                "verdict",
                "Significant only if the interval excludes 0, the p-value (Holm) is below 0.05, "
                "and there are at least 6 pairs.",
                short=True,
                numeric=False,
            ),
            lambda cell: Field(str(cell["verdict"]) if cell["pairs"] else _NOTHING),
        ),
    ]


def _long_columns(difference: str, *, errors: bool) -> list[tuple[Column, _Maker]]:
    """Return the columns that only the page has."""
    return [
        (
            Column(
                f"validation {'error' if errors else 'accuracy'} %",
                "Mean ± SD; what the best cell is chosen on.",
            ),
            lambda cell: _mean(cell, "validation_accuracy", errors=errors),
        ),
        (
            Column("95 % BCa", "The interval by the bootstrap, bias-corrected and accelerated."),
            lambda cell: _interval(cell, "test_accuracy_bca", errors=errors),
        ),
        (
            Column("difference, BCa", "The bootstrap interval of the difference."),
            lambda cell: _interval(cell, "difference_bca", errors=errors, signed=True),
        ),
        (
            Column(
                "effect size", "Mean over SD of the paired differences, with Hedges' correction."
            ),
            lambda cell: _number(-cell["effect_size"] if errors else cell["effect_size"], _plain),
        ),
        (
            Column(
                f"seeds for {difference}",
                f"Paired seeds needed to call a difference of {difference} points "
                "significant with 80 % power, at the corrected level.",
            ),
            lambda cell: _number(cell["seeds_needed"], lambda n: f"{n:.0f}"),
        ),
    ]


def _mean(cell: Any, name: str, *, errors: bool = False, n: bool = False) -> Field:
    mean, sd = float(cell[f"{name}_mean"]), float(cell[f"{name}_sd"])
    value = 1 - mean if errors else mean
    count = f" ({int(cell['seeds'])})" if n else ""
    return Field(f"{percent_and_sd(value, sd)}{count}", value)


def _interval(cell: Any, name: str, *, errors: bool, signed: bool = False) -> Field:
    low, high = float(cell[f"{name}_low"]), float(cell[f"{name}_high"])
    if errors:
        low, high = (-high, -low) if signed else (1 - high, 1 - low)
    return Field(interval(low, high), low)


def _difference(cell: Any, *, errors: bool) -> Field:
    mean = -float(cell["difference_mean"]) if errors else float(cell["difference_mean"])
    if math.isnan(mean):
        return Field(_NOTHING, mean)
    spread = _interval(cell, "difference", errors=errors, signed=True).text
    spread = "" if spread == _NOTHING else f" {spread}"
    pairs = int(cell["pairs"])
    count = f" ({pairs})" if pairs != int(cell["seeds"]) else ""
    return Field(f"{percent(mean, sign=True)}{spread}{count}", mean)


def _number(value: Any, words: Callable[[float], str]) -> Field:
    number = float(value)
    return Field(words(number) if math.isfinite(number) else _NOTHING, number)


def _plain(value: float) -> str:
    return f"{value:+z.2f}".replace("-", "−")


def _reference_words(against: Mapping[str, Any] | None) -> str:
    if not against:
        return "without dropout"
    return ", ".join(
        f"{key.partition('.')[2].replace('_', ' ')} = {value_text(value)}"
        for key, value in against.items()
    )


def chosen_cells(study: StudyTables, table: pd.DataFrame) -> set[Any]:
    """Return the rows of the cells with dropout that validation chose, one for each data set."""
    chosen = [chosen_on_validation(group) for group in data_sets(study, table)]
    return {cell.name for cell in chosen if cell is not None}


def title_of(study: StudyTables) -> str:
    """Return what a table of a study's cells shows, and what it lacks."""
    lack = incomplete(study)
    title = f"{study.manifest['name']}: {when(study)}, dropout off"
    return f"{title} ({lack})" if lack else title


def caveat(study: StudyTables) -> str:
    """Return why train − test accuracy is not what it seems, where training labels were moved."""
    noise = any(run.settings.dataset.label_noise for run in study.known.values())
    return "training labels include moved ones: the gap does not measure overfitting" * noise


def _note(study: StudyTables, table: pd.DataFrame, lines: list[Line]) -> str:
    """Return what the short table's numbers and marks mean, in one sentence."""
    notes = [caveat(study), "mean ± SD over n seeds", "gap: train − test accuracy"]
    if table["pairs"].any():
        notes.append(
            "difference: mean over pairs of equal seed and its 95 % t interval; p-value: sign-flip "
            "test, Holm's correction over all comparisons that were planned"
        )
    marked = sum(line.chosen for line in lines)
    if marked:
        each = ", for each data set" if marked > 1 else ""
        notes.append("* best mean validation accuracy with dropout" + each)
    if table["others"].any():
        left = int(table["others"].sum())
        what = (
            "1 run did not complete and does"
            if left == 1
            else f"{left} runs did not complete and do"
        )
        notes.append(f"{what} not count")
    return "; ".join(filter(None, notes)) + "."
