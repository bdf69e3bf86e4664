"""Statistical checks of mean, keep rate and variance, with bounds of 5 standard errors.

A correct variant violates a bound with a probability below 1/200,000; see
``layers/noise_measurement.py``. The seeds are fixed, so a check always has the same result.
"""

import math

import torch

from dropout_lab.checks.outcome import Outcome, at_most, none_of, not_applicable
from dropout_lab.checks.subject import Subject
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.layers.sample_inputs import connect, sample_inputs

_SAMPLES = 4_000


def noise_mean_is_1(subject: Subject) -> Outcome:
    """Check that the mean of the noise of each unit or weight is 1, relative to evaluation."""
    if subject.kind.biased:
        return not_applicable(subject.kind.biased)
    if not subject.kind.noisy:
        return not_applicable("draws nothing")
    return _worst_claim(subject, "noise mean")


def evaluation_is_the_mean(subject: Subject) -> Outcome:
    """Check that the evaluation output is the mean of the training outputs; exact without noise."""
    if subject.kind.biased:
        return not_applicable(subject.kind.biased)
    if not subject.kind.noisy:
        at = sample_inputs()
        layer = subject.layer(subject.ps[1], at)
        differing = int((connect(layer, at) != connect(layer.eval(), at)).sum())
        return none_of(differing, "numbers differ between training and evaluation")
    worst, reason = 0.0, ""
    at = sample_inputs(batch=1).fleet(_SAMPLES)  # one run, and so one mask, for each sample
    for p in subject.ps:
        layer = subject.layer((p,) * _SAMPLES, at, mask="batch")
        with torch.no_grad():
            z, mean = connect(layer, at)[:, 0].double(), connect(layer.eval(), at)[0, 0].double()
        errors = z.std(dim=0) / math.sqrt(_SAMPLES)
        deviation = float(((z.mean(dim=0) - mean).abs() / errors).max())
        if not deviation <= worst:
            worst, reason = (
                deviation,
                f"mean of {_SAMPLES} masks against evaluation, at p = {p:.3g}",
            )
    return at_most(worst, ERRORS, reason, unit=" SE")


def keep_rate_is_1_minus_p(subject: Subject) -> Outcome:
    """Check that units or weights are kept with probability 1 - p."""
    if not subject.kind.keep_rate:
        return not_applicable("not by coins of chance p alone")
    return _worst_claim(subject, "keep rate")


def variance_is_that_of_dropout(subject: Subject) -> Outcome:
    """Check that the variance of the noise, relative to evaluation, is p / (1 - p)."""
    if not subject.kind.matched:
        return not_applicable("its variance is another, or 0")
    return _worst_claim(subject, "noise variance")


def _worst_claim(subject: Subject, what: str) -> Outcome:
    """Return the outcome for the measurement with the largest deviation from its claim."""
    claims = [(claim, where) for claim, where in subject.noise_claims if claim.what == what]
    claim, where = max(
        claims, key=lambda each: _relative_to_bound(each[0].value - each[0].claimed, each[0].bound)
    )
    sentence = str(claim).removeprefix(f"run {claim.run}: ")
    bound = f"{claim.claimed:.4g} ± {claim.bound:.2g}"
    holds = abs(claim.value - claim.claimed) <= claim.bound
    return Outcome(claim.value, bound, holds, f"{sentence}, at {where}")


def _relative_to_bound(difference: float, bound: float) -> float:
    """Return a difference relative to its bound; inf for nan."""
    return math.inf if math.isnan(difference) else abs(difference) / bound
