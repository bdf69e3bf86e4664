"""What a lesson is made of: words, formulas, tables, one picture, and checks that can fail."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from dropout_lab.checks.outcome import Outcome

Cell = str | int | float


@dataclass(frozen=True)
class Step:
    """The heading of a step of the experiment."""

    title: str


@dataclass(frozen=True)
class Say:
    """What is done, and why: a paragraph."""

    text: str


@dataclass(frozen=True)
class Formula:
    """A formula in plain ASCII, one line or several."""

    text: str


@dataclass(frozen=True)
class Rows:
    """A table of numbers.

    Args:
        title: What it shows, with units and n.
        columns: Their headings.
        rows: Numbers as they were measured; a text is shown as it is.
        digits: Significant digits of the numbers shown.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    digits: int = 4


@dataclass(frozen=True)
class Look:
    """What to look at in the table or formula above."""

    text: str


@dataclass(frozen=True)
class Mistake:
    """What is widely taught and wrong, beside what is right."""

    text: str


@dataclass(frozen=True)
class Picture:
    """The picture of a lesson; each has one.

    Args:
        draw: Draws it; called inside the style of all pictures, and only where it is wanted.
        shows: What it shows, in a sentence.
    """

    draw: Callable[[], Figure]
    shows: str


@dataclass(frozen=True)
class Working:
    """What takes a moment, told before it begins."""

    text: str


@dataclass(frozen=True)
class Check:
    """A measurement of the claim that can fail; all of them are told at the end.

    Args:
        name: What must hold, in a few words.
        outcome: What was measured, and its bound.
    """

    name: str
    outcome: Outcome


Part = Step | Say | Formula | Rows | Look | Mistake | Picture | Working | Check
