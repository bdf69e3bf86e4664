"""Early stopping: when a run stops and what it gives back, in company and resumed too."""

import math

import pytest
import torch

from dropout_lab.data import Splits
from dropout_lab.training import Epoch, Fleet, evaluate, train
from dropout_lab.training.early_stopping import EarlyStopping
from tests.conftest import assert_same_bits, make_runs, make_sweep

CPU = torch.device("cpu")
PATIENT = ("training.epochs=40", "training.patience=3", "training.learning_rate=0.1")


def stopped(
    splits: Splits, *settings: str, seeds: tuple[int, ...] = (0,)
) -> tuple[Fleet, list[Epoch]]:
    fleet = Fleet(make_runs(*PATIENT, *settings, seeds=seeds), CPU)
    return fleet, list(train(fleet, splits))


def test_a_run_stops_after_so_many_epochs_without_a_better_one() -> None:
    """By hand: 0.5, 0.7, 0.6, 0.7 (no better), 0.8, then three that are not above it."""
    accuracies = [0.5, 0.7, 0.6, 0.7, 0.8, 0.8, 0.1, 0.79, 0.9]
    stopping = EarlyStopping(3, runs=1)
    for epoch, accuracy in enumerate(accuracies, start=1):
        weights = [torch.full((1, 2), float(epoch))]
        if 0 not in stopping.stopped:
            stopping.update(epoch, 10 * epoch, torch.tensor([accuracy]), weights, [0])
    assert stopping.stopped == {0: 8}
    best = stopping.best[0]
    assert best is not None
    assert (best.epoch, best.updates) == (5, 50)
    weights = [torch.zeros(1, 2)]
    stopping.restore_best(weights)
    assert weights[0].tolist() == [[5.0, 5.0]]


def test_the_weights_are_those_of_the_best_epoch(small_splits: Splits) -> None:
    """Measured again they give the record of that epoch, digit for digit, for each run."""
    fleet, epochs = stopped(small_splits, seeds=(0, 1, 2))
    scores = evaluate(fleet.model, small_splits.test, small_splits)
    ends = set()
    for run in range(3):
        records = [epoch.records[run] for epoch in epochs if run in epoch.records]
        best = max(records, key=lambda record: record.validation_accuracy)
        assert records[-1].epoch - best.epoch == 3  # it ran out of patience
        assert len(records) == records[-1].epoch == fleet.stopped[run]
        assert scores.loss[run].item() == best.test_loss
        assert scores.accuracy[run].item() == best.test_accuracy
        ends.add(records[-1].epoch)
    assert len(ends) > 1  # they stop one by one
    assert len(epochs) == max(ends) < 40


def test_a_run_that_never_runs_out_of_patience_gives_its_best_back_too(
    small_splits: Splits,
) -> None:
    fleet, epochs = stopped(small_splits, "training.epochs=6", "training.patience=6")
    assert len(epochs) == 6
    best = max(epochs, key=lambda epoch: epoch.records[0].validation_accuracy).records[0]
    scores = evaluate(fleet.model, small_splits.test, small_splits)
    assert scores.loss[0].item() == best.test_loss


def test_stopping_in_company_is_stopping_alone(small_splits: Splits, float64: None) -> None:
    runs = make_sweep(*PATIENT, "dropout.p=0.25,0.5", seeds=(0, 1))
    together = Fleet(runs, CPU)
    list(train(together, small_splits))
    for index, run in enumerate(runs):
        alone = Fleet([run], CPU)
        list(train(alone, small_splits))
        assert together.stopped[index] == alone.stopped[0]
        for ours, theirs in zip(together.model.parameters(), alone.model.parameters(), strict=True):
            torch.testing.assert_close(ours[index], theirs[0], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("at", [1, 4, -1])
def test_resuming_stops_and_restores_the_same(small_splits: Splits, at: int) -> None:
    """Also from the checkpoint of the last epoch, when all had stopped already."""
    runs = make_runs(*PATIENT, "dropout.schedule=linear", seeds=(0, 1))
    undisturbed, first, resumed = (Fleet(runs, CPU) for _ in range(3))
    count = len(list(train(undisturbed, small_splits)))
    checkpoints = []
    for epoch in train(first, small_splits):
        if epoch.number == (at if at > 0 else count):
            checkpoints = first.checkpoint()
    resumed.restore(checkpoints)
    list(train(resumed, small_splits))
    assert undisturbed.stopped == resumed.stopped
    assert_same_bits(undisturbed, resumed)
    for ours, theirs in zip(undisturbed.model.places(), resumed.model.places(), strict=True):
        assert torch.equal(ours[0].p, theirs[0].p)


def test_a_schedule_is_put_back_to_the_best_epoch(small_splits: Splits) -> None:
    """Standard dropout scales by 1 - p in evaluation, so the p of another epoch would tell."""
    fleet, epochs = stopped(
        small_splits, "dropout.variant=standard", "dropout.schedule=linear", "dropout.p=0.9"
    )
    best = max(epochs, key=lambda epoch: epoch.records[0].validation_accuracy).records[0]
    assert best.epoch < epochs[-1].number
    scores = evaluate(fleet.model, small_splits.test, small_splits)
    assert scores.loss[0].item() == best.test_loss
    assert fleet.current_p(0) == best.p


def test_without_patience_nothing_stops(small_splits: Splits) -> None:
    fleet = Fleet(make_runs("training.epochs=4", "training.learning_rate=1e-9"), CPU)
    assert len(list(train(fleet, small_splits))) == 4
    assert fleet.stopped == {}


def test_a_run_that_diverges_is_no_best(small_splits: Splits) -> None:
    fleet = Fleet(make_runs(*PATIENT, "training.learning_rate=1e30"), CPU)
    list(train(fleet, small_splits))
    assert fleet.diverged == {0: 1}
    assert fleet.stopped == {}
    assert math.isnan(evaluate(fleet.model, small_splits.test, small_splits).loss[0].item())


def test_each_run_has_the_p_of_its_own_best_epoch(small_splits: Splits) -> None:
    """Two ps that rise with the updates, best at different epochs."""
    settings = ("dropout.variant=standard", "dropout.schedule=linear", "dropout.p=0.5,0.9")
    fleet = Fleet(make_sweep(*PATIENT, *settings), CPU)
    epochs = list(train(fleet, small_splits))
    scores = evaluate(fleet.model, small_splits.test, small_splits)
    found = []
    for run in (0, 1):
        records = [epoch.records[run] for epoch in epochs if run in epoch.records]
        best = max(records, key=lambda record: record.validation_accuracy)
        assert fleet.current_p(run) == best.p
        assert scores.loss[run].item() == best.test_loss
        found.append(best.epoch)
    assert len(set(found)) == 2


def test_what_becomes_of_a_run_that_has_stopped_is_not_looked_at() -> None:
    """It gets better after it has stopped; its best stays that of before, the other's not."""
    fleet = Fleet(make_runs("training.patience=1", seeds=(0, 1)), CPU)
    for epoch, accuracies in enumerate(([0.5, 0.5], [0.4, 0.6], [0.9, 0.9]), start=1):
        fleet.epoch = epoch
        fleet.update_early_stopping(torch.tensor(accuracies))
    assert fleet.early_stopping is not None
    assert [best.epoch for best in fleet.early_stopping.best if best] == [1, 3]
    assert fleet.stopped == {0: 2}
