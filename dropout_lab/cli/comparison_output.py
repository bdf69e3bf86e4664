"""Print a comparison of studies in the terminal, or return it as JSON data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from dropout_lab.cli.report_output import print_files, print_sentences, print_short_table
from dropout_lab.report.comparison import Comparison


def print_comparison(console: Console, comparison: Comparison, files: Sequence[Path]) -> None:
    """Print the table, the findings, and where the files are."""
    print_short_table(console, comparison.cells)
    print_sentences(console, comparison.conclusions)
    print_files(console, files)


def as_data(comparison: Comparison, files: Sequence[Path]) -> dict[str, Any]:
    """Return the contents of comparison.json, and the written files."""
    data = comparison.data.model_dump(exclude_unset=True)
    return {**data, "files": [str(file) for file in files]}
