"""Parts of a lesson: headings, text, formulas, tables, one plot, and checks that can fail."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from matplotlib.figure import Figure

from dropout_lab.checks.outcome import Outcome, at_least, at_most
from dropout_lab.layers.noise_measurement import ERRORS

Cell = str | int | float


@dataclass(frozen=True)
class Section:
    """Start a section with a heading."""

    title: str


@dataclass(frozen=True)
class Paragraph:
    """Explain in a paragraph what the experiment does, and why."""

    text: str


@dataclass(frozen=True)
class Formula:
    """Show a formula in plain ASCII, on one or more lines."""

    text: str


@dataclass(frozen=True)
class Table:
    """Show a table of numbers.

    Args:
        title: What the table shows, with units and n.
        columns: The column headings.
        rows: The measured numbers; a string is shown unchanged.
        digits: The significant digits of the numbers shown.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    digits: int = 4


@dataclass(frozen=True)
class Observation:
    """Point to what the reader should see in the table or formula above."""

    text: str


@dataclass(frozen=True)
class Misconception:
    """Correct a statement that is widely taught and wrong."""

    text: str


@dataclass(frozen=True)
class Plot:
    """Show the plot of the lesson; each lesson has one.

    Args:
        draw: A function that draws the figure. It is called only if the plot is needed, with the
            style of all plots active.
        shows: A sentence that says what the plot shows.
    """

    draw: Callable[[], Figure]
    shows: str


@dataclass(frozen=True)
class Progress:
    """Announce a slow computation before the computation starts."""

    text: str


@dataclass(frozen=True)
class Check:
    """Report a measurement that can contradict the claim; the page lists all checks at the end.

    Args:
        name: What must be true, in a few words.
        outcome: The measurement and its bound.
    """

    name: str
    outcome: Outcome

    @classmethod
    def within_chance(cls, name: str, z_score: float, description: str) -> Self:
        """Check that a deviation, in standard errors, is small enough to be chance."""
        return cls(name, at_most(z_score, ERRORS, description, unit=" SE"))

    @classmethod
    def beyond_chance(cls, name: str, z_score: float, description: str) -> Self:
        """Check that a deviation, in standard errors, is too large to be chance."""
        return cls(name, at_least(z_score, ERRORS, description, unit=" SE"))


Part = Section | Paragraph | Formula | Table | Observation | Misconception | Plot | Progress | Check
