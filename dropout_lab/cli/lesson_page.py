"""Print a lesson in the terminal: each part when it is ready, and the checks at the end."""

import textwrap
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from dropout_lab.analysis import style
from dropout_lab.checks.outcome import Outcome
from dropout_lab.cli.table import print_rows
from dropout_lab.lessons import Lesson, LessonOptions, lesson_parts
from dropout_lab.lessons.parts import (
    Cell,
    Check,
    Formula,
    Misconception,
    Observation,
    Paragraph,
    Part,
    Plot,
    Progress,
    Section,
    Table,
)

_WIDEST = 100  # columns of a line of prose
_HEADING = 16  # characters of a line of a column's heading


def run_lesson(
    name: str,
    about: Lesson,
    lesson_options: LessonOptions,
    out: Path,
    *,
    quiet: bool,
    pause: bool = False,
) -> dict[str, Any]:
    """Run a lesson: print each part, save the plot, and print the checks at the end.

    Args:
        name: The name of the lesson.
        about: The entry of the lesson in ``LESSONS``.
        lesson_options: The options of the lesson.
        out: The folder for the plot.
        quiet: Whether to print nothing.
        pause: Whether to wait for Enter before each step but the first.

    Returns:
        The numbers of the lesson, for ``--json``.

    Raises:
        DataError: The data set is missing or damaged.
        StorageError: The plot cannot be saved.
    """
    began = time.perf_counter()
    page = _Page(quiet=quiet, pause=pause)
    page.title(name, about)
    tables: list[Table] = []
    checks: list[Check] = []
    files: list[Path] = []
    for part in lesson_parts(name, lesson_options):
        page.add(part)
        if isinstance(part, Table):
            tables.append(part)
        elif isinstance(part, Check):
            checks.append(part)
        elif isinstance(part, Plot):
            with style.style():
                files += style.save(part.draw(), out, name)
            page.prose(f"Plot: {files[0]}: {part.shows}.")
    seconds = time.perf_counter() - began
    page.end(checks, seconds)
    return {
        "lesson": name,
        "claim": about.claim,
        "p": list(lesson_options.p),
        "seed": lesson_options.seed,
        "quick": lesson_options.quick,
        "tables": [asdict(table) for table in tables],
        "checks": [{"check": check.name, **asdict(check.outcome)} for check in checks],
        "pictures": [str(file) for file in files],
        "seconds": seconds,
    }


class _Page:
    """Print the parts of a lesson in the terminal."""

    def __init__(self, *, quiet: bool, pause: bool) -> None:
        self.console = Console(markup=False, highlight=False, quiet=quiet)
        self.notes = Console(markup=False, highlight=False, quiet=quiet, stderr=True)
        self.pause = pause
        self.steps = 0

    def title(self, name: str, about: Lesson) -> None:
        self.console.print(f"Lesson {name}", style="bold")
        self.prose(f"The claim: {about.claim}")
        self.prose(about.paper, style="dim")

    def add(self, part: Part) -> None:
        """Print a part, except the plot and the checks."""
        match part:
            case Section():
                if self.pause and self.steps:
                    self._wait()
                self.steps += 1
                self.console.print(f"\n{self.steps}. {part.title}", style="bold")
            case Paragraph():
                self.prose(part.text)
            case Formula():
                self.console.print(f"\n{textwrap.indent(part.text, '    ')}\n", style="cyan")
            case Table():
                columns = ["\n".join(textwrap.wrap(name, _HEADING)) for name in part.columns]
                rows = [[_text(cell, part.digits) for cell in row] for row in part.rows]
                self.prose(part.title, style="italic")
                print_rows(self.console, None, columns, rows)
            case Observation():
                self.prose(f"Look: {part.text}", style="green")
            case Misconception():
                self.prose(f"Widely taught, and wrong: {part.text}", style="magenta")
            case Progress():
                self.notes.print(f"... {part.text}", style="dim")

    def end(self, checks: Sequence[Check], seconds: float) -> None:
        """Print the checks, and whether the claim holds."""
        self.console.print("\nChecks of the claim (SE: standard error)", style="bold")
        for check in checks:
            found = check.outcome
            number = measured_text(found.measured)
            line = f"  {check.name:<25} {number:<9} {found.bound:<15} "
            self.console.print(
                line + ("ok" if found.passed else f"FAILED\n    {_reason(found)}"),
                style="" if found.passed else "bold red",
                soft_wrap=True,
            )
        failed = sum(not check.outcome.passed for check in checks)
        verdict = f"{failed} of {len(checks)} checks failed" if failed else "The claim holds"
        self.console.print(f"{verdict} ({seconds:.1f} s).")

    def _wait(self) -> None:
        self.notes.print("\n[Enter]", style="dim", end="")
        with suppress(EOFError):  # no terminal to read from
            input()

    def prose(self, text: str, style: str = "") -> None:
        """Print a paragraph, wrapped to the width of the terminal."""
        width = min(self.console.width, _WIDEST)
        self.console.print(
            "\n".join(textwrap.wrap(text, width, break_on_hyphens=False)), style=style
        )


def measured_text(value: float | str) -> str:
    """Format a measurement in a few characters."""
    return value if isinstance(value, str) else f"{value:.4g}"


def _reason(found: Outcome) -> str:
    """Return why a check failed, as a sentence that starts with the measurement."""
    if isinstance(found.measured, str) or found.reason[:1].isdigit():  # already a sentence
        return found.reason
    return f"{measured_text(found.measured)} {found.reason}"


def _text(cell: Cell, digits: int) -> str:
    if isinstance(cell, float):
        return f"{cell:.{digits}g}"
    return cell if isinstance(cell, str) else f"{cell:,}"
