"""Lesson ``derivative``: torch.nn beside it, a case by hand, and what breaks its checks."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons.derivative.experiment import FixedMaskBatch
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.parts import Table
from dropout_lab.lessons.two_layers import TwoLayerNetwork, random_problem
from tests.lessons.conftest import Told, failed_in


def case(p: float = 0.5, seed: int = 0) -> FixedMaskBatch:
    """Return the network, the batch and the masks of the lesson."""
    return FixedMaskBatch(*random_problem(seed), p, seed)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_formula_and_autograd_are_those_of_torch_nn(p: float) -> None:
    """Another implementation: nn.Linear, ReLU, the same masks times 1 / (1 - p), nn.MSELoss."""
    index = case(p, seed=3)
    into, out = nn.Linear(5, 10).double(), nn.Linear(10, 1).double()
    into.load_state_dict({"weight": index.network.w1.T, "bias": index.network.b1[0]})
    out.load_state_dict({"weight": index.network.w2.T, "bias": index.network.b2[0]})
    yhat = out(torch.relu(into(index.x)) * index.scaled_mask)
    nn.MSELoss()(yhat, index.y).backward()
    assert into.weight.grad is not None
    theirs = into.weight.grad.numpy()
    np.testing.assert_allclose(index.formula_gradient(), theirs, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(index.autograd_gradient().T, theirs, rtol=1e-10, atol=1e-12)


def test_one_live_weight_by_hand() -> None:
    """All inputs 1 and all else 0 but unit 1: z = 2, m = 2, W2 = 3, so yhat = 12; y = 2.

    dL/dyhat = 2/15 * 10 for each of 15 examples, if all of them keep unit 1; times 3 and 2 it is 8
    for each example that keeps it. One that drops it has yhat = 0, and unit 1 no part in it.
    """
    w1, w2 = torch.zeros(5, 10).double(), torch.zeros(10, 1).double()
    w1[:, 0], w2[0] = 0.4, 3.0
    net = TwoLayerNetwork(w1, torch.zeros(1, 10).double(), w2, torch.zeros(1, 1).double())
    index = FixedMaskBatch(
        net, torch.ones(15, 5).double(), torch.full((15, 1), 2.0).double(), 0.5, 0
    )
    keeping = int((index.scaled_mask[:, 0] > 0).sum())
    wanted = np.zeros((10, 5))
    wanted[0] = 8 * keeping
    assert 0 < keeping < 15
    np.testing.assert_allclose(index.formula_gradient(), wanted, rtol=1e-12)
    np.testing.assert_allclose(index.autograd_gradient().T, wanted, rtol=1e-12)
    assert index.kink_distance == pytest.approx(0)  # the other units are at 0 already
    # Without 2/15 it is 7.5 times that; without the mask 2/15 * (10 or -2) * 3 for each example.
    np.testing.assert_allclose(index.formula_gradient(two_over_n=False), 7.5 * wanted, rtol=1e-12)
    wanted[0] = 2 / 15 * 3 * (10 * keeping - 2 * (15 - keeping))
    np.testing.assert_allclose(index.formula_gradient(masked=False), wanted, rtol=1e-12)


def test_no_unit_crosses_0_within_the_kink_and_one_does_beyond() -> None:
    index = case(seed=2)
    before = (index.x @ index.network.w1 + index.network.b1) > 0

    def crossings(step: float) -> int:
        count = 0
        for place in np.ndindex(5, 10):
            for sign in (-1, 1):
                w1 = index.network.w1.clone()
                w1[place] += sign * step
                count += int((((index.x @ w1 + index.network.b1) > 0) != before).sum())
        return count

    assert crossings(0.999 * index.kink_distance) == 0
    assert crossings(1.001 * index.kink_distance) == 1


def test_what_lacks_2_over_n_is_7_and_a_half_times_too_long(told: Told) -> None:
    (table,) = [
        part
        for part in told("derivative")
        if isinstance(part, Table) and "cosine similarity" in part.columns
    ]
    rows = {row[0]: row for row in table.rows}
    assert rows["with mask, no 2/n"][1] == pytest.approx(7.5)
    assert rows["with mask, no 2/n"][2] == pytest.approx(1)
    cosine = rows["as published"][2]
    assert isinstance(cosine, float)
    assert cosine < 0.999
    assert cosine == pytest.approx(rows["with 2/n, no mask"][2])


def test_a_mask_that_is_not_carried_into_the_gradient_is_seen(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient is then that of the formula without the mask."""
    drop = InvertedDropout.drop

    def straight_through(self: InvertedDropout, x: Tensor) -> Tensor:
        return x + (drop(self, x) - x).detach()

    monkeypatch.setattr(InvertedDropout, "drop", straight_through)
    assert failed_in(told("derivative")) == [
        "formula = autograd",
        "differences = autograd",
        "dropped: gradient 0",
        "only 2/n is missing",
        "without mask: wrong",
    ]


def test_a_loss_that_is_a_sum_has_another_factor(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    mean = TwoLayerNetwork.loss
    monkeypatch.setattr(
        TwoLayerNetwork, "loss", lambda self, *batch: len(batch[0]) * mean(self, *batch)
    )
    assert "formula = autograd" in failed_in(told("derivative"))
    assert "only 2/n is missing" in failed_in(told("derivative"))
    assert "without mask: wrong" not in failed_in(told("derivative"))


def test_a_step_across_a_kink_is_no_slope(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FixedMaskBatch, "safe_step", 0.5)
    assert failed_in(told("derivative")) == ["differences = autograd"]


def test_fresh_masks_in_every_pass_measure_the_noise(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = InvertedDropout(0.5, noise=noise_source(0, 9))
    monkeypatch.setattr(FixedMaskBatch, "layer", layer)
    assert "differences = autograd" in failed_in(told("derivative"))
