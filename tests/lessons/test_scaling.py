"""Lesson ``scaling``: numbers worked by hand, and layers that break its checks."""

import pytest

from dropout_lab.layers import InvertedDropout, StandardDropout
from dropout_lab.lessons.parts import Rows
from tests.lessons.conftest import Told, failed_in


def test_ones_at_p_06_become_0_or_25(told: Told) -> None:
    ones = next(part for part in told("scaling", 0.6) if isinstance(part, Rows))
    values = {round(value, 3) for row in ones.rows for value in row}
    assert values == {0.0, 2.5}


def test_dividing_by_p_breaks_the_first_and_the_second_check(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InvertedDropout, "kept_scale", lambda self, p: 1 / p)
    assert failed_in(told("scaling", 0.6)) == [
        "kept ones are 1 / (1 - p)",
        "the mean stays 1",
        "the means of three ways",
    ]


def test_an_evaluation_that_does_not_scale_breaks_the_last(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandardDropout, "rest", lambda self, x: x)
    assert failed_in(told("scaling")) == ["and of evaluation"]
