"""Lesson ``randomness``: numbers worked by hand, and layers that break its checks."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from dropout_lab.layers import InvertedDropout
from dropout_lab.layers.base import Dropout
from dropout_lab.layers.coins import keep_threshold
from dropout_lab.lessons.parts import Misconception, Table
from dropout_lab.lessons.randomness import experiment
from dropout_lab.lessons.randomness.experiment import (
    count_distinct_masks,
    expected_distinct_masks,
    plug_in_entropies,
)
from tests.lessons.conftest import Told, failed_in


def test_different_masks_by_hand() -> None:
    kept = torch.tensor(
        [
            [[True, False], [True, False], [False, True]],  # two of three differ
            [[True, True], [True, True], [True, True]],
            [[True, True], [False, False], [False, True]],
        ]
    )
    assert count_distinct_masks(kept).tolist() == [2, 1, 3]


@pytest.mark.parametrize("p", [0.05, 0.3, 0.5, 0.8])
def test_the_expected_number_is_that_of_all_batches_written_out(p: float) -> None:
    """Another implementation: every batch of three examples of two units, with its chance."""
    masks = list(itertools.product((0, 1), repeat=2))
    chance = {mask: math.prod(p if not kept else 1 - p for kept in mask) for mask in masks}
    mean = square = 0.0
    for batch in itertools.product(masks, repeat=3):
        weight = math.prod(chance[mask] for mask in batch)
        mean += weight * len(set(batch))
        square += weight * len(set(batch)) ** 2
    expected, deviation = expected_distinct_masks(p, 2, 3)
    assert expected == pytest.approx(mean, rel=1e-12)
    assert deviation == pytest.approx(math.sqrt(square - mean**2), rel=1e-9)


def test_two_fair_coins_and_two_examples_by_hand() -> None:
    """Four masks with chance 1/4: alike once in four times, so 1 + 3/4 on average."""
    assert expected_distinct_masks(0.5, 2, 2) == pytest.approx((1.75, math.sqrt(3) / 4))


def test_entropies_by_hand() -> None:
    """Of 4 draws: f = 1/4 has 1/4 log2 4 + 3/4 log2 4/3 bits; Miller adds 1 / (8 ln 2)."""
    plain, added = plug_in_entropies(4)
    quarter = 0.25 * 2 + 0.75 * math.log2(4 / 3)
    assert plain.tolist() == pytest.approx([0, quarter, 1, quarter, 0])
    assert added.tolist() == pytest.approx([0, *[1 / (8 * math.log(2))] * 3, 0])


def test_the_table_has_the_entropies_of_the_textbooks(told: Told) -> None:
    (table,) = [
        part for part in told("randomness") if isinstance(part, Table) and "H(p)" in part.columns
    ]
    by_p = {row[0]: row for row in table.rows}
    assert by_p["0.1"][4] == pytest.approx(0.469, abs=1e-4)
    assert by_p["0.5"][4] == 1
    assert by_p["0.5"][5] == 1024
    assert by_p["0.9"][4] == pytest.approx(0.469, abs=1e-4)


def test_it_is_told_how_many_masks_a_batch_has(told: Told) -> None:
    """At most 2^5 = 32 of 5 units, 128 of a batch; one for all examples would be 1."""
    parts = told("randomness", 0.5)
    means = [row[3] for row in [part for part in parts if isinstance(part, Table)][-1].rows]
    text = [part.text for part in parts if isinstance(part, Misconception)][-1]
    assert f"The rows have means from {means[0]:.3g} to {means[-1]:.3g}." in text
    assert 30 < float(means[0]) <= 32
    assert 127 < float(means[-1]) <= 128


def test_six_values_of_p_are_shown_in_two_tables(told: Told) -> None:
    parts = told("randomness", 0.05, 0.2, 0.3, 0.6, 0.8, 0.95)
    tables = [part for part in parts if isinstance(part, Table)]
    assert [len(table.columns) for table in tables[:2]] == [5, 3]
    assert tables[0].rows[0][0] == tables[1].rows[0][0] == "example 1"


def test_a_layer_that_drops_just_a_share_p_has_no_binomial_count(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = InvertedDropout.drop

    def share(self: InvertedDropout, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != 10:
            return drop(self, x)
        order = self.noise.normal(x.shape, x.device).argsort(dim=1)
        return x * (order >= round(10 * float(self.p)))

    monkeypatch.setattr(InvertedDropout, "drop", share)
    assert failed_in(told("randomness")) == ["the count is binomial"]


def test_without_millers_term_the_entropy_is_too_low(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = plug_in_entropies

    def uncorrected(draws: int) -> tuple[Tensor, Tensor]:
        return plain(draws)[0], torch.zeros(draws + 1)

    monkeypatch.setattr(experiment, "plug_in_entropies", uncorrected)
    assert failed_in(told("randomness")) == ["the entropy is H(p)"]


def test_one_mask_for_a_whole_batch_shows_in_the_sub_networks(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = Dropout.noise_shape

    def shared(self: Dropout, x: Tensor) -> tuple[int, ...]:
        return (x.shape[0], 1, x.shape[2]) if x.ndim == 3 else shape(self, x)

    monkeypatch.setattr(Dropout, "noise_shape", shared)
    assert failed_in(told("randomness")) == ["sub-networks of a batch"]


def test_coins_of_another_p_break_every_check(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = InvertedDropout.constants

    def squared(self: InvertedDropout, p: Tensor) -> tuple[Tensor, ...]:
        return keep_threshold(p**2), *constants(self, p)[1:]

    monkeypatch.setattr(InvertedDropout, "constants", squared)
    assert failed_in(told("randomness")) == [
        "the count is binomial",
        "the entropy is H(p)",
        "the maximum is at p = 0.5",
        "sub-networks of a batch",
    ]
