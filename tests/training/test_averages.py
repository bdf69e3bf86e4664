"""Averaged weights: by hand, beside the training that they leave alone, in company, and resumed."""

import math

import pytest
import torch

from dropout_lab.config.sections.training import TrainingSettings
from dropout_lab.data import Splits
from dropout_lab.training import Epoch, Fleet, evaluate, train
from dropout_lab.training.averages import WeightAverages
from tests.conftest import assert_same_bits, make_runs, make_sweep

CPU = torch.device("cpu")
EXPONENTIAL = ("training.average=exponential", "training.average_decay=0.9")
LAST = ("training.average=last", "training.average_epochs=2")
AVERAGED = pytest.mark.parametrize("settings", [EXPONENTIAL, LAST], ids=["exponential", "last"])


def trained(
    splits: Splits, *settings: str, seeds: tuple[int, ...] = (0,)
) -> tuple[Fleet, list[Epoch]]:
    fleet = Fleet(make_runs("training.epochs=4", *settings, seeds=seeds), CPU)
    return fleet, list(train(fleet, splits))


def averaged(settings: dict[str, object], weights: list[float]) -> list[float]:
    """Return what is measured after each of some updates, each the end of an epoch."""
    parameter = torch.nn.Parameter(torch.zeros(1, 1))
    averages = WeightAverages(TrainingSettings.model_validate(settings), [parameter])
    seen = []
    for step, weight in enumerate(weights, start=1):
        parameter.data.fill_(weight)
        averages.after_update(step)
        averages.after_epoch(step, len(weights))
        with averages.swapped_in():
            seen.append(parameter.item())
        assert parameter.item() == weight
    averages.copy_to_parameters()
    assert parameter.item() == seen[-1]
    return seen


def test_the_exponential_average_by_hand() -> None:
    """With d = 0.5: 4; (4/4 + 8/2) / (3/4); (4/8 + 8/4 + 1/2) / (7/8)."""
    settings = {"average": "exponential", "average_decay": 0.5}
    assert averaged(settings, [4.0, 8.0, 1.0]) == pytest.approx([4, 5 / 0.75, 3 / 0.875], rel=1e-6)


def test_the_mean_of_the_last_epochs_by_hand() -> None:
    """Three of five: before them the weights themselves; then 3, (3 + 6) / 2, (3 + 6 + 0) / 3."""
    settings = {"average": "last", "average_epochs": 3}
    assert averaged(settings, [7.0, 5.0, 3.0, 6.0, 0.0]) == pytest.approx([7, 5, 3, 4.5, 3])


def test_the_default_decay_is_0_999() -> None:
    given = averaged({"average": "exponential", "average_decay": 0.999}, [4.0, 8.0, 1.0])
    assert averaged({"average": "exponential"}, [4.0, 8.0, 1.0]) == given


@AVERAGED
def test_every_number_is_of_the_average_and_the_training_does_not_feel_it(
    settings: tuple[str, ...], small_splits: Splits
) -> None:
    """Against a training without it, whose weights after each of its 4 x 8 updates are kept."""
    bare = Fleet(make_runs("training.epochs=4"), CPU)
    kept: list[list[torch.Tensor]] = []
    bare.model.constrain = lambda: kept.append(  # after each update
        [parameter.detach().double().clone() for parameter in bare.model.parameters()]
    )
    plain = [epoch.records[0] for epoch in train(bare, small_splits)]
    fleet, epochs = trained(small_splits, *settings)
    records = [epoch.records[0] for epoch in epochs]
    assert [r.noisy_train_loss for r in records] == [r.noisy_train_loss for r in plain]
    same = [ours.test_loss == theirs.test_loss for ours, theirs in zip(records, plain, strict=True)]
    assert same == ([True, True, True, False] if settings == LAST else [False] * 4)
    scores = evaluate(fleet.model, small_splits.test, small_splits)
    assert scores.loss[0].item() == records[-1].test_loss
    if settings == LAST:
        shares = {23: 0.5, 31: 0.5}  # by the index of the update
    else:
        shares = {index: 0.1 * 0.9 ** (31 - index) / (1 - 0.9**32) for index in range(32)}
    for index, mean in enumerate(fleet.model.parameters()):
        expected = sum(share * kept[update][index] for update, share in shares.items())
        torch.testing.assert_close(mean.double(), expected, rtol=1e-5, atol=1e-7)


def test_the_mean_of_one_epoch_is_no_average(small_splits: Splits) -> None:
    one, _ = trained(small_splits, "training.average=last", "training.average_epochs=1")
    assert_same_bits(one, trained(small_splits)[0])


@AVERAGED
def test_an_average_in_company_is_that_alone(
    settings: tuple[str, ...], small_splits: Splits, float64: None
) -> None:
    """Also beside a run that diverges."""
    rates = "training.learning_rate=0.05,1e200"
    runs = make_sweep("training.epochs=3", "dropout.p=0.5", *settings, rates, seeds=(0, 1))
    together = Fleet(runs, CPU)
    records = list(train(together, small_splits))[-1].records
    assert len(together.diverged) == 2
    for index in together.active_runs:
        alone = Fleet([runs[index]], CPU)
        single = list(train(alone, small_splits))[-1].records[0]
        assert records[index].test_loss == pytest.approx(single.test_loss, rel=1e-9)
        for ours, theirs in zip(together.model.parameters(), alone.model.parameters(), strict=True):
            torch.testing.assert_close(ours[index], theirs[0], rtol=1e-9, atol=1e-11)


@AVERAGED
@pytest.mark.parametrize("at", [1, 3])
def test_resuming_gives_the_same_bits(
    settings: tuple[str, ...], at: int, small_splits: Splits
) -> None:
    runs = make_runs("training.epochs=4", *settings, "dropout.variant=concrete", seeds=(0, 1))
    undisturbed, first, resumed = (Fleet(runs, CPU) for _ in range(3))
    expected = list(train(undisturbed, small_splits))[-1].records
    for epoch in train(first, small_splits):
        if epoch.number == at:
            resumed.restore(first.checkpoint())
            break
    records = list(train(resumed, small_splits))[-1].records
    assert_same_bits(undisturbed, resumed)
    for run in (0, 1):
        assert records[run].test_loss == expected[run].test_loss
        assert records[run].p == expected[run].p


def test_early_stopping_looks_at_the_average_and_gives_back_its_best(small_splits: Splits) -> None:
    patient = ("training.epochs=40", "training.patience=3", "training.learning_rate=0.1")
    fleet, epochs = trained(small_splits, *EXPONENTIAL, *patient)
    best = max(epochs, key=lambda epoch: epoch.records[0].validation_accuracy).records[0]
    assert fleet.stopped[0] == best.epoch + 3 < 40
    scores = evaluate(fleet.model, small_splits.test, small_splits)
    assert scores.loss[0].item() == best.test_loss
    resumed = Fleet(fleet.runs, CPU)
    first = Fleet(fleet.runs, CPU)
    for epoch in train(first, small_splits):
        if epoch.number == fleet.stopped[0]:
            resumed.restore(first.checkpoint())
    list(train(resumed, small_splits))
    assert_same_bits(fleet, resumed)


def test_a_run_diverges_with_its_average(small_splits: Splits) -> None:
    fleet, _ = trained(small_splits, *EXPONENTIAL, "training.learning_rate=1e30")
    assert fleet.diverged == {0: 1}
    assert math.isnan(evaluate(fleet.model, small_splits.test, small_splits).loss[0].item())
