"""Lesson ``scaling``: numbers worked by hand, and layers that break its checks."""

from collections import Counter

import pytest

from dropout_lab.layers import InvertedDropout, StandardDropout
from dropout_lab.lessons import scaling
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.parts import Observation, Table
from dropout_lab.lessons.scaling import experiment
from dropout_lab.rng import NumpyNoise
from tests.lessons.conftest import Told, failed_in


def test_ones_at_p_06_become_0_or_25(told: Told) -> None:
    ones = next(part for part in told("scaling", 0.6) if isinstance(part, Table))
    values = {round(value, 3) for row in ones.rows for value in row}
    assert values == {0.0, 2.5}


def test_each_p_has_draws_of_its_own(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one stream would be high together, or low; the three ways of a row share theirs."""
    names: Counter[tuple[int, ...]] = Counter()

    def counted(seed: int, *key: int) -> NumpyNoise:
        names[key] += 1
        return noise_source(seed, *key)

    for module in (scaling, experiment):
        monkeypatch.setattr(module, "noise_source", counted)
    told("scaling")
    assert sorted(names.values()) == [1, *[3] * 9]


def test_it_is_told_how_far_training_and_evaluation_are_apart(told: Told) -> None:
    """Without scaling least at p = 0.1: 0.1 / sqrt(0.1 * 0.9 / 20,000) = 47 standard errors."""
    *_, text = (part.text for part in told("scaling") if isinstance(part, Observation))
    assert 42 <= int(text.split("differ by at least ")[1].split()[0]) <= 52
    assert 0 < float(text.split("differ by at most ")[1].split()[0]) <= 5


def test_dividing_by_p_breaks_the_first_and_the_second_check(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InvertedDropout, "kept_scale", lambda self, p: 1 / p)
    assert failed_in(told("scaling", 0.6)) == [
        "kept ones are 1 / (1 - p)",
        "the mean stays 1",
        "the three means",
    ]


def test_an_evaluation_that_does_not_scale_breaks_the_last(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandardDropout, "eval_forward", lambda self, x: x)
    assert failed_in(told("scaling")) == ["evaluation: 1 or 1 - p"]
