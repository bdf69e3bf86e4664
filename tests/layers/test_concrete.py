"""Concrete dropout by hand, its relaxed coin by quadrature, and its two regularizers."""

import math

import pytest
import torch

from dropout_lab.layers import ConcreteDropout
from tests.layers.cases import relaxed_coin
from tests.recorded import Recorded, lanes


def test_by_hand(float64: None) -> None:
    """P = 1/5, logit -log 4: at u = 4/5 both logits cancel, z = 1/2 and the noise is 0.5 / 0.8.

    At u = 0.5, z = sigmoid(-13.86) = 1e-6: kept, 1 / 0.8; at u = 0.95, z = sigmoid(15.6): dropped.
    A draw is the middle of its lane, up to 1e-5 away, which ten logits make 1e-3 at u = 4/5.
    """
    draws = lanes(0.5, 0.8, 0.95)
    y = ConcreteDropout(0.2, noise=Recorded(draws))(torch.tensor([2.0, 2.0, 2.0]))
    torch.testing.assert_close(y, torch.tensor([2.5, 1.25, 0.0]), rtol=1e-3, atol=1e-6)


def test_the_mean_is_kept_exactly_at_one_half_and_nearly_elsewhere() -> None:
    assert relaxed_coin(0.5, 1) == pytest.approx(1, abs=1e-9)
    # To second order in t, E[1 - z] - q = pi^2/6 t^2 p q (p - q): a thousandth of q at p = 0.1.
    for p in (0.1, 0.3, 0.8):
        second_order = math.pi**2 / 6 * 0.1**2 * p * (2 * p - 1)
        assert relaxed_coin(p, 1) - 1 == pytest.approx(second_order, rel=0.15)


def test_the_coin_is_a_coin_but_for_a_few_in_a_hundred() -> None:
    noise = ConcreteDropout(0.25)(torch.ones(10_000)) * 0.75
    between = ((noise > 0.05) & (noise < 0.95)).double().mean()
    assert 0 < float(between) < 0.15


def test_the_penalty_by_hand() -> None:
    """L = 2, W of six ones, p = 1/4: 4 * 6 / (3/4) - 3 H = 32 - 3 * 0.5623351 = 30.3129946.

    H = 0.25 log 4 + 0.75 log(4/3) = 0.3465736 + 0.2157616.
    """
    layer = ConcreteDropout(0.25, length_scale=2.0)
    penalty = layer.penalty(torch.ones(3, 2), 1.0).detach()
    torch.testing.assert_close(penalty, torch.tensor(30.3129946))
    assert torch.equal(layer.penalty(torch.ones(3, 2), 0.0).detach(), penalty)  # no warm-up


def test_the_entropy_draws_p_to_one_half_and_the_weights_draw_it_down(float64: None) -> None:
    """-K dH/dlogit = -K p q log(q/p) = -3 * 3/16 * log 3; l^2 |W|^2 d(1/q)/dlogit = 24 p/q."""
    weight = torch.ones(3, 2)
    for length_scale, slope in ((0.0, -9 / 16 * math.log(3)), (2.0, 8 - 9 / 16 * math.log(3))):
        layer = ConcreteDropout(0.25, length_scale=length_scale)
        layer.penalty(weight, 1.0).backward()
        assert float(layer.logit.grad) == pytest.approx(slope, rel=1e-12)


def test_the_penalty_belongs_to_each_run_and_grows_with_its_width() -> None:
    layer = ConcreteDropout(torch.tensor([0.25, 0.25]), length_scale=2.0)
    weight = torch.stack([torch.ones(3, 2), torch.zeros(3, 2)])
    penalty = layer.penalty(weight, 1.0).detach()
    torch.testing.assert_close(penalty, torch.tensor([30.3129946, -3 * 0.5623351]))
    wide = layer.penalty(torch.zeros(2, 300, 2), 1.0).detach()
    torch.testing.assert_close(wide, torch.full((2,), -300 * 0.5623351))


def test_the_current_p_is_the_learned_p() -> None:
    layer = ConcreteDropout(torch.tensor([0.1, 0.0]))
    with torch.no_grad():
        layer.logit.fill_(math.log(3))
    assert layer.p.tolist() == [pytest.approx(0.75), 0.0]  # where it starts at 0 it stays there
    noise = layer(torch.ones(2, 10_000))
    assert torch.equal(noise[1], torch.ones(10_000))
    assert float((noise[0] > 2).double().mean()) == pytest.approx(0.25, abs=0.03)


def test_setting_p_begins_anew_with_the_same_parameter() -> None:
    layer = ConcreteDropout(0.1)
    parameter = layer.logit
    layer.p = 0.5
    assert layer.logit is parameter
    assert float(parameter.detach()) == 0
    assert [name for name, _ in layer.named_parameters()] == ["logit"]
