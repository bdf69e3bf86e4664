"""Laws that hold for every unit variant of VARIANTS; what is peculiar to one has its own file."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from dropout_lab.layers import VARIANTS, Dropout, UnitDropout
from dropout_lab.layers.base import BernoulliDropout
from dropout_lab.noise import FleetNoise, TorchNoise
from tests.recorded import Forbidden, Recorded

UNIT = {name: kind for name, kind in VARIANTS.items() if issubclass(kind, UnitDropout)}
NOISY = {name: kind for name, kind in UNIT.items() if name != "none"}
CPU = torch.device("cpu")

unit = pytest.mark.parametrize("variant", UNIT.values(), ids=list(UNIT))
noisy = pytest.mark.parametrize("variant", NOISY.values(), ids=list(NOISY))
every = pytest.mark.parametrize("variant", VARIANTS.values(), ids=list(VARIANTS))


def draws_for(variant: type[Dropout], shape: tuple[int, ...]) -> Tensor:
    if issubclass(variant, BernoulliDropout):
        return TorchNoise().lanes(shape, CPU)
    return TorchNoise().normal(shape, CPU)


@unit
@pytest.mark.parametrize("shape", [(5,), (4, 7), (2, 3, 4, 5)])
def test_p_zero_changes_no_bit(variant: type[UnitDropout], shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    x.view(-1)[0] = -0.0
    y = variant(0.0)(x)
    assert torch.equal(y.view(torch.int32), x.view(torch.int32))


@noisy
def test_the_highest_p_has_a_finite_gradient(variant: type[UnitDropout]) -> None:
    x = torch.randn(4, 7, requires_grad=True)
    y = variant(variant.highest_p)(x)
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("name", ["inverted", "standard", "unscaled"])
def test_p_one_drops_everything(name: str) -> None:
    x = torch.randn(50, 70, requires_grad=True)
    layer = UNIT[name](1.0)
    # The lowest and the highest lane are the ones a threshold might get wrong.
    layer.noise = Recorded(torch.full((50, 70), 2**15 - 1, dtype=torch.int16))
    y = layer(x)
    y.sum().backward()
    assert torch.equal(y, torch.zeros_like(y))
    assert torch.equal(x.grad, torch.zeros_like(x))


@every
@pytest.mark.parametrize("p", [-0.1, 1.5, math.nan, math.inf])
def test_p_outside_its_range_is_refused_at_construction(variant: type[Dropout], p: float) -> None:
    with pytest.raises(ValueError, match=r"a drop probability lies in \[0, 1\]"):
        variant(p)


@every
def test_p_may_be_set_later_and_is_checked_then(variant: type[Dropout]) -> None:
    layer = variant(0.0)
    layer.p = 0.5
    assert float(layer.p) == 0.5
    with pytest.raises(ValueError, match="drop probability"):
        layer.p = 2.0


@noisy
def test_setting_p_takes_effect_at_once(variant: type[UnitDropout]) -> None:
    x, draws = torch.randn(6, 8), draws_for(variant, (6, 8))
    layer = variant(0.0, noise=Recorded(draws, draws))
    before = layer(x)
    layer.p = 0.75
    assert torch.equal(before, x)
    assert torch.equal(layer(x), variant(0.75, noise=Recorded(draws))(x))


@unit
def test_evaluation_never_draws(variant: type[UnitDropout]) -> None:
    layer = variant(0.5, noise=Forbidden()).eval()
    x = torch.randn(4, 7)
    assert torch.equal(layer(x), layer(x))
    assert not layer.training  # asking for the mode does not switch it


@noisy
def test_noise_comes_back_after_evaluation(variant: type[UnitDropout]) -> None:
    layer, x = variant(0.5), torch.ones(20, 30)
    layer.eval()(x)
    assert not torch.equal(layer.train()(x), x)


@noisy
def test_masks_of_two_examples_and_of_two_steps_differ(variant: type[UnitDropout]) -> None:
    layer, x = variant(0.5), torch.ones(2, 200)
    first, second = layer(x), layer(x)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)


@noisy
def test_mask_batch_is_one_mask_for_all_examples(variant: type[UnitDropout]) -> None:
    y = variant(0.5, mask="batch")(torch.ones(5, 200))
    assert torch.equal(y, y[:1].expand_as(y))
    assert not torch.equal(y[0], torch.ones(200))


@noisy
def test_mask_batch_in_a_fleet_is_one_mask_for_each_run(variant: type[UnitDropout]) -> None:
    y = variant(torch.tensor([0.5, 0.5]), mask="batch")(torch.ones(2, 5, 200))
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert not torch.equal(y[0], y[1])


@noisy
def test_mask_batch_needs_a_batch_axis(variant: type[UnitDropout]) -> None:
    with pytest.raises(ValueError, match="needs a batch axis"):
        variant(0.5, mask="batch")(torch.ones(5))


@every
def test_an_unknown_mask_is_refused(variant: type[Dropout]) -> None:
    with pytest.raises(ValueError, match="must be one of element, batch"):
        variant(0.5, mask="rows")


@noisy
def test_a_run_in_a_fleet_is_that_run_alone(variant: type[UnitDropout]) -> None:
    """Same draws in, same bits out: the leading run axis changes nothing."""
    p = torch.tensor([0.0, 0.3, 0.9])
    x, draws = torch.randn(3, 8, 5), draws_for(variant, (3, 8, 5))
    fleet = variant(p, noise=Recorded(draws))(x)
    for run in range(3):
        alone = variant(float(p[run]), noise=Recorded(draws[run]))(x[run])
        assert torch.equal(fleet[run], alone)


@noisy
def test_a_runs_draws_are_its_own_in_any_company(variant: type[UnitDropout]) -> None:
    """From the seeds this time: batches of an odd size, so that words are cut in the middle."""
    x = torch.randn(2, 7, 5)
    together = FleetNoise((11, 12), place=1, device=CPU)
    alone = FleetNoise((12,), place=1, device=CPU)
    together.open(3)
    alone.open(3)
    fleet = variant(torch.tensor([0.2, 0.6]), noise=together)
    single = variant(torch.tensor([0.6]), noise=alone)
    for _ in range(3):
        assert torch.equal(fleet(x)[1], single(x[1:])[0])


@unit
def test_drops_into_a_plain_pytorch_model(variant: type[UnitDropout]) -> None:
    theirs = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3, 2))
    ours = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), variant(0.5), nn.Linear(3, 2))
    ours.load_state_dict(theirs.state_dict())
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert ours(torch.randn(6, 4)).shape == (6, 2)


@noisy
def test_torchs_seed_makes_the_same_noise_again(variant: type[UnitDropout]) -> None:
    layer, x = variant(0.5), torch.ones(3, 50)
    torch.manual_seed(7)
    first = layer(x)
    torch.manual_seed(7)
    assert torch.equal(layer(x), first)


@noisy
def test_the_gradient_carries_the_same_noise(variant: type[UnitDropout]) -> None:
    """Y = x * noise, so dy/dx is the noise, which y / x shows."""
    x = (torch.rand(6, 40) + 0.5).requires_grad_()
    y = variant(0.4)(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, (y / x).detach())


@noisy
def test_the_gradient_against_finite_differences(variant: type[UnitDropout], float64: None) -> None:
    x, draws = torch.randn(3, 4, requires_grad=True), draws_for(variant, (3, 4))
    assert torch.autograd.gradcheck(lambda x: variant(0.4, noise=Recorded(draws))(x).sin(), x)


@noisy
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_output_keeps_the_dtype(variant: type[UnitDropout], dtype: torch.dtype) -> None:
    assert variant(0.3)(torch.ones(4, 5, dtype=dtype)).dtype == dtype


@noisy
@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_mean_and_variance_of_the_noise(variant: type[UnitDropout], p: float) -> None:
    """Within five standard errors, computed from n and the law's own moments."""
    n = 400_000
    layer = variant(p)
    p = float(layer.p)
    q = 1 - p
    if variant.__name__ == "GaussianDropout":
        mean, variance, fourth = 1.0, p / q, 3 * (p / q) ** 2
    else:
        height = 1 / q if variant.__name__ == "InvertedDropout" else 1.0
        mean, variance = q * height, p * q * height**2
        fourth = height**4 * p * q * (p**3 + q**3)  # fourth central moment of a scaled coin
    y = layer(torch.ones(n, dtype=torch.float64))
    assert abs(float(y.mean()) - mean) < 5 * math.sqrt(variance / n)
    error_of_variance = math.sqrt((fourth - variance**2) / n)
    # Where kurtosis is least (p = 0.5) the error of the coin's variance is of second order.
    bound = 5 * max(error_of_variance, variance / n**0.5 * 0.01)
    assert abs(float(y.var()) - variance) < bound


@pytest.mark.parametrize("name", ["inverted", "standard", "gaussian"])
def test_training_agrees_with_evaluation_in_the_mean(name: str) -> None:
    n, p = 200_000, 0.3
    layer = UNIT[name](p)
    x = torch.full((n,), 2.0, dtype=torch.float64)
    trained = layer(x)
    evaluated = float(layer.eval()(x)[0])
    assert abs(float(trained.mean()) - evaluated) < 5 * float(trained.std()) / math.sqrt(n)


@pytest.mark.parametrize("name", ["inverted", "standard", "unscaled"])
def test_masks_nest_over_p(name: str) -> None:
    """What is kept at a higher p is kept at every lower one, with the same draws."""
    x, draws = torch.ones(30, 40), TorchNoise().lanes((30, 40), CPU)
    kept = [UNIT[name](p, noise=Recorded(draws))(x) != 0 for p in (0.1, 0.3, 0.6, 0.9)]
    for lower, higher in itertools.pairwise(kept):
        assert (lower | ~higher).all()
        assert lower.sum() > higher.sum()


@unit
def test_ps_axes_must_lead_those_of_x(variant: type[UnitDropout]) -> None:
    if variant is VARIANTS["none"]:
        pytest.skip("p has no part without dropout")
    with pytest.raises(ValueError, match="must be x's leading axes"):
        variant(torch.tensor([0.1, 0.2]))(torch.ones(3, 4))
