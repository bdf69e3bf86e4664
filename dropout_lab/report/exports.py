"""The table of cells as CSV, Markdown and LaTeX."""

import re

import pandas as pd

from dropout_lab.report.cell_table import INTERVAL, CellTable, Line
from dropout_lab.results import cell_text, csv_text, message_cell, one_line

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~$&#])")
_LATEX = {
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
_NUMBERS = re.compile(r"(?<![\w.])[−+]?\d+(\.\d+)?( ± \d+(\.\d+)?)?")


def csv(table: pd.DataFrame, cells: CellTable, *, errors: bool) -> str:
    """Return every number of the table at full precision, accuracies as fractions.

    Args:
        table: The cells with their statistics.
        cells: The table as it is read, whose marks are told too.
        errors: Whether to add the test error in per cent.
    """
    rows = []
    names = [line.fields[0].text for line in cells.lines]
    for name, (_, cell), line in zip(names, table.iterrows(), cells.lines, strict=True):
        row: dict[str, object] = {"cell": name}
        row |= {str(key): _value(value) for key, value in cell.drop("label").items()}
        reference = cell["reference"]
        row["reference"] = None if pd.isna(reference) else names[reference]
        row["best_by_validation"] = line.chosen
        if errors:
            row["test_error_percent_mean"] = 100 * (1 - cell["test_accuracy_mean"])
            row["test_error_percent_sd"] = 100 * cell["test_accuracy_sd"]
        rows.append(row)
    header = list(rows[0]) if rows else []
    # A text that begins as a formula does is given as no spreadsheet takes it for one.
    fields = [[_csv_field(value) for value in row.values()] for row in rows]
    return csv_text([header, *fields])


def markdown(cells: CellTable) -> str:
    """Return the short table in Markdown, the best cell by validation in bold."""
    table = cells.short()
    lines = [
        _markdown_row([_markdown(column.name) for column in table.columns]),
        _markdown_row(["--:" if column.numeric else ":--" for column in table.columns]),
    ]
    for line in table.lines:
        first, *others = (_markdown(field.text) for field in line.fields)
        lines.append(_markdown_row([f"**{first}** \\*" if line.chosen else first, *others]))
    return "\n".join([*lines, "", _markdown(f"{cells.title}; {cells.note}"), ""])


def latex(cells: CellTable) -> str:
    """Return the short table in LaTeX with the rules of booktabs, the best cell in bold.

    The interval of the mean is left out, so that a page of an article is wide enough.
    """
    table = cells.short(without=(INTERVAL,))
    head = " & ".join(_latex_head(column.name) for column in table.columns)
    body = "\n".join(f"{_latex_row(line)} \\\\" for line in table.lines)
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
    return "\n".join(
        [
            r"% \usepackage{booktabs} and, for umlauts and the like, a Unicode engine or T1 fonts.",
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{_latex(cells.title)}; {_latex(cells.note)}}}",
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


def _value(value: object) -> object:
    """Return a swept value or a number as itself, nan as nothing."""
    return None if value is pd.NA or value != value else value


def _csv_field(value: object) -> str:
    text = cell_text(value.item() if hasattr(value, "item") else value)
    return message_cell(text) if isinstance(value, str) else text


def _markdown_row(texts: list[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", one_line(text))


def _latex_row(line: Line) -> str:
    first, *others = line.fields
    name = _latex(first.text)
    texts = [rf"\textbf{{{name}}} *" if line.chosen else name]
    return " & ".join([*texts, *(_latex_number(field.text) for field in others)])


def _latex_head(name: str) -> str:
    """Return what stands above a column, what follows a comma in a second line."""
    first, comma, rest = _latex(name).partition(", ")
    return rf"\shortstack{{{first},\\{rest}}}" if comma else first


def _latex_number(text: str) -> str:
    """Return a field with its numbers in mathematics, where a minus is a minus."""
    parts, end = [], 0
    for found in _NUMBERS.finditer(text):
        number = found[0].replace("±", r"\pm").replace("−", "-")
        parts += [_spelled(text[end : found.start()]), f"${number}$"]
        end = found.end()
    return "".join([*parts, _spelled(text[end:])])


def _latex(text: str) -> str:
    return _spelled(one_line(text))


def _spelled(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
