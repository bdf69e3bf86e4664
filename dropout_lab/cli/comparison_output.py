"""Print a comparison of studies in the terminal, or return it as JSON data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from dropout_lab.cli.encoding import as_shown
from dropout_lab.cli.report_output import print_sentences, print_short_table
from dropout_lab.report.cell_table import P_HOLM
from dropout_lab.report.comparison import Comparison


def print_comparison(console: Console, comparison: Comparison, files: Sequence[Path]) -> None:
    """Print the table, the findings, and where the files are."""
    table = comparison.table
    tests = [column.name for column in table.columns if column.name.endswith(P_HOLM)]
    wide = table != comparison.cells
    print_short_table(console, table, *((tests, [" ± "]) if wide else ()))
    print_sentences(console, comparison.conclusions)
    if files:
        names = ", ".join(file.name for file in files)
        line = as_shown(f"\nFiles in {files[0].parent}: {names}", console.file)
        console.print(line, highlight=False)


def as_data(comparison: Comparison, files: Sequence[Path]) -> dict[str, Any]:
    """Return the contents of comparison.json, and the written files."""
    data = comparison.data.model_dump(exclude_unset=True)
    return {**data, "files": [str(file) for file in files]}
