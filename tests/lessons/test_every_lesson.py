"""What every lesson is: parts in an order, one picture, checks that hold, nothing left behind."""

import pytest
import torch

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers import VARIANTS
from dropout_lab.lessons import LESSONS, lesson_parts
from dropout_lab.lessons.parts import Check, Formula, Observation, Plot, Section, Table
from tests.lessons.conftest import Told, failed_in


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_shows_its_claim_and_the_claim_holds(name: str, told: Told, drawn) -> None:
    torch.manual_seed(5)
    before, tables = torch.get_rng_state(), (list(CATALOGUE), list(VARIANTS))
    parts = told(name)
    assert failed_in(parts) == []
    for kind in (Section, Table, Formula, Observation, Check, Plot):
        assert any(isinstance(part, kind) for part in parts), f"no {kind.__name__}"
    names = [part.name for part in parts if isinstance(part, Check)]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 25, "a line of verify has 80 columns"
    for part in parts:
        if isinstance(part, Table):
            assert part.rows
            assert {len(row) for row in part.rows} == {len(part.columns)}
    figure = drawn(parts)
    assert figure.get_suptitle()
    assert all(axes.get_xlabel() or axes.get_title() or not axes.axison for axes in figure.axes)
    assert torch.equal(torch.get_rng_state(), before), "the user's random state moved"
    assert (list(CATALOGUE), list(VARIANTS)) == tables, "a variant was left in the tables"


@pytest.mark.parametrize("name", LESSONS)
def test_the_table_of_lessons_is_whole(name: str) -> None:
    about = LESSONS[name]
    assert about.claim.endswith(".")
    assert about.paper
    assert len(about.p) <= about.most
    assert all(about.lowest <= p <= about.highest for p in about.p)
    assert callable(lesson_parts)


@pytest.mark.parametrize("name", [n for n, about in LESSONS.items() if not about.images])
def test_the_same_seed_tells_the_same_and_another_something_else(name: str, told: Told) -> None:
    def numbers(seed: int) -> list[object]:
        return [part for part in told(name, seed=seed) if isinstance(part, Table | Check)]

    first = numbers(3)
    assert numbers(3) == first
    assert numbers(4) != first


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if about.images else [])
        for name, about in LESSONS.items()
        if about.p
    ],
)
def test_it_holds_at_the_ends_of_its_range_of_p(name: str, told: Told) -> None:
    """Those that train take their time."""
    about = LESSONS[name]
    for p in (about.lowest, about.highest):
        assert failed_in(told(name, p, seed=1)) == []
