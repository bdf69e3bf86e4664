"""Adversarial dropout: by hand, inside its radius, worse than random masks, and in training."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from dropout_lab.data import Splits
from dropout_lab.errors import ConfigError
from dropout_lab.model import MLP
from dropout_lab.training import Fleet, train
from dropout_lab.training.adversarial import AdversarialPasses, kl_divergence, switch
from dropout_lab.training.explicit_regularizer import without_dropout
from dropout_lab.training.objective import Objective
from dropout_lab.training.replay import Recorder, Replay, noise_from
from tests.conftest import assert_same_bits, make_config, make_runs, make_sweep
from tests.conftest import resumed_after_an_epoch as resumed
from tests.training.test_objective import batch, last

CPU = torch.device("cpu")
LOSS = "dropout.loss=adversarial"
WIDE = "model.hidden=[40,40]"  # of which the default radius switches 2
DROPPED, KEPT = -(2**15), 2**15 - 1


def lanes_of(mask: tuple[int, ...]) -> Tensor:
    """Return lanes that draw this mask, for one run and one example."""
    return torch.tensor([[[KEPT if kept else DROPPED for kept in mask]]], dtype=torch.int16)


def tiny(*settings: str) -> MLP:
    """Return a network whose 4 hidden units are 1 and whose logits are (w h, 0)."""
    shape = ["dataset.name=two_moons", "model.hidden=[4]", *settings]
    model = Fleet(make_runs(LOSS, *shape), CPU).model
    with torch.no_grad():
        model.weights[0].zero_()
        model.biases[0].fill_(1)
        model.weights[1].zero_()
        model.weights[1][0, :, 0] = torch.tensor([1, 0.5, -0.25, 0.25])
    return model


def divergence_of(z: float, target: float = 1.5) -> float:
    """Return KL(P || Q) of two classes with the log odds ``target`` and ``z``."""
    p, q = 1 / (1 + math.exp(-target)), 1 / (1 + math.exp(-z))
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def test_four_units_by_hand_and_against_every_mask_in_the_ball(float64: None) -> None:
    """Of the sum w = 1.5 the mask 0110 at p = 1/2 leaves 2 (0.5 - 0.25) = 0.5, which is too little.

    So what lowers it most is the worst: to drop the second unit, to 2 (-0.25) = -0.5.
    """
    model = tiny()
    x = torch.zeros(1, 1, 2)
    layer = model.places()[1][0]
    layer.noise = Replay(layer.noise, lanes_of((0, 1, 1, 0)))
    logits, divergence = AdversarialPasses(model, 0.25)(x, [])
    assert float((logits[0, 0, 0] - logits[0, 0, 1]).detach()) == pytest.approx(0.5)
    assert float(divergence.detach()) == pytest.approx(divergence_of(-0.5))
    ball = [
        m for m in itertools.product((0, 1), repeat=4) if m[0] + (1 - m[1]) + (1 - m[2]) + m[3] < 2
    ]
    assert len(ball) == 5
    w = (1, 0.5, -0.25, 0.25)
    sums = [2 * sum(a * b for a, b in zip(w, mask, strict=True)) for mask in ball]
    assert float(divergence.detach()) == pytest.approx(max(map(divergence_of, sums)))


@pytest.mark.parametrize(
    ("variant", "left"), [("standard", 0.25 - 0.5), ("unscaled", 0.25 - 0.5), ("inverted", -0.5)]
)
def test_each_variant_scales_as_it_does(variant: str, left: float, float64: None) -> None:
    """The same flip; standard halves the target and unscaled leaves it, neither doubles units."""
    model = tiny(f"dropout.variant={variant}")
    layer = model.places()[1][0]
    layer.noise = Replay(layer.noise, lanes_of((0, 1, 1, 0)))
    _, divergence = AdversarialPasses(model, 0.25)(torch.zeros(1, 1, 2), [])
    target = 0.75 if variant == "standard" else 1.5
    assert float(divergence.detach()) == pytest.approx(divergence_of(left, target))


def test_the_largest_gains_are_switched_and_no_loss_is() -> None:
    """Kept units gain the negative slope: gains (3, -2, 1, 0.5, 0)."""
    lanes = torch.tensor([9, -9, 5, -5, 7], dtype=torch.int16)
    kept = torch.tensor([True, False, True, False, True])
    slope = torch.tensor([-3.0, -2.0, -1.0, 0.5, 0.0])
    for count, expected in (
        (0, [9, -9, 5, -5, 7]),
        (1, [DROPPED, -9, 5, -5, 7]),
        (2, [DROPPED, -9, DROPPED, -5, 7]),
        (3, [DROPPED, -9, DROPPED, KEPT, 7]),
        (5, [DROPPED, -9, DROPPED, KEPT, 7]),
    ):
        assert switch(lanes, kept, slope, count).tolist() == expected


def test_the_divergence_is_torchs(float64: None) -> None:
    target, logits = torch.randn(2, 5, 10), torch.randn(2, 5, 10)
    log_p, log_q = log_softmax(target, -1), log_softmax(logits, -1)
    for run in range(2):
        one = kl_div(log_q[run], log_p[run], reduction="batchmean", log_target=True)
        torch.testing.assert_close(kl_divergence(target, logits)[run], one)


def watch(model: MLP) -> dict[nn.Module, list[tuple[Tensor, Tensor, Tensor]]]:
    """Return a list, to be filled, of lanes, input and output of the two noisy passes."""
    seen: dict[nn.Module, list[tuple[Tensor, Tensor, Tensor]]] = {}

    def keep(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        noise = layer.noise
        if layer.training and isinstance(noise, Recorder | Replay):
            lanes = noise.drawn[0] if isinstance(noise, Recorder) else noise.lanes((), CPU)
            seen.setdefault(layer, []).append((lanes, given[0].detach(), output.detach()))

    for layer, _, _ in model.places():
        layer.register_forward_hook(keep)
    return seen


@pytest.mark.parametrize("mask", ["element", "batch"])
@pytest.mark.parametrize("position", ["before", "after"])
def test_the_masks_stay_inside_the_radius(mask: str, position: str) -> None:
    """A tenth of the units of each place, rounded down; a place with p = 0 drops nothing."""
    x, _ = batch()
    settings = ["dropout.placement=all", "dropout.p=[0.2,0,0.5]", f"dropout.position={position}"]
    fleet = Fleet(make_runs(LOSS, WIDE, f"dropout.mask={mask}", *settings), CPU)
    model = fleet.model
    model.open_epoch(1)
    seen = watch(model)
    AdversarialPasses(model, 0.1)(x, [])
    for place, (layer, _, _) in enumerate(model.places()):
        (first, units, output), (second, others, changed) = seen[layer]
        assert first.shape == (1, 1 if mask == "batch" else 6, units.shape[-1])
        if place == 1:
            assert torch.equal(units, output)
            assert torch.equal(others, changed)
            continue
        switched = int((first != second).sum(dim=-1).max())
        allowed = int(0.1 * units.shape[-1])
        if place == 0 or position == "after":
            assert switched == allowed
        else:  # fewer have a gain: ReLU has slope 0 at a dropped unit
            assert 0 < switched <= allowed
        threshold = -(2**15) + float(layer.p) * 2**16
        kept, kept_then = first >= threshold, second >= threshold
        assert torch.equal(kept != kept_then, first != second)
        assert torch.equal(changed != 0, (others != 0) & kept_then.expand_as(others))


def test_they_diverge_more_than_random_masks(
    small_splits: Splits,
) -> None:
    """On average over 20 draws, untrained and trained; with a larger radius, more so."""
    fleet = Fleet(make_runs("training.epochs=8", WIDE), CPU)
    x, _ = batch()
    for trained in (False, True):
        if trained:
            list(train(fleet, small_splits))
        model = fleet.model
        model.open_epoch(1)
        with torch.no_grad(), without_dropout(model):
            target = model(x)
        means = []
        for radius in (0.001, 0.05, 0.2):
            pairs = []
            for _ in range(20):
                logits, divergence = AdversarialPasses(model, radius)(x, [])
                pairs.append(
                    (float(kl_divergence(target, logits).detach()), float(divergence.detach()))
                )
            random, adversarial = torch.tensor(pairs).mean(dim=0).tolist()
            means.append(adversarial / random)
        assert means[0] == pytest.approx(1)  # less than one unit of each place
        assert 1.2 < means[1] < means[2]


def test_the_step_is_cross_entropy_plus_the_weighted_divergence(float64: None) -> None:
    """With the same masks as plain dropout, no further draws, and no gradient of the target."""
    x, labels = batch()
    fleet = Fleet(make_runs(LOSS, WIDE, "dropout.loss_weight=3", "dropout.placement=all"), CPU)
    model = fleet.model
    objective = Objective(model, fleet.settings.dropout, 500, fleet.regularizers)
    seen = watch(model)
    model.open_epoch(1)
    step = objective(x, labels, 0.0)
    next_logits = model(x)
    layers = [layer for layer, _, _ in model.places()]
    replays = [Replay(layer.noise, seen[layer][1][0]) for layer in layers]
    model.open_epoch(1)
    plain = Objective(model, make_config("dropout.placement=all").dropout, 500, fleet.regularizers)
    torch.testing.assert_close(plain(x, labels, 0.0).total, step.cross_entropy)
    torch.testing.assert_close(model(x), next_logits)
    with torch.no_grad(), without_dropout(model):
        target = model(x)
    with noise_from(layers, replays):
        term = 3 * kl_divergence(target, model(x))
    torch.testing.assert_close(step.dropout_loss, term)
    weights = [*model.weights]
    ours = torch.autograd.grad(step.dropout_loss.sum(), weights)
    for one, other in zip(ours, torch.autograd.grad(term.sum(), weights), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("extra", ["model.normalization=none", "model.normalization=batch"])
def test_a_fleet_is_its_runs_and_resumes_to_the_same_bits(
    extra: str, small_splits: Splits, float64: None
) -> None:
    settings = [LOSS, WIDE, extra, "dropout.p=0.25,0.4", "dropout.placement=all"]
    runs = make_sweep("training.epochs=2", *settings, seeds=(0, 1))
    fleet, other = resumed(runs, small_splits)
    assert_same_bits(fleet, other)
    alone = Fleet(runs[2:3], CPU)
    record = list(train(alone, small_splits))[-1].records[0]
    assert record.dropout_loss > 0
    for ours, theirs in zip(fleet.model.parameters(), alone.model.parameters(), strict=True):
        torch.testing.assert_close(ours[2], theirs[0], rtol=1e-9, atol=1e-11)


def test_only_random_masks_enter_the_running_statistics(float64: None) -> None:
    """They are those of one step of plain dropout."""
    x, labels = batch()
    statistics = []
    for loss in ("adversarial", "cross_entropy"):
        fleet = Fleet(make_runs(f"dropout.loss={loss}", WIDE, "model.normalization=batch"), CPU)
        fleet.model.open_epoch(1)
        Objective(fleet.model, fleet.settings.dropout, 500, fleet.regularizers)(x, labels, 0.0)
        statistics.append(list(fleet.model.normalizations.parameters()))
    assert statistics[0]
    for ours, theirs in zip(*statistics, strict=True):
        assert torch.equal(ours, theirs)


def test_a_large_weight_draws_the_passes_together(small_splits: Splits) -> None:
    measures = [
        last(small_splits, LOSS, WIDE, f"dropout.loss_weight={w}").records[0].dropout_loss / w
        for w in (0.01, 1.0)
    ]
    assert 0 < measures[1] < 0.8 * measures[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["dropout.variant=gaussian"], "which switches units on and off, but the variant is gauss"),
        (["dropout.variant=dropconnect"], "take inverted, standard, unscaled"),
        (["dropout.variant=batchwise"], "but the variant is batchwise"),
        (["dropout.variant=learned_bernoulli", "dropout.p=0.1"], "is learned_bernoulli"),
        (["dropout.variant=none"], "draws no noise"),
        (["dropout.p=0"], "p is 0 everywhere"),
        (["dropout.radius=0"], "dropout.radius is 0"),
        (["dropout.radius=1.5"], "dropout.radius is 1.5"),
        (["dropout.loss=r_drop", "dropout.radius=0.1"], "it is for loss adversarial"),
    ],
)
def test_what_it_cannot_do_is_refused(settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        make_config(LOSS, *settings)
    assert words in str(refusal.value)
