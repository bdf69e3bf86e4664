"""Diagnostics: their columns, that they cost the training nothing, and that they are paired."""

import math

import pytest
import torch

from dropout_lab.data import Splits
from dropout_lab.training import Fleet, diagnostic_columns, train
from tests.conftest import assert_same_bits, make_runs, make_sweep

CPU = torch.device("cpu")
EVERYTHING = "evaluation.diagnostics=[activations,co_adaptation,gradients,noise]"


def test_the_columns_are_those_announced_in_order(small_splits: Splits) -> None:
    runs = make_runs(EVERYTHING, "training.epochs=1", "dropout.placement=[0,2]")
    (epoch,) = list(train(Fleet(runs, CPU), small_splits))
    found = epoch.records[0].diagnostics
    assert set(found) == set(diagnostic_columns(runs[0].settings))
    assert all(math.isfinite(value) for value in found.values())
    announced = diagnostic_columns(runs[0].settings)
    assert announced[:4] == (
        "mean_activation_1", "mean_activation_2", "activation_sparsity_1", "activation_sparsity_2"
    )  # fmt: skip
    assert announced[-6:] == (
        "keep_rate_0", "keep_rate_2", "noise_mean_0", "noise_mean_2", "noise_variance_0",
        "noise_variance_2",
    )  # fmt: skip


def test_nothing_is_measured_that_is_not_asked_for(small_splits: Splits) -> None:
    runs = make_runs("training.epochs=1")
    (epoch,) = list(train(Fleet(runs, CPU), small_splits))
    assert epoch.records[0].diagnostics == {}
    assert diagnostic_columns(runs[0].settings) == ()


@pytest.mark.parametrize("variant", ["inverted", "concrete", "batchwise", "dropconnect"])
def test_a_run_with_diagnostics_has_the_weights_of_one_without(
    variant: str, small_splits: Splits
) -> None:
    fleets = []
    for settings in ((), (EVERYTHING,)):
        runs = make_runs(
            f"dropout.variant={variant}", "dropout.mask=batch", "training.epochs=2", *settings
        )
        fleets.append(Fleet(runs, CPU))
        list(train(fleets[-1], small_splits))
    assert_same_bits(*fleets)


def test_company_changes_no_diagnostic(small_splits: Splits, float64: None) -> None:
    runs = make_sweep(EVERYTHING, "dropout.p=0.25,0.5", "training.epochs=2", seeds=(0, 1))
    together = list(train(Fleet(runs, CPU), small_splits))[-1].records
    for index, run in enumerate(runs):
        alone = list(train(Fleet([run], CPU), small_splits))[-1].records[0].diagnostics
        for name, value in alone.items():
            assert together[index].diagnostics[name] == pytest.approx(value, rel=1e-6), name


def test_a_diverged_run_leaves_the_others_their_diagnostics(small_splits: Splits) -> None:
    runs = make_sweep(
        EVERYTHING, "training.learning_rate=0.05,1e30", "dropout.p=0.5", "training.epochs=2"
    )
    fleet = Fleet(runs, CPU)
    records = list(train(fleet, small_splits))[-1].records
    assert list(fleet.diverged) == [1]
    assert all(math.isfinite(value) for value in records[0].diagnostics.values())
