"""How often a report with a margin makes a false claim, and how often it finds an equivalence.

python benchmarks/null_equivalence.py [reports, 10000]

Each row is a shape of study of null_studies.py, each field a share of simulated reports. A report
is wrong if it calls two settings equivalent whose true difference is the margin, or different
whose true accuracies are equal. In the first columns all differences are exactly the margin, for
five distributions of the results. In "mixed" every second difference is 0: the three columns are
false equivalences, false differences, and both together. In "equal" all are 0. No share of one
kind of claim may lie above 0.05 by more than two of its standard errors. The last columns are the
power: the share of the comparisons of equal settings that are called equivalent, for margins of 2,
3 and 5 standard deviations of a setting's runs.

Only the verdicts are computed, with the correction of a report and no table or sentence. The
p-values of all reports are computed together. Of the first reports each verdict is compared with
the table of a complete report.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from null_studies import ALIKE, SD, SHAPES, Shape, no_bootstrap, template, too_high, with_results

from dropout_lab.analysis.family import ComparisonPlan, plan_comparisons
from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.statistics import ALPHA, MIN_SEEDS, Array
from dropout_lab.analysis.tables import StudyTables
from dropout_lab.analysis.verdicts import NO_PAIRS

WIDTHS = (2, 3, 5)  # margins in standard deviations
WIDE = 5  # margin in standard deviations: wide enough that most tests can decide
COMPARED = 3  # reports whose verdicts are compared with those of the complete table
# Without all results, and without references.
LEFT_OUT = ("five p, two of them to come, n = 9", "nine p, no baseline, n = 10")
OFFSETS = {"margin": (1,), "mixed": (0, 1), "equal": (0,)}  # of the cells after the first, in turn


@dataclass(frozen=True)
class Claims:
    """What simulated reports claim.

    Args:
        differences: Whether each comparison is significant, (reports, comparisons).
        equivalences: Whether each is within the margin, (reports, comparisons).
        others: Whether each other pair of cells is significant, (reports, pairs).
    """

    differences: Array
    equivalences: Array
    others: Array


def claims(plan: ComparisonPlan, accuracies: Array, margin: float) -> Claims:
    """Return the claims of reports.

    Args:
        plan: The comparisons of each report.
        accuracies: Test accuracies, (reports, seeds, cells).
        margin: The margin of equivalence.
    """
    compared = [(row, *(pair - {row})) for pair, row in plan.references.items()]
    pairs = _differences(accuracies, compared)
    others = _differences(accuracies, [tuple(sorted(pair)) for pair in plan.others])
    sign_p, other_p = _sign_flip_p(pairs), _t_test_p(others)
    mean, error, m = *_mean_and_error(pairs), pairs.shape[-1] - 1
    equal_p = np.where(np.abs(mean) < margin * (1 - 1e-9), 0.5 ** (m + 1), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (margin * (1 - 1e-9) - np.abs(mean)) / error
        equivalence_p = np.where(error > 0, scipy.special.stdtr(m, -t), equal_p)
    excluded = np.abs(mean) > scipy.special.stdtrit(m, 1 - ALPHA / 2) * error
    corrected = [plan.correct(*each) for each in zip(sign_p, other_p, strict=True)]
    found, other_found = (np.array(each) for each in zip(*corrected, strict=True))
    equivalent = np.array([plan.correct_equivalences(each) for each in equivalence_p])
    enough = m + 1 >= MIN_SEEDS
    return Claims(
        enough & excluded & (found < ALPHA),
        enough & (equivalent < ALPHA),
        enough & (other_found < ALPHA),
    )


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


def planned(shape: Shape) -> tuple[StudyTables, ComparisonPlan]:
    """Return a study of a shape without results, and its comparisons."""
    study = template(shape)
    cells = study.runs["run_id"].nunique() // shape.seeds
    empty = np.zeros((shape.seeds, cells))
    table = compare_cells(with_results(study, empty, np.zeros(cells), empty), shape.against or None)
    return study, plan_comparisons(study, table)


def simulated(
    shape: Shape, kind: str, effect: str, margin: float, reports: int
) -> tuple[Claims, Array, Array]:
    """Return the claims of reports, and the true differences in margins.

    Args:
        shape: The shape of study.
        kind: The distribution of the results.
        effect: A key of ``OFFSETS``.
        margin: The margin, and the true differences where they are not 0.
        reports: The number of reports.

    Returns:
        The claims; the true differences of the comparisons, and of the other pairs.

    Raises:
        AssertionError: A claim is not that of the complete table.
    """
    study, plan = planned(shape)
    rows = list(plan.references.values())
    offsets = np.zeros(study.runs["run_id"].nunique() // shape.seeds, int)
    offsets[rows] = np.resize(OFFSETS[effect], len(rows))
    seed = [reports, shape.seeds, *shape.name.encode(), *kind.encode(), *effect.encode()]
    random = np.random.default_rng(seed)
    luck = ALIKE[kind](random, (reports * shape.seeds, len(offsets)))
    accuracies = 0.9 + margin * offsets + luck.reshape(reports, shape.seeds, -1)
    found = claims(plan, accuracies, margin)
    for number in range(min(COMPARED, reports)):
        made = with_results(study, accuracies[number], np.zeros(len(offsets)), 0 * accuracies[0])
        table = compare_cells(made, shape.against or None, margin=margin).loc[rows]
        differs = table["verdict"].isin(("better", "worse")).to_numpy()
        assert (differs == found.differences[number]).all()  # noqa: S101
        equivalent = (table["p_equivalence_holm"] < ALPHA).to_numpy()
        assert (equivalent == found.equivalences[number]).all()  # noqa: S101
        assert NO_PAIRS not in set(table["verdict"])  # noqa: S101
    true = np.array([offsets[[row, *(pair - {row})]] for pair, row in plan.references.items()])
    other = np.array([offsets[sorted(pair)] for pair in plan.others]).reshape(-1, 2)
    return found, true[:, 0] - true[:, 1], other[:, 0] - other[:, 1]


def wrong_shares(shape: Shape, kind: str, effect: str, reports: int) -> tuple[float, float, float]:
    """Return the share of reports with a false equivalence, a false difference, and either."""
    found, true, other = simulated(shape, kind, effect, WIDE * SD, reports)
    equivalence = (found.equivalences & (true != 0)).any(axis=1)
    difference = (found.differences & (true == 0)).any(axis=1)
    difference |= (found.others & (other == 0)).any(axis=1)
    return equivalence.mean(), difference.mean(), (equivalence | difference).mean()


def power(shape: Shape, width: float, reports: int) -> float:
    """Return the share of the comparisons of equal settings that are called equivalent."""
    found, _, _ = simulated(shape, "normal", "equal", width * SD, reports)
    return float((found.equivalences & ~found.differences).mean())


def main() -> None:
    """Print the rates; exit with 1 if one is too high."""
    reports = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    no_bootstrap()
    heads = [*ALIKE, "mixed =", "mixed <>", "either", "equal", *(f"{w} SD" for w in WIDTHS)]
    print(f"share of {reports:,} reports with a false claim, and the power")
    print(f"{'':36}" + "".join(f"{head:>9}" for head in heads))
    wrong = []
    for shape in SHAPES:
        if shape.name in LEFT_OUT:
            continue
        shares = [wrong_shares(shape, kind, "margin", reports)[0] for kind in ALIKE]
        shares += wrong_shares(shape, "normal", "mixed", reports)
        shares.append(wrong_shares(shape, "normal", "equal", reports)[1])
        wrong += [
            f"{shape.name}, {head}: {share:.4f}"
            for head, share in zip(heads, shares, strict=False)
            if head != "either" and too_high(share, reports)
        ]
        shares += [power(shape, width, reports) for width in WIDTHS]
        print(f"{shape.name:36}" + "".join(f"{share:9.4f}" for share in shares), flush=True)
    for line in wrong:
        print(f"too high: {line}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
