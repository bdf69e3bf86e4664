"""Input noise, label smoothing and KL-sparsity: by hand, by their laws, in company and resumed."""

import math
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import pytest
import torch
from torch.distributions import Categorical
from torch.nn.functional import cross_entropy

from dropout_lab.config.schema import Settings
from dropout_lab.data import Splits
from dropout_lab.folder.checkpoint import read_content, save_checkpoints, usable_checkpoints
from dropout_lab.model import MLP
from dropout_lab.rng import FleetNoise
from dropout_lab.study import pack
from dropout_lab.study.machine import this_machine
from dropout_lab.training import Fleet, train
from dropout_lab.training.objective import Objective, TrainingStepMetrics
from dropout_lab.training.regularizers import (
    InputNoise,
    KLSparsity,
    Regularizers,
    confidence_penalty,
    label_smoothing_loss,
)
from tests.conftest import assert_same_bits, make_runs, make_sweep, resumed_after_an_epoch

CPU = torch.device("cpu")


def sparsity(*settings: str) -> KLSparsity:
    """Return the pull on one hidden unit, of strength 2 to 0.1 with damping 0.9 unless changed."""
    runs = make_runs("model.hidden=[1]", "regularization.kl_sparsity=2", *settings)
    return KLSparsity([run.settings for run in runs], CPU)


def pull_on(term: KLSparsity, *activations: float) -> list[float]:
    """Return the gradient for each example's activation of the unit in a batch."""
    a = torch.tensor(activations).view(1, -1, 1).requires_grad_()
    term([a]).sum().backward()
    assert a.grad is not None
    return a.grad.flatten().tolist()


def test_kl_sparsity_of_logistic_units_by_hand(float64: None) -> None:
    """Means 0.3 and 0.5: m = 0.09 + 0.03 = 0.12, then 0.108 + 0.05 = 0.158; 2 (m - 0.1) / d / n."""
    term = sparsity("model.activation=logistic")
    first = 2 * 0.02 / (0.12 * 0.88) / 2
    assert pull_on(term, 0.2, 0.4) == pytest.approx([first, first], rel=1e-12)
    second = 2 * 0.058 / (0.158 * 0.842) / 4
    assert pull_on(term, 0.1, 0.9, 0.4, 0.6) == pytest.approx([second] * 4, rel=1e-12)


def test_kl_sparsity_of_other_units_by_hand(float64: None) -> None:
    """Target 0.5, damping 0.75, means 2 and 0: m = 0.375 + 0.5 = 0.875, then 0.65625; d = 1."""
    term = sparsity(
        "regularization.kl_sparsity_target=0.5", "regularization.kl_sparsity_damping=0.75"
    )
    assert pull_on(term, 4.0, 0.0) == pytest.approx([2 * 0.375 / 2] * 2, rel=1e-12)
    assert pull_on(term, 0.0, 0.0) == pytest.approx([2 * 0.15625 / 2] * 2, rel=1e-12)


def test_without_damping_it_is_the_gradient_of_the_kl_divergence(float64: None) -> None:
    """Against finite differences of rho log(rho/m) + (1 - rho) log((1 - rho)/(1 - m))."""

    def kl(m: float) -> float:
        return 0.1 * math.log(0.1 / m) + 0.9 * math.log(0.9 / (1 - m))

    term = sparsity("model.activation=logistic", "regularization.kl_sparsity_damping=0")
    for m in (0.02, 0.3, 0.95):
        slope = (kl(m + 1e-6) - kl(m - 1e-6)) / 2e-6
        assert pull_on(term, m) == pytest.approx([2 * slope], rel=1e-6)


def test_at_the_start_units_at_their_target_are_left_alone(float64: None) -> None:
    assert pull_on(sparsity("model.activation=logistic"), 0.05, 0.15) == pytest.approx([0, 0])


@pytest.mark.parametrize("activation", [0.0, 1.0])
def test_a_saturated_unit_has_a_finite_pull(activation: float) -> None:
    term = sparsity("model.activation=logistic", "regularization.kl_sparsity_damping=0")
    assert all(math.isfinite(value) for value in pull_on(term, activation, activation))


def test_kl_sparsity_draws_the_means_to_its_target(small_splits: Splits) -> None:
    settings = ["model.activation=logistic", "training.optimizer=adam", "training.epochs=15"]
    settings += ["dropout.variant=none", "training.learning_rate=0.01"]
    distances = []
    for strength in (0, 0.3):
        fleet = Fleet(make_runs(*settings, f"regularization.kl_sparsity={strength}"), CPU)
        list(train(fleet, small_splits))
        hidden: list[torch.Tensor] = []
        fleet.model.eval()(small_splits.pixels(small_splits.train.images)[None], hidden)
        means = torch.cat([h.detach().mean(dim=1).flatten() for h in hidden])
        distances.append(float((means - 0.1).abs().mean()))
    assert distances[1] < distances[0] / 3


def made(*settings: str) -> tuple[MLP, Objective]:
    fleet = Fleet(make_runs(*settings), CPU)
    objective = Objective(fleet.model, fleet.settings.dropout, 500, fleet.regularizers)
    objective.open_epoch(1)
    return fleet.model, objective


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(1, 6, 784, generator=generator)
    return x, torch.randint(10, (1, 6), generator=generator)


def test_smoothing_of_two_classes_by_hand(float64: None) -> None:
    """P = (3/4, 1/4), label 0: the mean of -log p over the classes less that of the label."""
    logits = torch.tensor([0.75, 0.25]).log().view(1, 1, 2)
    expected = (-math.log(0.75) - math.log(0.25)) / 2 + math.log(0.75)
    assert float(label_smoothing_loss(logits, torch.tensor([[0]]))) == pytest.approx(
        expected, rel=1e-12
    )


@pytest.mark.parametrize("loss", ["cross_entropy", "r_drop", "expectation_linear"])
def test_label_smoothing_against_torch_and_only_in_what_is_minimized(
    loss: str, float64: None
) -> None:
    x, labels = batch()
    model, objective = made("regularization.label_smoothing=0.3", f"dropout.loss={loss}")
    step = objective(x, labels, 0.0)
    model.open_epoch(1)
    passes = [model(x), model(x)] if loss == "r_drop" else [model(x)]
    plain = sum(cross_entropy(p[0], labels[0]) for p in passes) / len(passes)
    smooth = sum(cross_entropy(p[0], labels[0], label_smoothing=0.3) for p in passes) / len(passes)
    torch.testing.assert_close(step.cross_entropy[0], plain)
    added = 0.0 if step.dropout_loss is None else step.dropout_loss[0].detach()
    torch.testing.assert_close(step.total[0], smooth + added)
    noisy = TrainingStepMetrics(1, CPU)
    noisy.add(step, labels)
    assert float(noisy.loss) == pytest.approx(float(plain.detach()), rel=1e-6)
    assert float(noisy.dropout_loss) == pytest.approx(float(added), rel=1e-6)


def test_the_confidence_penalty_of_two_classes_by_hand(float64: None) -> None:
    """P = (3/4, 1/4): sum p log p, with the gradient p_k (log p_k - sum p log p)."""
    logits = torch.tensor([0.75, 0.25]).log().view(1, 1, 2).requires_grad_()
    value = 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    found = confidence_penalty(logits)
    assert float(found.detach()) == pytest.approx(value, rel=1e-12)
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    expected = [p * (math.log(p) - value) for p in (0.75, 0.25)]
    assert gradient.flatten().tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("lowest", [-200.0, -1e5, -3e38, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_class_of_probability_zero_adds_nothing_and_has_no_gradient(
    lowest: float, dtype: torch.dtype
) -> None:
    """The two other classes have 3/4 and 1/4, and keep their gradients."""
    plain = torch.tensor([0.75, 0.25], dtype=dtype).log()
    logits = torch.cat([plain, torch.tensor([lowest], dtype=dtype)]).view(1, 1, 3)
    logits.requires_grad_()
    found = confidence_penalty(logits)
    value = 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    assert float(found.detach()) == pytest.approx(value, rel=1e-6)
    (gradient,) = torch.autograd.grad(1000 * found.sum(), logits)
    expected = [1000 * p * (math.log(p) - value) for p in (0.75, 0.25)]
    assert gradient.flatten().tolist() == pytest.approx([*expected, 0], rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "r_drop"])
def test_the_confidence_penalty_is_only_in_what_is_minimized(loss: str, float64: None) -> None:
    """Against torch's entropy of a categorical distribution."""
    x, labels = batch()
    model, objective = made("regularization.confidence_penalty=0.7", f"dropout.loss={loss}")
    step = objective(x, labels, 0.0)
    model.open_epoch(1)
    passes = [model(x), model(x)] if loss == "r_drop" else [model(x)]
    plain = sum(cross_entropy(p[0], labels[0]) for p in passes) / len(passes)
    entropy = sum(Categorical(logits=p[0]).entropy().mean() for p in passes) / len(passes)
    torch.testing.assert_close(step.cross_entropy[0], plain)
    added = 0.0 if step.dropout_loss is None else step.dropout_loss[0].detach()
    torch.testing.assert_close(step.total[0], plain - 0.7 * entropy + added)
    noisy = TrainingStepMetrics(1, CPU)
    noisy.add(step, labels)
    assert float(noisy.loss) == pytest.approx(float(plain.detach()), rel=1e-6)
    assert float(noisy.dropout_loss) == pytest.approx(float(added), rel=1e-6)


def test_nothing_asked_for_adds_nothing() -> None:
    x, labels = batch()
    assert made()[1](x, labels, 0.0).regularization is None


def input_noise(
    deviations: Sequence[float], seeds: Sequence[int], schedules: Sequence[str | None] = ()
) -> InputNoise:
    """Return the noise of runs with these standard deviations, constant unless a schedule says."""
    settings = []
    for deviation, schedule in zip_longest(deviations, schedules):
        section = {"input_noise": deviation, "input_noise_schedule": schedule}
        settings.append(Settings.model_validate({"regularization": section}))
    return InputNoise(settings, seeds, CPU)


def test_input_noise_falls_evenly_to_zero_in_the_runs_that_ask_for_it(float64: None) -> None:
    """The same draws at the shares 0, 1/4 and 1: 2, 1.5 and 0 times them, beside a constant 2."""
    noise = input_noise((2.0, 2.0, 0.0), (3, 3, 3), ("linear", "constant", "linear"))
    x = torch.rand(3, 4, 784)
    added = []
    for progress in (0.0, 0.25, 1.0):
        noise.open(1)
        added.append(noise(x, progress) - x)
    for found, factor in zip(added, (1, 0.75, 0), strict=True):
        torch.testing.assert_close(found[0], factor * added[0][1], rtol=0, atol=1e-12)
        assert torch.equal(found[1], added[0][1])
        assert not found[2].any()
    assert float(added[0][0].std()) == pytest.approx(2, rel=0.1)


def test_input_noise_is_normal_with_the_deviation_of_its_run() -> None:
    """Mean, variance and share beyond one s.d. within 5 standard errors of n = 784,000 draws."""
    noise = input_noise((0.1, 2.0), (0, 1))
    noise.open(1)
    drawn = noise(torch.zeros(2, 1000, 784), 0.5).double()
    n = 784_000
    for run, deviation in enumerate((0.1, 2.0)):
        z = drawn[run].flatten() / deviation
        assert abs(float(z.mean())) < 5 / n**0.5
        assert abs(float(z.var()) - 1) < 5 * (2 / n) ** 0.5
        beyond = math.erfc(1 / 2**0.5)
        share = float((z.abs() > 1).double().mean())
        assert abs(share - beyond) < 5 * (beyond * (1 - beyond) / n) ** 0.5
    correlation = float((drawn[0] / 0.1 * drawn[1] / 2).mean())
    assert abs(correlation) < 5 / n**0.5


def test_input_noise_follows_seed_and_epoch_and_company_changes_no_draw() -> None:
    x = torch.rand(1, 4, 784)

    def noisy(seeds: list[int], epoch: int) -> torch.Tensor:
        noise = input_noise([0.5] * len(seeds), seeds)
        noise.open(epoch)
        return noise(x, 0.0)

    both = noisy([3, 4], 1)
    assert torch.equal(both[1], noisy([4], 1)[0])
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(noisy([4], 1), noisy([4], 2))
    assert torch.equal(noisy([4], 2), noisy([4], 2))


def test_input_noise_of_zero_changes_no_bit_in_any_company() -> None:
    noise = input_noise((0.0, 0.5), (0, 1))
    noise.open(1)
    x = torch.randn(2, 4, 784)
    found = noise(x, 0.0)
    assert torch.equal(found[0], x[0])
    assert not torch.equal(found[1], x[1])


def test_input_noise_touches_neither_masks_nor_order(small_splits: Splits, float64: None) -> None:
    """Next to no noise gives next to the same weights: another mask or order would show."""
    weights = []
    for deviation in ("0", "1e-12"):
        settings = ["training.epochs=2", "dropout.placement=all"]
        fleet = Fleet(make_runs(*settings, f"regularization.input_noise={deviation}"), CPU)
        list(train(fleet, small_splits))
        weights.append([w.detach() for w in fleet.model.weights])
    for ours, theirs in zip(*weights, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8)
        assert not torch.equal(ours, theirs)


@pytest.mark.parametrize("loss", ["r_drop", "fraternal", "expectation_linear"])
def test_both_passes_see_the_same_noisy_input(loss: str) -> None:
    x, labels = batch()
    model, objective = made("regularization.input_noise=0.5", f"dropout.loss={loss}")
    seen: list[torch.Tensor] = []
    model.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    objective(x, labels, 0.0)
    assert len(seen) == 2
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], x)


def test_evaluation_sees_no_input_noise_and_plain_labels(small_splits: Splits) -> None:
    """The clean columns are those of the trained weights alone."""
    settings = ["regularization.input_noise=0.5", "regularization.label_smoothing=0.5"]
    fleet = Fleet(make_runs("training.epochs=1", *settings), CPU)
    record = next(iter(train(fleet, small_splits))).records[0]
    logits = fleet.model.eval()(small_splits.pixels(small_splits.test.images)[None])[0]
    plain = float(cross_entropy(logits, small_splits.test.labels).detach())
    assert record.test_loss == pytest.approx(plain, rel=1e-6)


MIXED = {
    "l1": ["l1=0,0.002", "l1_from=5"],
    "l1_from": ["l1=0.002", "l1_from=0,5"],
    "max_norm": ["max_norm=null,0.8", "max_norm_on=hidden"],
    "max_squared_norm": ["max_squared_norm=null,0.7"],
    "bounds of each matrix": ["max_norm=[1.2,null,0.7],[0.8,0.9,null]"],
    "max_norm_on": ["max_norm=0.8", "max_norm_on=hidden,all"],
    "kl_sparsity": ["kl_sparsity=0,0.2", "kl_sparsity_target=0.3"],
    "kl_sparsity_target": ["kl_sparsity=0.2", "kl_sparsity_target=0.05,0.3"],
    "label_smoothing": ["label_smoothing=0,0.2"],
    "input_noise": ["input_noise=0,0.3"],
    "input_noise_schedule": ["input_noise=1", "input_noise_schedule=constant,linear"],
    "confidence_penalty": ["confidence_penalty=0,0.5"],
    "learning_rate": [
        "training.learning_rate=0.02,0.05", "training.learning_rate_schedule=inverse_time",
        "training.learning_rate_updates=4", "training.momentum_schedule=linear",
        "training.start_momentum=0.2", "training.momentum_epochs=1",
    ],
    "rmsprop": ["training.optimizer=rmsprop", "training.learning_rate=0.001,0.005"],
    "cosine": ["training.learning_rate=0.02,0.05", "training.learning_rate_schedule=cosine"],
    "one_cycle": [
        "training.learning_rate=0.02,0.05", "training.learning_rate_schedule=one_cycle",
        "training.warmup=0.5",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
def test_a_run_in_a_mixed_fleet_is_that_run_alone(
    name: str, small_splits: Splits, float64: None
) -> None:
    settings = [s if "." in s.partition("=")[0] else f"regularization.{s}" for s in MIXED[name]]
    runs = make_sweep("training.epochs=2", "dropout.p=0.5", *settings)
    (fleet,) = pack(runs, this_machine(CPU))
    together = Fleet(fleet, CPU)
    list(train(together, small_splits))
    assert len(fleet) == 2
    for index, run in enumerate(fleet):
        alone = Fleet([run], CPU)
        list(train(alone, small_splits))
        for ours, theirs in zip(together.model.parameters(), alone.model.parameters(), strict=True):
            torch.testing.assert_close(ours[index], theirs[0], rtol=1e-9, atol=1e-11)
    first, second = together.model.weights[0].detach()
    assert float((first - second).abs().max()) > 1e-4


STATEFUL = {
    "momentum ramp": [
        "training.momentum_schedule=linear", "training.start_momentum=0.3",
        "training.momentum_epochs=2", "training.dampening=true",
        "training.learning_rate_schedule=exponential", "training.learning_rate_decay=0.5",
    ],
    "deepnet": [
        "training.momentum_schedule=exponential", "training.start_momentum=0.0",
        "training.momentum_updates=10", "training.learning_rate_schedule=inverse_time",
        "training.learning_rate_updates=10", "regularization.max_squared_norm=1",
    ],
    "running means": ["model.activation=logistic", "regularization.kl_sparsity=0,0.3"],
    "input noise": ["regularization.input_noise=0,0.3", "regularization.label_smoothing=0.1"],
    "adam": [
        "training.optimizer=adam", "training.learning_rate=0.001,0.01",
        "training.learning_rate_schedule=linear", "regularization.l1=0.001",
        "regularization.l1_from=12",
    ],
    "steps": [
        "training.learning_rate_schedule=steps", "training.learning_rate_steps=[1,1]",
        "training.learning_rate_factors=[1,0.1]", "training.nesterov=true",
    ],
    "rmsprop": ["training.optimizer=rmsprop", "training.learning_rate=0.001,0.01"],
    "bounds of each matrix": ["regularization.max_squared_norm=[1.2,null,0.7],0.9"],
    "falling noise, confidence penalty": [
        "regularization.input_noise=1", "regularization.input_noise_schedule=linear,constant",
        "regularization.confidence_penalty=0.3",
    ],
    "uniform weights": ["model.init=uniform", "model.init_range=[0.05,0.2,0]"],
    "cosine": ["training.learning_rate_schedule=cosine", "training.warmup=1.5"],
    "one_cycle": ["training.learning_rate_schedule=one_cycle"],
}  # fmt: skip


@pytest.mark.parametrize("name", STATEFUL)
def test_a_resumed_fleet_goes_on_to_the_same_bits(name: str, small_splits: Splits) -> None:
    runs = make_sweep("training.epochs=3", "dropout.p=0.5", *STATEFUL[name], seeds=(0, 1))
    undisturbed, resumed = resumed_after_an_epoch(runs, small_splits)
    assert_same_bits(undisturbed, resumed)


def test_running_means_come_back_from_disk(small_splits: Splits, tmp_path: Path) -> None:
    runs = make_sweep("training.epochs=2", "dropout.p=0.5", "regularization.kl_sparsity=0,0.3")
    first, resumed = Fleet(runs, CPU), Fleet(runs, CPU)
    next(iter(train(first, small_splits)))
    folders = [tmp_path / run.run_id for run in runs]
    save_checkpoints(folders, first.checkpoint())
    paths, _ = usable_checkpoints(folders, print)
    assert len(paths) == len(runs)
    resumed.restore([read_content(path.read_bytes(), path.parent.name, CPU) for path in paths])
    ours, theirs = first.regularizers.sparsity, resumed.regularizers.sparsity
    assert ours is not None
    assert theirs is not None
    assert all(torch.equal(a, b) for a, b in zip(ours.means, theirs.means, strict=True))
    assert all((means != 0.1).any() for means in theirs.means)


def test_a_checkpoint_from_before_there_were_running_means_is_taken_up(
    small_splits: Splits,
) -> None:
    runs = make_runs("training.epochs=2")
    undisturbed, first, resumed = (Fleet(runs, CPU) for _ in range(3))
    list(train(undisturbed, small_splits))
    next(iter(train(first, small_splits)))
    checkpoints = first.checkpoint()
    for checkpoint in checkpoints:
        del checkpoint["running_means"]
    resumed.restore(checkpoints)
    list(train(resumed, small_splits))
    assert_same_bits(undisturbed, resumed)


def test_a_fleet_without_them_has_no_regularizer_at_work() -> None:
    runs = make_sweep("dropout.p=0.5", "regularization.l2=0,0.1")
    none = Regularizers([run.settings for run in runs], [0, 0], CPU)
    assert (none.noise, none.smoothing, none.confidence, none.sparsity) == (None,) * 4


def test_input_noise_has_a_stream_beside_that_of_the_masks() -> None:
    noise, masks = input_noise([1.0], [4]), FleetNoise([4], 0, CPU)
    noise.open(1)
    masks.open(1)
    assert not torch.equal(noise(torch.zeros(1, 2, 784), 0.0), masks.normal((1, 2, 784), CPU))


def test_each_epoch_has_input_noise_of_its_own() -> None:
    model, objective = made("regularization.input_noise=0.5")
    seen: list[torch.Tensor] = []
    model.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    for epoch in (1, 2, 1):
        objective.open_epoch(epoch)
        objective(*batch(), 0.0)
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])
