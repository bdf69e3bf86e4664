"""What the tests of lessons share."""

from collections.abc import Callable, Iterator

import pytest
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.lessons import LESSONS, LessonOptions, lesson_parts
from dropout_lab.lessons.parts import Check, Part, Plot

Told = Callable[..., list[Part]]


@pytest.fixture
def told() -> Told:
    """Run a lesson, quickly where nothing else is said, and return its parts."""

    def run(name: str, *p: float, seed: int = 0, quick: bool = True) -> list[Part]:
        return list(lesson_parts(name, LessonOptions(p or LESSONS[name].p, seed, quick)))

    return run


def checks_in(parts: list[Part]) -> dict[str, Check]:
    """Return the checks of a lesson by name."""
    return {part.name: part for part in parts if isinstance(part, Check)}


def failed_in(parts: list[Part]) -> list[str]:
    """Return the names of the checks that failed."""
    return [name for name, check in checks_in(parts).items() if not check.outcome.passed]


@pytest.fixture
def drawn() -> Iterator[Callable[[list[Part]], Figure]]:
    """Draw the picture of a lesson, in the style of all pictures."""

    def draw(parts: list[Part]) -> Figure:
        (picture,) = [part for part in parts if isinstance(part, Plot)]
        return picture.draw()

    with style.style():
        yield draw
