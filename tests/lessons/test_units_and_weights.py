"""Lesson ``units-and-weights``: numbers worked by hand, and layers that break its checks."""

import pytest
import torch
from torch import Tensor

from dropout_lab.layers import DropConnect, InvertedDropout, UnscaledDropout
from dropout_lab.lessons.parts import Table
from dropout_lab.lessons.units_and_weights import _format_correlation
from dropout_lab.lessons.units_and_weights.experiment import (
    EnumeratedOutputs,
    NoisyOutputs,
    drop_units,
    drop_weights,
)
from tests.lessons.conftest import Told, failed_in


def table(told: Told, title: str, p: float = 0.5) -> Table:
    """Return the table of the lesson whose title begins so."""
    rows = [part for part in told("units-and-weights", p) if isinstance(part, Table)]
    return next(each for each in rows if each.title.startswith(title))


def test_one_coin_by_hand() -> None:
    """A term 2 at p = 0.2: 0 with 0.2, 2.5 with 0.8; off by -2 or 0.5, squares 4 and 0.25.

    Variance 0.2 * 4 + 0.8 * 0.25 = 1 = p / (1 - p) 2^2; that of the square:
    0.2 * 3^2 + 0.8 * 0.75^2 = 2.25.
    """
    mean, variance = EnumeratedOutputs(
        torch.tensor([[2.0]], dtype=torch.float64), 0.2
    ).product_moments()
    assert float(mean) == pytest.approx(1.0)
    assert float(variance) == pytest.approx(2.25)


@pytest.mark.parametrize(("second", "shown"), [(-1e-4, "0.000"), (1e-4, "0.000"), (-1, "-1.000")])
def test_a_correlation_of_next_to_0_has_no_sign(second: float, shown: str) -> None:
    z = torch.tensor([[1.0, second], [-1.0, -second], [0.0, 1.0]], dtype=torch.float64)
    z = z if abs(second) < 1 else z[:2]
    noisy = NoisyOutputs(z, torch.zeros(2).double(), torch.eye(2).double(), torch.eye(2).double())
    assert _format_correlation(noisy, 0, 1) == shown


@pytest.mark.parametrize("p", [0.1, 0.5, 0.7])
def test_the_closed_forms_are_those_of_all_masks_enumerated(p: float) -> None:
    """At p = 1/2: 1 + 16 = 17, 4 + 25 = 29, 9 + 36 = 45; 1 * 2 + 4 * 5 = 22, 27, 36."""
    by_hand = torch.tensor([[17.0, 22, 27], [22, 29, 36], [27, 36, 45]], dtype=torch.float64)
    odds = p / (1 - p)
    units, weights = drop_units(p, 2, 0), drop_weights(p, 2, 0)
    near = {"rtol": 1e-4, "atol": 0.0}  # p is rounded to a multiple of 2^-16
    torch.testing.assert_close(units.expected_covariances, odds * by_hand, **near)
    torch.testing.assert_close(weights.expected_covariances, odds * by_hand.diag().diag(), **near)
    rows = torch.tensor([[1.0, 2, 3], [4, 5, 6]], dtype=torch.float64)
    torch.testing.assert_close(EnumeratedOutputs(rows, p).product_moments()[0], odds * by_hand)
    single = torch.cat([row.diag() for row in rows])
    torch.testing.assert_close(
        EnumeratedOutputs(single, p).product_moments()[0], odds * by_hand.diag().diag()
    )
    assert units.mean.tolist() == weights.mean.tolist() == [5, 7, 9]


def test_the_matrix_loses_rows_columns_or_weights(told: Told) -> None:
    rows = {row[0]: row[1:] for row in table(told, "the two rows").rows}
    assert set(rows["input units"]) <= {
        "1 2 3 | 4 5 6", "1 2 3 | 0 0 0", "0 0 0 | 4 5 6", "0 0 0 | 0 0 0"
    }  # fmt: skip
    for text in rows["output units"]:
        above, below = (row.split() for row in str(text).split(" | "))
        assert [value == "0" for value in above] == [value == "0" for value in below]
    assert all(len(str(text).split()) == 7 for text in rows["weights"])


def test_sub_networks_are_counted(told: Told) -> None:
    """2 inputs, 3 outputs, 6 weights; 784 * 800 + 800 * 800 + 800 * 10 = 1,275,200 weights.

    2^1600 = 10^(1600 * 0.30103) = 10^481.6.
    """
    small = table(told, "sub-networks of this layer").rows
    assert [tuple(row[1:]) for row in small] == [(2, 4, 4), (3, 8, 8), (6, 64, 64)]
    large = table(told, "network 784-800-800-10").rows
    assert list(large[0]) == ["hidden units", 1600, 51_200, "2^1,600 = 10^482"]
    assert list(large[1][:3]) == ["weights", 1_275_200, 40_806_400]


def test_only_one_way_of_scaling_is_right(told: Told) -> None:
    """At p = 0.75: as it is, 4 times too large; divided, 16 times."""
    rows = {row[0]: row[1:] for row in table(told, "value in evaluation over").rows}
    mean, right, bare, divided = rows["0.75"]
    assert mean == pytest.approx(0.25, abs=0.02)
    assert right == pytest.approx(1, abs=0.1)
    assert bare == pytest.approx(4, abs=0.4)
    assert divided == pytest.approx(16, abs=1.6)


def test_one_mask_for_all_examples_is_found(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a layer does that thresholds one vector for the batch, whatever mask says."""
    right = InvertedDropout.noise_shape

    def shared(self: InvertedDropout, x: Tensor) -> tuple[int, ...]:
        shape = right(self, x)
        return shape if x.ndim < 3 else (*shape[:-2], 1, shape[-1])

    monkeypatch.setattr(InvertedDropout, "noise_shape", shared)
    assert failed_in(told("units-and-weights", 0.3)) == ["mask per example"]


def test_a_mask_for_each_example_where_one_was_asked_for_is_found(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InvertedDropout, "noise_shape", lambda self, x: tuple(x.shape))
    failed = failed_in(told("units-and-weights", 0.3))
    assert failed == ["units: full rows, columns", "mask per batch"]


def test_dropconnect_that_drops_rows_is_found(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(self: DropConnect, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        kept = InvertedDropout(self.p, noise=self.noise)(torch.ones_like(weight[..., :1]))
        z: Tensor = x @ (weight * kept)
        return z if bias is None else z + bias

    monkeypatch.setattr(DropConnect, "connect", connect)
    assert failed_in(told("units-and-weights")) == [
        "weights: independent",
        "DropConnect: own noise",
        "biases are dropped too",
    ]


def test_biases_left_alone_are_found(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    right = DropConnect.connect

    def connect(self: DropConnect, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        z = right(self, x, weight, None)
        return z if bias is None else z + bias

    monkeypatch.setattr(DropConnect, "connect", connect)
    assert failed_in(told("units-and-weights", 0.4)) == ["biases are dropped too"]


def test_an_unscaled_layer_that_divides_is_found(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UnscaledDropout, "eval_scale", lambda self, p: 1 / (1 - p))
    monkeypatch.setattr(
        UnscaledDropout, "eval_forward", lambda self, x: x * self.broadcast_constants(x)[2]
    )
    assert failed_in(told("units-and-weights")) == ["times 1 - p, not over it"]


def test_noise_of_another_variance_is_found(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """The square root of the factor that was meant."""
    monkeypatch.setattr(InvertedDropout, "kept_scale", lambda self, p: (1 - p) ** -0.5)
    failed = failed_in(told("units-and-weights", 0.4))
    assert "dropout: shared noise" in failed
    assert "DropConnect: own noise" not in failed
