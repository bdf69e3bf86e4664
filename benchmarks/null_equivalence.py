"""How often a report with a margin makes a false claim, and how often it finds an equivalence.

python benchmarks/null_equivalence.py [reports, 10000]

Each row is a shape of study of null_studies.py, each field a share of simulated reports. A report
is wrong if it calls two settings equivalent whose true difference is the margin, or different
whose true accuracies are equal. In the first columns all differences are exactly the margin, for
five distributions of the results. In "mixed" every second difference is 0: the three columns are
false equivalences, false differences, and both together. In "equal" all are 0. No share of one
kind of claim may lie above 0.05 by more than two of its standard errors. The last columns are the
power: the share of the comparisons of equal settings that are shown to be equivalent, for margins
of 2, 3 and 5 standard deviations of a setting's runs.

Only the verdicts are computed, with the correction of a report and no table or sentence. The
p-values of all reports are computed together. Of the first reports each verdict is compared with
the table of a complete report.
"""

import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy
from null_studies import ALIKE, SD, SHAPES, Shape, no_bootstrap, template, too_high, with_results

from dropout_lab.analysis.family import ComparisonPlan, plan_comparisons
from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.statistics import ALPHA, MIN_SEEDS, Array

WIDTHS = (2, 3, 5)  # margins in standard deviations
WIDE = 5  # margin in standard deviations: wide enough that most tests can decide
COMPARED = 2  # reports whose verdicts are compared with those of the complete table
# Without all results, and without references.
LEFT_OUT = ("five p, two of them to come, n = 9", "nine p, no baseline, n = 10")
OFFSETS = {"margin": (1,), "mixed": (0, 1), "equal": (0,)}  # of the cells after the first, in turn


def equivalence_claims(plan: ComparisonPlan, accuracies: Array, margin: float) -> Array:
    """Return whether each comparison of each report is within the margin.

    Args:
        plan: The comparisons of each report.
        accuracies: Test accuracies, (reports, seeds, cells).
        margin: The margin of equivalence.
    """
    pairs = _differences(accuracies, _compared(plan))
    mean, error, m = *_mean_and_error(pairs), pairs.shape[-1] - 1
    distance = margin * (1 - 1e-9) - np.abs(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_values = scipy.special.stdtr(m, -distance / error)
    p_values = np.where(error > 0, p_values, np.where(distance > 0, 0.5 ** (m + 1), 1.0))
    return (m + 1 >= MIN_SEEDS) & (
        np.array([plan.correct_equivalences(each) for each in p_values]) < ALPHA
    )


def difference_claims(plan: ComparisonPlan, accuracies: Array) -> tuple[Array, Array]:
    """Return whether each comparison, and each other pair of each report, is significant."""
    pairs = _differences(accuracies, _compared(plan))
    others = _differences(accuracies, [tuple(sorted(pair)) for pair in plan.others])
    mean, error, m = *_mean_and_error(pairs), pairs.shape[-1] - 1
    excluded = np.abs(mean) > scipy.special.stdtrit(m, 1 - ALPHA / 2) * error
    p_values = zip(_sign_flip_p(pairs), _t_test_p(others), strict=True)
    corrected = [plan.correct(*each) for each in p_values]
    found, other_found = (np.array(each) for each in zip(*corrected, strict=True))
    enough = m + 1 >= MIN_SEEDS
    return enough & excluded & (found < ALPHA), enough & (other_found < ALPHA)


def _compared(plan: ComparisonPlan) -> list[tuple[int, ...]]:
    return [(row, *(pair - {row})) for pair, row in plan.references.items()]


def _differences(accuracies: Array, pairs: Sequence[tuple[int, ...]]) -> Array:
    """Return the paired differences, (reports, pairs, seeds)."""
    first, second = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    values = np.moveaxis(accuracies[..., first] - accuracies[..., second], 1, 2)
    found: Array = values.round(12)
    return found


def _mean_and_error(pairs: Array) -> tuple[Array, Array]:
    """Return mean and standard error of the differences; the error is 0 if all are equal."""
    sd = pairs.std(axis=-1, ddof=1)
    sd[np.ptp(pairs, axis=-1) <= 1e-9 * np.abs(pairs).max(axis=-1)] = 0
    return pairs.mean(axis=-1), sd / np.sqrt(pairs.shape[-1])


def _sign_flip_p(pairs: Array) -> Array:
    n = pairs.shape[-1]
    signs = 1.0 - 2.0 * (np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1)
    observed = np.abs(pairs.sum(axis=-1)) - 1e-9 * np.abs(pairs).sum(axis=-1)
    found = np.zeros(pairs.shape[:-1])
    for number, (each, limit) in enumerate(zip(pairs, observed, strict=True)):
        found[number] = (np.abs(signs @ each.T) >= limit).mean(axis=0)
    return found


def _t_test_p(pairs: Array) -> Array:
    """Return the p-values of t tests; of sign flips where all differences are equal."""
    if 0 in pairs.shape:
        return np.ones(pairs.shape[:-1])
    mean, error = _mean_and_error(pairs)
    constant = np.where(mean == 0, 1.0, 0.5 ** (pairs.shape[-1] - 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(mean) / error
    return np.where(error > 0, 2 * scipy.special.stdtr(pairs.shape[-1] - 1, -t), constant)


class Simulation:
    """Reports of one shape of study.

    Args:
        shape: The shape.
        reports: The number of reports.
    """

    def __init__(self, shape: Shape, reports: int) -> None:
        self.shape, self.reports = shape, reports
        self.study = template(shape)
        self.cells = self.study.runs["run_id"].nunique() // shape.seeds
        self.plan = plan_comparisons(self.study, self._table(np.zeros((shape.seeds, self.cells))))
        self.rows = list(self.plan.references.values())

    def _table(self, accuracies: Array, margin: float | None = None) -> pd.DataFrame:
        made = with_results(self.study, accuracies, np.zeros(self.cells), 0 * accuracies)
        return compare_cells(made, self.shape.against or None, margin=margin)

    def accuracies(self, kind: str, effect: str, margin: float) -> tuple[Array, Array]:
        """Return test accuracies, (reports, seeds, cells), and the true ones in margins.

        Args:
            kind: The distribution of the results.
            effect: A key of ``OFFSETS``.
            margin: The margin.
        """
        offsets = np.zeros(self.cells, int)
        offsets[self.rows] = np.resize(OFFSETS[effect], len(self.rows))
        name = f"{self.shape.name}{kind}{effect}{margin}"
        random = np.random.default_rng([self.reports, *name.encode()])
        luck = ALIKE[kind](random, (self.reports * self.shape.seeds, self.cells))
        values = luck.reshape(self.reports, self.shape.seeds, self.cells)
        return 0.9 + margin * offsets + values, offsets

    def equivalences(self, kind: str, effect: str, margin: float) -> tuple[Array, Array]:
        """Return the claims of equivalence, and whether each would be true.

        Raises:
            AssertionError: A claim is not that of the table of a complete report.
        """
        accuracies, offsets = self.accuracies(kind, effect, margin)
        found = equivalence_claims(self.plan, accuracies, margin)
        for number in range(min(COMPARED, self.reports)):
            table = self._table(accuracies[number], margin).loc[self.rows]
            own = (table["p_equivalence_holm"] < ALPHA).to_numpy()
            assert (own == found[number]).all()  # noqa: S101
        return found, _equal(offsets, _compared(self.plan))

    def false_differences(self, effect: str, margin: float) -> Array:
        """Return whether each report claims a false difference.

        Raises:
            AssertionError: A claim is not that of the table of a complete report.
        """
        accuracies, offsets = self.accuracies("normal", effect, margin)
        found, others = difference_claims(self.plan, accuracies)
        for number in range(min(COMPARED, self.reports)):
            table = self._table(accuracies[number]).loc[self.rows]
            own = table["verdict"].isin(("better", "worse")).to_numpy()
            assert (own == found[number]).all()  # noqa: S101
        wrong: Array = (found & _equal(offsets, _compared(self.plan))).any(axis=1)
        other_pairs = [tuple(sorted(pair)) for pair in self.plan.others]
        return wrong | (others & _equal(offsets, other_pairs)).any(axis=1)


def _equal(offsets: Array, pairs: Sequence[tuple[int, ...]]) -> Array:
    """Return whether the true accuracies of each pair are equal."""
    return np.array([offsets[first] == offsets[second] for first, second in pairs], bool)


def shares_of(shape: Shape, reports: int) -> list[float]:
    """Return a row of the table."""
    simulation, margin = Simulation(shape, reports), WIDE * SD
    shares = []
    for kind in ALIKE:
        found, _ = simulation.equivalences(kind, "margin", margin)
        shares.append(found.any(axis=1).mean())
    found, true = simulation.equivalences("normal", "mixed", margin)
    equivalence = (found & ~true).any(axis=1)
    difference = simulation.false_differences("mixed", margin)
    shares += [equivalence.mean(), difference.mean(), (equivalence | difference).mean()]
    shares.append(simulation.false_differences("equal", margin).mean())
    for width in WIDTHS:
        found, _ = simulation.equivalences("normal", "equal", width * SD)
        shares.append(found.mean())
    return shares


def main() -> None:
    """Print the rates; exit with 1 if one is too high."""
    reports = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    no_bootstrap()
    powers = [f"{width} SD" for width in WIDTHS]
    heads, free = [*ALIKE, "mixed =", "mixed <>", "either", "equal", *powers], ["either", *powers]
    print(f"share of {reports:,} reports with a false claim, and the power")
    print(f"{'':36}" + "".join(f"{head:>9}" for head in heads))
    wrong = []
    for shape in SHAPES:
        if shape.name in LEFT_OUT:
            continue
        shares = shares_of(shape, reports)
        wrong += [
            f"{shape.name}, {head}: {share:.4f}"
            for head, share in zip(heads, shares, strict=True)
            if head not in free and too_high(share, reports)
        ]
        print(f"{shape.name:36}" + "".join(f"{share:9.4f}" for share in shares), flush=True)
    for line in wrong:
        print(f"too high: {line}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
