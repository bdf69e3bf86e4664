"""Lesson ``ensemble``: numbers worked by hand, plain loops, and networks that break its checks."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import LessonOptions, ensemble
from dropout_lab.lessons.draws import ReplayedMasks, all_masks, mask_probabilities
from dropout_lab.lessons.ensemble import experiment
from dropout_lab.lessons.ensemble.experiment import TrainedNetwork, enumerate_sub_networks
from dropout_lab.lessons.parts import Table
from dropout_lab.lessons.training import build_fleet, load_images, make_settings
from tests.lessons.conftest import failed_in
from tests.recorded import Forbidden

ASKED = LessonOptions((0.5,), quick=True)


@pytest.fixture(scope="module")
def nets() -> dict[str, TrainedNetwork]:
    images = load_images(ASKED, train_size=500)
    wanted = {**experiment.NETWORKS, "tanh": (1, "tanh")}
    return {
        name: experiment.train_network(0.3, *how, ASKED, images) for name, how in wanted.items()
    }


def three(nets: dict[str, TrainedNetwork]) -> dict[str, TrainedNetwork]:
    return {name: nets[name] for name in experiment.NETWORKS}


def test_four_sub_networks_by_hand() -> None:
    """At p = 0.5 kept units double: the odds of A are 1, 1/9, 3 and 3/9; on average sqrt(1/3)."""
    networks, means = (part for part in ensemble._show_two_units(0.5) if isinstance(part, Table))
    assert [row[3] for row in networks.rows] == pytest.approx([0.5, 0.1, 0.75, 0.25])
    assert [row[2] for row in networks.rows] == [0.25] * 4
    of_a = 1 / (1 + math.sqrt(3))
    assert [row[1] for row in means.rows] == pytest.approx([0.4, of_a, of_a])


def test_the_chance_of_a_mask_by_hand() -> None:
    """P = 0.25: none kept 1/16, one 3/16, both 9/16."""
    assert all_masks(2).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert mask_probabilities(all_masks(2), 0.25).tolist() == [1 / 16, 3 / 16, 3 / 16, 9 / 16]
    assert float(mask_probabilities(all_masks(8), 0.3).sum()) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("p", [1 / 65536, 0.25, 65535 / 65536])
def test_a_replayed_mask_is_the_one_the_layer_uses(p: float) -> None:
    masks = torch.tensor([[1, 0, 1], [0, 0, 1]], dtype=torch.float64)
    layer = InvertedDropout(p, noise=ReplayedMasks(masks))
    for mask in masks:
        out = layer(torch.ones(2, 3, dtype=torch.float64))
        assert torch.equal(out, (mask * (1 / (1 - layer.p))).expand(2, 3))
    with pytest.raises(TypeError, match="gives only masks"):
        layer.noise.normal((2,), torch.device("cpu"))


def test_sub_networks_are_those_of_a_plain_loop(float64: None) -> None:
    """784-3-10 written out: a factor 0 or 1 / (1 - p) on each hidden unit."""
    fleet = build_fleet([make_settings({"model.hidden": (3,), "dropout.p": 0.25})], [4])
    model = fleet.model.double()
    layer = model.places()[1][0]
    layer.noise = before = Forbidden()
    x = torch.rand(1, 5, 784, generator=torch.Generator().manual_seed(1))
    found = enumerate_sub_networks(model, 1, x)
    assert layer.noise is before
    first, second = (weight.detach()[0] for weight in model.weights)
    h = (x[0] @ first).relu()
    arithmetic = torch.zeros(5, 10)
    for index, mask in enumerate(itertools.product((0, 1), repeat=3)):
        logits = (h * torch.tensor(mask) / 0.75) @ second
        torch.testing.assert_close(found.logits[index], logits)
        arithmetic += 0.75 ** sum(mask) * 0.25 ** (3 - sum(mask)) * logits.softmax(dim=1)
    torch.testing.assert_close(found.arithmetic_mean, arithmetic)
    torch.testing.assert_close(found.weight_scaling, (h @ second).softmax(dim=1))
    torch.testing.assert_close(found.geometric_mean, found.weight_scaling, rtol=0, atol=1e-12)


def test_all_holds_of_trained_networks(nets: dict[str, TrainedNetwork]) -> None:
    relu = nets["ReLU layer"]
    assert failed_in([*ensemble._compare_means(three(nets))]) == []
    assert failed_in([*ensemble._show_jensen(relu), *ensemble._compare_predictions(relu)]) == []


def test_a_layer_that_does_not_scale_breaks_what_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InvertedDropout, "kept_scale", lambda self, p: torch.ones_like(p))
    assert failed_in([*ensemble._show_two_units(0.5)]) == ["two units: geometric"]


@pytest.mark.parametrize(
    ("behind", "other", "check"),
    [
        ("softmax layer", "ReLU layer", "softmax layer: geometric"),
        ("linear layers", "ReLU layer", "linear: mean of outputs"),
        ("ReLU layer", "linear layers", "ReLU layer: not exact"),
    ],
)
def test_another_layer_behind_the_dropped_units_breaks_its_own_check(
    nets: dict[str, TrainedNetwork], behind: str, other: str, check: str
) -> None:
    changed = {**three(nets), behind: nets[other]}
    assert failed_in([*ensemble._compare_means(changed)]) == [check]


def test_jensen_does_not_hold_where_the_units_are_not_convex(
    nets: dict[str, TrainedNetwork],
) -> None:
    assert failed_in([*ensemble._show_jensen(nets["tanh"])]) == ["E[relu] >= relu(E)"]


def test_a_mean_that_forgets_the_chances_of_the_masks_does_not_beat_its_members(
    nets: dict[str, TrainedNetwork],
) -> None:
    net = nets["ReLU layer"]
    none_kept = torch.zeros(256, dtype=torch.float64)
    none_kept[0] = 1
    alone = replace(net.sub_networks, mask_probabilities=none_kept)  # the worst of them
    members = net.select_label(net.sub_networks.log_probabilities)
    assert ensemble._compare_with_members(net, alone.arithmetic_mean.log()).passed is False
    assert ensemble._compare_with_members(net, net.sub_networks.arithmetic_mean.log()).passed
    assert members.shape == (256, len(net.labels))


def test_the_expected_error_of_two_coins_by_hand() -> None:
    """Mean of two coins of 0 and 1: its squared error is 1/4 or 0, with the chance 1/2 each.

    Mean 1/8, variance 1/64; of 32 repeats of one image.
    """
    error = experiment.make_error(2, 0.2, torch.tensor([1 / 4]), torch.tensor([1 / 16]))
    assert error.expected == 1 / 8
    assert error.standard_error == pytest.approx(math.sqrt(1 / 64 / 32))
    assert error.z_score == pytest.approx((0.2 - 0.125) * 8 * math.sqrt(32))


def test_draws_of_another_p_break_monte_carlo(
    nets: dict[str, TrainedNetwork], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = nets["ReLU layer"]

    def told() -> list[str]:
        found = experiment.run_monte_carlo(net.model, 1, net.x, net.labels, net.sub_networks, ASKED)
        return failed_in([*ensemble._show_monte_carlo(found)])

    assert told() == []
    net.model.places()[1][0].p = 0.7
    try:
        assert told() == ["Monte Carlo: 1 / sqrt(T)"]
    finally:
        net.model.places()[1][0].p = 0.3
    one_mask = itertools.repeat(torch.ones(8))
    monkeypatch.setattr(experiment, "noise_source", lambda seed: ReplayedMasks(one_mask))
    assert told() == ["Monte Carlo: 1 / sqrt(T)"]
