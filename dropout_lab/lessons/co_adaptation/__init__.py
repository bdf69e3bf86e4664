"""Lesson ``co-adaptation``: whether units rely on each other, with dropout and without."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_least
from dropout_lab.config.diagnostic_columns import REMOVED_PERCENTAGES
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.lessons.co_adaptation import picture
from dropout_lab.lessons.co_adaptation.lazy_units import Training, story, story_tried
from dropout_lab.lessons.paired_differences import COLUMNS, Pair
from dropout_lab.lessons.parts import (
    Check,
    Formula,
    Look,
    Mistake,
    Part,
    Picture,
    Rows,
    Say,
    Step,
    Working,
)
from dropout_lab.lessons.training import splits, train_fleet
from dropout_lab.model import MLP
from dropout_lab.training import unit_statistics

_HIDDEN = 64  # units of each of two layers
_SHARES = (0, *REMOVED_PERCENTAGES)
_MEASURED = 1_000  # test images, at most
_SPREAD = "length spread"
_OF_UNITS = {
    "mean activation": unit_statistics.mean_activation,
    "share near 0": unit_statistics.activation_sparsity,
    "|correlation|": unit_statistics.unit_correlation,
    "effective rank": unit_statistics.effective_rank,
}


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    count, size = 8, 1_000 if asked.quick else 2_000
    seeds = range(count * asked.seed, count * (asked.seed + 1))
    images = splits(asked, train_size=size)
    yield from story(p, asked)
    training = Training(p, seeds, images)
    yield from story_tried(training)
    yield Step("Two hidden layers, trained with and without")
    yield Say(
        f"784-{_HIDDEN}-{_HIDDEN}-10, {size:,} images, 20 epochs, {count} seeds. Dropout with "
        f"p = {p:g} acts on both hidden layers. The same seed begins with the same weights and "
        "sees the images in the same order, with dropout and without: the seeds are pairs. All "
        "that follows is measured on test images, with dropout off."
    )
    yield Working(f"training {2 * count} networks")
    found = _measured(training)
    yield from _removed(found)
    yield from _units(found)
    yield Picture(
        lambda: picture.draw(
            p, found.features, found.accuracy, found.correlation, found.independent
        ),
        "what units look for, how many can be removed, and how alike they are",
    )


@dataclass(frozen=True)
class _Found:
    """What was measured of the trained networks.

    Args:
        accuracy: By the share of units removed, in per cent.
        layers: Of each hidden layer, by what was measured.
        features: Weights that enter the first hidden layer, ``(2, units, 28, 28)``: of the first
            seed, without and with dropout.
        examples: Test images.
    """

    accuracy: dict[int, Pair]
    layers: list[dict[str, Pair]]
    features: Tensor
    examples: int

    @property
    def correlation(self) -> list[Pair]:
        """The mean absolute correlation of two units, of each layer."""
        return [layer["|correlation|"] for layer in self.layers]

    @property
    def independent(self) -> float:
        """What that comes to for units that have nothing to do with each other."""
        return math.sqrt(2 / (math.pi * self.examples))


def _measured(training: Training) -> _Found:
    images = training.images
    cells = training.cells((_HIDDEN, _HIDDEN), epochs=20)
    fleet = train_fleet(cells, training.seeds, images).fleet
    model: MLP = fleet.model.eval()
    labels = images.test.labels[:_MEASURED]
    x = images.pixels(images.test.images[:_MEASURED]).unsqueeze(0)  # (1, examples, 784)
    hidden: list[Tensor] = []
    with torch.no_grad():
        model(x, hidden)
        accuracy = {
            share: Pair.of(
                unit_statistics.accuracy_after_removal(model, x, labels, fleet.seeds, share)
            )
            for share in _SHARES
        }
    first = model.weights[0].detach()[
        [0, len(training.seeds)]
    ]  # without and with, of the first seed
    return _Found(
        accuracy,
        [
            {name: Pair.of(of(h)) for name, of in _OF_UNITS.items()}
            | {_SPREAD: Pair.of(_spread(weight))}
            for h, weight in zip(hidden, model.weights[1:], strict=True)
        ],
        first.mT.unflatten(-1, (28, 28)),
        len(labels),
    )


def _spread(leaving: Tensor) -> Tensor:
    """Return the spread of the lengths of the weights that leave each unit: s.d. / mean."""
    lengths = leaving.detach().double().norm(dim=2)  # (runs, units)
    spread: Tensor = lengths.std(dim=1) / lengths.mean(dim=1)
    return spread


def _removed(found: _Found) -> Iterator[Part]:
    accuracy = found.accuracy
    n = len(accuracy[0].without)
    yield Step("Units removed")
    yield Say(
        "A share of the units of each hidden layer is set to 0, drawn at random in five orders; "
        "the others stay as they are. A network whose units rely on each other falls apart."
    )
    yield Rows(
        f"test accuracy in per cent (mean ± s.e., n = {n} seeds)",
        ("% removed", *COLUMNS),
        [(share, *pair.times(100).cells(digits=1)) for share, pair in accuracy.items()],
    )
    whole, half = accuracy[0].times(100), accuracy[50].times(100)
    yield Look(
        f"With all units dropout changes the accuracy by {whole.change.mean:+.1f} points, with "
        f"half of them by {half.change.mean:+.1f}: it is less dependent on any of them."
    )
    yield Say(
        "Be careful with what that proves. To work with units missing is what dropout trains a "
        "network for, so this says that it has learned it, and not yet that its units are better."
    )
    what = "is what dropout adds to the accuracy with half of the units removed"
    yield Check("half the units removed", at_least(half.change.off, ERRORS, what, unit=" s.e."))


def _units(found: _Found) -> Iterator[Part]:
    n, level = len(found.correlation[0].without), found.independent
    yield Step("What the units do")
    yield Formula(
        "mean |correlation| = mean of |r_ij| over the pairs of units i < j\n"
        f"of independent units: sqrt(2 / (pi n)) = {level:.2g} at n = {found.examples:,} images\n"
        "share near 0  = share of the activations of at most 0.01 in size\n"
        "effective rank = exp(-sum_k s_k log s_k),  s_k = sigma_k / sum_j sigma_j,\n"
        "    sigma_k: singular values of the activations, each unit less its mean\n"
        "length spread = s.d. / mean, over units, of |weights that leave a unit|"
    )
    for layer, measures in enumerate(found.layers, start=1):
        yield Rows(
            f"units of hidden layer {layer}, dropout off (mean ± s.e., n = {n} seeds)",
            ("measure", *COLUMNS),
            [(name, *pair.cells()) for name, pair in measures.items()],
        )
    told = " ".join(
        f"In layer {layer} it {_moved(pair)} ({pair.change.off:+.1f} s.e.)."
        for layer, pair in enumerate(found.correlation, start=1)
    )
    lowest = min(float(pair.dropped.min()) for pair in found.correlation)
    yield Look(
        "With dropout units are less active, and share the work more evenly: the weights that "
        f"leave them are more alike in length. And their correlation? {told} Independent units "
        f"would come to {level:.2g}; with dropout the least of any layer and seed is {lowest:.3g}."
    )
    yield Mistake(
        "Dropout is said to make units independent, or to decorrelate them. Nothing in it asks for "
        "that: units that may be missing are worth having twice, and copies are correlated. What "
        "it does to the correlation differs from layer to layer and from one training to another. "
        "What holds is the table before: the network relies less on any one unit."
    )
    for name, measure in (
        ("units are less active", "mean activation"),
        ("and share the work evenly", _SPREAD),
    ):
        least = min(-layer[measure].change.off for layer in found.layers)
        what = f"is how much dropout lowers the {measure}, in the layer where it is least"
        yield Check(name, at_least(least, ERRORS, what, unit=" s.e."))
    # Of independent units not even a single pair's |r|, of s.d. sqrt((1 - 2 / pi) / n), is above.
    single = level + ERRORS * math.sqrt((1 - 2 / math.pi) / found.examples)
    what = "is the lowest mean |correlation| with dropout; independent units are below the bound"
    yield Check("but remain correlated", at_least(lowest, single, what))


def _moved(pair: Pair) -> str:
    if not pair.change.seen:
        return "changes by nothing that these seeds can tell"
    return "rises" if pair.change.mean > 0 else "falls"
