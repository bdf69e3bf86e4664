"""Export the table of cells as CSV, Markdown and LaTeX."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dropout_lab.report.cell_table import INTERVAL, CellTable, TableRow
from dropout_lab.results import cell_text, csv_text, message_cell, one_line

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]<>|~$&#])")
_LATEX_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "…": r"\ldots{}",
    "×": r"$\times$",
}
_NUMBER = re.compile(r"(?<![\w.])[−+]?\d+(\.\d+)?( ± \d+(\.\d+)?)?")


def records(table: pd.DataFrame, cells: CellTable, *, errors: bool) -> list[dict[str, Any]]:
    """Return all numbers of each cell, accuracies as fractions; None for undefined values.

    Args:
        table: The cells with their statistics.
        cells: The formatted table, for names and marks.
        errors: Whether to add the test error in percent.
    """
    rows = []
    names = [row.fields[0].text for row in cells.rows]
    for name, (_, cell), table_row in zip(names, table.iterrows(), cells.rows, strict=True):
        row: dict[str, Any] = {"cell": name}
        row |= {str(key): _plain(value) for key, value in cell.drop("label").items()}
        row["reference"] = None if row["reference"] is None else names[row["reference"]]
        row["best_by_validation"] = table_row.chosen
        if errors:
            row["test_error_percent_mean"] = _plain(100 * (1 - cell["test_accuracy_mean"]))
            row["test_error_percent_sd"] = _plain(100 * cell["test_accuracy_sd"])
        rows.append(row)
    return rows


def csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of :func:`records` as CSV with full precision."""
    header = list(rows[0]) if rows else []
    # message_cell escapes texts that a spreadsheet would evaluate as formulas.
    fields = [[_csv_field(value) for value in row.values()] for row in rows]
    return csv_text([header, *fields])


def markdown(cells: CellTable) -> str:
    """Return the short table as Markdown, with the best cell by validation in bold."""
    table = cells.short()
    lines = [
        _markdown_row([_escape_markdown(column.name) for column in table.columns]),
        _markdown_row(["--:" if column.numeric else ":--" for column in table.columns]),
    ]
    for row in table.rows:
        first, *others = (_escape_markdown(field.text) for field in row.fields)
        lines.append(_markdown_row([f"**{first}** \\*" if row.chosen else first, *others]))
    return "\n".join([*lines, "", _escape_markdown(f"{cells.title}; {cells.note}"), ""])


def latex(cells: CellTable) -> str:
    """Return the short table as LaTeX with booktabs rules, with the best cell in bold.

    Omits the interval of the mean, so that the table fits on the page of an article.
    """
    table = cells.short(exclude=(INTERVAL,))
    head = " & ".join(_latex_head(column.name) for column in table.columns)
    body = "\n".join(f"{_latex_row(row)} \\\\" for row in table.rows)
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
    return "\n".join(
        [
            r"% \usepackage{booktabs} and, for umlauts and the like, a Unicode engine or T1 fonts.",
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{_escape_latex_line(cells.title)}; {_escape_latex_line(cells.note)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            head + r" \\",
            r"\midrule",
            body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _plain(value: Any) -> Any:
    """Return a value as one of Python's own types; None for nan and missing values."""
    if value is pd.NA or value != value:
        return None
    return value.item() if hasattr(value, "item") else value


def _csv_field(value: object) -> str:
    text = cell_text(value)
    return message_cell(text) if isinstance(value, str) else text


def _markdown_row(texts: list[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _escape_markdown(text: str) -> str:
    return _MARKDOWN_SPECIAL.sub(r"\\\1", one_line(text))


def _latex_row(row: TableRow) -> str:
    first, *others = row.fields
    name = _escape_latex_line(first.text)
    texts = [rf"\textbf{{{name}}} *" if row.chosen else name]
    return " & ".join([*texts, *(_latex_number(field.text) for field in others)])


def _latex_head(name: str) -> str:
    """Return the heading of a column; the part after a comma is on a second line."""
    first, comma, rest = _escape_latex_line(name).partition(", ")
    return rf"\shortstack{{{first},\\{rest}}}" if comma else first


def _latex_number(text: str) -> str:
    """Return a text with its numbers in math mode, which typesets minus signs correctly."""
    parts, end = [], 0
    for found in _NUMBER.finditer(text):
        number = found[0].replace("±", r"\pm").replace("−", "-")
        parts += [_escape_latex(text[end : found.start()]), f"${number}$"]
        end = found.end()
    return "".join([*parts, _escape_latex(text[end:])])


def _escape_latex_line(text: str) -> str:
    return _escape_latex(one_line(text))


def _escape_latex(text: str) -> str:
    return "".join(_LATEX_ESCAPES.get(character, character) for character in text)
