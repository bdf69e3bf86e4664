"""Checks of single values: extreme p, shapes, dtypes, gradients and state dicts."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dropout_lab.checks.outcome import Outcome, at_most, must_be, none_of, not_applicable
from dropout_lab.checks.subject import ExtremeNoise, Subject, seeded
from dropout_lab.layers import Dropout, DropoutLinear, UnitDropout, affine
from dropout_lab.layers.base import MASKS
from dropout_lab.layers.sample_inputs import LayerInputs, connect, sample_inputs

_TINY_P = 1e-3
_STEP = 1e-3
_DIRECTIONS = 4
# The error of five-point differences with h = 1e-3 is h^4 / 30 of the fifth derivative, which is
# 3e-9 for a derivative of 1e5, plus rounding of 1e-16 / h = 1e-13. Wrong gradients differ more.
_SLOPE_TOLERANCE = 1e-6


def p_0_changes_no_bit(subject: Subject) -> Outcome:
    """Check that p = 0 is bit-identical to no dropout, alone and in a fleet with a noisy run.

    Uses the smallest and the largest possible random numbers. Uses integer inputs, so that sums are
    exact in any order.
    """
    changed = 0
    for mask in MASKS:
        for side in (-1, 1):
            at, fleet = sample_inputs(integers=True), sample_inputs(runs=2, integers=True)
            alone = subject.layer(0.0, at, mask=mask, noise=ExtremeNoise(side))
            changed += _count_changed(connect(alone, at), affine(at.x, at.weight, at.bias))
            if isinstance(alone, UnitDropout):
                x = sample_inputs(batch=30).x * 1.1
                x[0, 0] = -0.0
                changed += _count_changed(alone(x), x)
            if not subject.kind.one_p:
                ps = (0.0, subject.ps[1])
                both = subject.layer(ps, fleet, mask=mask, noise=ExtremeNoise(side))
                plain = affine(fleet.x, fleet.weight, fleet.bias)
                changed += _count_changed(connect(both, fleet)[0], plain[0])
    return none_of(changed, "numbers change at p = 0")


def p_takes_effect_at_once(subject: Subject) -> Outcome:
    """Check that setting p, as schedules do, is equivalent to creating the layer with that p."""
    at = sample_inputs(batch=7, units=40)
    changed, made = subject.layer(0.0, at), subject.layer(subject.ps[1], at)
    connect(changed, at)
    changed.p, changed.noise = subject.ps[1], seeded()
    differing = int((connect(changed, at) != connect(made, at)).sum())
    return none_of(
        differing, "numbers are those of an earlier p; take p from broadcast_constants(x)"
    )


def p_out_of_range_is_refused(subject: Subject) -> Outcome:
    """Check that a p out of range raises ValueError, on creation and when p is set."""
    outside = [-0.1, 1.5, math.nan, math.inf]
    outside += [1.0] if subject.kind.highest_p < 1 else []
    accepted = 0
    for p in outside:
        try:
            subject.layer(p)
            accepted += 1
        except ValueError:
            pass
        layer = subject.layer(subject.ps[1])
        try:
            layer.p = p
            accepted += 1
        except ValueError:
            pass
    return none_of(accepted, f"of {2 * len(outside)} times a p outside its range is taken")


def finite_at_every_p(subject: Subject) -> Outcome:
    """Check that output and gradients are finite, from a p near 0 to the highest p."""
    failures = 0
    for mask in MASKS:
        for p in (min(_TINY_P, subject.kind.highest_p), subject.ps[1], subject.kind.highest_p):
            at = sample_inputs(batch=6)
            layer = subject.layer(p, at, mask=mask)
            inputs = _inputs(layer, at, training=True)
            z = _scalar_output(layer, at)
            gradients = torch.autograd.grad(z, list(inputs.values()), allow_unused=True)
            failures += sum(int((~g.isfinite()).sum()) for g in gradients if g is not None)
            failures += int((~connect(layer, at).isfinite()).sum()) + int((~z.isfinite()).sum())
    return none_of(failures, "numbers of the output or the gradients are not finite")


def any_shape(subject: Subject) -> Outcome:
    """Check the output shape for various input shapes, with and without a run axis."""
    failures = 0
    for mask in MASKS:
        for runs, batch, units, outputs in ((None, 1, 1, 1), (2, 3, 17, 5), (None, 17, 3, 2)):
            at = sample_inputs(runs, batch, units, outputs)
            p = subject.ps[1] if runs is None else (subject.ps[1],) * runs
            for training in (True, False):
                layer = subject.layer(p, at, mask=mask).train(training)
                failures += tuple(connect(layer, at).shape) != (*at.x.shape[:-1], outputs)
                if isinstance(layer, UnitDropout):
                    failures += layer(at.x).shape != at.x.shape
                    x = at.x.unsqueeze(-3)  # with one more axis between the runs and the batch
                    failures += layer(x).shape != x.shape
    return none_of(int(failures), "outputs do not have the shape of what was given")


def dtype_is_kept(subject: Subject) -> Outcome:
    """Check that outputs have the dtype of the inputs; for units, also in half precision."""
    failures = 0
    for dtype in (torch.float32, torch.float64):
        at = sample_inputs(dtype=dtype)
        layer = subject.layer(subject.ps[1], at)
        failures += (connect(layer, at).dtype != dtype) + (connect(layer.eval(), at).dtype != dtype)
    if subject.acts_on_units:
        for dtype in (torch.float16, torch.bfloat16, torch.float64):
            layer = subject.layer(subject.ps[1])
            assert isinstance(layer, UnitDropout)  # noqa: S101  # acts_on_units says so
            x = sample_inputs().x.to(dtype)
            failures += (layer(x).dtype != dtype) + (layer.eval()(x).dtype != dtype)
    return none_of(int(failures), "outputs have another dtype than what was given")


def gradient_is_the_slope(subject: Subject) -> Outcome:
    """Compare gradients of output and penalty with finite differences, with fixed noise."""
    worst = 0.0
    ps = subject.per_run(*subject.ps[:2])
    for mask, training in (*((mask, True) for mask in MASKS), ("element", False)):
        at = sample_inputs(runs=2, units=4, outputs=3, dtype=torch.float64)
        layer = subject.layer(ps, at, mask=mask).train(training)
        inputs = _inputs(layer, at, training=training)
        if training:
            for name in subject.kind.surrogate:
                inputs.pop(name).requires_grad_(False)
        for error in _slope_errors(layer, at, list(inputs.values())):
            worst = max(worst, error)
    return at_most(
        worst, _SLOPE_TOLERANCE, "is how far a gradient is from the slope, relative to it"
    )


def no_gradient_where_dropped(subject: Subject) -> Outcome:
    """Check that dropped units or weights have gradient 0, and kept ones another gradient."""
    if not subject.kind.keep_rate:
        return not_applicable("not by coins of chance p alone")
    failures = 0
    for mask in MASKS:
        at = sample_inputs(batch=8, units=8)
        layer = subject.layer(subject.ps[1], at, mask=mask)
        eye = torch.eye(8)
        # Units pass through identity weights; weights have the rows of the identity as inputs.
        x, weight = (at.x, eye) if subject.acts_on_units else (eye, at.weight)
        learner = (x if subject.acts_on_units else weight).requires_grad_()
        y = layer.connect(x, weight, None, at.entering)
        (gradient,) = torch.autograd.grad(y.sum(), learner)
        failures += int(((y == 0) != (gradient == 0)).sum())
    return none_of(failures, "gradients do not carry the mask")


def state_dict_of_nn_dropout_loads(subject: Subject) -> Outcome:
    """Check that a state dict of a network with nn.Dropout loads strictly, without changing p.

    A layer has parameters if and only if it learns something.
    """
    layer = subject.layer(subject.ps[1])
    torch_net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2))
    if subject.acts_on_units:
        net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), layer, nn.Linear(3, 2))
    else:
        mapped = DropoutLinear(3, 2, layer)
        net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Identity(), mapped)
    before = layer.p.clone()
    try:
        net.load_state_dict(torch_net.state_dict(), strict=True)
    except RuntimeError as error:
        return must_be("loads", "refused", str(error).splitlines()[-1].strip())
    if not torch.equal(layer.p, before):
        return must_be("loads", "changes p", "p is no part of a state dict")
    if bool(list(layer.parameters())) != bool(subject.kind.learned):
        return must_be("loads", "parameters", "learned in the Variant must say what is learned")
    return must_be("loads", "loads", "")


def _count_changed(one: Tensor, other: Tensor) -> int:
    bits = (each.detach().contiguous().view(torch.int32) for each in (one, other))
    return int(torch.ne(*bits).sum())


def _inputs(layer: Dropout, at: LayerInputs, *, training: bool) -> dict[str, Tensor]:
    """Return the tensors to differentiate by, with ``requires_grad`` set."""
    inputs = {"x": at.x, "weight": at.weight, "bias": at.bias}
    inputs |= dict(layer.named_parameters()) if training else {}
    for tensor in inputs.values():
        tensor.requires_grad_()
    return inputs


def _scalar_output(layer: Dropout, at: LayerInputs) -> Tensor:
    """Return a scalar of output and penalty, with the same random numbers in each call."""
    layer.noise = seeded()
    total = connect(layer, at).sin().sum()
    for penalty in (layer.penalty(at.weight, 0.07), layer.batch_penalty(at.x, 0.07)):
        total = total if penalty is None else total + penalty.sum()  # during warm-up
    return total


def _slope_errors(layer: Dropout, at: LayerInputs, inputs: list[Tensor]) -> Iterator[float]:
    """Yield relative errors between gradients and finite differences along random directions."""
    gradients = torch.autograd.grad(_scalar_output(layer, at), inputs, allow_unused=True)
    generator = torch.Generator().manual_seed(0)
    for tensor, gradient in zip(inputs, gradients, strict=True):
        gradient = torch.zeros_like(tensor) if gradient is None else gradient
        for _ in range(_DIRECTIONS):
            direction = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            slope = float((gradient * direction).sum())
            size = float((gradient * direction).abs().sum())
            yield abs(slope - _difference(layer, at, tensor, direction)) / max(size, 1e-3)


def _difference(layer: Dropout, at: LayerInputs, tensor: Tensor, direction: Tensor) -> float:
    """Return the five-point finite difference along a direction."""
    start = tensor.detach().clone()
    total = 0.0
    with torch.no_grad():
        for steps, factor in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
            tensor.copy_(start + steps * _STEP * direction)
            total += factor * float(_scalar_output(layer, at))
        tensor.copy_(start)
    return total / (12 * _STEP)
