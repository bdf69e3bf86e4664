"""Lesson ``ensemble``: numbers worked by hand, plain loops, and networks that break its checks."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import Asked, ensemble
from dropout_lab.lessons.draws import Replayed, chances, every_mask
from dropout_lab.lessons.ensemble import _Net, sampling
from dropout_lab.lessons.ensemble.sub_networks import enumerate_sub_networks
from dropout_lab.lessons.parts import Rows
from dropout_lab.lessons.training import fleet_of, settings, splits
from tests.lessons.conftest import failed_in
from tests.recorded import Forbidden

ASKED = Asked((0.5,), quick=True)


@pytest.fixture(scope="module")
def nets() -> dict[str, _Net]:
    images = splits(ASKED, train_size=500)
    wanted = {**ensemble._NETS, "tanh": (1, "tanh")}
    return {name: ensemble._net(0.3, *how, ASKED, images) for name, how in wanted.items()}


def three(nets: dict[str, _Net]) -> dict[str, _Net]:
    return {name: nets[name] for name in ensemble._NETS}


def test_four_sub_networks_by_hand() -> None:
    """At p = 0.5 kept units double: the odds of A are 1, 1/9, 3 and 3/9; on average sqrt(1/3)."""
    networks, means = (part for part in ensemble._two_units(0.5) if isinstance(part, Rows))
    assert [row[3] for row in networks.rows] == pytest.approx([0.5, 0.1, 0.75, 0.25])
    assert [row[2] for row in networks.rows] == [0.25] * 4
    of_a = 1 / (1 + math.sqrt(3))
    assert [row[1] for row in means.rows] == pytest.approx([0.4, of_a, of_a])


def test_the_chance_of_a_mask_by_hand() -> None:
    """P = 0.25: none kept 1/16, one 3/16, both 9/16."""
    assert every_mask(2).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert chances(every_mask(2), 0.25).tolist() == [1 / 16, 3 / 16, 3 / 16, 9 / 16]
    assert float(chances(every_mask(8), 0.3).sum()) == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("p", [1 / 65536, 0.25, 65535 / 65536])
def test_a_replayed_mask_is_the_one_the_layer_uses(p: float) -> None:
    masks = torch.tensor([[1, 0, 1], [0, 0, 1]], dtype=torch.float64)
    layer = InvertedDropout(p, noise=Replayed(masks))
    for mask in masks:
        out = layer(torch.ones(2, 3, dtype=torch.float64))
        assert torch.equal(out, (mask * (1 / (1 - layer.p))).expand(2, 3))
    with pytest.raises(TypeError, match="masks are replayed"):
        layer.noise.normal((2,), torch.device("cpu"))


def test_sub_networks_are_those_of_a_plain_loop(float64: None) -> None:
    """784-3-10 written out: a factor 0 or 1 / (1 - p) on each hidden unit."""
    fleet = fleet_of([settings({"model.hidden": (3,), "dropout.p": 0.25})], [4])
    model = fleet.model.double()
    layer = model.places()[1][0]
    layer.noise = before = Forbidden()
    x = torch.rand(1, 5, 784, generator=torch.Generator().manual_seed(1))
    found = enumerate_sub_networks(model, 1, x)
    assert layer.noise is before
    first, second = (weight.detach()[0] for weight in model.weights)
    h = (x[0] @ first).relu()
    arithmetic = torch.zeros(5, 10)
    for at, mask in enumerate(itertools.product((0, 1), repeat=3)):
        logits = (h * torch.tensor(mask) / 0.75) @ second
        torch.testing.assert_close(found.logits[at], logits)
        arithmetic += 0.75 ** sum(mask) * 0.25 ** (3 - sum(mask)) * logits.softmax(dim=1)
    torch.testing.assert_close(found.arithmetic, arithmetic)
    torch.testing.assert_close(found.weight_scaling, (h @ second).softmax(dim=1))
    torch.testing.assert_close(found.geometric, found.weight_scaling, rtol=0, atol=1e-12)


def test_all_holds_of_trained_networks(nets: dict[str, _Net]) -> None:
    relu = nets["ReLU layer"]
    assert failed_in([*ensemble._exact_or_not(three(nets))]) == []
    assert failed_in([*ensemble._jensen(relu), *ensemble._predictions(relu)]) == []


def test_a_layer_that_does_not_scale_breaks_what_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InvertedDropout, "kept_scale", lambda self, p: torch.ones_like(p))
    assert failed_in([*ensemble._two_units(0.5)]) == ["two units: geometric"]


@pytest.mark.parametrize(
    ("behind", "other", "check"),
    [
        ("softmax layer", "ReLU layer", "softmax layer: geometric"),
        ("linear layers", "ReLU layer", "linear: mean of outputs"),
        ("ReLU layer", "linear layers", "ReLU layer: not exact"),
    ],
)
def test_another_layer_behind_the_dropped_units_breaks_its_own_check(
    nets: dict[str, _Net], behind: str, other: str, check: str
) -> None:
    changed = {**three(nets), behind: nets[other]}
    assert failed_in([*ensemble._exact_or_not(changed)]) == [check]


def test_jensen_does_not_hold_where_the_units_are_not_convex(nets: dict[str, _Net]) -> None:
    assert failed_in([*ensemble._jensen(nets["tanh"])]) == ["E[relu] >= relu(E)"]


def test_a_mean_that_forgets_the_chances_of_the_masks_does_not_beat_its_members(
    nets: dict[str, _Net],
) -> None:
    net = nets["ReLU layer"]
    none_kept = torch.zeros(256, dtype=torch.float64)
    none_kept[0] = 1
    alone = replace(net.all, chance=none_kept)  # the worst of them
    members = net.of_label(net.all.log_p)
    assert ensemble._beats(net, alone.arithmetic.log()).passed is False
    assert ensemble._beats(net, net.all.arithmetic.log()).passed
    assert members.shape == (256, len(net.labels))


def test_the_expected_error_of_two_coins_by_hand() -> None:
    """Mean of two coins of 0 and 1: its squared error is 1/4 or 0, with the chance 1/2 each.

    Mean 1/8, variance 1/64; of 32 repeats of one image.
    """
    error = sampling._error(2, 0.2, torch.tensor([1 / 4]), torch.tensor([1 / 16]))
    assert error.expected == 1 / 8
    assert error.error == pytest.approx(math.sqrt(1 / 64 / 32))
    assert error.off == pytest.approx((0.2 - 0.125) * 8 * math.sqrt(32))


def test_draws_of_another_p_break_monte_carlo(
    nets: dict[str, _Net], monkeypatch: pytest.MonkeyPatch
) -> None:
    net = nets["ReLU layer"]

    def told() -> list[str]:
        found = sampling.monte_carlo(net.model, 1, net.x, net.labels, net.all, ASKED)
        return failed_in([*found.told()])

    assert told() == []
    net.model.places()[1][0].p = 0.7
    try:
        assert told() == ["Monte Carlo: 1 / sqrt(T)"]
    finally:
        net.model.places()[1][0].p = 0.3
    one_mask = itertools.repeat(torch.ones(8))
    monkeypatch.setattr(sampling, "noise", lambda seed: Replayed(one_mask))
    assert told() == ["Monte Carlo: 1 / sqrt(T)"]
