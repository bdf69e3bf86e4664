"""Lesson ``gradients``: nn.Linear and torch.func beside it, and what breaks its checks."""

import pytest
import torch
from torch import Tensor, nn

from dropout_lab.layers import InvertedDropout, affine
from dropout_lab.layers.base import Dropout
from dropout_lab.lessons.draws import normal_draws
from dropout_lab.lessons.gradients import experiment
from dropout_lab.lessons.parts import Part, Table
from dropout_lab.metrics import losses
from tests.lessons.conftest import Told, failed_in


def tables(parts: list[Part]) -> dict[str, Table]:
    """Return the tables of a lesson by their titles."""
    return {part.title: part for part in parts if isinstance(part, Table)}


def printed(parts: list[Part]) -> Tensor:
    """Return the five examples as they are printed, with 0 and 2: dropped at p = 0.5."""
    masks = next(part for part in parts if isinstance(part, Table))
    digits = [[float(each) for each in str(row[1]).split()] for row in masks.rows]
    return 2 * torch.tensor(digits, dtype=torch.float64)


def test_the_gradients_are_those_of_nn_linear_and_of_torch_func(told: Told) -> None:
    """Another implementation: nn.Linear's weight is (out, in), so its gradient is turned over."""
    parts = told("gradients", 0.5, seed=3)
    x, labels = printed(parts), torch.tensor([0, 4, 2, 1, 4])
    linear = nn.Linear(10, 5, dtype=torch.float64)
    linear.load_state_dict(
        {
            "weight": normal_draws((10, 5), 3, 1).T / 10**0.5,
            "bias": normal_draws((5,), 3, 2) / 10**0.5,
        }
    )
    nn.CrossEntropyLoss()(linear(x), labels).backward()

    def one(weight: Tensor, x: Tensor, label: Tensor) -> Tensor:
        return nn.functional.cross_entropy(nn.functional.linear(x, weight, linear.bias), label)

    each = torch.func.vmap(torch.func.grad(one), (None, 0, 0))(linear.weight, x, labels)
    shown = tables(parts)
    batch = torch.tensor([row[1:] for row in shown["the gradient of the batch"].rows])
    mean = torch.tensor([row[1:] for row in shown["the mean of the five gradients"].rows])
    assert linear.weight.grad is not None
    torch.testing.assert_close(batch.double(), linear.weight.grad.T, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(mean.double(), each.mean(dim=0).T, atol=1e-6, rtol=1e-6)


def test_eight_examples_over_five_classes_are_too_long_by_8_over_5(told: Told) -> None:
    rows = tables(told("gradients", 0.5))
    (together,) = [table for title, table in rows.items() if "summed gradients" in title]
    norms = {row[0]: row[1] for row in together.rows}
    assert norms["sum / 8 examples"] == pytest.approx(1)
    assert norms["sum / 5 classes"] == pytest.approx(1.6)


@pytest.mark.parametrize("p", [0.3, 0.95])
def test_a_row_is_told_to_be_0_where_every_mask_has_a_0(told: Told, p: float) -> None:
    parts = told("gradients", p, seed=2)
    kept = printed(parts) > 0
    rows = tables(parts)["the gradient of the batch"].rows
    assert [all(value == 0 for value in row[1:]) for row in rows] == (~kept.any(dim=0)).tolist()


def test_a_loss_that_is_a_sum_breaks_the_mean(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def total(logits: Tensor, labels: Tensor) -> Tensor:
        return losses(logits, labels) * labels.shape[1]

    monkeypatch.setattr(experiment, "losses", total)
    assert failed_in(told("gradients", 0.5)) == ["the mean is the batch's"]


def test_a_map_with_other_weights_breaks_the_formula(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "affine", lambda x, weight, bias: affine(x, 2 * weight, bias))
    assert failed_in(told("gradients", 0.5)) == ["each is x (softmax - y)"]


def test_what_leaks_through_a_dropped_input_has_a_gradient(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = InvertedDropout.drop
    monkeypatch.setattr(InvertedDropout, "drop", lambda self, x: drop(self, x) + 1e-3)
    assert failed_in(told("gradients", 0.9)) == ["0 where always dropped"]


def test_one_mask_for_a_whole_batch_is_counted(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Dropout.noise_shape

    def shared(self: Dropout, x: Tensor) -> tuple[int, ...]:
        return (x.shape[0], 1, x.shape[2]) if x.ndim == 3 else shape(self, x)

    monkeypatch.setattr(Dropout, "noise_shape", shared)
    assert failed_in(told("gradients", 0.5)) == ["as many as inputs p^n"]
