"""The first half of the lesson ``co-adaptation``: the story of the lazy units, told and tried."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from dropout_lab.checks.outcome import at_least, at_most
from dropout_lab.config.schema import Settings
from dropout_lab.data import Splits
from dropout_lab.layers import InvertedDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.lessons.draws import noise
from dropout_lab.lessons.paired_differences import COLUMNS, Difference, Pair
from dropout_lab.lessons.parts import Check, Formula, Look, Mistake, Part, Rows, Say, Step
from dropout_lab.lessons.training import fleet_of, settings
from dropout_lab.training import train

_STORY = 4  # units: A, B, C, D
_LAZY_UNITS = 16
_LAZY_SEEN = 20_000  # images, some of them several times
_LAZY = 0.01  # what the weights of the lazy half are multiplied by
_AWAKE = 10 * _LAZY  # of the length of the others' weights: ten times what they began with


@dataclass(frozen=True)
class Training:
    """How networks are trained.

    Args:
        p: Of those with dropout.
        seeds: Of those without and of those with it.
        images: What they see.
    """

    p: float
    seeds: range
    images: Splits

    def cells(self, hidden: tuple[int, ...], epochs: int) -> list[Settings]:
        """Return the settings without dropout and with it."""
        values = {
            "model.hidden": hidden,
            # Smaller than is usual: what is learned stands out from where it began.
            "model.init": "normal",
            "model.init_std": 0.05,
            "training.epochs": epochs,
            "evaluation.every": epochs,
            "evaluation.train_examples": 1,
        }
        return [settings({**values, "dropout.p": each}) for each in (0.0, self.p)]


def story(p: float, asked: Asked) -> Iterator[Part]:
    """Yield what the story says, and how many of four units are dropped."""
    draws = 2_000 if asked.quick else 20_000
    layer = InvertedDropout(p, noise=noise(asked.seed))
    dropped = (layer(torch.ones(draws, _STORY)) == 0).sum(dim=1)
    p = float(layer.p)
    yield Step("A story of four units")
    yield Say(
        "A layer has four units. The weights of A and B happen to be small, C and D do the work. "
        "Without dropout, the story goes, A and B stay lazy. With dropout C and D are both "
        f"dropped at times, here with the chance p * p = {p * p:.3g}, and A and B must learn. How "
        "many of the four are dropped?"
    )
    yield Formula("P(m of n are dropped) = n! / (m! (n - m)!) * p^m * (1 - p)^(n - m)")
    rows = []
    for m in range(_STORY + 1):
        chance = math.comb(_STORY, m) * p**m * (1 - p) ** (_STORY - m)
        error = math.sqrt(chance * (1 - chance) / draws)
        share = float((dropped == m).double().mean())
        rows.append((m, chance, share, (share - chance) / error))
    yield Rows(
        f"how many of four units the layer drops at p = {p:.4g} (n = {draws:,} examples)",
        ("dropped", "chance", "measured share", "measured - chance, in s.e."),
        rows,
    )
    masks = len(torch.unique(layer(torch.ones(100, _STORY)) == 0, dim=0))
    yield Look(
        "Any number of them, not a fixed one. And each example of each step draws anew: a batch "
        f"of 100 examples has just met {masks} of the {2**_STORY} masks."
    )
    yield Mistake(
        "With p = 0.5, two of four units are dropped at each epoch. The number is binomial, and "
        "two are dropped in 3 of 8 cases. And a mask lasts for one example of one step, not for "
        "an epoch."
    )
    worst = max(abs(row[3]) for row in rows)
    what = "is how far a share is from the binomial chance"
    yield Check("how many are dropped", at_most(worst, ERRORS, what, unit=" s.e."))


def story_tried(training: Training) -> Iterator[Part]:
    """Yield what becomes of units whose weights are small, with dropout and without."""
    yield Step("The story, tried")
    yield Say(
        f"784-{_LAZY_UNITS}-10; the weights of half of the hidden units are multiplied by "
        f"{_LAZY:g} before training: those that enter them, or those that leave them as well. "
        "After training, how long are the weights that enter them beside those of the others?"
    )
    first, second = (_lazy_lengths(training, both=both) for both in (False, True))
    yield Rows(
        "length of the weights that enter the lazy half, over that of the others; before training "
        f"about {_LAZY:g} (mean ± s.e., n = {len(training.seeds)} seeds)",
        ("made small", *COLUMNS),
        [("entering", *first.cells()), ("all", *second.cells())],
    )
    yield Look(
        "Without dropout the units wake as well where only the weights that enter them are small: "
        f"they come to {first.without.mean():.2g} of the others' length. With all of their weights "
        "small their gradient is small too: they learn little, the others learn first, and little "
        f"is left to learn. They come to {second.without.mean():.2g}, with dropout to "
        f"{second.dropped.mean():.2g}."
    )
    yield Mistake(
        "Without dropout, units with small weights do not learn since others do the work. There is "
        "no theorem of it, and the first row shows the opposite. A unit learns as fast as its "
        "gradient is large; the story is right where that is small, as in the second row."
    )
    least = float(first.without.mean()) - ERRORS * Difference.of(first.without).error
    what = "of the others' length, less 5 s.e., without dropout"
    yield Check("they wake without dropout", at_least(least, _AWAKE, what))
    what = "is what dropout adds to that length, where all weights of the units were small"
    yield Check("and more of them with it", at_least(second.change.off, ERRORS, what, unit=" s.e."))


def _lazy_lengths(training: Training, *, both: bool) -> Pair:
    """Return how long the weights into the lazy half are, over those into the others."""
    images = training.images
    fleet = fleet_of(
        training.cells((_LAZY_UNITS,), _LAZY_SEEN // len(images.train)), training.seeds
    )
    entering, leaving = (weight.detach() for weight in fleet.model.weights)
    half = _LAZY_UNITS // 2
    entering[..., :half] *= _LAZY
    if both:
        leaving[:, :half] *= _LAZY
    for _ in train(fleet, images):
        pass
    lengths = entering.double().norm(dim=1)  # (runs, units)
    return Pair.of(lengths[:, :half].mean(dim=1) / lengths[:, half:].mean(dim=1))
