"""Lesson ``units-and-weights``: dropout beside DropConnect, on a matrix of 2 x 3."""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from dropout_lab.checks.outcome import at_most, none_of, within
from dropout_lab.layers import DropConnect, InvertedDropout, UnscaledDropout, affine
from dropout_lab.layers.base import Mask
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.lessons.draws import noise
from dropout_lab.lessons.parts import Check, Formula, Look, Mistake, Part, Picture, Rows, Say, Step
from dropout_lab.lessons.units_and_weights.outputs import (
    BIAS,
    ONES,
    WEIGHT,
    Noisy,
    Spread,
    odds,
    of_batches,
    of_units,
    of_weights,
)
from dropout_lab.lessons.units_and_weights.picture import WAYS, draw

_WAN = (784, 800, 800, 10)  # the network of Wan et al. 2013 for MNIST
_BATCH = 32
_MASKS: dict[Mask, str] = {"element": "example", "batch": "batch"}
_P = (0.1, 0.25, 0.5, 0.75, 0.9)


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    (p,) = asked.p
    draws = 20_000 if asked.quick else 100_000
    yield Step("A layer with 2 inputs and 3 outputs")
    yield Formula(
        "W = 1 2 3      z_j = sum_i x_i w_ij      x = (1, 1) makes z = (5, 7, 9)\n    4 5 6"
    )
    yield Say(
        "A row holds what leaves an input unit, a column what enters an output unit. To drop a "
        "unit before the map is to drop its row, to drop it after the map its column. DropConnect "
        "tosses a coin for each weight instead."
    )
    masked = {name: _masked(name, p, draws, asked.seed) for name in WAYS}
    yield from _three_draws(p, masked)
    yield from _whole_units(masked)
    yield from _how_many(masked)
    batches = draws // 5  # each has many draws
    spread = {mask: of_batches(mask, p, batches, asked.seed) for mask in _MASKS}
    yield from _per_batch(p, batches, asked.seed, spread)
    yield from _scaling(draws, asked.seed)
    noisy = {
        "units": of_units(p, draws, asked.seed),
        "weights": of_weights(p, draws, asked.seed),
    }
    yield from _variance(p, noisy)
    yield from _biases(p, draws, asked.seed)
    yield Picture(
        lambda: draw(p, masked, noisy, spread, batches),
        "what is dropped of the matrix, what the outputs become, and the noise of a batch",
    )


def _masked(name: str, p: float, draws: int, seed: int) -> Tensor:
    """Return the matrix as it is under so many masks, dropped and scaled: (draws, 2, 3).

    The identity goes in, a copy for each draw; what comes out are the rows of the matrix. The mask
    is one for the batch, so that both rows come from one.
    """
    draw = noise(seed, 1 + list(WAYS).index(name))
    eye, weight = torch.eye(2).double().expand(draws, 2, 2), WEIGHT.expand(draws, 2, 3)
    if name == "weights":
        return DropConnect(p, mask="batch", noise=draw).connect(eye, weight, None)
    units = InvertedDropout(p, mask="batch", noise=draw)
    before = name == "inputs"
    return affine(units(eye), weight, None) if before else units(affine(eye, weight, None))


def _three_draws(p: float, masked: dict[str, Tensor]) -> Iterator[Part]:
    q = 1 / (1 + odds(p))
    yield Step(f"What is left of W, in three draws at p = {p:g}")
    yield Rows(
        "its two rows, before the division by 1 - p; 0: dropped",
        ("dropped", *(f"draw {index + 1}" for index in range(3))),
        [
            (WAYS[name], *(" | ".join(_short(q * row) for row in each) for each in matrices[:3]))
            for name, matrices in masked.items()
        ],
    )
    yield Look("Units take whole rows or whole columns with them; weights go one by one.")


def _short(row: Tensor) -> str:
    return " ".join(f"{value:.3g}" for value in row.tolist())


def _whole_units(masked: dict[str, Tensor]) -> Iterator[Part]:
    """Check that rows, columns and weights are dropped as they are said to be, and how often."""
    torn = 0
    for name, along in (("inputs", 2), ("outputs", 1)):
        kept = masked[name] != 0
        torn += int((kept.any(dim=along) != kept.all(dim=along)).sum())
    yield Check("units are dropped whole", none_of(torn, "rows or columns are dropped in part"))
    kept = (masked["weights"] != 0).double().flatten(1)
    correlations = torch.corrcoef(kept.T)
    largest = float(correlations.triu(diagonal=1).abs().max()) * math.sqrt(len(kept))
    what = "is the largest correlation of two weights' coins, in 1 / sqrt(n)"
    yield Check("weights one by one", at_most(largest, ERRORS, what, unit=" s.e."))


def _how_many(masked: dict[str, Tensor]) -> Iterator[Part]:
    coins = {"inputs": 2, "outputs": 3, "weights": 6}
    hidden = sum(_WAN[1:-1])
    links = sum(a * b for a, b in itertools.pairwise(_WAN))
    draws = len(masked["inputs"])
    yield Step("How many sub-networks")
    yield Formula(
        "2^units for dropout, 2^weights for DropConnect; with a mask for each of B\n"
        "examples, one step is one of (2^units)^B or (2^weights)^B"
    )
    yield Rows(
        f"this layer, and how many were seen in n = {draws:,} draws",
        ("dropped", "coins", "sub-networks", "seen"),
        [
            (WAYS[name], count, 2**count, len((masked[name] != 0).flatten(1).unique(dim=0)))
            for name, count in coins.items()
        ],
    )
    yield Rows(
        "784-800-800-10, of Wan et al. 2013, without the biases: coins tossed in a step, "
        f"with {_BATCH} examples in a batch",
        ("dropped", "one mask a batch", "one an example", "sub-networks of a mask"),
        [
            (name, count, _BATCH * count, f"2^{count:,} = 10^{count * math.log10(2):,.0f}")
            for name, count in (("hidden units", hidden), ("weights", links))
        ],
    )
    yield Look(
        "The further p is from 0.5, the more of the draws are the same few. "
        "Both numbers of the larger network are beyond any count of steps: no training meets more "
        "than a vanishing share of either. So the larger one is no argument for DropConnect by "
        "itself. That its coins are independent makes a difference; see the noise below."
    )


def _per_batch(p: float, batches: int, seed: int, spread: Spread) -> Iterator[Part]:
    rows = []
    for name, layer in (("units", InvertedDropout), ("weights", DropConnect)):
        for mask, words in _MASKS.items():
            same = ONES.expand(3, 2)
            each = layer(p, mask=mask, noise=noise(seed, 20)).connect(same, WEIGHT, None)
            rows.append((name, words, *(_short(row / (1 + odds(p))) for row in each)))
    yield Step("One mask for a batch, or one for each example")
    yield Rows(
        "z, before the division by 1 - p, for three times the same example (1, 1)",
        ("dropped", "mask for each", *(f"example {index + 1}" for index in range(3))),
        rows,
    )
    yield Look(
        "With one mask for the batch the three are the same: the batch has met one sub-network."
    )
    alone, shared = spread["element"][_BATCH], spread["batch"][_BATCH]
    yield Rows(
        f"variance of the mean of z_1 over a batch of {_BATCH}, units dropped, "
        f"n = {batches:,} batches",
        ("mask for each", "should be", "measured", "standard error"),
        [
            (words, each.should, each.found, each.error)
            for words, each in (("example", alone), ("batch", shared))
        ],
    )
    yield Look(
        f"Masks of their own average out within a batch: {_BATCH} times less noise in the mean, "
        "and so in a gradient, which is a mean over the batch too."
    )
    yield Mistake(
        "A layer written from scratch often thresholds one uniform vector, as long as a row, and "
        "multiplies the whole batch by it. That is one mask for the batch. Srivastava et al. 2014 "
        "and Wan et al. 2013 draw one for each example."
    )
    what = "is the variance of the batch's mean"
    yield Check("of examples: over B", within(alone.found, alone.should, alone.error, what))
    yield Check("of a batch: as of one", within(shared.found, shared.should, shared.error, what))


def _scaling(draws: int, seed: int) -> Iterator[Part]:
    rows: list[tuple[str, float, float, float, float]] = []
    worst = 0.0
    for at, p in enumerate(_P):
        layer = UnscaledDropout(p, noise=noise(seed, 40, at))  # rows that share no draws
        out = layer(torch.ones(draws)).double()
        mean, q = float(out.mean()), 1 - float(layer.p)
        rest = float(layer.eval()(torch.ones(1)))
        rows.append((f"{p:g}", mean, rest * q / mean, rest / mean, rest / q / mean))
        worst = max(worst, abs(mean / (rest * q) - 1) / math.sqrt(odds(p) / draws))
    yield Step("Which way to scale")
    yield Say(
        "Where nothing is divided in training, evaluation has to make up for it. A unit of value 1:"
    )
    yield Rows(
        f"evaluation over the mean of training, n = {draws:,}",
        ("p", "mean of training", "times 1 - p", "as it is", "over 1 - p"),
        rows,
    )
    yield Look(
        "Only times 1 - p makes them equal. As it is, evaluation is 1 / (1 - p) times too "
        "large; divided, 1 / (1 - p)^2 times."
    )
    yield Mistake(
        "'Some units are trained more often than others, so in evaluation the weights are scaled "
        "by 1 / (1 - p).' The direction is wrong, and so is the reason: nothing is averaged by how "
        "often a unit was trained. The next layer learned with sums of which a share p was missing "
        "on the mean; in evaluation nothing is missing, and they have to shrink."
    )
    what = "is how far off it is, at any p"
    yield Check("times 1 - p, not over it", at_most(worst, ERRORS, what, unit=" s.e."))


def _variance(p: float, noisy: dict[str, Noisy]) -> Iterator[Part]:
    draws = len(noisy["units"].z)
    yield Step("The noise of the outputs")
    yield Formula(
        "both:          Var z_j        = p / (1 - p) sum_i (x_i w_ij)^2\n"
        "dropout:       Cov(z_j, z_k)  = p / (1 - p) sum_i x_i^2 w_ij w_ik\n"
        "DropConnect:   Cov(z_j, z_k)  = 0"
    )
    entries = ("Var z_1", "Var z_2", "Var z_3", "Cov(z_1, z_2)", "Cov(z_1, z_3)", "Cov(z_2, z_3)")
    rows = []
    for at, name in zip(_PAIRS, entries, strict=True):
        fields = [name]
        for each in noisy.values():
            fields += [f"{each.should[at]:.4g}", f"{each.found[at]:.4g} ± {each.error[at]:.2g}"]
        rows.append(fields)
    yield Rows(
        f"closed form, and measured ± standard error; x = (1, 1), p = {p:g}, n = {draws:,} masks",
        ("", "dropout", "measured", "DropConnect", "measured"),
        rows,
    )
    both = {name: float(each.found.sum()) for name, each in noisy.items()}
    yield Look(
        "Each output has as much noise under both. But a dropped unit is missing from all outputs "
        "at once: under dropout they err together, with a correlation of "
        f"{_correlation(noisy['units'], 0, 1)} between the first two; under DropConnect of "
        f"{_correlation(noisy['weights'], 0, 1)}, by chance. Their sum has a variance of "
        f"{both['units']:.4g} under dropout and of {both['weights']:.4g} under DropConnect."
    )
    yield Mistake(
        "'Dropout multiplies each weight w_ij by a coin e_ij of its own.' The mean, (1 - p) w_ij, "
        "is right of both. But a coin for each weight is DropConnect; under dropout all weights "
        "that leave a unit share one coin, and so the outputs share their noise."
    )
    what = "is how far a variance or covariance is from the closed form"
    names = {"units": "dropout: they err as one", "weights": "DropConnect: one by one"}
    for name, each in noisy.items():
        yield Check(names[name], at_most(each.worst, ERRORS, what, unit=" s.e."))


_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def _correlation(noisy: Noisy, one: int, other: int) -> str:
    found = noisy.found
    correlation = float(found[one, other] / (found[one, one] * found[other, other]).sqrt())
    return f"{round(correlation, 3) + 0.0:.3f}"  # + 0.0: a little below 0 it would be -0.000


def _biases(p: float, draws: int, seed: int) -> Iterator[Part]:
    bare, biased = of_weights(p, 1, seed), of_weights(p, draws, seed, BIAS)
    yield Step("And the biases")
    yield Say(
        "DropConnect as published masks the biases too, and so does this layer; dropout leaves "
        "them alone. With biases of 1:"
    )
    numbers = (bare.should, biased.should, biased.found, biased.error)
    yield Rows(
        f"DropConnect, variance of the outputs, n = {draws:,} masks",
        ("", "weights only", "with biases", "measured", "standard error"),
        [(f"Var z_{j + 1}", *(float(each[j, j]) for each in numbers)) for j in range(3)],
    )
    yield Look(f"Each gains p / (1 - p) b^2 = {odds(p):.4g}.")
    what = "is how far a variance or covariance is off"
    yield Check("biases are dropped too", at_most(biased.worst, ERRORS, what, unit=" s.e."))
