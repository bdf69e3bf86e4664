"""The last step of the lesson ``ensemble``: some sub-networks drawn at random and averaged."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_most
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.lessons.draws import noise
from dropout_lab.lessons.ensemble.sub_networks import SubNetworks
from dropout_lab.lessons.parts import Check, Formula, Look, Part, Rows, Say, Step
from dropout_lab.model import MLP
from dropout_lab.training.inference import sample_predictions

_IMAGES = 10
_REPEATS = 32


@dataclass(frozen=True)
class Error:
    """How far the average of T drawn sub-networks is from the mean of all.

    Args:
        t: How many are averaged.
        measured: Mean over images and repeats of the squared error of the right class's
            probability.
        expected: What that is on average: the variance over the sub-networks, divided by T.
        error: The standard error of the measured one.
    """

    t: int
    measured: float
    expected: float
    error: float

    @property
    def off(self) -> float:
        """How far the measured one is from the expected one, in standard errors."""
        return (self.measured - self.expected) / self.error


@dataclass(frozen=True)
class MonteCarlo:
    """What was measured; probabilities are those of the right class.

    Args:
        errors: By the number of sub-networks averaged.
        bias: Mean over the same images of the squared distance between weight scaling and the
            arithmetic mean.
        chance: Of each mask, ``(2^k,)``.
        p: Of the image of which the sub-networks say the most different things, under each mask:
            ``(2^k,)``.
        arithmetic: Their mean.
        geometric: Their normalized geometric mean.
        weight_scaling: Of the whole network.
        label: What the image shows.
    """

    errors: list[Error]
    bias: float
    chance: Tensor
    p: Tensor
    arithmetic: float
    geometric: float
    weight_scaling: float
    label: int

    def told(self) -> Iterator[Part]:
        """Yield the step of the lesson."""
        yield Step("Monte Carlo: some of them, drawn")
        yield Say(
            f"With 512 units nobody can run all sub-networks. Instead T of them are drawn, and "
            f"averaged: {_IMAGES} images, {_REPEATS} repeats, ReLU layer behind. The error is the "
            "distance from the mean of all, which is known here."
        )
        yield Formula("error of the average of T = sqrt(variance over the sub-networks / T)")
        yield Rows(
            "probability of the right class, root of the mean squared error",
            ("T", "measured", "sqrt(variance / T)", "off, in s.e."),
            [(e.t, math.sqrt(e.measured), math.sqrt(e.expected), e.off) for e in self.errors],
        )
        enough = self.errors[0].expected / self.bias
        yield Look(
            "Four times the networks, half the error: T passes for 1 / sqrt(T). Weight scaling "
            f"takes one pass and is {math.sqrt(self.bias):.2g} off, as far as the average of "
            f"{enough:.2g} drawn sub-networks."
        )
        worst = max(abs(each.off) for each in self.errors)
        what = "is how far a mean squared error is from variance / T"
        yield Check("Monte Carlo: 1 / sqrt(T)", at_most(worst, ERRORS, what, unit=" s.e."))


def monte_carlo(
    model: MLP, place: int, x: Tensor, labels: Tensor, every: SubNetworks, asked: Asked
) -> MonteCarlo:
    """Draw sub-networks for ten of the images, and compare their averages with the mean of all.

    Args:
        model: One network, float64.
        place: Where units are dropped.
        x: ``(1, examples, 784)``.
        labels: ``(examples,)``.
        every: All of its sub-networks on these images.
        asked: Names the seed, and whether fewer shall do.
    """
    # Evenly, since mnist_5k stands class by class.
    chosen = torch.arange(0, len(labels), len(labels) // _IMAGES)[:_IMAGES]
    at = (chosen, labels[chosen])
    p = every.log_p.exp()[:, at[0], at[1]]  # (2^k, images)
    mean = every.arithmetic[at]
    scaled = every.weight_scaling[at]
    powers = [every.mean((p - mean) ** power) for power in (2, 4)]
    errors = []
    rows = x[:, chosen].repeat(1, _REPEATS, 1)  # (1, repeats * images, 784)
    of_label = labels[chosen].repeat(_REPEATS)
    wanted = [4**power for power in range(5 if asked.quick else 6)]
    total = torch.zeros(_REPEATS * _IMAGES, dtype=torch.float64)
    layer = model.places()[place][0]
    layer.noise = noise(asked.seed)
    with torch.no_grad():
        for t, log_p in enumerate(sample_predictions(model, rows, wanted[-1]), start=1):
            total += log_p[0, torch.arange(len(total)), of_label].exp()
            if t in wanted:
                squares = ((total / t).view(_REPEATS, _IMAGES) - mean).square()
                errors.append(_error(t, float(squares.mean()), *powers))
    shown = max(range(_IMAGES), key=lambda image: len(p[:, image].mul(50).round().unique()))
    return MonteCarlo(
        errors,
        float((scaled - mean).square().mean()),
        every.chance,
        p[:, shown],
        float(mean[shown]),
        float(every.geometric[at][shown]),
        float(scaled[shown]),
        int(labels[chosen[shown]]),
    )


def _error(t: int, measured: float, variance: Tensor, fourth: Tensor) -> Error:
    """Return the error at T, with the standard error that the moments of one draw give it.

    The fourth moment of the mean of T draws is (m4 + 3 (T - 1) v^2) / T^3, so the variance of its
    square is that less (v / T)^2.
    """
    of_square = (fourth + 3 * (t - 1) * variance**2) / t**3 - (variance / t) ** 2
    error = math.sqrt(float(of_square.mean()) / (_REPEATS * len(variance)))
    return Error(t, measured, float(variance.mean()) / t, error)
