"""Checks of single numbers: at the ends of p, in every shape and type, and in the gradient."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dropout_lab.checks.outcome import Outcome, at_most, must_be, none_of, not_for
from dropout_lab.checks.subject import Extreme, Subject, seeded
from dropout_lab.layers import Dropout, DropoutLinear, UnitDropout, affine
from dropout_lab.layers.base import MASKS
from dropout_lab.layers.sample_inputs import Place, carry, made_up

_TINY_P = 1e-3
_STEP = 1e-3
_DIRECTIONS = 4
# A difference of five points with steps of 1e-3 is off by h^4 / 30 of the fifth derivative, 3e-9
# where that is 1e5, and by 1e-16 / h = 1e-13 for rounding; a gradient that is wrong, by far more.
_SLOPE = 1e-6


def p_0_changes_no_bit(subject: Subject) -> Outcome:
    """Neither with the lowest of all draws nor with the highest; alone, and beside a noisy run.

    Whole numbers make sums exact, so what weights make of them has one value in any order.
    """
    changed = 0
    for mask in MASKS:
        for side in (-1, 1):
            at, fleet = made_up(whole=True), made_up(runs=2, whole=True)
            alone = subject.layer(0.0, at, mask=mask, noise=Extreme(side))
            changed += _changed(carry(alone, at), affine(at.x, at.weight, at.bias))
            if isinstance(alone, UnitDropout):
                x = made_up(batch=30).x * 1.1
                x[0, 0] = -0.0
                changed += _changed(alone(x), x)
            if not subject.kind.one_p:
                ps = (0.0, subject.ps[1])
                both = subject.layer(ps, fleet, mask=mask, noise=Extreme(side))
                plain = affine(fleet.x, fleet.weight, fleet.bias)
                changed += _changed(carry(both, fleet)[0], plain[0])
    return none_of(changed, "numbers change at p = 0")


def p_takes_effect_at_once(subject: Subject) -> Outcome:
    """A layer whose p is set, as schedules do, is one that was made with that p."""
    at = made_up(batch=7, units=40)
    changed, made = subject.layer(0.0, at), subject.layer(subject.ps[1], at)
    carry(changed, at)
    changed.p, changed.noise = subject.ps[1], seeded()
    differing = int((carry(changed, at) != carry(made, at)).sum())
    return none_of(differing, "numbers are those of an earlier p; take p from placed(x)")


def p_out_of_range_is_refused(subject: Subject) -> Outcome:
    """By a ValueError, when the layer is made and when p is set."""
    outside = [-0.1, 1.5, math.nan, math.inf]
    outside += [1.0] if subject.kind.highest_p < 1 else []
    taken = 0
    for p in outside:
        try:
            subject.layer(p)
            taken += 1
        except ValueError:
            pass
        layer = subject.layer(subject.ps[1])
        try:
            layer.p = p
            taken += 1
        except ValueError:
            pass
    return none_of(taken, f"of {2 * len(outside)} times a p outside its range is taken")


def finite_at_every_p(subject: Subject) -> Outcome:
    """Output and gradients, from a p near 0 to the highest, with biases of both signs."""
    wrong = 0
    for mask in MASKS:
        for p in (min(_TINY_P, subject.kind.highest_p), subject.ps[1], subject.kind.highest_p):
            at = made_up(batch=6)
            layer = subject.layer(p, at, mask=mask)
            inputs = _inputs(layer, at, training=True)
            z = _sum_of(layer, at)
            gradients = torch.autograd.grad(z, list(inputs.values()), allow_unused=True)
            wrong += sum(int((~g.isfinite()).sum()) for g in gradients if g is not None)
            wrong += int((~carry(layer, at).isfinite()).sum()) + int((~z.isfinite()).sum())
    return none_of(wrong, "numbers of the output or the gradients are not finite")


def any_shape(subject: Subject) -> Outcome:
    """Wide, tall and 1 by 1, with a run axis and without: ``(batch, outputs)`` comes out."""
    wrong = 0
    for mask in MASKS:
        for runs, batch, units, outputs in ((None, 1, 1, 1), (2, 3, 17, 5), (None, 17, 3, 2)):
            at = made_up(runs, batch, units, outputs)
            p = subject.ps[1] if runs is None else (subject.ps[1],) * runs
            for training in (True, False):
                layer = subject.layer(p, at, mask=mask).train(training)
                wrong += tuple(carry(layer, at).shape) != (*at.x.shape[:-1], outputs)
                if isinstance(layer, UnitDropout):
                    wrong += layer(at.x).shape != at.x.shape
                    x = at.x.unsqueeze(-3)  # with one more axis between the runs and the batch
                    wrong += layer(x).shape != x.shape
    return none_of(int(wrong), "outputs do not have the shape of what was given")


def dtype_is_kept(subject: Subject) -> Outcome:
    """Of units in half precision too; what weights make, in single and double."""
    wrong = 0
    for dtype in (torch.float32, torch.float64):
        at = made_up(dtype=dtype)
        layer = subject.layer(subject.ps[1], at)
        wrong += (carry(layer, at).dtype != dtype) + (carry(layer.eval(), at).dtype != dtype)
    if subject.of_units:
        for dtype in (torch.float16, torch.bfloat16, torch.float64):
            layer = subject.layer(subject.ps[1])
            assert isinstance(layer, UnitDropout)  # noqa: S101  # of_units says so
            x = made_up().x.to(dtype)
            wrong += (layer(x).dtype != dtype) + (layer.eval()(x).dtype != dtype)
    return none_of(int(wrong), "outputs have another dtype than what was given")


def gradient_is_the_slope(subject: Subject) -> Outcome:
    """Of the output and the penalty, against differences with the draws held fixed, in float64."""
    worst = 0.0
    ps = subject.of_runs(*subject.ps[:2])
    for mask, training in (*((mask, True) for mask in MASKS), ("element", False)):
        at = made_up(runs=2, units=4, outputs=3, dtype=torch.float64)
        layer = subject.layer(ps, at, mask=mask).train(training)
        inputs = _inputs(layer, at, training=training)
        if training:
            for name in subject.kind.surrogate:
                inputs.pop(name).requires_grad_(False)
        for error in _slope_errors(layer, at, list(inputs.values())):
            worst = max(worst, error)
    return at_most(worst, _SLOPE, "is how far a gradient is from the slope, relative to it")


def no_gradient_where_dropped(subject: Subject) -> Outcome:
    """A unit or weight that was dropped gets none, one that was kept gets some."""
    if not subject.kind.keep_rate:
        return not_for("not by coins of chance p alone")
    wrong = 0
    for mask in MASKS:
        at = made_up(batch=8, units=8)
        layer = subject.layer(subject.ps[1], at, mask=mask)
        eye = torch.eye(8)
        # Units pass the identity; of weights, each is met by one row of the identity alone.
        x, weight = (at.x, eye) if subject.of_units else (eye, at.weight)
        learner = (x if subject.of_units else weight).requires_grad_()
        y = layer.connect(x, weight, None, at.entering)
        (gradient,) = torch.autograd.grad(y.sum(), learner)
        wrong += int(((y == 0) != (gradient == 0)).sum())
    return none_of(wrong, "gradients do not carry the mask")


def state_dict_of_nn_dropout_loads(subject: Subject) -> Outcome:
    """Strictly, into the same net with this layer; p stays; only what is learned is more."""
    layer = subject.layer(subject.ps[1])
    theirs = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2))
    if subject.of_units:
        ours = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), layer, nn.Linear(3, 2))
    else:
        mapped = DropoutLinear(3, 2, layer)
        ours = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Identity(), mapped)
    before = layer.p.clone()
    try:
        ours.load_state_dict(theirs.state_dict(), strict=True)
    except RuntimeError as error:
        return must_be("loads", "refused", str(error).splitlines()[-1].strip())
    if not torch.equal(layer.p, before):
        return must_be("loads", "changes p", "p is no part of a state dict")
    if bool(list(layer.parameters())) != bool(subject.kind.learned):
        return must_be("loads", "parameters", "learned in the Variant must say what is learned")
    return must_be("loads", "loads", "")


def _changed(one: Tensor, other: Tensor) -> int:
    bits = (each.detach().contiguous().view(torch.int32) for each in (one, other))
    return int(torch.ne(*bits).sum())


def _inputs(layer: Dropout, at: Place, *, training: bool) -> dict[str, Tensor]:
    """Return what a gradient can be taken to, ready for one."""
    inputs = {"x": at.x, "weight": at.weight, "bias": at.bias}
    inputs |= dict(layer.named_parameters()) if training else {}
    for tensor in inputs.values():
        tensor.requires_grad_()
    return inputs


def _sum_of(layer: Dropout, at: Place) -> Tensor:
    """Return one number made of the output and the penalty, from the same draws each time."""
    layer.noise = seeded()
    total = carry(layer, at).sin().sum()
    penalty = layer.penalty(at.weight, 0.07)  # in the midst of a warm-up
    return total if penalty is None else total + penalty.sum()


def _slope_errors(layer: Dropout, at: Place, inputs: list[Tensor]) -> Iterator[float]:
    """Compare each gradient with differences along random directions."""
    gradients = torch.autograd.grad(_sum_of(layer, at), inputs, allow_unused=True)
    generator = torch.Generator().manual_seed(0)
    for tensor, gradient in zip(inputs, gradients, strict=True):
        gradient = torch.zeros_like(tensor) if gradient is None else gradient
        for _ in range(_DIRECTIONS):
            direction = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            slope = float((gradient * direction).sum())
            size = float((gradient * direction).abs().sum())
            yield abs(slope - _difference(layer, at, tensor, direction)) / max(size, 1e-3)


def _difference(layer: Dropout, at: Place, tensor: Tensor, direction: Tensor) -> float:
    """Return the slope along a direction from five points: h = +-1 and +-2 steps."""
    start = tensor.detach().clone()
    total = 0.0
    with torch.no_grad():
        for steps, factor in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
            tensor.copy_(start + steps * _STEP * direction)
            total += factor * float(_sum_of(layer, at))
        tensor.copy_(start)
    return total / (12 * _STEP)
