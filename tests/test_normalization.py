"""Batch and layer normalization against NumPy, against torch, and as a part of a study."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from dropout_lab.config.grid import run_id, single_cell
from dropout_lab.data import Splits
from dropout_lab.errors import ConfigError
from dropout_lab.model import normalized_at
from dropout_lab.normalization import (
    EPS,
    Normalization,
    fixed_statistics,
    use_running_statistics,
)
from dropout_lab.results import RUNS
from dropout_lab.study.weights import weights_bytes
from dropout_lab.training import Fleet, train
from dropout_lab.training.diagnostics import Diagnostics
from dropout_lab.training.inference import infer
from tests.conftest import assert_same_bits, make_config, make_runs, resumed_after_an_epoch
from tests.study.test_run import StopsAfter, assert_same_results, go, study

CPU = torch.device("cpu")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(2.0, 3.0, shape))


def layer(kind: str, runs: int, units: int) -> Normalization:
    """A layer with a gain and a shift that differ from unit to unit."""
    made = Normalization(kind, runs, units, CPU)
    made.gain.data = 0.5 + drawn(runs, 1, units, seed=1).abs()
    made.shift.data = drawn(runs, 1, units, seed=2)
    return made


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_forward_and_backward_written_out_in_numpy(kind: str, float64: None) -> None:
    x, grad = drawn(2, 5, 3), drawn(2, 5, 3, seed=3)
    made = layer(kind, 2, 3)
    given = x.clone().requires_grad_()
    made(given).backward(grad)
    axis = 1 if kind == "batch" else 2
    a, g = x.numpy(), made.gain.detach().numpy()
    mean, variance = a.mean(axis, keepdims=True), a.var(axis, keepdims=True)
    root = np.sqrt(variance + EPS)
    normalized = (a - mean) / root
    out = g * normalized + made.shift.detach().numpy()
    np.testing.assert_allclose(made(x).detach().numpy(), out, rtol=1e-10)
    d_normalized = grad.numpy() * g
    d_x = (
        d_normalized
        - d_normalized.mean(axis, keepdims=True)
        - normalized * (d_normalized * normalized).mean(axis, keepdims=True)
    ) / root
    assert given.grad is not None
    assert made.gain.grad is not None
    assert made.shift.grad is not None
    np.testing.assert_allclose(given.grad.numpy(), d_x, rtol=1e-8, atol=1e-12)
    d_gain = (grad.numpy() * normalized).sum(1, keepdims=True)
    np.testing.assert_allclose(made.gain.grad.numpy(), d_gain, rtol=1e-8)
    np.testing.assert_allclose(made.shift.grad.numpy(), grad.numpy().sum(1, keepdims=True))


def test_running_statistics_by_hand(float64: None) -> None:
    made = Normalization("batch", 1, 1, CPU)
    made(torch.tensor([[[1.0], [3.0]]]))  # mean 2, unbiased variance 2
    assert made.mean.item() == pytest.approx(0.2)
    assert made.variance.item() == pytest.approx(0.9 + 0.2)
    made(torch.tensor([[[0.0], [6.0]]]))  # mean 3, unbiased variance 18
    assert made.mean.item() == pytest.approx(0.9 * 0.2 + 0.3)
    assert made.variance.item() == pytest.approx(0.9 * 1.1 + 1.8)
    evaluated = made.eval()(torch.tensor([[[1.0]]])).item()
    assert evaluated == pytest.approx((1 - 0.48) / (2.79 + EPS) ** 0.5)
    with pytest.raises(ValueError, match="more than 1 value"):
        made.train()(torch.tensor([[[1.0]]]))


@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_one_run_is_the_layer_of_torch_and_a_fleet_its_runs(kind: str) -> None:
    made = Normalization(kind, 3, 4, CPU)
    theirs = [(nn.BatchNorm1d if kind == "batch" else nn.LayerNorm)(4) for _ in range(3)]
    for step in range(3):
        x = drawn(3, 6, 4, seed=step).float()
        ours = made(x)
        for run, each in enumerate(theirs):
            torch.testing.assert_close(ours[run], each(x[run]))
    made.eval()
    x = drawn(3, 6, 4, seed=9).float()
    for run, each in enumerate(theirs):
        torch.testing.assert_close(made(x)[run], each.eval()(x[run]))


def test_fixed_statistics_stay_and_running_ones_are_used() -> None:
    model = nn.Sequential(Normalization("batch", 1, 2, CPU))
    before = [p.clone() for p in model.parameters()]
    with fixed_statistics(model):
        model(drawn(1, 5, 2).float())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    model(drawn(1, 5, 2).float())
    assert not torch.equal(before[2], model[0].mean)
    use_running_statistics(model.train())
    one = model(torch.ones(1, 1, 2))  # a single example has a variance only in the running ones
    assert torch.isfinite(one).all()


SETTINGS = {
    "batch, dropout after": ("batch", "before", "after", None),
    "batch after activation": ("batch", "after", "after", None),
    "batch after dropout": ("batch", "after", "after", "after_dropout"),
    "batch, dropout before": ("batch", "before", "before", "after_dropout"),
    "batch, then dropout before": ("batch", "before", "before", None),
    "dropout before, batch after": ("batch", "after", "before", None),
    "layer": ("layer", "before", "after", None),
}


def settings_of(name: str) -> tuple[str, ...]:
    kind, position, dropout, order = SETTINGS[name]
    return (
        f"model.normalization={kind}",
        f"model.normalization_position={position}",
        f"dropout.position={dropout}",
        *([] if order is None else [f"model.normalization_order={order}"]),
    )


class Written:
    """The hidden layers of a run as a person writes them, with the modules in their order."""

    def __init__(self, name: str) -> None:
        kind, position, dropout, order = SETTINGS[name]
        made = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}[kind]
        first = ["norm", "drop"] if order != "after_dropout" else ["drop", "norm"]
        sides: dict[str, list[str]] = {"before": [], "after": []}
        for module in first:
            sides[position if module == "norm" else dropout].append(module)
        self.order = [*sides["before"], "act", *sides["after"]]
        self.made = made

    def network(self, sizes: Sequence[int]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for n_in, n_out in itertools.pairwise(sizes[:-1]):
            layers.append(nn.Linear(n_in, n_out))
            for module in self.order:
                layers.append(
                    {"norm": self.made(n_out), "act": nn.ReLU(), "drop": nn.Dropout(0.0)}[module]
                )
        return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


@pytest.mark.parametrize("name", SETTINGS)
def test_saved_weights_load_into_the_network_that_the_settings_describe(
    name: str, small_splits: Splits, tmp_path: Path
) -> None:
    """So the order of normalization, activation and dropout is the one that was asked for."""
    runs = make_runs(*settings_of(name), "dropout.p=0.3", "training.epochs=2", seeds=(0, 1))
    fleet = Fleet(runs, CPU)
    list(train(fleet, small_splits))
    x = small_splits.pixels(small_splits.test.images[:50])
    ours = fleet.model.eval()(x.unsqueeze(0))
    for run in range(2):
        path = tmp_path / "weights.pt"
        path.write_bytes(weights_bytes(fleet.model, run, fleet.runs[run].run_id))
        network = Written(name).network((784, 16, 12, 10)).eval()
        state = torch.load(path, weights_only=True)
        missing, unexpected = network.load_state_dict(state, strict=False)
        assert not unexpected
        assert all(key.endswith("num_batches_tracked") for key in missing)
        torch.testing.assert_close(network(x), ours[run], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_dropout_is_where_the_settings_say(name: str) -> None:
    """With every unit dropped, the logits show the shift only if normalization follows dropout."""
    fleet = Fleet(make_runs(*settings_of(name), "model.hidden=[16]", "dropout.p=0.5"), CPU)
    model = fleet.model
    model.normalizations[0].shift.data.fill_(0.5)
    model.open_epoch(1)
    model.set_p({1: torch.ones(1, dtype=torch.float64)})
    logits = model.train()(torch.rand(1, 8, 784))[0]
    _, position, dropout, order = SETTINGS[name]
    follows = (dropout, position) == ("before", "after") or order == "after_dropout"
    expected = 0.5 * model.weights[1][0].sum(0) if follows else torch.zeros(10)
    torch.testing.assert_close(logits, expected.expand(8, 10), rtol=1e-5, atol=1e-5)
    assert follows == (normalized_at(fleet.settings) in ((1, 2) if dropout == "before" else (3,)))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_fleet_is_its_runs(name: str, small_splits: Splits, float64: None) -> None:
    settings = (*settings_of(name), "training.epochs=2", "dropout.p=0.3")
    together = Fleet(make_runs(*settings, seeds=(0, 1, 2)), CPU)
    list(train(together, small_splits))
    alone = Fleet(make_runs(*settings, seeds=(1,)), CPU)
    list(train(alone, small_splits))
    for ours, theirs in zip(together.model.parameters(), alone.model.parameters(), strict=True):
        torch.testing.assert_close(ours[1:2], theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("more", [(), ("training.patience=1",), ("training.average=exponential",)])
@pytest.mark.parametrize("name", ["batch, dropout after", "batch after dropout", "layer"])
def test_a_restored_fleet_continues_to_the_same_bits(
    name: str, more: tuple[str, ...], small_splits: Splits
) -> None:
    runs = make_runs(*settings_of(name), *more, "training.epochs=3", "dropout.p=0.3", seeds=(0, 1))
    assert_same_bits(*resumed_after_an_epoch(runs, small_splits))


def test_a_study_broken_off_and_resumed_is_the_undisturbed_study(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"p": "0,0.25", "seeds": "2"}
    settings = (*settings_of("batch, dropout after"), "evaluation.inference=monte_carlo")
    go(study(tmp_path / "undisturbed", *settings, **asked))
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", *settings, **asked), StopsAfter(4))
    go(study(tmp_path / "s", *settings, **asked))
    assert_same_results(tmp_path / "s", tmp_path / "undisturbed")
    assert pd.read_csv(tmp_path / "s" / RUNS)["test_accuracy"].min() > 0.5


def test_measuring_leaves_the_running_statistics(small_splits: Splits) -> None:
    settings = (*settings_of("batch, dropout after"), "dropout.p=0.3", "training.epochs=2")
    plain, measured = (
        Fleet(make_runs(*settings, *more), CPU)
        for more in ((), ("evaluation.diagnostics=[gradients,activations,noise,co_adaptation]",))
    )
    list(train(plain, small_splits))
    list(train(measured, small_splits))
    assert_same_bits(plain, measured)
    config = make_config(*settings, "evaluation.inference=monte_carlo", "evaluation.samples=3")
    infer(measured.model, small_splits, config.evaluation, measured.seeds)
    assert_same_bits(plain, measured)


def test_sampled_networks_use_the_running_statistics(small_splits: Splits) -> None:
    """With p = 0 a sampled network is the mean network, whatever else is in the batch."""
    fleet = Fleet(make_runs(*settings_of("batch, dropout after"), "training.epochs=1"), CPU)
    list(train(fleet, small_splits))
    fleet.model.set_p({place: torch.zeros(1, dtype=torch.float64) for place in fleet.p})
    config = make_config("evaluation.inference=monte_carlo", "evaluation.samples=2")
    scores = infer(fleet.model, small_splits, config.evaluation, fleet.seeds).scores
    assert scores["monte_carlo"].errors.item() == scores["mean"].errors.item()
    assert scores["monte_carlo"].loss.item() == pytest.approx(scores["mean"].loss.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("batch", "training.batch_size=499"), "the last batch of 500 training examples has one"),
        (("batch", "training.batch_size=1"), "a batch has one example"),
        (("batch", "dropout.variant=batchwise"), "does not compute the units that it drops"),
        (
            ("layer", "model.normalization_order=after_dropout"),
            "normalization is before the activation and dropout after it",
        ),
        (
            ("batch", "model.normalization_position=after",
             "model.normalization_order=after_dropout", "dropout.variant=dropconnect"),
            "dropconnect acts on the weights after the normalization",
        ),
        (("batch", "evaluation.inference=moment_matching"), "moment_matching"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(settings: tuple[str, ...], words: str) -> None:
    kind, *more = settings
    with pytest.raises(ConfigError, match=words):
        make_config(f"model.normalization={kind}", *more)


def test_a_network_without_normalization_keeps_its_id() -> None:
    plain = run_id(single_cell(make_config())[0].settings, 0)
    assert plain == run_id(single_cell(make_config("model.normalization=none"))[0].settings, 0)
    other = single_cell(make_config("model.normalization=batch"))[0].settings
    spelled = single_cell(make_config(*settings_of("batch, dropout after")))[0].settings
    assert plain != run_id(other, 0) == run_id(spelled, 0)


def test_the_variance_shift_is_that_of_dropout_by_hand(small_splits: Splits) -> None:
    """A unit kept with 1 - p = 0.5 and doubled: the variance of z is that of a sum of products."""
    settings = (*settings_of("batch, dropout after"), "model.hidden=[64,64]", "dropout.p=0.5",
                "evaluation.diagnostics=variance_shift", "training.epochs=1")  # fmt: skip
    fleet = Fleet(make_runs(*settings), CPU)
    list(train(fleet, small_splits))
    model, x = fleet.model, small_splits.pixels(small_splits.test.images).unsqueeze(0)
    model.open_epoch(2)
    for _ in range(100):  # until the running statistics are those of the test set
        model.train()(x)
    measured = Diagnostics(fleet, small_splits, small_splits.train)()
    assert measured["variance_shift_1"].item() == pytest.approx(1.0, abs=1e-6)  # no dropout there
    model.eval()
    hidden: list[Tensor] = []
    model(x, hidden)
    h, weight = hidden[0].double()[0], model.weights[1].detach().double()[0]
    off = (h @ weight).var(dim=0)
    # given h, the noise adds the variance p / (1 - p) h^2 w^2 of each unit
    on = off + (h.square().mean(dim=0) @ weight.square())
    assert measured["variance_shift_2"].item() == pytest.approx(
        (on.mean() / off.mean()).item(), rel=0.05
    )


def test_the_variance_shift_needs_a_normalization() -> None:
    with pytest.raises(ConfigError, match="no network here is normalized"):
        make_config("evaluation.diagnostics=variance_shift")
