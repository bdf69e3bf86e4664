"""Each number against one worked by hand, a textbook's, SciPy's or another way to get it."""

import math
import warnings
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dropout_lab.analysis.statistics import (
    _power,
    bca_interval,
    effect_size,
    finite_values,
    holm,
    mcnemar,
    seeds_needed,
    selection_optimism,
    sign_flip_p,
    smallest_p,
    spread,
    t_interval,
    t_test_p,
)

# Student 1908: additional hours of sleep, one drug less the other, ten patients.
SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
# Darwin 1876: heights of crossed less self-fertilized maize, eighths of an inch, fifteen pairs.
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def test_students_sleep_data_give_the_textbooks_numbers() -> None:
    """By hand t = 4.0621 on 9 degrees of freedom, p = 0.002833, 1.58 [0.7001142, 2.4598858]."""
    assert t_interval(SLEEP) == pytest.approx((0.7001142, 2.4598858), abs=1e-7)
    assert t_test_p(SLEEP) == pytest.approx(0.002833, abs=5e-7)
    assert spread(SLEEP) == pytest.approx(1.2299955, abs=1e-6)
    # No difference is below 0: only all signs as they are, or all turned, and the 0 both ways.
    assert sign_flip_p(SLEEP) == 4 / 2**10


def test_fishers_test_of_darwins_maize_is_fishers() -> None:
    """Fisher 1935, sec. 21: 863 of the 32,768 sums are 314 or more, so 5.267 % on both sides."""
    assert sign_flip_p(MAIZE) == 2 * 863 / 2**15
    assert t_test_p(MAIZE) == pytest.approx(0.0497, abs=5e-5)
    assert t_interval(MAIZE) == pytest.approx((0.03, 41.84), abs=0.01)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.995])
@pytest.mark.parametrize("values", [[0.1, 0.4], SLEEP, MAIZE])
def test_the_t_interval_and_test_are_scipys(values: list[float], level: float) -> None:
    array = np.array(values)
    expected = stats.t.interval(level, len(array) - 1, array.mean(), stats.sem(array))
    assert t_interval(array, level) == pytest.approx(expected, rel=1e-10)
    assert t_test_p(array) == pytest.approx(stats.ttest_1samp(array, 0).pvalue, rel=1e-10)


def bca_by_hand(values: list[float], resamples: int) -> tuple[float, float]:
    """Efron & Tibshirani 1993, eq. 14.9 to 14.15, with other random numbers."""
    x = np.array(values)
    n = len(x)
    means = x[np.random.default_rng(5).integers(0, n, (resamples, n))].mean(axis=1)
    below = (np.mean(means < x.mean()) + np.mean(means <= x.mean())) / 2
    bias = stats.norm.ppf(below)
    left_out = np.array([np.delete(x, i).mean() for i in range(n)])
    away = left_out.mean() - left_out
    acceleration = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    ends = []
    for z in stats.norm.ppf([0.025, 0.975]):
        moved = bias + (bias + z) / (1 - acceleration * (bias + z))
        ends.append(float(np.quantile(means, stats.norm.cdf(moved))))
    return ends[0], ends[1]


@pytest.mark.parametrize("values", [SLEEP, [float(v) for v in MAIZE], [0.0, 0.0, 1.0, 7.0]])
def test_the_bootstrap_interval_is_efrons(values: list[float]) -> None:
    assert bca_interval(values) == pytest.approx(
        bca_by_hand(values, 200_000), abs=0.03 * np.ptp(values)
    )
    assert bca_interval(values) == bca_interval(values)


def test_the_bootstrap_interval_leans_to_the_long_tail() -> None:
    low, high = bca_interval(SLEEP)
    assert high - np.mean(SLEEP) > np.mean(SLEEP) - low
    assert min(SLEEP) <= low < high <= max(SLEEP)


def exact_p(differences: list[int]) -> float:
    """Return the sign-flip test's p-value in whole numbers, by its definition."""
    seen = abs(sum(differences))
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(total >= seen for total in sums) / len(sums)


@given(st.lists(st.integers(-30, 30), min_size=1, max_size=8))
def test_the_sign_flip_test_keeps_ties_that_rounding_hides(counts: list[int]) -> None:
    """Accuracies of 10,000 images: equal differences of them differ in their last bits."""
    accuracies = [(9_700 + i * 7, 9_700 + i * 7 - count) for i, count in enumerate(counts)]
    rounded = [a / 10_000 - b / 10_000 for a, b in accuracies]
    assert sign_flip_p(rounded) == exact_p(counts)


def test_scipys_sign_flip_test_loses_such_ties() -> None:
    """Which is why it is not used; on numbers without ties the two agree."""
    ours = np.array([9703, 9710, 9714, 9707, 9710, 9713, 9719, 9712])
    theirs = np.array([9719, 9704, 9714, 9706, 9705, 9711, 9705, 9704])

    def scipys(values: Any) -> float:
        return float(
            stats.permutation_test(
                (values,), np.mean, permutation_type="samples", n_resamples=np.inf
            ).pvalue
        )

    differences = ours / 10_000 - theirs / 10_000
    assert sign_flip_p(differences) == exact_p(list(ours - theirs)) == 0.484375
    assert scipys(differences) < 0.484375
    continuous = np.random.default_rng(0).normal(0.5, 1, 9)
    assert sign_flip_p(continuous) == pytest.approx(scipys(continuous), abs=1e-12)


def test_random_sign_flips_come_near_all_of_them() -> None:
    """17 pairs are the first of which not all signs are tried; the same are tried each time."""
    values = np.random.default_rng(1).normal(0.4, 1, 17)
    signs = 1 - 2.0 * (np.arange(2**17)[:, None] >> np.arange(17) & 1)
    exact = np.mean(np.abs(signs @ values) >= abs(values.sum()) - 1e-9)
    assert sign_flip_p(values) == pytest.approx(exact, abs=4 * math.sqrt(exact / 99_999))
    assert sign_flip_p(values) == sign_flip_p(values)
    assert sign_flip_p(np.full(40, 0.1)) == 1e-5 == smallest_p(40)  # one of the signs it saw


@pytest.mark.parametrize("n", [1, 2, 5, 6, 12, 16])
def test_the_smallest_p_value_is_reached_where_all_differences_agree(n: int) -> None:
    assert smallest_p(n) == sign_flip_p(0.001 + 0.001 * np.arange(n)) == 2 / 2**n


def test_six_pairs_are_the_fewest_that_can_show_anything() -> None:
    assert smallest_p(5) == 0.0625
    assert smallest_p(6) == 0.03125


def test_holms_correction_by_hand() -> None:
    """Sorted 0.005, 0.01, 0.03, 0.04; times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04; none falls."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0


def test_what_was_not_tested_does_not_count_in_the_correction() -> None:
    corrected = holm([0.01, math.nan, 0.04])
    assert corrected[[0, 2]] == pytest.approx([0.02, 0.04])
    assert math.isnan(corrected[1])


@given(st.lists(st.integers(0, 20), min_size=1, max_size=5))
def test_holms_correction_is_the_closed_test_of_bonferronis(twentieths: list[int]) -> None:
    """Marcus, Peritz & Gabriel 1976: the largest corrected p-value of any set that holds it."""
    p = [Fraction(value, 20) for value in twentieths]
    sets = [chosen for chosen in product((0, 1), repeat=len(p)) if any(chosen)]
    expected = [
        max(
            min(Fraction(1), sum(chosen) * min(q for q, c in zip(p, chosen, strict=True) if c))
            for chosen in sets
            if chosen[i]
        )
        for i in range(len(p))
    ]
    assert holm([float(q) for q in p]) == pytest.approx([float(q) for q in expected])


def test_the_effect_size_by_hand() -> None:
    """1.58 / 1.2299955 = 1.284558, times J(9) = gamma(4.5) / (sqrt(4.5) gamma(4)) = 0.913875."""
    assert effect_size(SLEEP) == pytest.approx(1.284558 * 0.913875, abs=1e-5)
    assert effect_size([-value for value in SLEEP]) == -effect_size(SLEEP)


def test_hedges_correction_takes_out_the_bias() -> None:
    """Of samples of six with a true d_z of 1 the mean is 1; without it, it would be 1.19."""
    samples = np.random.default_rng(0).normal(1, 1, (4_000, 6))
    found = [effect_size(sample) for sample in samples]
    assert np.mean(found) == pytest.approx(1, abs=4 * np.std(found) / math.sqrt(len(found)))


@pytest.mark.parametrize(("d", "n"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10), (0.1, 787)])
def test_seeds_needed_are_the_textbooks(d: float, n: int) -> None:
    """Two-sided paired t test at 5 % and 80% power, as G*Power and Cohen's tables have it."""
    assert seeds_needed(d * 0.003, 0.003) == n
    assert seeds_needed(-d * 0.003, 0.003) == n


def test_so_many_seeds_find_it_so_often() -> None:
    n = int(seeds_needed(0.001, 0.0009, power=0.7, level=0.99))
    samples = np.random.default_rng(0).normal(0.001, 0.0009, (20_000, n))
    found = np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.01)
    assert 0.69 < found < 0.78
    fewer = np.mean(stats.ttest_1samp(samples[:, :-1], 0, axis=1).pvalue < 0.01)
    assert fewer < 0.7


def test_seeds_needed_at_the_limits() -> None:
    assert seeds_needed(0.001, 0.0) == 2
    assert seeds_needed(0.0, 0.001) == math.inf
    assert math.isnan(seeds_needed(0.001, math.nan))
    assert seeds_needed(1e-6, 1.0) > 7e12


def test_mcnemars_test_by_hand() -> None:
    """1 and 9 of ten: 2 (1 + 10) / 1,024."""
    assert mcnemar(1, 9) == mcnemar(9, 1) == pytest.approx(22 / 1024)
    assert mcnemar(5, 5) == 1
    assert mcnemar(0, 0) == 1


def test_optimism_by_hand() -> None:
    """Two seeds, each of which another cell wins by 1: chosen on one, it loses all on the other."""
    found = selection_optimism([[1.0, 0.0], [0.0, 1.0]])
    assert (found.value, found.seeds) == (1.0, 2)
    assert 4_500 < found.draws < 5_500  # half of the draws hold both seeds and leave none out


def test_a_cell_that_wins_with_every_seed_is_not_overrated() -> None:
    random = np.random.default_rng(0)
    values = random.normal(0, 0.001, (8, 5)) + np.array([0.9, 0.92, 0.95, 0.99, 0.91])
    assert abs(selection_optimism(values).value) < 1e-4


def test_optimism_is_measured_on_the_large_side() -> None:
    """Ten cells that are all alike: the mean of the best of them is luck and nothing else."""
    random = np.random.default_rng(0)
    truth, measured = [], []
    for _ in range(60):
        values = random.normal(0, 1, (6, 10))
        truth.append(values.mean(axis=0).max())
        measured.append(selection_optimism(values).value)
    assert 1.0 < np.mean(measured) / np.mean(truth) < 1.5


def test_a_cell_that_lacks_seeds_is_compared_on_those_it_has() -> None:
    values = np.array([[1.0, 0.0], [0.0, 1.0], [math.nan, 0.5], [math.nan, math.nan]])
    found = selection_optimism(values)
    assert found.seeds == 3
    assert math.isfinite(found.value)


FUNCTIONS: list[Callable[[Any], Any]] = [
    spread, t_interval, bca_interval, sign_flip_p, effect_size, t_test_p,
]  # fmt: skip
DEFINED: list[tuple[list[float], list[Any]]] = [
    ([], ["nan", ("nan", "nan"), ("nan", "nan"), "nan", "nan", "nan"]),
    ([math.nan, math.inf], ["nan", ("nan", "nan"), ("nan", "nan"), "nan", "nan", "nan"]),
    ([0.5], ["nan", ("nan", "nan"), ("nan", "nan"), 1.0, "nan", "nan"]),
    ([0.0, 0.0], [0.0, (0.0, 0.0), (0.0, 0.0), 1.0, "nan", 1.0]),
    ([0.0, 0.0, 0.0], [0.0, (0.0, 0.0), (0.0, 0.0), 1.0, 0.0, 1.0]),
    ([0.5, 0.5, 0.5], [0.0, (0.5, 0.5), (0.5, 0.5), 0.25, math.inf, 0.0]),
    ([-0.5, -0.5, -0.5], [0.0, (-0.5, -0.5), (-0.5, -0.5), 0.25, -math.inf, 0.0]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "answers"), DEFINED)
def test_every_limit_has_an_answer_and_no_warning(values: list[float], answers: list[Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for function, answer in zip(FUNCTIONS, answers, strict=True):
            expected = np.array(answer, dtype=np.float64)
            np.testing.assert_array_equal(np.array(function(values)), expected, function.__name__)


def test_differences_that_are_equal_but_for_rounding_have_no_spread() -> None:
    values = [0.94 - 0.93, 0.97 - 0.96, 0.98 - 0.97]
    assert len(set(values)) == 2
    assert spread(values) == 0
    assert t_interval(values) == pytest.approx((0.01, 0.01), abs=1e-15)


def test_values_that_are_not_finite_are_left_out() -> None:
    assert finite_values([1.0, math.nan, -math.inf, 2.0]).tolist() == [1.0, 2.0]
    assert t_interval([*SLEEP, math.nan]) == t_interval(SLEEP)
    assert sign_flip_p([*MAIZE, math.nan]) == sign_flip_p(MAIZE)
    assert bca_interval([*SLEEP, math.inf]) == bca_interval(SLEEP)


def test_optimism_needs_two_seeds() -> None:
    for values in ([], [[0.9, 0.8]], [[math.nan], [0.5]]):
        assert math.isnan(selection_optimism(values).value)


def test_the_fastest_route_to_a_small_p_value_is_closed() -> None:
    """No pairs have no p-value, and one pair one of 1."""
    assert math.isnan(smallest_p(0))
    assert smallest_p(1) == 1


def test_seeds_needed_rise_with_the_spread_at_every_size_and_level() -> None:
    """Through the ranges in which SciPy's noncentral t gives up."""
    for level in (0.95, 0.999, 1 - 1e-6):
        counts = [seeds_needed(1.0, 1.1**i, level=level) for i in range(-110, 90)]
        assert all(a <= b for a, b in pairwise(counts))
        assert (counts[0], math.isfinite(counts[-1])) == (2 if level < 0.9999 else counts[0], True)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_the_power_without_a_difference_is_the_level(n: int) -> None:
    assert _power(n, 0.0, 0.95) == pytest.approx(0.05)
    assert _power(n, 0.0, 0.99) == pytest.approx(0.01)


def test_a_cell_without_a_drawn_seed_is_not_the_best_of_the_draw() -> None:
    """The first cell wins each draw; that the second lacks a seed costs no draw."""
    values = np.array([[0.9, np.nan], [0.9, 0.5], [0.91, 0.5]])
    assert selection_optimism(values) == selection_optimism(values[:, :1])
