"""Training elsewhere than on the CPU: within an epoch the host never waits for the device."""

import signal
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_map

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.cli.progress import QuietProgress
from dropout_lab.config.grid import Run, single_cell, sweep_cells
from dropout_lab.data import Splits
from dropout_lab.errors import InterruptedStudyError
from dropout_lab.rng import FleetNoise, PhiloxNoise, Purpose, stream
from dropout_lab.study import Study, run_study
from dropout_lab.training import Epoch, Fleet, loop, train
from tests.conftest import make_config, make_sweep, with_variant
from tests.layers.cases import KINDS
from tests.pretended import DEVICE, Pretending, pretending

CPU = torch.device("cpu")
SLOW = pytest.mark.slow
SHORT = ("training.epochs=2", "dropout.p=0.25,0.4")


@pytest.fixture
def device(monkeypatch):
    with pretending(monkeypatch) as mode:
        yield mode


def waits_in_epochs(
    runs: Sequence[Run], splits: Splits, device: Pretending, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Train; return what would have made the host wait from the first batch of an epoch on."""
    waits: list[str] = []
    noisy, is_evaluated = loop.TrainingStepMetrics, loop.is_evaluated

    def begin(*arguments):
        device.waits.clear()
        return noisy(*arguments)

    def end(*arguments):
        waits.extend(device.waits)
        return is_evaluated(*arguments)

    monkeypatch.setattr(loop, "TrainingStepMetrics", begin)
    monkeypatch.setattr(loop, "is_evaluated", end)
    fleet = Fleet(runs, DEVICE)
    epochs = list(train(fleet, splits.to(DEVICE)))
    assert len(epochs) == runs[0].settings.training.epochs
    assert not fleet.diverged
    return sorted(set(waits))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[SLOW] * (name not in KINDS)) for name in CATALOGUE]
)
def test_no_variant_makes_the_host_wait(name, tiny_splits, device, monkeypatch) -> None:
    """The quick part tries one variant of each kind."""
    p = "0.25" if CATALOGUE[name].one_p or name == "none" else "0.25,0.4"
    runs = make_sweep(*SHORT, *with_variant(name), f"dropout.p={p}")
    assert {run.settings.dropout.variant for run in runs} == {name}
    assert waits_in_epochs(runs, tiny_splits, device, monkeypatch) == []


SETTINGS = {
    **{f"schedule {each}": [f"dropout.schedule={each}"]
       for each in ("linear", "cosine", "exponential", "annealed")},
    **{f"schedule {each}": [f"dropout.schedule={each}", "dropout.cutoff=1"]
       for each in ("early", "late", "step")},
    "stop_last": ["dropout.stop_last=1"],
    "one p for each place": ["dropout.p=[0,0.4,0.2]", "dropout.placement=all"],
    "schedule of weights": ["dropout.variant=gaussian_dropconnect", "dropout.schedule=linear"],
    "mask for a batch": ["dropout.mask=batch"],
    "noise before the activation": ["dropout.position=before"],
    **{f"loss {each}": [f"dropout.loss={each}"]
       for each in ("r_drop", "expectation_linear", "fraternal", "adversarial")},
    "l1": ["regularization.l1=0.002", "regularization.l1_from=2"],
    "l2": ["regularization.l2=0,0.1"],
    "max_norm": ["regularization.max_norm=null,0.8"],
    "max_norm of each matrix": ["regularization.max_norm=[1,null,0.8],0.8"],
    "falling noise, confidence penalty": [
        "regularization.input_noise=0.1", "regularization.input_noise_schedule=linear,constant",
        "regularization.confidence_penalty=0,0.1",
    ],
    "rmsprop": ["training.optimizer=rmsprop", "training.learning_rate=0.001,0.01"],
    "label_smoothing": ["regularization.label_smoothing=0.1"],
    "input_noise": ["regularization.input_noise=0,0.5"],
    "kl_sparsity": ["regularization.kl_sparsity=0.3"],
    "adam": ["training.optimizer=adam", "training.learning_rate=0.001,0.002"],
    "adamw": ["training.optimizer=adamw", "training.learning_rate=0.001"],
    "momentum": ["training.momentum_schedule=exponential", "training.momentum_updates=3",
                 "training.momentum=0.9", "training.start_momentum=0.5"],
    "learning rate": ["training.learning_rate_schedule=linear"],
    "maxout": ["model.activation=maxout", "model.pieces=2"],
    "diagnostics": ["evaluation.diagnostics=[activations,co_adaptation,gradients,noise]"],
    "early stopping": ["training.patience=1"],
    "averaged": ["training.average=exponential"],
    "last averaged": ["training.average=last", "training.average_epochs=1"],
}  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=list(SETTINGS))
def test_no_setting_makes_the_host_wait(settings, tiny_splits, device, monkeypatch) -> None:
    runs = make_sweep(*SHORT, *settings)
    assert waits_in_epochs(runs, tiny_splits, device, monkeypatch) == []


def trained(runs: Sequence[Run], splits: Splits) -> Fleet:
    fleet = Fleet(runs, DEVICE)
    list(train(fleet, splits.to(DEVICE)))
    return fleet


def parameters_of(fleet: Fleet) -> list[torch.Tensor]:
    return [parameter.detach().cpu() for parameter in fleet.model.parameters()]


class CounterNoise(FleetNoise):
    """What a fleet draws from elsewhere, on the CPU."""

    def open(self, epoch: int, purpose: Purpose | None = None) -> None:
        purpose = self.purpose if purpose is None else purpose
        first = [
            stream(purpose, seed, self.place, epoch).bit_generator.random_raw()
            for seed in self.seeds
        ]
        self._noise = PhiloxNoise(torch.from_numpy(np.array(first, np.uint64).view(np.int64)))


NOISY = ("dropout.placement=all", "regularization.input_noise=0.1")


@pytest.mark.parametrize("variant", ["inverted", "gaussian"])
def test_a_fleet_learns_there_what_it_learns_here_of_the_same_noise(
    variant, tiny_splits, monkeypatch
) -> None:
    runs = make_sweep(*SHORT, *NOISY, f"dropout.variant={variant}")
    with monkeypatch.context() as patch, pretending(patch):
        there = parameters_of(trained(runs, tiny_splits))
    monkeypatch.setattr("dropout_lab.model.FleetNoise", CounterNoise)
    monkeypatch.setattr("dropout_lab.training.regularizers.FleetNoise", CounterNoise)
    here = Fleet(runs, CPU)
    list(train(here, tiny_splits))
    for ours, theirs in zip(there, parameters_of(here), strict=True):
        assert torch.equal(ours, theirs)


def test_a_run_there_draws_the_same_alone_and_in_company(tiny_splits, device) -> None:
    """To rounding: products of several matrices may be added up in another order."""
    runs = make_sweep(*SHORT, *NOISY, seeds=(0, 1))
    together = parameters_of(trained(runs, tiny_splits))
    for index, run in enumerate(runs):
        alone = parameters_of(trained([run], tiny_splits))
        for ours, theirs in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[index], theirs[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_resumed_fleet_there_ends_with_the_same_bits(optimizer, tiny_splits, device) -> None:
    runs = make_sweep(*SHORT, *NOISY, f"training.optimizer={optimizer}")
    first, resumed = Fleet(runs, DEVICE), Fleet(runs, DEVICE)
    next(iter(train(first, tiny_splits.to(DEVICE))))
    resumed.restore(first.checkpoint())
    list(train(resumed, tiny_splits.to(DEVICE)))
    for ours, theirs in zip(
        parameters_of(resumed), parameters_of(trained(runs, tiny_splits)), strict=True
    ):
        assert torch.equal(ours, theirs)


MEASURED = (
    "evaluation.diagnostics=[activations,co_adaptation,gradients,noise]",
    "evaluation.inference=[mean,monte_carlo,geometric,ensemble]",
    "evaluation.at_end=[features,histograms,reliability,predictions]",
)


class StopsAfterAnEpoch(QuietProgress):
    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        signal.raise_signal(signal.SIGTERM)


class Listening(QuietProgress):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def warned(self, text: str) -> None:
        self.heard.append(text)


def moved(data: Any, to: torch.device) -> Any:
    return tree_map(lambda each: each.to(to) if isinstance(each, torch.Tensor) else each, data)


def keeps_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tensors there be saved as those here, and be loaded from them."""
    load, save = torch.load, torch.save
    monkeypatch.setattr(torch, "load", lambda file, to, **kwargs: moved(load(file, "cpu"), to))
    monkeypatch.setattr(torch, "save", lambda data, file: save(moved(data, CPU), file))


@pytest.mark.parametrize(
    "settings",
    [
        ["dropout.variant=inverted"],
        pytest.param(["dropout.variant=targeted_unit", "dropout.share=0.5"], marks=SLOW),
        pytest.param(["dropout.variant=concrete", "training.patience=1"], marks=SLOW),
        pytest.param(
            ["dropout.variant=gaussian_dropconnect", "evaluation.inference=[moment_matching]"],
            marks=SLOW,
        ),
    ],
    ids=["inverted", "targeted_unit", "concrete", "gaussian_dropconnect"],
)
def test_a_whole_study_runs_there(settings, tmp_path, device, monkeypatch) -> None:
    """From the data to the files, stopped after an epoch and gone on with."""
    keeps_files(monkeypatch)
    config = make_config(
        "training.epochs=2", "dropout.p=0.25,0.4", *MEASURED, *settings, sweep=True, seeds="2"
    )
    study = Study(
        config=config, cells=sweep_cells(config, baseline=False),
        out=tmp_path / "there", data_dir=tmp_path, device=DEVICE, save_models=True,
    )  # fmt: skip
    with pytest.raises(InterruptedStudyError):
        run_study(study, StopsAfterAnEpoch(), print)
    outcome = run_study(study, QuietProgress(), print)
    logs = [path.read_text() for path in study.out.rglob("log.txt")]
    assert not logs, logs[0]
    assert set(outcome.statuses.values()) == {"completed"}


def test_going_on_elsewhere_is_told(tmp_path, device, monkeypatch) -> None:
    keeps_files(monkeypatch)
    config = make_config("training.epochs=2", "dropout.p=0.4", seeds="2")
    study = Study(
        config=config, cells=single_cell(config),
        out=tmp_path / "here", data_dir=tmp_path, device=CPU,
    )  # fmt: skip
    with pytest.raises(InterruptedStudyError):
        run_study(study, StopsAfterAnEpoch(), print)
    listening = Listening()
    outcome = run_study(replace(study, device=DEVICE), listening, print)
    assert set(outcome.statuses.values()) == {"completed"}
    assert [text for text in listening.heard if "2 runs begun on cpu will resume on meta" in text]
    run_study(replace(study, device=CPU), again := Listening(), print)
    assert not again.heard  # all are finished: nothing goes on
