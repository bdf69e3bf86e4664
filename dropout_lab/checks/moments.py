"""Statistical checks: seeded, and with bounds of 5 standard errors computed from n.

A correct variant fails a comparison less than once in 200,000 times; see
``layers/noise_measurement.py``. The seeds are fixed, so a check fails always or never.
"""

import math

import torch

from dropout_lab.checks.outcome import Outcome, at_most, none_of, not_for
from dropout_lab.checks.subject import Subject
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.layers.sample_inputs import carry, made_up

_SAMPLES = 4_000


def noise_mean_is_1(subject: Subject) -> Outcome:
    """Of each unit or weight, relative to evaluation."""
    if subject.kind.biased:
        return not_for(subject.kind.biased)
    if not subject.kind.noisy:
        return not_for("draws nothing")
    return _as_claimed(subject, "noise mean")


def evaluation_is_the_mean(subject: Subject) -> Outcome:
    """Of what the weights and biases make in training; to the bit where there is no noise."""
    if subject.kind.biased:
        return not_for(subject.kind.biased)
    if not subject.kind.noisy:
        at = made_up()
        layer = subject.layer(subject.ps[1], at)
        differing = int((carry(layer, at) != carry(layer.eval(), at)).sum())
        return none_of(differing, "numbers differ between training and evaluation")
    worst, reason = 0.0, ""
    at = made_up(batch=1).fleet(_SAMPLES)  # a run for each sample, so each has a mask of its own
    for p in subject.ps:
        layer = subject.layer((p,) * _SAMPLES, at, mask="batch")
        with torch.no_grad():
            z, mean = carry(layer, at)[:, 0].double(), carry(layer.eval(), at)[0, 0].double()
        errors = z.std(dim=0) / math.sqrt(_SAMPLES)
        off = float(((z.mean(dim=0) - mean).abs() / errors).max())
        if not off <= worst:
            worst, reason = off, f"mean of {_SAMPLES} masks against evaluation, at p = {p:.3g}"
    return at_most(worst, ERRORS, reason, unit=" s.e.")


def keep_rate_is_1_minus_p(subject: Subject) -> Outcome:
    """Of units, or of weights."""
    if not subject.kind.keep_rate:
        return not_for("not by coins of chance p alone")
    return _as_claimed(subject, "keep rate")


def variance_is_that_of_dropout(subject: Subject) -> Outcome:
    """The noise relative to evaluation has variance p / (1 - p)."""
    if not subject.kind.matched:
        return not_for("its variance is another, or 0")
    return _as_claimed(subject, "noise variance")


def _as_claimed(subject: Subject, what: str) -> Outcome:
    """Return the measurement that is furthest from the claim, in standard errors."""
    ours = [(claim, where) for claim, where in subject.measured if claim.what == what]
    claim, where = max(ours, key=lambda each: _off(each[0].value - each[0].claimed, each[0].bound))
    sentence = str(claim).removeprefix(f"run {claim.run}: ")
    bound = f"{claim.claimed:.4g} ± {claim.bound:.2g}"
    holds = abs(claim.value - claim.claimed) <= claim.bound
    return Outcome(claim.value, bound, holds, f"{sentence}, at {where}")


def _off(difference: float, bound: float) -> float:
    """Return a difference as a share of its bound; what could not be measured is beyond any."""
    return math.inf if math.isnan(difference) else abs(difference) / bound
