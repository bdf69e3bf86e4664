"""The checks of lessons without their words and pictures, for ``dropout-lab verify``."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dropout_lab.checks.outcome import Outcome, failed_with
from dropout_lab.lessons import defaults, parts_of
from dropout_lab.lessons.parts import Check


@dataclass(frozen=True)
class Checked:
    """How a check of a lesson came out.

    Args:
        lesson: Its name.
        check: What must hold.
        measured: A number, or a word.
        bound: What it had to be.
        passed: Whether it was.
        reason: Why it was not.
    """

    lesson: str
    check: str
    measured: float | str
    bound: str
    passed: bool
    reason: str = ""


def check_lessons(names: Iterable[str], *, quick: bool = False) -> Iterator[Checked]:
    """Run lessons as they are without options; yield each check as it comes.

    Args:
        names: Keys of ``LESSONS``.
        quick: Whether they are run in their quick form.
    """
    for name in names:
        try:
            for part in parts_of(name, defaults(name, quick=quick)):
                if isinstance(part, Check):
                    yield _checked(name, part.name, part.outcome)
        except Exception as error:  # a lesson that cannot be held is broken, whatever stops it
            yield _checked(name, "it can be held", failed_with(error))


def _checked(lesson: str, check: str, outcome: Outcome) -> Checked:
    passed = bool(outcome.passed)
    reason = "" if passed else outcome.reason
    return Checked(lesson, check, outcome.measured, outcome.bound, passed, reason)
