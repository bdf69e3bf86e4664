"""Checks of training and evaluation mode: noise only in training, and no change of the mode."""

import torch

from dropout_lab.checks.outcome import Outcome, must_be, none_of, not_applicable
from dropout_lab.checks.subject import CountingNoise, Subject, global_draws
from dropout_lab.layers.base import MASKS
from dropout_lab.layers.sample_inputs import connect, sample_inputs


def evaluation_draws_nothing(subject: Subject) -> Outcome:
    """Check that evaluation uses neither the layer's noise source nor the global generator."""
    at, draws = sample_inputs(), 0
    for mask in MASKS:
        noise = CountingNoise()
        layer = subject.layer(subject.ps[1], at, mask=mask, noise=noise).eval()
        with global_draws() as moved:
            connect(layer, at)
        draws += noise.calls + moved[0]
    return none_of(draws, "draws in evaluation; draw only where self.training is true")


def two_evaluations_are_equal(subject: Subject) -> Outcome:
    """Check that two evaluations are bit-identical."""
    at = sample_inputs()
    layer = subject.layer(subject.ps[1], at).eval()
    differing = int((connect(layer, at) != connect(layer, at)).sum())
    return none_of(differing, "numbers differ between two evaluations of the same units")


def evaluation_keeps_the_mode(subject: Subject) -> Outcome:
    """Check that calling a layer does not change its mode."""
    at, layer = sample_inputs(), subject.layer(subject.ps[1], sample_inputs())
    for training in (False, True):
        layer.train(training)
        connect(layer, at)
        if layer.training != training:
            words = {True: "training", False: "evaluation"}
            return must_be(
                words[training],
                words[layer.training],
                "a call switches the mode; write self.training, which asks, for self.train(), "
                "which sets",
            )
    return must_be("kept", "kept", "")


def noise_comes_back(subject: Subject) -> Outcome:
    """Check that a layer is noisy in training after an evaluation, with the same p."""
    if not subject.kind.noisy:
        return not_applicable("draws nothing")
    layer, at, _ = subject.run_one_step(subject.ps[1])
    before = layer.p.clone()
    evaluated = connect(layer.eval(), at)
    noisy = connect(layer.train(), at)
    quiet = torch.allclose(noisy, evaluated) or not torch.equal(layer.p, before)
    return must_be("noisy", "quiet" if quiet else "noisy", "after an evaluation there is no noise")
