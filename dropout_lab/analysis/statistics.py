"""Statistics for few seeds: intervals, tests, corrections and effect sizes.

The functions take arrays of numbers and ignore values that are not finite; n is the number of the
others. They return nan without a warning where a result is undefined, such as the standard
deviation of one value. Docstrings name the form used if the literature has several.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy  # loads its modules, such as the slow scipy.stats, at their first use

LEVEL = 0.95  # of every interval
ALPHA = 0.05  # significance level; not 1 - LEVEL, which is slightly larger in floating point
POWER = 0.8  # of planned studies
MIN_SEEDS = 6  # pairs for significance: 2 / 2^6 is the first smallest p-value below 0.05
# The share of the error rate for comparisons with a reference, if other pairs are compared too.
# With up to 24 comparisons, they need no more seeds than without the other pairs.
REFERENCE_SHARE = 0.95
_EXACT_UP_TO = 16  # pairs; enumerates 2^15 sign patterns
_SIGN_FLIPS = 99_999  # random sign patterns for more pairs; the smallest p-value is then 1e-5
_CHUNK = 10_000  # sign patterns at once, to limit memory
_RESAMPLES = 9_999  # of a bootstrap
# Relative tolerance for rounding errors: 0.94 - 0.93 and 0.98 - 0.97 differ in their last bit.
_ROUNDING = 1e-9

Array = np.ndarray[Any, np.dtype[Any]]
Interval = tuple[float, float]
NO_INTERVAL: Interval = (math.nan, math.nan)


def finite_values(values: Iterable[float] | Array) -> Array:
    """Return the finite values as an array."""
    array = np.asarray(values if isinstance(values, np.ndarray) else list(values), np.float64)
    finite: Array = array[np.isfinite(array)]
    return finite


def spread(values: Iterable[float] | Array) -> float:
    """Return the standard deviation (n - 1); nan for n < 2, exactly 0 if all values are equal."""
    array = finite_values(values)
    if len(array) < 2:
        return math.nan
    if np.ptp(array) <= _ROUNDING * np.abs(array).max():
        return 0.0
    return float(np.std(array, ddof=1))


def t_interval(values: Iterable[float] | Array, level: float = LEVEL) -> Interval:
    """Return the t interval of the mean: mean ± t(n - 1, (1 + level) / 2) s / sqrt(n).

    It contains the mean of a normal population with probability ``level`` (Student 1908). nan for
    fewer than two values; width 0 if all values are equal.
    """
    array = finite_values(values)
    s = spread(array)
    if math.isnan(s):
        return NO_INTERVAL
    n, mean = len(array), float(array.mean())
    half = float(scipy.special.stdtrit(n - 1, (1 + level) / 2)) * s / math.sqrt(n)
    return mean - half, mean + half


def bca_interval(values: Iterable[float] | Array, level: float = LEVEL) -> Interval:
    """Return the bootstrap interval of the mean, bias-corrected and accelerated (BCa).

    Percentiles of the means of 9,999 resamples, corrected for bias and skewness (Efron 1987; Efron
    & Tibshirani 1993, ch. 14; computed by ``scipy.stats.bootstrap``). It does not assume a normal
    population, but it is too narrow for fewer than about ten values, since it is within their
    range. The same values give the same interval. nan for fewer than two values; width 0 if all
    values are equal.
    """
    array = finite_values(values)
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

    Under the null hypothesis, each difference has either sign with equal probability. The p-value
    is the share of the 2^n sign patterns whose mean is at least as far from 0 as the observed mean
    (Fisher 1935, sec. 21). Enumerates all patterns for up to 16 pairs. For more pairs, uses the
    observed pattern and 99,999 random ones with a fixed seed, p = (1 + count) / (1 + 99,999)
    (Phipson & Smyth 2010).

    ``scipy.stats.permutation_test`` computes the same for exact numbers, but its tolerance misses
    ties between differences of rounded accuracies. 1 if all differences are 0, and for one pair;
    nan without pairs.
    """
    array = finite_values(differences)
    n = len(array)
    if n == 0:
        return math.nan
    observed = abs(float(array.sum())) - _ROUNDING * float(np.abs(array).sum())
    if n <= _EXACT_UP_TO:
        return float(np.mean(np.abs(_sign_patterns(n) @ array) >= observed))
    random, count, remaining = np.random.default_rng(0), 0, _SIGN_FLIPS
    while remaining:
        size = min(remaining, _CHUNK)
        signs = 1.0 - 2.0 * random.integers(0, 2, (size, n), dtype=np.int8)
        count += int(np.count_nonzero(np.abs(signs @ array) >= observed))
        remaining -= size
    return (1 + count) / (1 + _SIGN_FLIPS)


@lru_cache
def _sign_patterns(n: int) -> Array:
    """Return all patterns of n signs with a positive first sign, which represent all patterns."""
    signs: Array = 1.0 - 2.0 * (np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1)[:, ::-1]
    return signs


def smallest_p(n: int) -> float:
    """Return the smallest possible result of ``sign_flip_p`` for n pairs: 2 / 2^n, at most 1.

    For more than 16 pairs it is at least 1e-5, due to the number of random patterns. nan for n = 0.
    """
    if n < 1:
        return math.nan
    exact = 2.0 ** (1 - n)
    return exact if n <= _EXACT_UP_TO else max(exact, 1 / (1 + _SIGN_FLIPS))


def min_seeds(tests: int) -> int:
    """Return the minimum number of paired seeds for significance in one of ``tests`` comparisons.

    At least six. With nine comparisons, Holm's correction multiplies the smallest p-value by nine,
    so 2 / 2^n is small enough for n >= 9. Includes the 5% of the error rate for other pairs of
    cells (see :mod:`~dropout_lab.analysis.family`).
    """
    n = MIN_SEEDS
    while (
        tests / REFERENCE_SHARE * smallest_p(n) >= ALPHA and n < 17
    ):  # more pairs do not decrease it
        n += 1
    return n


def holm(
    p_values: Iterable[float] | Array, weights: Iterable[float] | Array | None = None
) -> Array:
    """Return the p-values after Holm's correction, in the given order.

    Without weights, multiplies the j-th smallest of m p-values by m - j + 1; the results are
    nondecreasing and at most 1. With weights, orders the p-values by p / weight and multiplies each
    p / weight by the sum of its weight and all following weights (Holm 1979). The probability of
    any corrected p-value below 0.05 under the null hypothesis is at most 5%, for any dependence
    between the tests. nan stays nan and is not counted.

    Args:
        p_values: Each in [0, 1], or nan.
        weights: The share of the error rate of each p-value; positive.
    """
    p = np.asarray(list(p_values), np.float64)
    w = np.ones(p.shape) if weights is None else np.asarray(list(weights), np.float64)
    corrected = np.full(p.shape, np.nan)
    defined = np.flatnonzero(~np.isnan(p))
    order = defined[np.argsort(p[defined] / w[defined], kind="stable")]
    remaining = np.cumsum(w[order][::-1])[::-1]
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(remaining * p[order] / w[order]))
    return corrected


def effect_size(differences: Iterable[float] | Array) -> float:
    """Return the standardized mean of paired differences, d_z = J mean / s.

    Cohen's d_z (Cohen 1988, sec. 2.3.5), times Hedges' J = gamma(m / 2) / (sqrt(m / 2)
    gamma((m - 1) / 2)), m = n - 1, which removes its bias in small samples (Hedges 1981). nan for
    fewer than three values, where J is 0; 0 if all differences are 0, infinite if all are equal and
    not 0.
    """
    array = finite_values(differences)
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

    nan for fewer than two values. If all values are equal: 1 if they are 0, else 0.
    """
    array = finite_values(differences)
    s = spread(array)
    if math.isnan(s):
        return math.nan
    mean = float(array.mean())
    if s == 0:
        return 0.0 if mean else 1.0
    return float(2 * scipy.special.stdtr(len(array) - 1, -abs(mean) * math.sqrt(len(array)) / s))


def seeds_needed(difference: float, sd: float, power: float = POWER, level: float = LEVEL) -> float:
    """Return the number of paired seeds that a two-sided paired t test needs for a difference.

    The smallest n >= 2 with |T| > t(n - 1, (1 + level) / 2) with probability ``power``, where T is
    noncentral t with n - 1 degrees of freedom and noncentrality sqrt(n) difference / sd (Cohen
    1988, ch. 2). Assumes a known SD, although an SD of few seeds is uncertain: for three seeds, the
    true SD is between 0.5 and 6 times the observed one. Returns a float: inf for a difference of 0,
    nan for an SD of nan, 2 for an SD of 0.
    """
    if math.isnan(sd) or math.isnan(difference):
        return math.nan
    if difference == 0:
        return math.inf
    ratio = sd / abs(difference)
    z = scipy.special.ndtri((1 + level) / 2) + scipy.special.ndtri(power)
    # The normal distribution gives a lower bound; the t distribution needs a few more seeds.
    n = max(2.0, math.floor((z * ratio) ** 2))
    while n < 1e7 and ratio and _power(n, 1 / ratio, level) < power:
        n += 1
    return float(n)


def _power(n: float, d: float, level: float) -> float:
    """Return the power of the paired t test at the standardized difference d."""
    m, noncentrality = n - 1, d * math.sqrt(n)
    critical = float(scipy.special.stdtrit(m, (1 + level) / 2))
    if noncentrality > 100:  # SciPy's series fails; the mean is certain, the SD is not
        return float(scipy.special.chdtr(m, m * (noncentrality / critical) ** 2))
    nct = scipy.stats.nct  # its sf is accurate on both sides where its cdf is nan
    return float(nct.sf(critical, m, noncentrality) + nct.sf(critical, m, -noncentrality))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    If two networks are equally accurate, an example that only one of them classifies correctly is
    equally likely to be either's. So this is a binomial test at 1/2 (McNemar 1947; Dietterich
    1998). It compares two trained networks, not two training settings. 1 without such examples.
    """
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    return float(scipy.stats.binomtest(only_first, discordant, 0.5).pvalue)


@dataclass(frozen=True)
class Optimism:
    """How much the best cell on the test set overstates its accuracy.

    Args:
        value: The optimism, in the unit of the values; nan if it cannot be estimated.
        draws: Number of bootstrap draws.
        seeds: Number of seeds.
    """

    value: float
    draws: int
    seeds: int


def selection_optimism(values: Sequence[Sequence[float]] | Array) -> Optimism:
    """Estimate how much choosing the best cell overstates its mean, by an out-of-bag bootstrap.

    Each of 9,999 draws samples n of the n seeds with replacement and chooses the cell with the
    highest mean over the drawn seeds. The optimism of the draw is this mean minus the mean over the
    seeds that were not drawn. The result is the mean over the draws (Efron 1983; Efron & Tibshirani
    1997). A draw contains about 0.63 n different seeds, so the estimate is too large: up to 1.4
    times the true value, if all cells are equal. It includes the randomness of the seeds, not that
    of the test images, which all seeds share.

    Args:
        values: (seeds, cells), higher is better; nan for missing seeds.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or 0 in array.shape:
        return Optimism(math.nan, 0, 0)
    present = np.isfinite(array)
    array, present = array[present.any(axis=1)], present[present.any(axis=1)]
    n = len(array)
    if n < 2:
        return Optimism(math.nan, 0, n)
    drawn = np.random.default_rng(0).integers(0, n, (_RESAMPLES, n))
    weights = np.zeros((_RESAMPLES, n))
    np.add.at(weights, (np.arange(_RESAMPLES)[:, None], drawn), 1.0)
    drawn_means = _weighted_means(weights, array, present)
    other_means = _weighted_means((weights == 0).astype(np.float64), array, present)
    best = np.argmax(np.where(np.isnan(drawn_means), -np.inf, drawn_means), axis=1)
    rows = np.arange(_RESAMPLES)
    optimism = finite_values(drawn_means[rows, best] - other_means[rows, best])
    return Optimism(float(optimism.mean()) if len(optimism) else math.nan, len(optimism), n)


def _weighted_means(weights: Array, values: Array, present: Array) -> Array:
    """Return the weighted mean of each cell in each draw, (draws, cells); nan without seeds."""
    total = weights @ present
    sums = weights @ np.where(present, values, 0.0)
    means: Array = np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0)
    return means
