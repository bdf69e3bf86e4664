"""Schedules of p: by hand at their ends and in between, per update, and as they are recorded."""

import math

import pytest
import torch

from dropout_lab.config.sections.dropout import DropoutSettings
from dropout_lab.data import Splits
from dropout_lab.lr_schedules import StepHyperparameters
from dropout_lab.p_schedules import PSchedule
from dropout_lab.training import Fleet, train
from tests.conftest import (
    assert_same_bits,
    make_runs,
    make_sweep,
    resumed_after_an_epoch,
    with_variant,
)

CPU = torch.device("cpu")
STEPS, UPDATES = 10, 100  # ten epochs of ten updates


def values(p: float = 0.5, **settings: object) -> list[float]:
    base = {1: torch.tensor([p, 0.0], dtype=torch.float64)}
    schedule = PSchedule(DropoutSettings(**settings), base, STEPS, UPDATES)
    rows = [schedule.at(update)[1] for update in range(UPDATES)]
    assert all(row[1] == 0 for row in rows)  # a place without dropout stays without
    assert all(0 <= row[0] <= 1 for row in rows)
    return [float(row[0]) for row in rows]


def test_constant_sets_nothing() -> None:
    schedule = PSchedule(DropoutSettings(), {1: torch.tensor([0.5])}, STEPS, UPDATES)
    assert schedule.at(50) == {}


def test_linear_from_start_p_to_p() -> None:
    assert values(schedule="linear")[::33] == pytest.approx([0, 0.5 / 3, 1 / 3, 0.5])
    assert values(0.2, schedule="linear", start_p=0.8)[::99] == pytest.approx([0.8, 0.2])


def test_cosine_is_flat_at_both_ends_and_halfway_in_the_middle() -> None:
    found = values(schedule="cosine", start_p=0.1)
    assert [found[0], found[-1]] == pytest.approx([0.1, 0.5])
    assert (found[49] + found[50]) / 2 == pytest.approx(0.3)
    assert found[33] == pytest.approx(0.1 + 0.4 * (1 - math.cos(math.pi / 3)) / 2)  # a quarter: 0.2


def test_exponential_is_the_published_keep_probability() -> None:
    """Morerio et al.: keep(t) = (1 - q) exp(-g t) + q with q = 1 - p, from 1 down to q."""
    found = values(0.4, schedule="exponential", curriculum_rate=0.05)
    for t in (0, 1, 20, 99):
        assert 1 - found[t] == pytest.approx((1 - 0.6) * math.exp(-0.05 * t) + 0.6)
    assert values(schedule="exponential")[99] == pytest.approx(0.5 * (1 - math.exp(-9.9)))


def test_annealed_falls_to_zero_by_the_cutoff() -> None:
    found = values(0.6, schedule="annealed", cutoff=5)
    assert found[::10] == pytest.approx([0.6, 0.48, 0.36, 0.24, 0.12, 0, 0, 0, 0, 0])
    assert values(schedule="annealed")[99] == pytest.approx(0.005)


def test_early_late_and_step_switch_after_the_cutoff() -> None:
    assert values(schedule="early", cutoff=3) == [0.5] * 30 + [0.0] * 70
    assert values(schedule="late", cutoff=3) == [0.0] * 30 + [0.5] * 70
    assert values(schedule="step", cutoff=3, start_p=0.2) == [0.2] * 30 + [0.5] * 70


@pytest.mark.parametrize("schedule", ["constant", "linear", "exponential"])
def test_stop_last_ends_in_epochs_without_dropout(schedule: str) -> None:
    found = values(schedule=schedule, stop_last=2)
    assert found[80:] == [0.0] * 20
    assert found[79] > 0


def recorded(splits: Splits, *settings: str) -> list[float]:
    fleet = Fleet(make_runs("training.epochs=4", *settings), CPU)
    return [float(epoch.records[0].p) for epoch in train(fleet, splits)]


def test_the_recorded_p_is_that_of_the_epochs_last_update(small_splits: Splits) -> None:
    """Eight updates an epoch, 32 in all: linear reaches p * t / 31 at t = 7, 15, 23, 31."""
    found = recorded(small_splits, "dropout.schedule=linear", "dropout.p=0.5")
    assert found == pytest.approx([0.5 * t / 31 for t in (7, 15, 23, 31)], abs=2**-17)
    assert recorded(small_splits, "dropout.schedule=early", "dropout.cutoff=1") == [0.5, 0, 0, 0]
    assert recorded(small_splits, "dropout.stop_last=1") == [0.5, 0.5, 0.5, 0]


def test_the_p_changes_at_every_update(
    small_splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(make_runs("training.epochs=1", "dropout.schedule=cosine"), CPU)
    seen = []
    take = fleet.optimizer.step

    def step(losses: torch.Tensor, rate: StepHyperparameters) -> None:
        seen.append(float(fleet.model.dropouts[1].p[0]))
        take(losses, rate)

    monkeypatch.setattr(fleet.optimizer, "step", step)
    list(train(fleet, small_splits))
    expected = [0.25 * (1 - math.cos(math.pi * t / 7)) for t in range(8)]
    assert seen == pytest.approx(expected, abs=2**-17)


def test_early_dropout_is_dropout_first_and_none_after(small_splits: Splits) -> None:
    """Two epochs with dropout are those of constant p; the rest draws nothing that matters."""
    early = Fleet(make_runs("training.epochs=4", "dropout.schedule=early", "dropout.cutoff=2"), CPU)
    constant = Fleet(make_runs("training.epochs=4"), CPU)
    pairs = zip(train(early, small_splits), train(constant, small_splits), strict=True)
    losses = [
        (ours.records[0].noisy_train_loss, theirs.records[0].noisy_train_loss)
        for ours, theirs in pairs
    ]
    assert [ours == theirs for ours, theirs in losses] == [True, True, False, False]


def test_runs_of_one_fleet_follow_their_own_p(small_splits: Splits) -> None:
    runs = make_sweep("training.epochs=2", "dropout.schedule=linear", "dropout.p=0.25,0.5")
    together = list(train(Fleet(runs, CPU), small_splits))[-1].records
    assert [together[run].p for run in (0, 1)] == [0.25, 0.5]
    alone = list(train(Fleet(runs[1:], CPU), small_splits))[-1].records[0]
    assert together[1].train_loss == pytest.approx(alone.train_loss, rel=1e-4)


@pytest.mark.parametrize(
    "variant", ["inverted", "standard", "batchwise", "multinomial", "dropconnect", "fast"]
)
def test_a_scheduled_fleet_resumes_to_the_same_bits(variant: str, small_splits: Splits) -> None:
    runs = make_runs(
        "training.epochs=3", "dropout.schedule=exponential", *with_variant(variant), seeds=(0, 1)
    )
    assert_same_bits(*resumed_after_an_epoch(runs, small_splits))
