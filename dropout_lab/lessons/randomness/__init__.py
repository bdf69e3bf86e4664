"""Lesson ``randomness``: how random masks are, and which p makes them most so."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Binomial

from dropout_lab.checks.outcome import at_least, at_most
from dropout_lab.layers import InvertedDropout
from dropout_lab.layers.noise_measurement import ERRORS
from dropout_lab.lessons import Asked
from dropout_lab.lessons.draws import noise
from dropout_lab.lessons.mask_helpers import kept, marks
from dropout_lab.lessons.parts import Check, Formula, Look, Mistake, Part, Picture, Rows, Say, Step
from dropout_lab.lessons.randomness.picture import Entropy, Seen, Shown, draw
from dropout_lab.lessons.randomness.sub_networks import distinct, expected_distinct

_EXAMPLES, _UNITS = 5, 10
_BESIDE = 4  # masks of ten units in a line of 80 columns
_GRID = tuple(step / 20 for step in range(1, 20))
_COINS = 1_000  # units whose entropy is estimated, each from draws of its own
_BATCH, _BATCHES = 128, 1_000
_LAYERS = (5, 10, 16)  # units; all their sub-networks can be counted
_SHOW, _COUNT, _ENTROPY, _GRID_ENTROPY, _SEEN = range(5)  # what draws are for


def lesson(asked: Asked) -> Iterator[Part]:
    """Yield the parts of the lesson."""
    draws = 200 if asked.quick else 1_000
    examples = 20_000 if asked.quick else 100_000
    shown = [kept(_layer(p, asked, _SHOW, at), 15, _UNITS) for at, p in enumerate(asked.p)]
    yield from _side_by_side(asked.p, shown)
    counts = [_Count.of(_layer(p, asked, _COUNT, at), examples) for at, p in enumerate(asked.p)]
    yield from _how_many(counts, examples)
    own = [_entropy(_layer(p, asked, _ENTROPY, at), draws) for at, p in enumerate(asked.p)]
    grid = [_entropy(_layer(p, asked, _GRID_ENTROPY, at), draws) for at, p in enumerate(_GRID)]
    yield from _entropies(own, grid, draws)
    seen = [
        _seen(_layer(p, asked, _SEEN, at, units), units)
        for at, p in enumerate(asked.p)
        for units in _LAYERS
    ]
    yield from _sub_networks(seen)
    masks = [
        Shown(p, mask, count.shares) for p, mask, count in zip(asked.p, shown, counts, strict=True)
    ]
    n = f"{examples:,} examples for the counts; {_COINS:,} units with {draws:,} draws each for the "
    n += f"entropy; {_BATCHES:,} batches of {_BATCH} for the sub-networks"
    yield Picture(
        lambda: draw(masks, [*grid, *own], seen, n),
        "masks, how many units they drop, their entropy, and the sub-networks of a batch",
    )


def _layer(p: float, asked: Asked, *key: int) -> InvertedDropout:
    return InvertedDropout(p, noise=noise(asked.seed, *key))


def _side_by_side(ps: Sequence[float], shown: Sequence[Tensor]) -> Iterator[Part]:
    yield Step("Masks side by side")
    title = f"{_UNITS} units: 1 where one is kept, 0 where it is dropped"
    for start in range(0, len(ps), _BESIDE):
        part = slice(start, start + _BESIDE)
        rows = [
            (f"example {at + 1}", *(marks(mask[at], "") for mask in shown[part]))
            for at in range(_EXAMPLES)
        ]
        totals = (str(int((~mask[:_EXAMPLES]).sum())) for mask in shown[part])
        rows.append((f"0s of {_EXAMPLES * _UNITS}", *totals))
        yield Rows(title, ("", *(f"p = {p:g}" for p in ps[part])), rows)
    likeliest = ", ".join(f"{max(p, 1 - p) ** _UNITS:.2g} at p = {p:g}" for p in ps)
    yield Look(
        "The further p is from 0.5, the more alike the masks of the examples. The likeliest mask "
        f"(all kept below 0.5, all dropped above) has the chance max(p, 1 - p)^{_UNITS}: "
        f"{likeliest}."
    )


@dataclass(frozen=True)
class _Count:
    """How many of a layer's ten units each of many examples drops.

    Args:
        p: Chance of dropping in force.
        shares: Of the examples, that drop 0, 1, ... 10 units.
        examples: How many there are.
    """

    p: float
    shares: Tensor
    examples: int

    @classmethod
    def of(cls, layer: InvertedDropout, examples: int) -> "_Count":
        dropped = _UNITS - kept(layer, examples, _UNITS).sum(dim=1)
        shares = torch.bincount(dropped, minlength=_UNITS + 1).double() / examples
        return cls(float(layer.p), shares, examples)

    @property
    def mean(self) -> float:
        return float((self.shares * torch.arange(_UNITS + 1)).sum())

    @property
    def variance(self) -> float:
        squares = (torch.arange(_UNITS + 1) - self.mean) ** 2
        return float((self.shares * squares).sum()) * self.examples / (self.examples - 1)

    @property
    def nearest(self) -> int:
        """The count next to a share p of the units."""
        return round(_UNITS * self.p)

    @property
    def should(self) -> float:
        """The variance of a binomial count."""
        return _UNITS * self.p * (1 - self.p)

    @property
    def chance(self) -> float:
        """The binomial chance of the nearest count."""
        k, m, p = _UNITS, self.nearest, self.p
        return math.comb(k, m) * p**m * (1 - p) ** (k - m)

    @property
    def off(self) -> float:
        """How far mean, variance and nearest count are from binomial, in standard errors."""
        n, variance = self.examples, self.should
        fourth = variance * (1 + 3 * (_UNITS - 2) * self.p * (1 - self.p))  # central moment
        of_variance = math.sqrt((fourth - variance**2 * (n - 3) / (n - 1)) / n)
        of_share = math.sqrt(self.chance * (1 - self.chance) / n)
        return max(
            abs(self.mean - _UNITS * self.p) / math.sqrt(variance / n),
            abs(self.variance - variance) / of_variance,
            abs(float(self.shares[self.nearest]) - self.chance) / of_share,
        )


def _how_many(counts: Sequence[_Count], examples: int) -> Iterator[Part]:
    yield Step("How many units are dropped")
    yield Say("Each unit has a coin of its own, so the number of dropped units is binomial:")
    yield Formula(f"mean = k p,  s.d. = sqrt(k p (1 - p)),  here k = {_UNITS}")
    yield Rows(
        f"dropped units of an example, measured | binomial (n = {examples:,} examples)",
        ("p", "mean", "s.d.", "range", "share at k p, rounded"),
        [
            (
                f"{each.p:.4g}",
                f"{each.mean:.3f} | {_UNITS * each.p:.3f}",
                f"{math.sqrt(each.variance):.3f} | {math.sqrt(each.should):.3f}",
                "{} to {}".format(*torch.where(each.shares > 0)[0][[0, -1]].tolist()),
                f"{float(each.shares[each.nearest]):.3f} | {each.chance:.3f}",
            )
            for each in counts
        ],
    )
    yield Mistake(
        "'With dropout p, a share p of the units is dropped.' That is the mean over many examples. "
        "The last column tells which share of the examples drops just that many (rounded to a "
        "whole number)."
    )
    off = max(each.off for each in counts)
    what = "is how far a mean, a variance or a share of the counts is from binomial"
    yield Check("the count is binomial", at_most(off, ERRORS, what, unit=" s.e."))


def _entropy(layer: InvertedDropout, draws: int) -> Entropy:
    """Estimate the entropy of each unit's mask from how often it was dropped."""
    p = float(layer.p)
    plain, correction = entropies(draws)  # of a unit that was dropped 0, 1, ... times
    dropped = draws - kept(layer, draws, _COINS).sum(dim=0)
    corrected = plain + correction
    # Not from the spread that was measured: near p = 0.5 it falls and rises with the mean.
    times = torch.arange(draws + 1).double()
    chances = Binomial(draws, layer.p).log_prob(times).exp()
    mean = (chances * corrected).sum()
    deviation = float((chances * (corrected - mean) ** 2).sum().sqrt())
    return Entropy(
        p=p,
        plain=float(plain[dropped].mean()),
        corrected=float(corrected[dropped].mean()),
        error=deviation / math.sqrt(_COINS),
        should=-p * math.log2(p) - (1 - p) * math.log2(1 - p),
    )


def entropies(draws: int) -> tuple[Tensor, Tensor]:
    """Return H(f) in bits for f = 0, 1/n, ... 1, and what Miller (1955) adds: ``(n + 1,)`` each."""
    share = torch.arange(draws + 1).double() / draws
    plain = (torch.special.entr(share) + torch.special.entr(1 - share)) / math.log(2)
    return plain, ((share > 0) & (share < 1)) / (2 * draws * math.log(2))


def _entropies(own: Sequence[Entropy], grid: Sequence[Entropy], draws: int) -> Iterator[Part]:
    yield Step("The entropy of a unit's mask")
    yield Say("How uncertain a coin is before it is tossed, in bits; k units have k times as much:")
    yield Formula(
        "H(p) = -p log2(p) - (1 - p) log2(1 - p)\n"
        "H(f) : the same of the share f of draws in which a unit was dropped"
    )
    yield Rows(
        f"bits, mean of {_COINS:,} units, each from {draws:,} draws",
        ("p", "H(f)", "corrected", "standard error", "H(p)", "2^(10 H(p))"),
        [
            (f"{e.p:.4g}", e.plain, e.corrected, e.error, e.should, 2 ** (10 * e.should))
            for e in own
        ],
    )
    yield Look(
        "H(f) is too low on average, by 1 / (2 n ln 2) bits for n draws of two outcomes (Miller "
        "1955); corrected, what is left is chance. The last column: a layer of ten units is as "
        "uncertain as that many equally likely sub-networks; it has 2^10 = 1,024."
    )
    middle = min(grid, key=lambda each: abs(each.p - 0.5))
    second = max((each for each in grid if each is not middle), key=lambda each: each.corrected)
    error = math.hypot(middle.error, second.error)
    gap = (middle.corrected - second.corrected) / error
    yield Say(
        f"Over a grid of p from {_GRID[0]:g} to {_GRID[-1]:g}: {middle.corrected:.4f} bits at "
        f"p = 0.5, and next {second.corrected:.4f} at p = {second.p:.4g}; "
        f"their standard errors are {middle.error:.2g} and {second.error:.2g}. (A corrected "
        "estimate can pass 1 by chance.)"
    )
    yield Mistake(
        "'p = 0.5 has the highest entropy, so it is the best p.' The first half is right. But the "
        "entropy is a fact about masks and says nothing of accuracy: which p trains best depends "
        "on the network, the data and the place. Srivastava et al. (2014, section 7.3) found the "
        "test error flat from p = 0.2 to 0.6 (their p is our 1 - p: 0.4 to 0.8), and drop inputs "
        "with 0.2. Nor is it the p of most noise: the variance p / (1 - p) of inverted dropout "
        "rises beyond 0.5."
    )
    off = max(each.off for each in [*own, *grid])
    what = "is how far an entropy is from H(p), at any p"
    yield Check("the entropy is H(p)", at_most(off, ERRORS, what, unit=" s.e."))
    what = "is how far the entropy at 0.5 is above the next highest of the grid"
    yield Check("the maximum is at p = 0.5", at_least(gap, ERRORS, what, unit=" s.e."))


def _seen(layer: InvertedDropout, units: int) -> Seen:
    counts = distinct(kept(layer, _BATCHES, _BATCH, units)).double()
    p = float(layer.p)
    expected, deviation = expected_distinct(p, units, _BATCH)
    return Seen(p, units, float(counts.mean()), deviation / math.sqrt(_BATCHES), expected)


def _sub_networks(seen: Sequence[Seen]) -> Iterator[Part]:
    yield Step(f"Sub-networks that a batch of {_BATCH} sees")
    yield Say(
        "k units have 2^k masks, each a sub-network. One that drops m units has the chance "
        "P = p^m (1 - p)^(k - m), and is among n examples with the chance 1 - (1 - P)^n. So the "
        "expected number of different ones in a batch is"
    )
    yield Formula("sum over m of  C(k, m) (1 - (1 - P)^n),  P = p^m (1 - p)^(k - m)")
    yield Rows(
        f"different masks in a batch (n = {_BATCHES:,} batches)",
        ("p", "units k", "2^k", "seen, mean", "standard error", "expected"),
        [(f"{s.p:.4g}", s.units, 2**s.units, s.mean, s.error, s.expected) for s in seen],
        digits=5,
    )
    yield Look(
        f"A batch of {_BATCH} cannot see more than {_BATCH} of 16 units' 65,536 sub-networks; a "
        "layer of 512 units has 2^512, of which no training sees more than a vanishing part. The "
        "expected number is highest at p = 0.5, where all masks have the same chance."
    )
    fewest, most = (function(s.mean for s in seen) for function in (min, max))
    yield Mistake(
        "'In each epoch, or in each step, some of the units are dropped.' Not one mask for all: "
        "each example gets a mask of its own, and another one each time it is seen. With one mask "
        "for an epoch, or for a batch, each row above would have a mean of 1 sub-network; they "
        f"have {fewest:.3g} to {most:.3g}."
    )
    off = max(each.off for each in seen)
    what = "is how far a mean number of sub-networks is from the expected one"
    yield Check("sub-networks of a batch", at_most(off, ERRORS, what, unit=" s.e."))
