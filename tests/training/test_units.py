"""The measures of hidden units: by hand, by NumPy, and what must hold of them."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.data import Splits
from dropout_lab.layers import VARIANTS, TargetedUnitDropout, UnitDropout
from dropout_lab.model import MLP, fleet_p
from dropout_lab.rng import Purpose, stream
from dropout_lab.training.unit_statistics import (
    accuracy_after_removal,
    activation_sparsity,
    activation_variance,
    effective_rank,
    mean_activation,
    unit_correlation,
    units_with_dropout,
)
from tests.conftest import make_runs, with_variant

CPU = torch.device("cpu")


def test_mean_and_sparsity_by_hand() -> None:
    h = torch.tensor([[[0.0, 2.0], [0.005, 1.0]], [[-1.0, -0.01], [0.02, 4.0]]])
    torch.testing.assert_close(mean_activation(h), torch.tensor([3.005 / 4, 3.01 / 4]))
    assert activation_sparsity(h).tolist() == [0.5, 0.25]


def test_variance_by_hand() -> None:
    """Around the mean of the layer: 9 + 1 + 1 + 9 over 4; equal values have none."""
    h = torch.tensor([[[1.0, 3.0], [5.0, 7.0]], [[2.0, 2.0], [2.0, 2.0]]])
    assert activation_variance(h).tolist() == [5.0, 0.0]


def test_correlation_against_numpy() -> None:
    """Two runs, a unit that never changes in the second: it has no correlation."""
    h = torch.randn(2, 50, 6).relu()
    h[0, :, 1] = -3 * h[0, :, 0] + 1  # as much correlated as can be, the other way
    h[1, :, 5] = 0.7
    ours = unit_correlation(h)
    for run, units in ((0, 6), (1, 5)):
        r = np.corrcoef(h[run, :, :units].double().numpy(), rowvar=False)
        assert ours[run].item() == pytest.approx(np.abs(r)[~np.eye(units, dtype=bool)].mean())


def test_a_unit_that_changes_by_rounding_alone_has_no_correlation(float64: None) -> None:
    h = torch.randn(1, 50, 6)
    alone = unit_correlation(h[..., :5]).item()
    h[..., 5] = 0.7
    h[0, 0, 5] += 1e-15
    assert unit_correlation(h).item() == pytest.approx(alone, rel=1e-12)


def test_copies_of_one_unit_correlate_fully_and_have_rank_1() -> None:
    h = torch.randn(1, 40, 1) * torch.tensor([1.0, -2.0, 0.5])
    assert unit_correlation(h).item() == pytest.approx(1)
    assert effective_rank(h).item() == pytest.approx(1, abs=1e-4)


def test_independent_units_come_to_root_of_2_over_pi_n() -> None:
    """|r| of independent normals at n examples: mean sqrt(2 / (pi n)), s.d. 0.6 / sqrt(n)."""
    n, units = 1_000, 100
    expected, pairs = math.sqrt(2 / (math.pi * n)), units * (units - 1) / 2
    measured = unit_correlation(torch.randn(1, n, units)).item()
    assert abs(measured - expected) < 5 * math.sqrt((1 - 2 / math.pi) / n / pairs) + 1e-4


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_effective_rank_against_numpys_singular_values(shape: tuple[int, int]) -> None:
    h = torch.randn(2, *shape)
    for run in (0, 1):
        centred = h[run].double().numpy() - h[run].double().numpy().mean(axis=0)
        values = np.linalg.svd(centred, compute_uv=False)
        shares = values[values > 1e-10] / values.sum()
        expected = math.exp(-(shares * np.log(shares)).sum())
        assert effective_rank(h)[run].item() == pytest.approx(expected, rel=1e-6)


def test_equal_singular_values_have_full_rank() -> None:
    """Four units, orthogonal, of equal length, each with mean 0: the rank is 4."""
    signs = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    h = torch.cat([signs, -signs]).unsqueeze(0)
    assert effective_rank(h).item() == pytest.approx(4)


def test_a_dead_layer_has_neither_and_a_diverged_run_harms_no_other() -> None:
    h = torch.randn(3, 20, 5)
    alone = effective_rank(h[2:]).item()
    h[0], h[1] = 0, torch.nan
    assert effective_rank(torch.cat([h[2:], torch.full((1, 20, 5), torch.inf)]))[1].isnan()
    h[1, 3, 2] = torch.inf  # one overflow is enough to upset a product
    assert unit_correlation(h)[0].isnan()
    ranks = effective_rank(h)
    assert ranks[0].isnan()
    assert ranks[2].item() == pytest.approx(alone)


def network(*settings: str, seeds: tuple[int, ...] = (0,)) -> MLP:
    runs = [run.settings for run in make_runs(*settings, seeds=seeds)]
    return MLP(runs[0], fleet_p(runs), seeds, CPU).eval()


@pytest.mark.parametrize(("share", "removed"), [(50, (5, 4)), (25, (2, 2)), (75, (8, 5))])
def test_removal_is_the_network_with_zeros_written_by_hand(
    share: int, removed: tuple[int, int], small_splits: Splits
) -> None:
    """As many of 10 and 7 units as come nearest, in the five orders that the run's seed draws."""
    model = network("model.hidden=[10,7]", seeds=(0, 7))
    x = small_splits.pixels(small_splits.test.images).unsqueeze(0)
    labels = small_splits.test.labels
    with torch.no_grad():
        ours = accuracy_after_removal(model, x, labels, (0, 7), share)
        for run, seed in enumerate((0, 7)):
            accuracies = []
            for order in range(5):
                h: Tensor = x[0]
                for layer, units in enumerate((10, 7), start=1):
                    ranks = stream(Purpose.DIAGNOSTICS, seed, 1, layer, order).permutation(units)
                    h = (h @ model.weights[layer - 1][run] + model.biases[layer - 1][run]).relu()
                    h = h * torch.from_numpy(ranks >= removed[layer - 1])
                logits = h @ model.weights[2][run] + model.biases[2][run]
                accuracies.append((logits.argmax(dim=-1) == labels).double().mean())
            assert ours[run].item() == pytest.approx(torch.stack(accuracies).mean().item())
    assert not model.activation._forward_hooks


def test_removing_next_to_nothing_changes_nothing(small_splits: Splits) -> None:
    model = network()
    x = small_splits.pixels(small_splits.test.images).unsqueeze(0)
    labels = small_splits.test.labels
    with torch.no_grad():
        whole = (model(x)[0].argmax(dim=-1) == labels).double().mean().item()
        assert accuracy_after_removal(model, x, labels, (0,), 0).item() == pytest.approx(whole)


def test_the_units_come_back_where_the_network_raises() -> None:
    model = network()
    with pytest.raises(RuntimeError):
        accuracy_after_removal(
            model, torch.ones(1, 2, 3), torch.zeros(2, dtype=torch.int64), (0,), 50
        )
    assert not model.activation._forward_hooks


ON_UNITS = [
    name
    for name, kind in CATALOGUE.items()
    if kind.noisy and issubclass(VARIANTS[name], UnitDropout | TargetedUnitDropout)
]


@pytest.mark.parametrize("variant", ON_UNITS)
def test_the_units_with_dropout_are_those_of_a_training_step(
    variant: str, small_splits: Splits, float64: None
) -> None:
    """The last of them, times the last weights, are the logits of a pass with the same noise."""
    model = network(*with_variant(variant), "dropout.p=0.5", "model.hidden=[12,8]")
    x = small_splits.pixels(small_splits.test.images).unsqueeze(0)
    with torch.no_grad():
        with model.noise_for(Purpose.DIAGNOSTICS, 1):
            logits = model.train()(x)
        with model.noise_for(Purpose.DIAGNOSTICS, 1):
            units = units_with_dropout(model, x)
        assert [h.shape[2] for h in units] == [12, 8]
        if variant != "batchwise":  # its dropped units come last
            torch.testing.assert_close(units[1] @ model.weights[2] + model.biases[2], logits)
    assert all("connect" not in vars(layer) for layer, _, _ in model.places())


@pytest.mark.parametrize("variant", ["inverted", "batchwise", "dropconnect"])
def test_the_variance_that_a_mask_adds(variant: str, small_splits: Splits, float64: None) -> None:
    """At p = 0.5 units are doubled or 0: E y^2 = 2 E h^2. A mask on weights changes no unit."""
    settings = (f"dropout.variant={variant}", "dropout.p=0.5", "dropout.placement=hidden")
    model = network(*settings, "model.hidden=[400]")
    x = small_splits.pixels(small_splits.test.images).unsqueeze(0)
    hidden: list[Tensor] = []
    with torch.no_grad():
        model(x, hidden)
        with model.noise_for(Purpose.DIAGNOSTICS, 1):
            (units,) = units_with_dropout(model, x)
    (h,) = hidden
    if variant == "dropconnect":
        assert torch.equal(units, h)
        return
    ratio = (units.square().mean() / h.square().mean()).item()
    assert ratio == pytest.approx(2, rel=0.15)
    expected = units.square().mean() - units.mean() ** 2
    assert activation_variance(units).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("position", ["before", "after"])
def test_without_dropout_both_variances_are_the_same(position: str, small_splits: Splits) -> None:
    """Also where normalization follows dropout, as the layer that records the units."""
    order = ("model.normalization=layer", f"model.normalization_position={position}")
    model = network("dropout.variant=none", "model.hidden=[9,7]", *order)
    x = small_splits.pixels(small_splits.test.images).unsqueeze(0)
    hidden: list[Tensor] = []
    with torch.no_grad():
        model(x, hidden)
        units = units_with_dropout(model, x)
    for h, y in zip(hidden, units, strict=True):
        assert torch.equal(h, y)


def test_with_normalization_after_dropout_the_units_have_zeros(small_splits: Splits) -> None:
    """The activation is the logistic function, which is never 0."""
    model = network(
        "model.activation=logistic", "model.normalization=layer",
        "model.normalization_position=after", "model.normalization_order=after_dropout",
        "dropout.p=0.5", "model.hidden=[40]",
    )  # fmt: skip
    x = small_splits.pixels(small_splits.test.images).unsqueeze(0)
    with torch.no_grad(), model.noise_for(Purpose.DIAGNOSTICS, 1):
        (units,) = units_with_dropout(model, x)
    assert (units == 0).double().mean().item() == pytest.approx(0.5, abs=0.1)
