"""Show that a difference is smaller than a margin, and count the seeds that would decide.

A difference that is not significant may still be large. Two one-sided tests (TOST) show the
opposite: that the mean difference is certainly within ± the margin.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import scipy

from dropout_lab.analysis.statistics import (
    MIN_SEEDS,
    POWER,
    Array,
    finite_values,
    seeds_needed,
    spread,
)

MANY_SEEDS = 1_000  # a larger number of seeds is not computed
_ROUNDING = 1e-9  # relative: 0.94 - 0.93 is not below a margin of 0.01
_LEAST = 7.8  # (1.96 + 0.84)^2: a t test at 5% with 80% power needs more times (sd / mean)^2 seeds
_STEPS = 1_000  # of the numerical integral over the standard deviation


def equivalence_p(differences: Iterable[float] | Array, margin: float) -> float:
    """Return the p-value of two one-sided paired t tests (TOST; Schuirmann 1987).

    The null hypothesis is |mean| >= margin. T = (margin - |mean|) sqrt(n) / s, and the p-value is
    P(t > T) with n - 1 degrees of freedom: the larger of the p-values of the two tests. It is at
    most a exactly if the t interval of level 1 - 2 a is within ± the margin.

    If all differences are equal, a t test is undefined. Then it is the p-value of two one-sided
    sign-flip tests: 2^-n for |mean| < margin, else 1.

    Args:
        differences: Paired differences; values that are not finite are ignored.
        margin: The margin, in the unit of the differences; positive.

    Returns:
        The p-value; 1 for fewer than six pairs, nan without pairs.
    """
    array = finite_values(differences)
    n = len(array)
    if n < MIN_SEEDS:
        return 1.0 if n else math.nan
    distance = margin * (1 - _ROUNDING) - abs(float(array.mean()))
    s = spread(array)
    if s == 0:
        return 2.0**-n if distance > 0 else 1.0
    return float(scipy.special.stdtr(n - 1, -distance * math.sqrt(n) / s))


def equivalence_power(n: float, mean: float, sd: float, margin: float, level: float) -> float:
    """Return the probability that two one-sided tests with n pairs show |mean| < margin.

    P(|m| < margin - t s / sqrt(n)) for normal differences, where t = t(n - 1, (1 + level) / 2) and
    m and s are their mean and standard deviation. Integrates over the chi-square distribution of s.

    Args:
        n: Number of pairs, at least 2.
        mean: The true mean difference.
        sd: The true standard deviation of the differences; positive.
        margin: The margin; positive.
        level: The level of the t interval that must be within the margin, such as 0.9.
    """
    quantiles = (np.arange(_STEPS) + 0.5) / _STEPS
    error = sd / math.sqrt(n)
    s = error * np.sqrt(scipy.special.chdtri(n - 1, 1 - quantiles) / (n - 1))
    limit = np.maximum(0.0, margin - scipy.special.stdtrit(n - 1, (1 + level) / 2) * s)
    ndtr = scipy.special.ndtr
    return float(np.mean(ndtr((limit - mean) / error) - ndtr((-limit - mean) / error)))


def seeds_to_decide(mean: float, sd: float, margin: float | None, rate: float) -> float:
    """Return how many paired seeds would decide a comparison if its mean and spread stay.

    The smallest number with which a two-sided t test finds the difference, or two one-sided tests
    show that it is smaller than the margin, with a probability of 80%.

    Args:
        mean: The observed mean difference.
        sd: The observed standard deviation of the differences.
        margin: The margin; None to count only the first test.
        rate: The error rate of each test; at most 0.05.

    Returns:
        The number, or inf if it is above 1,000; nan for an SD of nan.
    """
    if math.isnan(sd) or math.isnan(mean):
        return math.nan
    found = math.inf
    if _LEAST * sd**2 <= MANY_SEEDS * mean**2 and mean:
        found = seeds_needed(mean, sd, POWER, 1 - rate)
    if margin is not None and abs(mean) < margin * (1 - _ROUNDING):
        found = min(found, _smallest(lambda n: _shows(n, mean, sd, margin, rate) >= POWER))
    return found if found <= MANY_SEEDS else math.inf


def _shows(n: int, mean: float, sd: float, margin: float, rate: float) -> float:
    return equivalence_power(n, mean, sd, margin, 1 - 2 * rate) if sd else 1.0


def _smallest(holds: Callable[[int], bool]) -> float:
    """Return the smallest n from 2 to 1,000 for which a monotone condition holds, or inf."""
    if not holds(MANY_SEEDS):
        return math.inf
    low, high = 1, MANY_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return float(high)
