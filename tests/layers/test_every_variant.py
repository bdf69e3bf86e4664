"""Laws that hold for every entry of VARIANTS; what is peculiar to one variant has its own file.

Moments are in test_moments.py, gradients in test_gradients.py, state dicts in test_linear.py, and
how each variant is made and fed in cases.py.
"""

import itertools
import math

import pytest
import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers import VARIANTS, UnitDropout, affine
from dropout_lab.rng import FleetNoise
from tests.layers.cases import (
    CPU,
    FEW_MASKS,
    NAMES,
    NESTING,
    NOISY,
    NOISY_UNIT,
    OWN_MASKS,
    UNIT,
    Extreme,
    Recording,
    act,
    make,
    place,
    ps_of_runs,
    seeded,
)
from tests.recorded import Forbidden, Recorded

every = pytest.mark.parametrize("name", NAMES)
noisy = pytest.mark.parametrize("name", NOISY)
unit = pytest.mark.parametrize("name", UNIT)
noisy_unit = pytest.mark.parametrize("name", NOISY_UNIT)
MASKS = ["element", "batch"]


def bits(x: Tensor) -> Tensor:
    return x.detach().contiguous().view(torch.int32)


# p = 0, the highest p, and what is no p


@unit
@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("shape", [(4, 7), (2, 3, 4, 5)])
def test_p_zero_changes_no_bit_of_the_units(name: str, side: int, shape: tuple[int, ...]) -> None:
    """By construction: not with the lowest of all draws either, and not with the highest."""
    x = torch.randn(shape)
    x.view(-1)[0] = -0.0
    assert torch.equal(bits(make(name, 0.0, noise=Extreme(side))(x)), bits(x))


@every
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("side", [-1, 1])
def test_p_zero_changes_no_bit_of_what_the_weights_make(name: str, mask: str, side: int) -> None:
    """In anybody's model and in a fleet whose other run has noise.

    DropConnect multiplies example by example where each has its mask: there, to rounding.
    """

    def check(z: Tensor, plain: Tensor) -> None:
        if name == "dropconnect" and mask == "element":
            torch.testing.assert_close(z, plain)
        else:
            assert torch.equal(bits(z), bits(plain))

    at = place()
    z = act(make(name, 0.0, at, mask=mask, noise=Extreme(side)), at)
    check(z, affine(at.x, at.weight, at.bias))
    if CATALOGUE[name].one_p:
        return
    both = place(runs=2)
    z = act(make(name, (0.0, 0.4), both, mask=mask, noise=Extreme(side)), both)
    plain = affine(both.x, both.weight, both.bias)
    check(z[0], plain[0])
    if side < 0 and name != "none":  # the highest of all draws drops nothing
        assert not torch.equal(z[1], plain[1])


@every
@pytest.mark.parametrize("mask", MASKS)
def test_the_highest_p_has_finite_output_and_gradients(name: str, mask: str) -> None:
    at = place()
    layer = make(name, VARIANTS[name].variant.highest_p, at, mask=mask)
    inputs = [at.x, at.weight, *layer.parameters()]
    for tensor in inputs:
        tensor.requires_grad_()
    z = act(layer, at)
    assert z.isfinite().all()
    penalty = layer.penalty(at.weight, 1.0)
    total = z.sum() if penalty is None else z.sum() + penalty.sum()
    for gradient in torch.autograd.grad(total, inputs, allow_unused=True):
        assert gradient is None or gradient.isfinite().all()


@pytest.mark.parametrize("name", ["inverted", "standard", "unscaled", "standout", "dropconnect"])
@pytest.mark.parametrize("side", [-1, 1])
def test_p_one_drops_everything_whatever_is_drawn(name: str, side: int) -> None:
    at = place()
    at.x.requires_grad_()
    z = make(name, 1.0, noise=Extreme(side)).connect(at.x, at.weight, None, at.entering)
    assert torch.equal(z, torch.zeros_like(z))
    (gradient,) = torch.autograd.grad(z.sum(), at.x)
    assert torch.equal(gradient, torch.zeros_like(gradient))


@every
@pytest.mark.parametrize("p", [-0.1, 1.5, math.nan, math.inf])
def test_p_outside_its_range_is_refused(name: str, p: float) -> None:
    with pytest.raises(ValueError, match=r"a drop probability lies in \[0, 1\]"):
        make(name, p)
    layer = make(name, 0.25, place())
    before = float(layer.p)
    with pytest.raises(ValueError, match="pass 1 - q"):
        layer.p = p
    assert float(layer.p) == before


@pytest.mark.parametrize("name", [name for name in NAMES if CATALOGUE[name].highest_p < 1])
@pytest.mark.parametrize("p", [1.0, (0.25, 1.0)])
def test_p_above_the_highest_is_refused_with_the_reason(
    name: str, p: float | tuple[float, ...]
) -> None:
    assert CATALOGUE[name].beyond
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 (the message is compared below)
        make(name, p)
    assert f"p is 1; {CATALOGUE[name].beyond}. Give " in str(refusal.value)
    layer = make(name, 0.25)
    with pytest.raises(ValueError, match=r"p is 1; .*\. Give "):
        layer.p = 1.0


@every
def test_setting_p_takes_effect_at_once(name: str) -> None:
    """From 0 to 0.4, as a layer made with 0.4 and given the same draws."""
    at = place(units=40)
    layer = make(name, 0.0, at, noise=seeded())
    plain = act(layer, at)
    layer.p, layer.noise = 0.4, seeded()
    assert float(layer.p) == pytest.approx(0.4, abs=1e-5)
    assert torch.equal(act(layer, at), act(make(name, 0.4, at, noise=seeded()), at))
    assert (name == "none") == torch.equal(act(layer, at), plain)


@noisy_unit
def test_ps_axes_must_lead_those_of_x(name: str) -> None:
    layer = make(name, ps_of_runs(name, 0.2, 0.4))
    with pytest.raises(ValueError, match="must be x's leading axes"):
        layer(torch.ones(3, 6, 4))


# Training and evaluation


@every
@pytest.mark.parametrize("mask", MASKS)
def test_evaluation_never_draws_and_does_not_switch_the_mode(name: str, mask: str) -> None:
    at = place()
    layer = make(name, 0.4, at, mask=mask, noise=Forbidden()).eval()
    assert torch.equal(act(layer, at), act(layer, at))
    assert not layer.training
    assert make(name, 0.4).training


@noisy
@pytest.mark.parametrize("mask", MASKS)
def test_noise_comes_back_after_evaluation(name: str, mask: str) -> None:
    at = place(units=40)
    layer = make(name, 0.4, at, mask=mask)
    rested = act(layer.eval(), at)
    noise = act(layer.train(), at)
    assert not torch.allclose(noise, rested)
    later = [act(layer, at) for _ in range(40 if name in FEW_MASKS else 1)]
    assert not all(torch.allclose(each, noise) for each in later)  # and another in the next step


@unit
def test_a_layer_of_units_is_its_connect_without_the_weights(name: str) -> None:
    x, eye = torch.randn(6, 5), torch.eye(5)
    layer = make(name, 0.4, noise=seeded())
    y = layer(x)
    layer.noise = seeded()
    torch.testing.assert_close(layer.connect(x, eye, None), y)
    torch.testing.assert_close(layer.eval()(x), layer.connect(x, eye, None))


# The draws


@pytest.mark.parametrize("name", [name for name in OWN_MASKS if name not in FEW_MASKS])
def test_masks_of_two_examples_differ_with_mask_element(name: str) -> None:
    at = place(units=40).one_example(2)
    z = act(make(name, 0.4, at), at)
    assert not torch.allclose(z[0], z[1])


@noisy
def test_mask_batch_is_one_mask_for_all_examples_of_each_run(name: str) -> None:
    runs = 40 if name in FEW_MASKS else 2
    at = place(units=40).one_example(5).fleet(runs)
    z = act(make(name, (0.4,) * runs, at, mask="batch"), at)
    torch.testing.assert_close(z, z[:, :1].expand_as(z))
    assert not torch.allclose(z[:1], z[1:])


@noisy_unit
def test_mask_batch_needs_a_batch_axis(name: str) -> None:
    with pytest.raises(ValueError, match="needs a batch axis"):
        make(name, 0.4, mask="batch")(torch.ones(5))


@every
def test_an_unknown_mask_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be one of element, batch"):
        make(name, 0.4, mask="rows")


@every
@pytest.mark.parametrize("mask", MASKS)
def test_a_run_in_a_fleet_is_that_run_alone(name: str, mask: str, float64: None) -> None:
    """Same draws in, same numbers out: the leading run axis changes nothing."""
    ps = ps_of_runs(name, 0.0, 0.3, 0.45)
    fleet, noise = place(runs=3, batch=7), Recording()
    together = act(make(name, ps, fleet, mask=mask, noise=noise), fleet)
    assert bool(noise.drawn) == CATALOGUE[name].noisy
    for run in range(3):
        draws, at = Recorded(*(drawn[run] for drawn in noise.drawn)), fleet.run(run)
        alone = act(make(name, ps[run], at, mask=mask, noise=draws), at)
        torch.testing.assert_close(together[run], alone, rtol=1e-12, atol=1e-12)


@unit
@pytest.mark.parametrize("mask", MASKS)
def test_units_of_any_shape_in_a_fleet_are_each_runs_alone(name: str, mask: str) -> None:
    """To the bit, with more axes between the runs and the units."""
    ps, x, noise = ps_of_runs(name, 0.0, 0.3, 0.45), torch.randn(3, 2, 4, 5), Recording()
    together = make(name, ps, mask=mask, noise=noise)(x)
    assert together.shape == x.shape
    for run in range(3):
        draws = Recorded(*(drawn[run] for drawn in noise.drawn))
        assert torch.equal(together[run], make(name, ps[run], mask=mask, noise=draws)(x[run]))


@every
@pytest.mark.parametrize("mask", MASKS)
def test_a_runs_draws_are_its_own_in_any_company(name: str, mask: str, float64: None) -> None:
    """From the seeds; an odd size, so that a draw's last word is cut; the units to the bit."""
    ps, fleet = ps_of_runs(name, 0.2, 0.4), place(runs=2, batch=7)
    layers = []
    for seeds, own, at in (((11, 12), ps, fleet), ((12,), ps[1:], fleet.run(slice(1, 2)))):
        noise = FleetNoise(seeds, place=1, device=CPU)
        noise.open(3)
        layers.append((make(name, own, at, mask=mask, noise=noise), at))
    (together, both), (alone, one) = layers
    for _ in range(3):
        if isinstance(together, UnitDropout):
            assert torch.equal(together(both.x)[1], alone(one.x)[0])
        torch.testing.assert_close(act(together, both)[1], act(alone, one)[0], rtol=1e-12, atol=0)


@noisy
def test_torchs_seed_makes_the_same_noise_again(name: str) -> None:
    at = place(units=40)
    layer = make(name, 0.4, at)
    torch.manual_seed(7)
    first = act(layer, at)
    torch.manual_seed(7)
    assert torch.equal(act(layer, at), first)


@pytest.mark.parametrize("name", NESTING)
def test_masks_nest_over_p(name: str) -> None:
    """What is kept at a higher p is kept at every lower one, with the same draws.

    Weights are above 0, and what they make of a single one is above 0 where it is kept.
    """
    at = place(batch=30, units=30, outputs=20)
    kept = []
    for p in (0.1, 0.3, 0.6, 0.9):
        layer = make(name, p, mask="batch" if name not in UNIT else "element", noise=seeded())
        if name in UNIT:
            kept.append(layer(torch.ones(30, 40)) > 0)
        else:
            eye, positive = torch.eye(30), at.weight.abs()
            kept.append(layer.connect(eye, positive, None, at.entering) > 0)
    for lower, higher in itertools.pairwise(kept):
        assert (lower | ~higher).all()
        assert lower.sum() > higher.sum() > 0


@unit
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_output_keeps_the_dtype(name: str, dtype: torch.dtype) -> None:
    x = torch.randn(4, 5).to(dtype)
    layer = make(name, 0.3)
    assert layer(x).dtype == dtype
    assert layer(x).isfinite().all()
    assert layer.eval()(x).dtype == dtype
