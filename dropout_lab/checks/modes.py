"""Checks of training and evaluation: noise in the one, none in the other, and nobody mixes them."""

import torch

from dropout_lab.checks.outcome import Outcome, must_be, none_of, not_for
from dropout_lab.checks.subject import Counting, Subject, global_draws
from dropout_lab.layers.base import MASKS
from dropout_lab.layers.sample_inputs import carry, made_up


def evaluation_draws_nothing(subject: Subject) -> Outcome:
    """Neither from the layer's source nor from PyTorch's global generator."""
    at, draws = made_up(), 0
    for mask in MASKS:
        noise = Counting()
        layer = subject.layer(subject.ps[1], at, mask=mask, noise=noise).eval()
        with global_draws() as moved:
            carry(layer, at)
        draws += noise.asked + moved[0]
    return none_of(draws, "draws in evaluation; draw only where self.training is true")


def two_evaluations_are_equal(subject: Subject) -> Outcome:
    """To the bit."""
    at = made_up()
    layer = subject.layer(subject.ps[1], at).eval()
    differing = int((carry(layer, at) != carry(layer, at)).sum())
    return none_of(differing, "numbers differ between two evaluations of the same units")


def evaluation_keeps_the_mode(subject: Subject) -> Outcome:
    """A layer in evaluation is in evaluation after it was called, one in training in training."""
    at, layer = made_up(), subject.layer(subject.ps[1], made_up())
    for training in (False, True):
        layer.train(training)
        carry(layer, at)
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
    """A layer that was evaluated is as noisy after, and at the same p."""
    if not subject.kind.noisy:
        return not_for("draws nothing")
    layer, at, _ = subject.trained(subject.ps[1])
    before = layer.p.clone()
    rested = carry(layer.eval(), at)
    noisy = carry(layer.train(), at)
    quiet = torch.allclose(noisy, rested) or not torch.equal(layer.p, before)
    return must_be("noisy", "quiet" if quiet else "noisy", "after an evaluation there is no noise")
