"""The table of cells in reports: one row for each cell, the same in every output format."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from dropout_lab.analysis.family import group_by_dataset
from dropout_lab.analysis.phrases import reference_words
from dropout_lab.analysis.style import cell_name
from dropout_lab.analysis.tables import (
    StudyTables,
    chosen_on_validation,
    describe_epoch,
    describe_missing_runs,
)
from dropout_lab.analysis.verdicts import margin_text, verdict_text

INTERVAL, GAP = "95% interval", "gap, pp"  # columns that narrow tables omit
P_HOLM = "p-value, Holm"
_EMPTY = "–"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        name: The heading.
        description: An explanation of the column, as one sentence.
        short: Whether the short table has the column: in the terminal, in Markdown and in LaTeX.
        numeric: Whether the values are numbers.
    """

    name: str
    description: str
    short: bool = False
    numeric: bool = True


@dataclass(frozen=True)
class Field:
    """A value of the table.

    Args:
        text: The text.
        number: A number to sort by, if the value is numeric.
        interval: The lower end, the mean and the upper end of an interval to draw.
    """

    text: str
    number: float | None = None
    interval: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class TableRow:
    """A row of the table, for one cell of the study.

    Args:
        fields: A value for each column.
        chosen: Whether the cell is the best with dropout by validation.
        reference: Whether other cells are compared with it.
    """

    fields: tuple[Field, ...]
    chosen: bool
    reference: bool


@dataclass(frozen=True)
class CellTable:
    """The table of a study.

    Args:
        title: The title, which includes the epoch of the values.
        columns: The columns; the first has the names of the cells.
        rows: The rows.
        note: An explanation of the numbers and marks.
        margin: The margin to draw the intervals with; None to draw none.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    note: str
    margin: float | None = None

    @property
    def axis_end(self) -> float:
        """The largest absolute value among the margin and the intervals, for their scale."""
        intervals = [field.interval for row in self.rows for field in row.fields if field.interval]
        return max([self.margin or 0.0, *(abs(end) for each in intervals for end in each)])

    def short(self, exclude: Sequence[str] = ()) -> "CellTable":
        """Return the table with only the columns that fit on paper and in a terminal.

        Args:
            exclude: Names of other columns to omit.
        """
        kept = [
            index
            for index, column in enumerate(self.columns)
            if column.short and column.name not in exclude
        ]
        rows = tuple(
            TableRow(tuple(row.fields[index] for index in kept), row.chosen, row.reference)
            for row in self.rows
        )
        return CellTable(self.title, tuple(self.columns[i] for i in kept), rows, self.note)


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
        table: The cells with their statistics, from :func:`analysis.paired.compare_cells`.
        against: Swept values of the reference; by default, the reference is the baseline.
        errors: Whether to show test errors in percent, as papers do, instead of accuracies.
    """
    best = chosen_cells(study, table)
    references = set(table["reference"].dropna())
    margins = table["margin"].dropna()
    margin = float(margins.iloc[0]) if len(margins) else None
    columns = _short_columns(reference_words(against), margin, errors=errors)
    columns += _long_columns(percent(table.attrs["difference"]), errors=errors)
    rows = []
    for index, cell in table.iterrows():
        reference = index in references
        label = cell_name(cell, study.swept)
        fields = [Field(label), *(field_of(cell) for _, field_of in columns)]
        chosen = index in best and len(table) > 1
        rows.append(TableRow(tuple(fields), chosen, reference))
    names = (
        Column("cell", "One setting of the varied values.", short=True, numeric=False),
        *(c for c, _ in columns),
    )
    return CellTable(table_title(study), names, tuple(rows), _note(study, table, rows), margin)


def percent(fraction: float, *, sign: bool = False) -> str:
    """Return a fraction as a percentage, or a difference of fractions in percentage points."""
    if math.isnan(fraction):
        return _EMPTY
    return f"{100 * fraction:{'+' if sign else ''}z.2f}".replace("-", "−")


def percent_and_sd(mean: float, sd: float) -> str:
    """Return a mean and, if defined, its standard deviation as percentages."""
    spread = "" if math.isnan(sd) or math.isnan(mean) else f" ± {percent(sd)}"
    return f"{percent(mean)}{spread}"


def interval(low: float, high: float) -> str:
    """Return an interval of fractions as percentages."""
    return _EMPTY if math.isnan(low) else f"[{percent(low)}, {percent(high)}]"


def p_text(p: float) -> str:
    """Format a p-value."""
    if math.isnan(p):
        return _EMPTY
    return "<0.001" if p < 0.001 else f"{p:.3f}"


_FieldMaker = Callable[[Any], Field]


def _short_columns(
    reference: str, margin: float | None, *, errors: bool
) -> list[tuple[Column, _FieldMaker]]:
    """Return the columns of the short table except the first, each with its function."""
    what = "test error" if errors else "test accuracy"
    equivalent = "Without a margin, nothing is called equivalent."
    if margin is not None:
        equivalent = (
            f"Equivalent if two one-sided t tests show a difference below {margin_text(margin)}."
        )
    return [
        (
            Column(
                f"{what} %, mean ± SD (n)",
                "Mean over the n completed runs, one for each seed.",
                short=True,
            ),
            lambda cell: _mean_field(cell, "test_accuracy", errors=errors, n=True),
        ),
        (
            Column(INTERVAL, "Student's t interval of the mean over seeds.", short=True),
            lambda cell: _interval_field(cell, "test_accuracy", errors=errors),
        ),
        (
            Column(GAP, "Train − test accuracy, mean ± SD: overfitting.", short=True),
            lambda cell: _mean_field(cell, "accuracy_gap"),
        ),
        (
            Column(
                f"vs {reference}, pp",
                f"Difference in {what}, paired by seed: mean and 95% t interval.",
                short=True,
            ),
            lambda cell: _difference_field(cell, errors=errors),
        ),
        (
            Column(
                P_HOLM,
                "Sign-flip permutation test, corrected over all planned comparisons.",
                short=True,
            ),
            lambda cell: _number_field(cell["p_holm"], p_text),
        ),
        (
            Column(
                "verdict",
                "Better or worse only if the interval excludes 0, the p-value (Holm) is below "
                f"0.05, and there are at least 6 pairs. {equivalent}",
                short=True,
                numeric=False,
            ),
            lambda cell: Field(verdict_text(cell) if cell["pairs"] else _EMPTY),
        ),
    ]


def _long_columns(difference: str, *, errors: bool) -> list[tuple[Column, _FieldMaker]]:
    """Return the columns that are only on the page, each with its function."""
    return [
        (
            Column(
                f"validation {'error' if errors else 'accuracy'} %",
                "Mean ± SD. The best cell is the cell with the best mean.",
            ),
            lambda cell: _mean_field(cell, "validation_accuracy", errors=errors),
        ),
        (
            Column("95% BCa", "The bootstrap interval, bias-corrected and accelerated."),
            lambda cell: _interval_field(cell, "test_accuracy_bca", errors=errors),
        ),
        (
            Column("difference, BCa", "The bootstrap interval of the difference."),
            lambda cell: _interval_field(cell, "difference_bca", errors=errors, signed=True),
        ),
        (
            Column(
                "p-value, equivalence",
                "Two one-sided t tests of a difference below the margin, corrected over all "
                "planned comparisons.",
            ),
            lambda cell: _number_field(cell["p_equivalence_holm"], p_text),
        ),
        (
            Column(
                "effect size", "Mean over SD of the paired differences, with Hedges' correction."
            ),
            lambda cell: _number_field(
                -cell["effect_size"] if errors else cell["effect_size"], _signed_number
            ),
        ),
        (
            Column(
                f"seeds for {difference}",
                f"Paired seeds needed to call a difference of {difference} pp "
                "significant with 80% power, at the corrected level.",
            ),
            lambda cell: _number_field(cell["seeds_needed"], lambda n: f"{n:.0f}"),
        ),
    ]


def _mean_field(cell: Any, name: str, *, errors: bool = False, n: bool = False) -> Field:
    mean, sd = float(cell[f"{name}_mean"]), float(cell[f"{name}_sd"])
    value = 1 - mean if errors else mean
    count = f" ({int(cell['seeds'])})" if n else ""
    return Field(f"{percent_and_sd(value, sd)}{count}", value)


def _interval_field(cell: Any, name: str, *, errors: bool, signed: bool = False) -> Field:
    low, high = float(cell[f"{name}_low"]), float(cell[f"{name}_high"])
    if errors:
        low, high = (-high, -low) if signed else (1 - high, 1 - low)
    return Field(interval(low, high), low)


def _difference_field(cell: Any, *, errors: bool) -> Field:
    mean = -float(cell["difference_mean"]) if errors else float(cell["difference_mean"])
    if math.isnan(mean):
        return Field(_EMPTY, mean)
    spread = _interval_field(cell, "difference", errors=errors, signed=True).text
    spread = "" if spread == _EMPTY else f" {spread}"
    pairs = int(cell["pairs"])
    count = f" ({pairs})" if pairs != int(cell["seeds"]) else ""
    low, high = float(cell["difference_low"]), float(cell["difference_high"])
    ends = (-high, mean, -low) if errors else (low, mean, high)
    drawn = ends if not math.isnan(low + float(cell["margin"])) else None
    return Field(f"{percent(mean, sign=True)}{spread}{count}", mean, drawn)


def _number_field(value: Any, words: Callable[[float], str]) -> Field:
    number = float(value)
    return Field(words(number) if math.isfinite(number) else _EMPTY, number)


def _signed_number(value: float) -> str:
    return f"{value:+z.2f}".replace("-", "−")


def chosen_cells(study: StudyTables, table: pd.DataFrame) -> set[Any]:
    """Return the rows of the cells with dropout that validation chose, one for each dataset."""
    chosen = [chosen_on_validation(group) for group in group_by_dataset(study, table)]
    return {cell.name for cell in chosen if cell is not None and not cell["is_baseline"]}


def table_title(study: StudyTables) -> str:
    """Return the title of a study's table, which includes the number of missing runs."""
    missing = describe_missing_runs(study)
    title = f"{study.manifest.name}: {describe_epoch(study)}, dropout off"
    return f"{title} ({missing})" if missing else title


def label_noise_caveat(study: StudyTables) -> str:
    """Return a note that the gap does not measure overfitting; empty without label noise."""
    noise = any(run.settings.dataset.label_noise for run in study.runs_by_id.values())
    return "some training labels were moved: the gap does not measure overfitting" * noise


def _note(study: StudyTables, table: pd.DataFrame, rows: list[TableRow]) -> str:
    """Return an explanation of the numbers and marks in the short table."""
    notes = [label_noise_caveat(study), "mean ± SD over n seeds", "gap: train − test accuracy"]
    if table["pairs"].any():
        notes.append(
            "difference: mean over pairs of equal seed and its 95% t interval; p-value: sign-flip "
            "test, Holm's correction over all planned comparisons"
        )
        margins = table["margin"].dropna()
        if len(margins):
            notes.append(f"margin of equivalence: {margin_text(margins.iloc[0])}")
    marked = sum(row.chosen for row in rows)
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
