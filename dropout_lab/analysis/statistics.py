"""The statistics of few seeds: intervals, tests, corrections, effect sizes, as plain functions.

Every function takes arrays of numbers. Values that are not finite are left out, and n is how many
are left. Where a number is not defined, such as the spread of one value, the answer is nan, never
a warning. What the literature gives several forms of is said in the docstring.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy  # its parts are loaded at their first use, the slow scipy.stats among them

LEVEL = 0.95  # of every interval
ALPHA = 0.05  # below it a corrected p-value may be called significant; 1 - LEVEL is a hair above
POWER = 0.8  # of planned studies
LEAST_SEEDS = 6  # pairs below which nothing is called significant: 2 / 2^6 is the first below 0.05
# Of the error rate, what the comparisons with a reference get where other pairs are compared too.
# So large that these need as many seeds as they would alone: up to 24 comparisons.
SHARE = 0.95
_EXACT_UP_TO = 16  # pairs whose signs are all enumerated: 2^15 sums
_SIGN_FLIPS = 99_999  # random ones above that, so the smallest p-value is 1e-5
_CHUNK = 10_000  # of them at once: bounds the memory
_RESAMPLES = 9_999  # of a bootstrap
# Relative to the size of the values: what is smaller is rounding. 0.94 - 0.93 and 0.98 - 0.97 are
# the same difference and differ in their last bit.
_ROUNDING = 1e-9

Array = np.ndarray[Any, np.dtype[Any]]
Interval = tuple[float, float]
NO_INTERVAL: Interval = (math.nan, math.nan)


def finite(values: Iterable[float] | Array) -> Array:
    """Return the finite ones of some values."""
    array = np.asarray(values if isinstance(values, np.ndarray) else list(values), np.float64)
    kept: Array = array[np.isfinite(array)]
    return kept


def spread(values: Iterable[float] | Array) -> float:
    """Return the standard deviation s (n - 1); nan below two values, exactly 0 if all are equal."""
    array = finite(values)
    if len(array) < 2:
        return math.nan
    if np.ptp(array) <= _ROUNDING * np.abs(array).max():
        return 0.0
    return float(np.std(array, ddof=1))


def t_interval(values: Iterable[float] | Array, level: float = LEVEL) -> Interval:
    """Return the t interval of the mean: mean ± t(n - 1, (1 + level) / 2) s / sqrt(n).

    It holds the mean of a normal population with probability ``level`` (Student 1908). nan below
    two values; of no width where all are equal.
    """
    array = finite(values)
    s = spread(array)
    if math.isnan(s):
        return NO_INTERVAL
    n, mean = len(array), float(array.mean())
    half = float(scipy.special.stdtrit(n - 1, (1 + level) / 2)) * s / math.sqrt(n)
    return mean - half, mean + half


def bca_interval(values: Iterable[float] | Array, level: float = LEVEL) -> Interval:
    """Return the bootstrap interval of the mean, bias-corrected and accelerated (BCa).

    Percentiles of the means of 9,999 resamples, moved by the bias and the skewness of the values
    (Efron 1987; Efron & Tibshirani 1993, ch. 14; computed by ``scipy.stats.bootstrap``). It needs
    no normal population but many values: below about ten it is too narrow, since it never reaches
    beyond the values themselves. The same values give the same interval. nan below two values; of
    no width where all are equal.
    """
    array = finite(values)
    s = spread(array)
    if math.isnan(s):
        return NO_INTERVAL
    if s == 0:
        return float(array.mean()), float(array.mean())
    found = scipy.stats.bootstrap(
        (array,),
        np.mean,
        confidence_level=level,
        n_resamples=_RESAMPLES,
        batch=max(1, 10_000_000 // len(array)),
        method="BCa",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def sign_flip_p(differences: Iterable[float] | Array) -> float:
    """Return the two-sided p-value of the paired sign-flip permutation test of the mean.

    If the two members of each pair could be exchanged, each difference could as well have the
    other sign. The p-value is the share of the 2^n ways to give signs whose mean lies at least as
    far from 0 as the one seen (Fisher 1935, sec. 21). Up to 16 pairs every way is counted; above,
    99,999 random ways and the one seen, p = (1 + count) / (1 + 99,999) (Phipson & Smyth 2010),
    always the same ones.

    ``scipy.stats.permutation_test`` does the same on exact numbers; its tolerance is too small for
    differences of rounded accuracies, where it takes ties for smaller. 1 where all differences are
    0, and of one pair; nan of none.
    """
    array = finite(differences)
    n = len(array)
    if n == 0:
        return math.nan
    seen = abs(float(array.sum())) - _ROUNDING * float(np.abs(array).sum())
    if n <= _EXACT_UP_TO:
        return float(np.mean(np.abs(_every_sign(n) @ array) >= seen))
    random, count, left = np.random.default_rng(0), 0, _SIGN_FLIPS
    while left:
        size = min(left, _CHUNK)
        signs = 1.0 - 2.0 * random.integers(0, 2, (size, n), dtype=np.int8)
        count += int(np.count_nonzero(np.abs(signs @ array) >= seen))
        left -= size
    return (1 + count) / (1 + _SIGN_FLIPS)


@lru_cache
def _every_sign(n: int) -> Array:
    """Return the ways to give n signs; the first stays, since flipping all changes no distance."""
    signs: Array = 1.0 - 2.0 * (np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1)[:, ::-1]
    return signs


def smallest_p(n: int) -> float:
    """Return the smallest p-value that ``sign_flip_p`` can give n pairs: 2 / 2^n, at most 1.

    Above 16 pairs it is no less than 1e-5, the smallest of so many random flips. nan of no pairs.
    """
    if n < 1:
        return math.nan
    exact = 2.0 ** (1 - n)
    return exact if n <= _EXACT_UP_TO else max(exact, 1 / (1 + _SIGN_FLIPS))


def least_seeds(tests: int) -> int:
    """Return the fewest paired seeds with which one of so many comparisons can be significant.

    At least six; with nine comparisons, of which Holm's correction multiplies the smallest p-value
    by nine, 2 / 2^n is small enough only from n = 9. That other pairs of cells have 5 % of the
    error rate (see :mod:`~dropout_lab.analysis.family`) is counted in.
    """
    n = LEAST_SEEDS
    while tests / SHARE * smallest_p(n) >= ALPHA and n < 17:  # none is smaller beyond
        n += 1
    return n


def holm(
    p_values: Iterable[float] | Array, weights: Iterable[float] | Array | None = None
) -> Array:
    """Return Holm's corrected p-values, in the order given.

    Without weights, the j-th smallest of m p-values is multiplied by m - j + 1; no corrected value
    is below the one before it or above 1. With weights, the p-values are ordered by p / weight, and
    each p / weight is multiplied by the sum of the weights from it on (Holm 1979). Calling those
    below 0.05 significant errs in at most 5 % of studies in which nothing differs, however the
    tests depend on each other. nan stays nan and does not count.

    Args:
        p_values: Each in [0, 1], or nan.
        weights: Positive numbers, one for each p-value: its share of the error rate.
    """
    p = np.asarray(list(p_values), np.float64)
    w = np.ones(p.shape) if weights is None else np.asarray(list(weights), np.float64)
    corrected = np.full(p.shape, np.nan)
    counted = np.flatnonzero(~np.isnan(p))
    order = counted[np.argsort(p[counted] / w[counted], kind="stable")]
    remaining = np.cumsum(w[order][::-1])[::-1]
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(remaining * p[order] / w[order]))
    return corrected


def effect_size(differences: Iterable[float] | Array) -> float:
    """Return the standardized mean of paired differences, d_z = J mean / s.

    Cohen's d_z (Cohen 1988, sec. 2.3.5), times Hedges' J = gamma(m / 2) / (sqrt(m / 2)
    gamma((m - 1) / 2)), m = n - 1, which takes out its bias in small samples (Hedges 1981). nan
    below three values, where J is 0; 0 where all differences are 0, infinite where all are equal
    and not 0.
    """
    array = finite(differences)
    s, m = spread(array), len(array) - 1
    if m < 2:
        return math.nan
    mean = float(array.mean())
    if s == 0:
        return math.copysign(math.inf, mean) if mean else 0.0
    gammaln = scipy.special.gammaln
    return float(np.exp(gammaln(m / 2) - gammaln((m - 1) / 2)) / math.sqrt(m / 2) * mean / s)


def t_test_p(differences: Iterable[float] | Array) -> float:
    """Return the two-sided p-value of the paired t test (Student 1908).

    nan below two values; where all are equal 1 if they are 0, else 0.
    """
    array = finite(differences)
    s = spread(array)
    if math.isnan(s):
        return math.nan
    mean = float(array.mean())
    if s == 0:
        return 0.0 if mean else 1.0
    return float(2 * scipy.special.stdtr(len(array) - 1, -abs(mean) * math.sqrt(len(array)) / s))


def seeds_needed(difference: float, sd: float, power: float = POWER, level: float = LEVEL) -> float:
    """Return how many paired seeds a two-sided paired t test needs to find a difference.

    The smallest n >= 2 at which |T| > t(n - 1, (1 + level) / 2) with probability ``power``, T
    being noncentral t with n - 1 degrees of freedom and noncentrality sqrt(n) difference / sd
    (Cohen 1988, ch. 2). The s.d. is taken as known, though that of few seeds is itself uncertain:
    of three, the true one lies between 0.5 and 6 times the one seen. A float: inf for a difference
    of 0, nan for an s.d. of nan, 2 for one of 0.
    """
    if math.isnan(sd) or math.isnan(difference):
        return math.nan
    if difference == 0:
        return math.inf
    ratio = sd / abs(difference)
    z = scipy.special.ndtri((1 + level) / 2) + scipy.special.ndtri(power)
    # With s known, the normal distribution gives the count that t can only add a few to.
    n = max(2.0, math.floor((z * ratio) ** 2))
    while n < 1e7 and ratio and _power(n, 1 / ratio, level) < power:
        n += 1
    return float(n)


def _power(n: float, d: float, level: float) -> float:
    """Return the power of the paired t test at the standardized difference d."""
    m, noncentrality = n - 1, d * math.sqrt(n)
    critical = float(scipy.special.stdtrit(m, (1 + level) / 2))
    if noncentrality > 100:  # beyond SciPy's series: the mean is certain there, the s.d. is not
        return float(scipy.special.chdtr(m, m * (noncentrality / critical) ** 2))
    nct = scipy.stats.nct  # whose sf of both sides is sound where its cdf is nan
    return float(nct.sf(critical, m, noncentrality) + nct.sf(critical, m, -noncentrality))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    Of two networks on the same examples, the examples that only the one or only the other has
    right fall to both alike if the two are equally good: a binomial test at 1/2 (McNemar 1947;
    Dietterich 1998). It compares two trained networks, not two ways to train. 1 where they agree.
    """
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    return float(scipy.stats.binomtest(only_first, discordant, 0.5).pvalue)


@dataclass(frozen=True)
class Optimism:
    """What is won on paper by reporting the cell that is best on test.

    Args:
        value: The optimism, in the unit of the values; nan if it cannot be estimated.
        draws: Bootstrap draws it is the mean of.
        seeds: Seeds that were drawn from.
    """

    value: float
    draws: int
    seeds: int


def chosen_optimism(values: Sequence[Sequence[float]] | Array) -> Optimism:
    """Return how much the best of some cells is overrated by the seeds that chose it.

    In each of 9,999 draws of n of the n seeds with replacement, the cell of the highest mean over
    the drawn seeds is taken; its mean over the drawn seeds minus its mean over the seeds not drawn
    is the optimism of that draw, and the answer is the mean over the draws: the out-of-bag
    bootstrap (Efron 1983; Efron & Tibshirani 1997). A draw holds about 0.63 n different seeds, so
    it errs on the large side: up to 1.4 times the truth, where all cells are equal. It holds the
    luck of the seeds, not that of the test images, which all seeds share.

    Args:
        values: (seeds, cells), higher being better; nan where a cell lacks a seed.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or 0 in array.shape:
        return Optimism(math.nan, 0, 0)
    there = np.isfinite(array)
    array, there = array[there.any(axis=1)], there[there.any(axis=1)]
    n = len(array)
    if n < 2:
        return Optimism(math.nan, 0, n)
    drawn = np.random.default_rng(0).integers(0, n, (_RESAMPLES, n))
    weights = np.zeros((_RESAMPLES, n))
    np.add.at(weights, (np.arange(_RESAMPLES)[:, None], drawn), 1.0)
    inside = _means(weights, array, there)
    outside = _means((weights == 0).astype(np.float64), array, there)
    best = np.argmax(np.where(np.isnan(inside), -np.inf, inside), axis=1)
    rows = np.arange(_RESAMPLES)
    optimism = finite(inside[rows, best] - outside[rows, best])
    return Optimism(float(optimism.mean()) if len(optimism) else math.nan, len(optimism), n)


def _means(weights: Array, values: Array, there: Array) -> Array:
    """Return the weighted mean of each cell in each draw, (draws, cells); nan without a seed."""
    total = weights @ there
    sums = weights @ np.where(there, values, 0.0)
    means: Array = np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0)
    return means
