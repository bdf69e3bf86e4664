"""Diagnostics: their columns, that they cost the training nothing, and that they are paired."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.sections.evaluation import diagnostic_columns
from dropout_lab.data import Splits, draw_stratified
from dropout_lab.layers import VARIANTS, Dropout, InvertedDropout, UnitInputs
from dropout_lab.layers.noise_measurement import Claim, NoiseMeasurement, measure_noise
from dropout_lab.rng import Purpose, stream
from dropout_lab.training import Fleet, train
from dropout_lab.training import diagnostics as diagnostics_module
from dropout_lab.training.diagnostics import Diagnostics
from dropout_lab.training.gradients import compare_gradients, full_gradient
from dropout_lab.training.unit_statistics import accuracy_after_removal
from tests.conftest import assert_same_bits, make_runs, make_sweep, with_variant

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


NOISE = ("evaluation.diagnostics=[noise]", "training.epochs=2")


@pytest.mark.parametrize("variant", [name for name, kind in CATALOGUE.items() if kind.noisy])
def test_no_variant_is_marked(variant: str, small_splits: Splits) -> None:
    """In training, at every place it takes, on the activations that are really there.

    The noise of shakeout is c over the size of a weight where that is small: its mean is uncertain.
    So is noise that does not shrink with the weight.
    """
    gentle = ("training.learning_rate=0.01", "dropout.p=0.25")
    measured = ("evaluation.diagnostics=[noise]", "training.epochs=1")
    runs = make_runs(*with_variant(variant), *measured, *gentle, seeds=(0, 1))
    fleet = Fleet(runs, CPU)
    records = list(train(fleet, small_splits))[-1].records
    assert fleet.broken == {}
    additive = ("shakeout", "bayes_by_backprop", "stochastic_delta")
    if variant not in additive and not CATALOGUE[variant].biased:
        assert records[0].diagnostics["noise_mean_2"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("position", ["after", "before"])
def test_the_noise_measured_is_that_of_p(position: str, small_splits: Splits) -> None:
    """At p = 0.2: a keep rate of 0.8, and a variance of 0.2 / 0.8; within 5 standard errors.

    There are at least 6,400 coins: some unit is active in each of 100 examples, in 64 passes. The
    variance of (k / q - 1)^2 is p + p^4 / q^3 - (p / q)^2.
    """
    settings = ("dropout.p=0.2", f"dropout.position={position}", "dropout.placement=[2]")
    fleet = Fleet(make_runs(*NOISE, *settings), CPU)
    found = list(train(fleet, small_splits))[-1].records[0].diagnostics
    variances = {"keep_rate": 0.2 * 0.8, "noise_mean": 0.25}
    variances["noise_variance"] = 0.2 + 0.2**4 / 0.8**3 - 0.25**2
    for name, expected in (("keep_rate", 0.8), ("noise_mean", 1), ("noise_variance", 0.25)):
        error = math.sqrt(variances[name] / 6_400)
        assert found[f"{name}_2"] == pytest.approx(expected, abs=5 * error), name


class Forgetful(InvertedDropout):
    """Inverted dropout with the scaling forgotten."""

    def kept_scale(self, p: Tensor) -> Tensor:
        return torch.ones_like(p)


class Biased(InvertedDropout):
    """Drops a fifth more of what it should keep."""

    def constants(self, p: Tensor) -> tuple[Tensor, ...]:
        return super().constants(p + (1 - p) * 0.2)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Forgetful, "epoch 1, dropout at place 1: noise mean 0.5"),
        (Biased, "epoch 1, dropout at place 1: keep rate 0.3"),
    ],
)
def test_a_layer_that_does_something_else_marks_its_run(
    wrong: type[InvertedDropout],
    words: str,
    small_splits: Splits,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of two runs, also after a resume; a run at p = 0 beside it does what it says."""
    monkeypatch.setitem(VARIANTS, "inverted", wrong)
    fleet = Fleet(make_sweep(*NOISE, "dropout.p=0.0001,0.5", "dropout.variant=inverted"), CPU)
    list(train(fleet, small_splits))
    assert fleet.broken[1].startswith(words)
    resumed = Fleet(fleet.runs, CPU)
    resumed.restore(fleet.checkpoint())
    assert resumed.broken == fleet.broken


def test_gradients_are_those_of_20_batches_of_the_epoch(
    small_splits: Splits, float64: None
) -> None:
    """Of training examples, drawn from each run's seed; dropout on, save for that of the whole."""
    fleet = Fleet(make_runs("evaluation.diagnostics=[gradients]", seeds=(0, 1)), CPU)
    fleet.epoch, model, part = 3, fleet.model, small_splits.train
    measured = part[torch.arange(300)]
    found = Diagnostics(fleet, small_splits, measured)()
    draws = [stream(Purpose.DIAGNOSTICS, seed, 0, 3, 0) for seed in (0, 1)]
    batches = []
    for _ in range(20):
        picked = [torch.from_numpy(draw.choice(500, 64, replace=False)) for draw in draws]
        indices = torch.stack(picked)
        batches.append((small_splits.pixels(part.images[indices]), part.labels[indices]))
    whole = full_gradient(model.eval(), measured, small_splits)
    with model.noise_for(Purpose.DIAGNOSTICS, 3):
        expected = compare_gradients(model.train(), batches, whole)
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values)


def test_units_are_measured_on_the_test_part_with_dropout_off(small_splits: Splits) -> None:
    fleet = Fleet(make_runs("evaluation.diagnostics=[activations,co_adaptation]"), CPU)
    found = Diagnostics(fleet, small_splits, small_splits.train)()
    x = small_splits.pixels(small_splits.test.images).unsqueeze(0)
    h: list[Tensor] = []
    with torch.no_grad():
        fleet.model.eval()(x, h)
        removed = accuracy_after_removal(fleet.model, x, small_splits.test.labels, (0,), 25)
    assert found["mean_activation_1"].item() == pytest.approx(h[0].mean().item(), rel=1e-5)
    assert found["mean_activation_2"].item() == pytest.approx(h[1].mean().item(), rel=1e-5)
    assert found["removed_25_test_accuracy"].item() == pytest.approx(removed.item())


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_is_left_as_it_was(mode: bool, small_splits: Splits) -> None:
    fleet = Fleet(make_runs(EVERYTHING), CPU)
    fleet.model.train(mode)
    Diagnostics(fleet, small_splits, small_splits.train)()
    assert all(module.training == mode for module in fleet.model.modules())


@pytest.mark.parametrize(
    ("variant", "position"), [("standout", "after"), ("alpha", "after"), ("alpha", "before")]
)
def test_noise_is_measured_of_what_the_layer_is_given(
    variant: str, position: str, small_splits: Splits
) -> None:
    """Both depend on it: on the pre-activation, on the activation, on what is to be activated."""
    settings = ("model.activation=logistic", f"dropout.variant={variant}", "dropout.placement=[2]")
    fleet = Fleet(make_runs(*settings, f"dropout.position={position}", NOISE[0]), CPU)
    fleet.epoch, model = 3, fleet.model
    found = Diagnostics(fleet, small_splits, small_splits.train)()
    generator = stream(Purpose.DIAGNOSTICS, 0)
    test = small_splits.test
    chosen = torch.from_numpy(draw_stratified(test.labels.numpy(), 1_000, generator))[:100]
    h: list[Tensor] = []
    with torch.no_grad():
        model.eval()(small_splits.pixels(test.images[chosen]).unsqueeze(0), h)
        z = h[0] @ model.weights[1] + model.biases[1]
    layer, weight, _ = model.places()[2]
    with model.noise_for(Purpose.MEASURED_NOISE, 3):
        given = z if position == "before" else h[1]
        measured = measure_noise(layer, given, weight, UnitInputs(model.weights[1], z))
    for name, values in (("keep_rate", measured.keep_rate), ("noise_mean", measured.mean)):
        torch.testing.assert_close(found[f"{name}_2"], values, rtol=1e-4, atol=1e-6)


def test_a_claim_that_is_broken_once_only_marks_no_run(
    small_splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every two measurements of a place the first is 6 standard errors off."""
    errors = itertools.cycle((6.0, 0.0))

    def by_turns(layer: Dropout, measured: NoiseMeasurement) -> list[Claim]:
        return [Claim("noise mean", 0, 1 + next(errors), 1.0, 1.0)]

    monkeypatch.setattr(diagnostics_module, "compare_with_claims", by_turns)
    fleet = Fleet(make_runs(*NOISE), CPU)
    list(train(fleet, small_splits))
    assert fleet.broken == {}
