"""Standout by hand, as standard dropout at slope 0, and where its coins look."""

import math

import pytest
import torch

from dropout_lab.layers import StandardDropout, StandoutDropout, UnitInputs
from tests.layers.cases import seeded
from tests.recorded import Recorded, lanes


def test_by_hand() -> None:
    """Slope 1 and p = 1/2 (beta 0): z = log 3 is kept with probability 3/4, z = -log 3 with 1/4."""
    z = math.log(3) * torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    at = {"weight": torch.eye(4), "bias": None, "entering": UnitInputs(torch.zeros(1, 4), z)}
    x = torch.tensor([[10.0, 20.0, 30.0, 40.0]])
    layer = StandoutDropout(0.5, noise=Recorded(lanes(0.24, 0.26, 0.74, 0.76)[None]))
    assert layer.connect(x, **at).tolist() == [[0.0, 20.0, 0.0, 40.0]]
    torch.testing.assert_close(
        layer.eval().connect(x, **at), torch.tensor([[7.5, 15.0, 7.5, 10.0]])
    )


def test_beta_and_slope_by_hand() -> None:
    """P = 1/4 is beta = log 3; slope 2 and z = log 3: q = 27 / 28, since e^(3 log 3) = 27."""
    layer = StandoutDropout(0.25, slope=2.0)
    q = layer.keep_probability(torch.tensor([0.0, math.log(3)]))
    torch.testing.assert_close(q, torch.tensor([3 / 4, 27 / 28]))


@pytest.mark.parametrize("p", [0.0, 0.125, 0.4, 0.5, 1.0])
def test_at_slope_0_it_is_standard_dropout(p: float) -> None:
    x = torch.randn(50, 40)
    ours = StandoutDropout(p, slope=0.0, noise=seeded())
    theirs = StandardDropout(p, noise=seeded())
    assert torch.equal(ours(x), theirs(x))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-4, atol=0)  # p is rounded


def test_alone_it_takes_its_input_for_the_pre_activation() -> None:
    x = torch.tensor([-20.0, 20.0]).repeat(1000)
    y = StandoutDropout(0.5)(x)  # q = e^-20 and 1 - e^-20
    assert not y[::2].any()
    assert torch.equal(y[1::2], x[1::2])
    connected = StandoutDropout(0.5).connect(x[None], torch.eye(2000), None)
    assert torch.equal(connected[0], y)


def test_the_pre_activation_and_not_the_unit_decides() -> None:
    x, z = torch.full((1, 1000), 20.0), torch.full((1, 1000), -20.0)
    layer = StandoutDropout(0.5)
    assert not layer.connect(x, torch.eye(1000), None, UnitInputs(torch.zeros(1, 1000), z)).any()


def test_the_coin_passes_no_gradient() -> None:
    x = torch.randn(3, 5, requires_grad=True)
    z = torch.randn(3, 5, requires_grad=True)
    y = StandoutDropout(0.5).connect(x, torch.eye(5), None, UnitInputs(torch.zeros(1, 5), z))
    to_x, to_z = torch.autograd.grad(y.sum(), (x, z), allow_unused=True)
    assert to_z is None
    assert set(to_x.unique().tolist()) == {0.0, 1.0}


def test_mask_batch_shares_the_draw_but_not_the_probability() -> None:
    z = torch.tensor([[-20.0], [20.0]]).expand(2, 30)
    y = StandoutDropout(0.5, mask="batch").connect(
        torch.ones(2, 30), torch.eye(30), None, UnitInputs(torch.zeros(1, 30), z)
    )
    assert torch.equal(y, torch.tensor([[0.0], [1.0]]).expand(2, 30))
