"""Checks of random masks: shared or separate, repeatable, independent of earlier steps."""

import itertools

import torch
from torch import Tensor

from dropout_lab.checks.outcome import Outcome, at_most, must_be, none_of, not_applicable
from dropout_lab.checks.subject import Subject, global_draws, seeded
from dropout_lab.layers import UnitDropout
from dropout_lab.layers.base import MASKS
from dropout_lab.layers.sample_inputs import connect, sample_inputs
from dropout_lab.rng import FleetNoise

_NOT_NOISY = "draws nothing"
# Summing 5 products in another order changes them by 5 * 2.2e-16 in float64, relative to their
# size. A different mask changes them by about their size.
_ROUNDING = 1e-12
_SEEDS = (11, 12)


def a_mask_for_each_example(subject: Subject) -> Outcome:
    """Check that eight copies of one example have eight different outputs.

    With independent masks of 200 units, or of 25 blocks of 8 units, two of the outputs are equal
    with a probability of at most 28 * 0.51**25 = 1e-6.
    """
    if not subject.kind.noisy or subject.one_mask:
        return not_applicable("one mask for a batch" if subject.kind.noisy else _NOT_NOISY)
    if subject.kind.few_masks:
        return not_applicable(subject.kind.few_masks)
    at = sample_inputs(units=200).one_example(8)
    z = connect(subject.layer(subject.ps[1], at), at)
    alike = sum(torch.allclose(a, b) for a, b in itertools.combinations(z, 2))
    return none_of(
        alike, "of 28 pairs of examples have the same mask; draw for each, or say reads_mask=False"
    )


def one_mask_for_a_batch(subject: Subject) -> Outcome:
    """Check that with ``mask: batch``, equal examples have equal outputs, but two runs do not."""
    if not subject.kind.noisy:
        return not_applicable(_NOT_NOISY)
    runs = 1 + subject.tries
    at = sample_inputs(units=200, dtype=torch.float64).one_example(5).fleet(runs)
    z = connect(subject.layer((subject.ps[1],) * runs, at, mask="batch"), at).detach()
    if torch.allclose(z[1:], z[:1]):
        return must_be("two masks", "one", "two runs share their mask; the run axis comes first")
    apart = float((z - z[:, :1]).abs().max() / z.abs().max())
    return at_most(apart, _ROUNDING, "is how far examples are apart that share a mask")


def examples_are_not_dropped(subject: Subject) -> Outcome:
    """Check that the units of an example are not all kept or all dropped together."""
    if not subject.acts_on_units or not subject.kind.noisy:
        return not_applicable("acts on weights" if subject.kind.noisy else _NOT_NOISY)
    if subject.kind.few_masks:
        return not_applicable(subject.kind.few_masks)
    together = 0
    for mask in MASKS:
        at = sample_inputs(batch=8, units=200)
        layer = subject.layer(subject.ps[1], at, mask=mask)
        assert isinstance(layer, UnitDropout)  # noqa: S101  # acts_on_units says so
        noise = layer(at.x) / at.x
        together += sum(torch.allclose(row, row[:1].expand_as(row)) for row in noise)
    return none_of(together, "of 16 examples have one noise for all their units")


def steps_draw_anew(subject: Subject) -> Outcome:
    """Check that two steps with the same input have different outputs."""
    if not subject.kind.noisy:
        return not_applicable(_NOT_NOISY)
    for mask in MASKS:
        layer, at, first = subject.run_one_step(subject.ps[1], mask=mask)
        if all(torch.allclose(connect(layer, at), first) for _ in range(subject.tries)):
            return must_be("new", "the same", "two steps have the same noise; seed nothing")
    return must_be("new", "new", "")


def same_seed_same_draws(subject: Subject) -> Outcome:
    """Check that resetting the layer's noise source repeats its output, without global draws."""
    differing = 0
    for mask in MASKS:
        layer, at, first = subject.run_one_step(subject.ps[1], mask=mask)
        layer.noise = seeded()
        with global_draws() as moved:
            differing += int((connect(layer, at) != first).sum())
        if moved[0]:
            return none_of(1, "global draw; take all draws from self.noise, or runs are not paired")
    return none_of(differing, "numbers differ though the draws are the same")


def steps_leave_no_trace(subject: Subject) -> Outcome:
    """Check that the output does not depend on earlier steps, given the same random numbers.

    A checkpoint contains only parameters, so a resumed run relies on this property.
    """
    at, other = sample_inputs(batch=7, units=40), sample_inputs(batch=5, units=40)
    used, new = (subject.layer(subject.ps[1], at) for _ in range(2))
    for earlier in (at, other, at):
        connect(used, earlier)
    used.noise = seeded()
    differing = int((connect(used, at) != connect(new, at)).sum())
    return none_of(differing, "numbers depend on earlier steps, which a resumed run has not seen")


def a_run_draws_alone_as_in_company(subject: Subject) -> Outcome:
    """Check that three steps of a run are equal alone and in a fleet, with an odd batch size."""
    ps = subject.per_run(*subject.ps[:2])
    fleet = sample_inputs(runs=2, batch=7, dtype=torch.float64)
    worst = 0.0
    for mask in MASKS:
        layers = []
        for seeds, own, at in ((_SEEDS, ps, fleet), (_SEEDS[1:], ps[1:], fleet.run(slice(1, 2)))):
            noise = FleetNoise(seeds, place=1, device=torch.device("cpu"))
            noise.open(3)
            layers.append((subject.layer(own, at, mask=mask, noise=noise), at))
        (together, both), (alone, one) = layers
        for _ in range(3):
            if isinstance(together, UnitDropout) and isinstance(alone, UnitDropout):
                worst = max(worst, _relative_difference(together(both.x)[1], alone(one.x)[0]))
            worst = max(
                worst, _relative_difference(connect(together, both)[1], connect(alone, one)[0])
            )
    return at_most(worst, _ROUNDING, "is how far a run is from itself without the other run")


def _relative_difference(one: Tensor, other: Tensor) -> float:
    """Return the largest absolute difference, relative to the largest absolute value."""
    return float(((one - other).abs().max() / other.abs().max().clamp_min(1e-300)).detach())
