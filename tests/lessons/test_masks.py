"""Lesson ``masks``: hand-worked numbers, torch.optim beside it, and what breaks its checks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dropout_lab.layers import InvertedDropout
from dropout_lab.layers.base import Dropout
from dropout_lab.lessons.mask_helpers import (
    count_always_dropped,
    format_mask,
    format_units,
    sample_keep_mask,
)
from dropout_lab.lessons.masks.experiment import UPDATE_RULES, SharedMaskBatch
from dropout_lab.lessons.parts import Misconception, Table
from dropout_lab.lessons.two_layers import TwoLayerNetwork, random_problem
from tests.lessons.conftest import Told, failed_in
from tests.recorded import Recorded

FORMULAS = [f"{name}: formula" for name in UPDATE_RULES if name != "SGD"]


def test_masks_in_words_by_hand() -> None:
    mask = torch.tensor([True, False, False, True])
    assert format_mask(mask) == "1 0 0 1"
    assert format_mask(mask, "") == "1001"
    assert format_units(~mask) == "2 and 3"
    assert format_units(torch.tensor([True] * 3)) == "1, 2 and 3"
    assert format_units(torch.tensor([False] * 3)) == "none"
    assert format_units(torch.tensor([False, True])) == "2"


def test_units_that_all_examples_drop_by_hand() -> None:
    """At p = 1/2 negative lanes drop: unit 1 in both examples of both batches, unit 2 in none."""
    lanes = torch.tensor([[[-1, 0], [-9, 5]], [[-2, 3], [-1, -1]]], dtype=torch.int16)
    one, two = count_always_dropped(InvertedDropout(0.5, noise=Recorded(lanes)), 2, (1, 2), 2)
    assert (one.mean, two.mean) == (1, 1)
    assert (one.expected, two.expected) == (1, 0.5)
    # Of 2 units with chance 1/4 the variance is 3/8, of its mean over 2 batches half of that.
    assert two.standard_error == pytest.approx((3 / 16) ** 0.5)
    assert not two.has_enough_cases
    assert two.z_score == pytest.approx(0.5 / (3 / 16) ** 0.5)


def test_a_column_of_a_unit_has_what_leads_into_it_and_out_of_it() -> None:
    net = TwoLayerNetwork(
        torch.arange(50.0).view(5, 10),
        torch.arange(10.0).view(1, 10) + 100,
        torch.arange(10.0).view(10, 1) + 200,
        torch.zeros(1, 1),
    )
    assert net.weights_by_unit()[:, 3].tolist() == [3, 13, 23, 33, 43, 103, 203]


def test_batches_with_an_unused_unit_are_counted_and_not_the_units(told: Told) -> None:
    """0.75^15 = 0.013363; 0.986637^10 = 0.874130; 1 / 0.125870 = 7.9447. Of units, 7.4832."""
    text = next(part.text for part in told("masks") if isinstance(part, Misconception))
    assert "such a unit occurs in one of 7.9 batches" in text


def test_the_dropped_unit_that_is_shown_stays_and_the_kept_one_goes_down(told: Told) -> None:
    (table,) = [
        part for part in told("masks") if isinstance(part, Table) and part.columns[-1] == "after"
    ]
    for _, description, before, gradient, after in table.rows:
        assert isinstance(before, float)
        assert isinstance(gradient, float)
        assert after == pytest.approx(before - 0.01 * gradient, rel=1e-12)
        assert (gradient == 0) == (description == "dropped")


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda groups: torch.optim.SGD(groups, lr=0.01),
    "momentum 0.9": lambda groups: torch.optim.SGD(groups, lr=0.01, momentum=0.9),
    "weight decay 0.1": lambda groups: torch.optim.SGD(groups, lr=0.01),
    "Adam": lambda groups: torch.optim.Adam(groups, lr=0.01),
    "AdamW, decay 0.1": lambda groups: torch.optim.AdamW(groups, lr=0.01, weight_decay=0.0),
}


@pytest.mark.parametrize("name", UPDATE_RULES)
def test_a_formula_is_what_torch_optim_does_at_gradient_0(name: str) -> None:
    """Three steps, the last with gradients of 0; biases have no decay."""
    net, x, y = random_problem(1)
    ours, theirs = net.copy(), net.copy()
    updates = UPDATE_RULES[name].make_optimizer(ours)
    decay = 0.1 if "decay" in name else 0.0
    weights, biases = [theirs.w1, theirs.w2], [theirs.b1, theirs.b2]
    optimizer = OPTIMIZERS[name]([{"params": weights}, {"params": biases}])
    optimizer.param_groups[0]["weight_decay"] = decay
    layer = InvertedDropout(0.0)
    for _ in range(2):
        for one in (ours, theirs):
            gradients = one.gradients(x, y, layer)
            for parameter, gradient in zip(one.parameters, gradients.parameters, strict=True):
                parameter.grad = gradient
        updates.step()
        optimizer.step()
    moves, before = (
        UPDATE_RULES[name].predict_step(ours, updates).weights_by_unit(),
        theirs.weights_by_unit(),
    )
    for parameter in theirs.parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(theirs.weights_by_unit() - before, moves, rtol=1e-9, atol=1e-15)
    assert bool((moves == 0).all()) == (name == "SGD")


@pytest.mark.parametrize("p", [0.05, 0.5, 0.95])
def test_the_mask_for_all_drops_an_active_unit_and_keeps_one(p: float) -> None:
    case = SharedMaskBatch.draw(*random_problem(4), p, 4)
    assert (case.dropped_units & case.active_units).any()
    assert (~case.dropped_units & case.active_units).any()
    assert torch.equal(sample_keep_mask(case.layer, 15, 10), case.keep_mask)


def test_what_leaks_through_a_dropped_unit_moves_it(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = InvertedDropout.drop
    monkeypatch.setattr(InvertedDropout, "drop", lambda self, x: drop(self, x) + 1e-3 * x)
    assert failed_in(told("masks")) == ["dropped: gradient 0", "SGD: dropped stay", *FORMULAS]


def test_a_layer_that_passes_no_gradient_leaves_kept_units_without(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = InvertedDropout.drop
    monkeypatch.setattr(InvertedDropout, "drop", lambda self, x: drop(self, x).detach() + 0 * x)
    assert failed_in(told("masks")) == ["kept: a gradient"]


def test_an_sgd_with_decay_does_not_let_dropped_units_stay(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(UPDATE_RULES, "SGD", replace(UPDATE_RULES["weight decay 0.1"], name="SGD"))
    assert failed_in(told("masks")) == ["SGD: dropped stay"]


@pytest.mark.parametrize("name", [name for name in UPDATE_RULES if name != "SGD"])
def test_a_wrong_formula_is_seen(name: str, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    right = UPDATE_RULES[name].zero_gradient_step

    def off(w: Tensor, memory: dict[str, Tensor], decay: float) -> Tensor:
        return right(w, memory, decay) * (1 + 1e-9)

    monkeypatch.setitem(UPDATE_RULES, name, replace(UPDATE_RULES[name], zero_gradient_step=off))
    assert failed_in(told("masks")) == [f"{name}: formula"]


def test_a_momentum_that_forgets_moves_none_of_them(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        UPDATE_RULES, "momentum 0.9", replace(UPDATE_RULES["SGD"], name="momentum 0.9")
    )
    assert failed_in(told("masks")) == ["all but SGD move them"]


def test_one_mask_for_a_whole_batch_is_counted(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Dropout.noise_shape

    def shared(self: Dropout, x: Tensor) -> tuple[int, ...]:
        return (x.shape[0], 1, x.shape[2]) if x.ndim == 3 else shape(self, x)

    monkeypatch.setattr(Dropout, "noise_shape", shared)
    assert failed_in(told("masks")) == ["as many as units p^n"]
