"""Run the checks of lessons without text and plots, for ``dropout-lab verify``."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dropout_lab.checks.outcome import Outcome, failed_with
from dropout_lab.lessons import default_options, lesson_parts
from dropout_lab.lessons.parts import Check


@dataclass(frozen=True)
class LessonCheckResult:
    """Report the result of a check of a lesson.

    Args:
        lesson: The name of the lesson.
        check: What must be true.
        measured: The measurement: a number, or a word.
        bound: The bound of the measurement.
        passed: Whether the measurement is within the bound.
        reason: Why the check failed; empty if the check passed.
    """

    lesson: str
    check: str
    measured: float | str
    bound: str
    passed: bool
    reason: str = ""


def check_lessons(names: Iterable[str], *, quick: bool = False) -> Iterator[LessonCheckResult]:
    """Run lessons with their default options and yield the result of each check.

    Args:
        names: Keys of ``LESSONS``.
        quick: Whether to run the quick form of the lessons.
    """
    for name in names:
        try:
            for part in lesson_parts(name, default_options(name, quick=quick)):
                if isinstance(part, Check):
                    yield _make_result(name, part.name, part.outcome)
        except Exception as error:  # whatever stops a lesson, the lesson is broken
            yield _make_result(name, "the lesson runs", failed_with(error))


def _make_result(lesson: str, check: str, outcome: Outcome) -> LessonCheckResult:
    passed = bool(outcome.passed)
    reason = "" if passed else outcome.reason
    return LessonCheckResult(lesson, check, outcome.measured, outcome.bound, passed, reason)
