"""The training loop: pairing, company, divergence, what is recorded and when."""

import math

import pytest
import torch
from torch import nn

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.data import Splits
from dropout_lab.layers import VARIANTS
from dropout_lab.rng import Purpose, stream
from dropout_lab.training import Epoch, Fleet, evaluate, train
from dropout_lab.training.loop import data_order, evaluated_train_indices
from tests.conftest import (
    assert_same_bits,
    make_config,
    make_runs,
    make_sweep,
    resumed_after_an_epoch,
    with_variant,
)

CPU = torch.device("cpu")


def trained(
    splits: Splits, *settings: str, seeds: tuple[int, ...] = (0,)
) -> tuple[Fleet, list[Epoch]]:
    fleet = Fleet(make_runs("training.epochs=2", *settings, seeds=seeds), CPU)
    return fleet, list(train(fleet, splits))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_fleet_is_its_runs(variant: str, tiny_splits: Splits, float64: None) -> None:
    """In double precision, so that only rounding may differ: runs of different p, rate and seed."""
    settings = ["training.epochs=2", *with_variant(variant)]
    varied = ["training.learning_rate=0.05,0.1", "regularization.l2=0,0.001"]
    varied += ["dropout.p=0.5"] if CATALOGUE[variant].one_p else ["dropout.p=0.25,0.5"]
    runs = make_sweep(*settings, *varied, seeds=(0, 1))
    together = Fleet(runs, CPU)
    fleet_records = list(train(together, tiny_splits))[-1].records
    for index in (0, len(runs) // 2, len(runs) - 1):
        alone = Fleet([runs[index]], CPU)
        single = list(train(alone, tiny_splits))[-1].records[0]
        for ours, theirs in zip(together.model.parameters(), alone.model.parameters(), strict=True):
            torch.testing.assert_close(ours[index], theirs[0], rtol=1e-9, atol=1e-11)
        assert fleet_records[index].test_errors == single.test_errors
        assert fleet_records[index].train_loss == pytest.approx(single.train_loss, rel=1e-9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_resumed_fleet_has_the_same_bits(variant: str, tiny_splits: Splits) -> None:
    p = "0.25" if CATALOGUE[variant].one_p else "0.25,0.4"
    settings = ["training.epochs=3", "training.optimizer=adam", "training.learning_rate=0.001"]
    runs = make_sweep(*settings, *with_variant(variant), f"dropout.p={p}", seeds=(0, 1))
    assert_same_bits(*resumed_after_an_epoch(runs, tiny_splits))


def test_the_loop_is_plain_pytorch_written_out(small_splits: Splits, float64: None) -> None:
    """Without dropout, against nn.Linear, F.cross_entropy and torch.optim over the same batches."""
    fleet, _ = trained(small_splits, "dropout.variant=none", "regularization.l2=0.001")
    start = Fleet(make_runs("dropout.variant=none"), CPU).model
    layers: list[nn.Module] = []
    decayed, plain = [], []
    for weight, bias in zip(start.weights, start.biases, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[2])
        linear.load_state_dict({"weight": weight[0].T, "bias": bias[0, 0]})
        layers += [linear, nn.ReLU()]
        decayed.append(linear.weight)
        plain.append(linear.bias)
    net = nn.Sequential(*layers[:-1])
    groups = [{"params": decayed, "weight_decay": 0.001}, {"params": plain}]
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    for epoch in (1, 2):
        order = stream(Purpose.DATA_ORDER, 0, epoch).permutation(500)
        for first in range(0, 500, 64):
            batch = torch.from_numpy(order[first : first + 64])
            x = small_splits.train.images[batch].double() / 255
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), small_splits.train.labels[batch]).backward()
            optimizer.step()
    for layer, weight in zip(net[::2], fleet.model.weights, strict=True):
        torch.testing.assert_close(weight[0], layer.weight.T, rtol=1e-9, atol=1e-11)


def test_dropout_changes_neither_the_weights_at_start_nor_the_order(small_splits: Splits) -> None:
    """Paired by seed: what enters the first step is the same, whatever is dropped."""
    starts = []
    for settings in (
        ["dropout.p=0.5"],
        ["dropout.p=0.1"],
        ["dropout.variant=gaussian"],
        ["dropout.variant=none"],
    ):
        fleet = Fleet(make_runs(*settings), CPU)
        starts.append([p.clone() for p in fleet.model.parameters()])
    for other in starts[1:]:
        assert all(torch.equal(a, b) for a, b in zip(starts[0], other, strict=True))
    assert torch.equal(data_order([3], 2, 100), data_order([3, 4], 2, 100)[:1])


def test_each_epoch_and_each_seed_has_its_own_order() -> None:
    orders = [
        tuple(data_order([seed], epoch, 50)[0].tolist()) for seed in (0, 1) for epoch in (1, 2)
    ]
    assert len(set(orders)) == 4
    assert all(sorted(order) == list(range(50)) for order in orders)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "none"])
def test_p_zero_trains_to_the_bits_of_no_dropout(variant: str, small_splits: Splits) -> None:
    run = make_runs("training.epochs=2", *with_variant(variant))[0]
    zero = run.settings.model_copy(
        update={"dropout": run.settings.dropout.model_copy(update={"p": 0.0})}
    )
    run = type(run)(run.run_id, 0, type(run.cell)({}, zero))
    dropped, bare = (
        Fleet([run], CPU),
        Fleet(make_runs("training.epochs=2", "dropout.variant=none"), CPU),
    )
    for fleet in (dropped, bare):
        list(train(fleet, small_splits))
    assert dropped.settings.dropout.variant == variant
    ours = [*dropped.model.weights, *dropped.model.biases]
    for our, theirs in zip(ours, bare.model.parameters(), strict=True):
        assert torch.equal(our, theirs)


def test_a_diverged_run_is_marked_and_the_others_are_unharmed(small_splits: Splits) -> None:
    runs = make_sweep("training.epochs=3", "training.learning_rate=0.05,1e20", "dropout.p=0.5")
    fleet = Fleet(runs, CPU)
    epochs = list(train(fleet, small_splits))
    assert fleet.diverged == {1: 1}
    assert [sorted(epoch.records) for epoch in epochs] == [[0, 1], [0], [0]]
    assert not math.isfinite(epochs[0].records[1].train_loss)
    alone = Fleet(runs[:1], CPU)
    single = list(train(alone, small_splits))[-1].records[0]
    assert epochs[-1].records[0].train_loss == pytest.approx(single.train_loss, rel=1e-4)


def test_when_all_have_diverged_training_ends(small_splits: Splits) -> None:
    fleet, epochs = trained(small_splits, "training.learning_rate=1e20", "training.epochs=5")
    assert len(epochs) == 1
    assert list(fleet.diverged) == [0]


def test_a_record_is_what_it_says(small_splits: Splits, float64: None) -> None:
    fleet, epochs = trained(small_splits)
    record = epochs[-1].records[0]
    assert (record.epoch, record.updates) == (2, 16)  # 500 / 64 is 8 steps
    for part in ("train", "validation", "test"):
        examples = getattr(small_splits, part)
        fleet.model.eval()
        logits = fleet.model(small_splits.pixels(examples.images).unsqueeze(0))[0]
        right = int((logits.argmax(1) == examples.labels).sum())
        assert getattr(record, f"{part}_accuracy") == right / len(examples)
        loss = float(nn.functional.cross_entropy(logits, examples.labels).detach())
        assert getattr(record, f"{part}_loss") == pytest.approx(loss, rel=1e-12)
    assert record.test_errors == 1000 - right
    assert record.accuracy_gap == pytest.approx(record.train_accuracy - record.test_accuracy)
    assert record.loss_gap == pytest.approx(record.test_loss - record.train_loss)
    assert record.p == 0.5
    assert record.noisy_train_loss > record.train_loss  # noise on, and before the updates


def test_the_recorded_p_is_the_rounded_one_and_a_list_where_places_differ(
    small_splits: Splits,
) -> None:
    _, epochs = trained(small_splits, "dropout.p=0.1")
    assert epochs[0].records[0].p == 6554 / 65536
    _, epochs = trained(small_splits, "dropout.p=[0.25,0.5]")
    assert epochs[0].records[0].p == "[0.25, 0.5]"


def test_updates_end_the_training_in_the_middle_of_an_epoch(small_splits: Splits) -> None:
    fleet, epochs = trained(small_splits, "training.epochs=null", "training.updates=11")
    assert fleet.updates == 11
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert epochs[-1].records[0].updates == 11


def test_every_n_epochs_and_the_last_are_measured(small_splits: Splits) -> None:
    _, epochs = trained(small_splits, "training.epochs=5", "evaluation.every=2")
    assert [epoch.number for epoch in epochs if epoch.records] == [2, 4, 5]


def test_measuring_less_often_changes_no_weight(small_splits: Splits) -> None:
    often, _ = trained(small_splits)
    seldom, _ = trained(small_splits, "evaluation.every=2")
    for ours, theirs in zip(often.model.parameters(), seldom.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_measured_training_examples_are_stratified_and_the_same_for_all(
    small_splits: Splits,
) -> None:
    settings = make_config("evaluation.train_examples=100")
    chosen = evaluated_train_indices(small_splits, settings)
    assert len(set(chosen.tolist())) == 100
    assert small_splits.train.labels[chosen].bincount().min() >= 8
    assert torch.equal(chosen, evaluated_train_indices(small_splits, settings))


@pytest.mark.parametrize("mode", [True, False])
def test_evaluation_leaves_the_mode_as_it_was(mode: bool, small_splits: Splits) -> None:
    model = Fleet(make_runs(), CPU).model.train(mode)
    evaluate(model, small_splits.test, small_splits)
    assert all(module.training == mode for module in model.modules())


def test_evaluation_restores_the_mode_after_an_exception(
    small_splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Fleet(make_runs(), CPU).model.train()
    monkeypatch.setattr(model.activation, "forward", _fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        evaluate(model, small_splits.test, small_splits)
    assert model.training


def _fail(x: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("in the middle")


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_restored_fleet_goes_on_to_the_same_bits(optimizer: str, small_splits: Splits) -> None:
    settings = ["training.epochs=4", f"training.optimizer={optimizer}", "dropout.p=0.25,0.5"]
    runs = make_sweep(*settings, seeds=(0, 1))
    undisturbed, first = Fleet(runs, CPU), Fleet(runs, CPU)
    expected = list(train(undisturbed, small_splits))
    for epoch in train(first, small_splits):
        if epoch.number == 2:
            checkpoints = first.checkpoint()
            break
    resumed = Fleet(runs, CPU)
    resumed.restore(checkpoints)
    rest = list(train(resumed, small_splits))
    for ours, theirs in zip(
        undisturbed.model.parameters(), resumed.model.parameters(), strict=True
    ):
        assert torch.equal(ours, theirs)
    for run, record in expected[-1].records.items():
        assert rest[-1].records[run].test_loss == record.test_loss


def test_no_validation_part_is_nan_and_no_divergence(small_splits: Splits) -> None:
    from dataclasses import replace

    empty = replace(
        small_splits, validation=small_splits.validation[torch.tensor([], dtype=torch.long)]
    )
    fleet = Fleet(make_runs("training.epochs=1"), CPU)
    record = next(iter(train(fleet, empty))).records[0]
    assert math.isnan(record.validation_accuracy)
    assert not fleet.diverged
