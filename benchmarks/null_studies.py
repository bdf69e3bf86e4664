"""How often nothing is called something: studies simulated without any effect.

python benchmarks/null_studies.py [studies, 10000]

A study has cells and one more without dropout, all with the same distribution of test accuracy at
a seed, so every "significant" is false. The rows are distributions, the columns paired seeds and
cells; a field is the share of studies with at least one "significant", which must not lie above
0.05 by more than two of its standard errors. The judgement is the one of the report: the same
functions on the same numbers. Below 6 seeds the word is never used, and where Holm's correction
puts it out of reach, neither.

Below stands what the assumption is worth: differences that are skewed about a mean of 0, as those
of two cells that are not alike may be. The sign-flip test then tests symmetry rather than the
mean; the t interval errs likewise. That row is told and not judged.

The last table is of the claim that a value of p can be told from the best: t tests, corrected by
Holm, as in the sentence about the shape of the curve, among ten values that are all alike.
"""

import math
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd

from dropout_lab.analysis import statistics
from dropout_lab.analysis.paired import SIGNIFICANT, verdicts
from dropout_lab.analysis.shape import told_apart

NOMINAL = 1 - statistics.LEVEL
SIZES = ((2, 1), (4, 1), (6, 1), (6, 3), (8, 1), (8, 3), (10, 9), (12, 1), (12, 9))
Random = np.random.Generator
Array = statistics.Array


def normal(random: Random, shape: tuple[int, ...]) -> Array:
    """Accuracies with normal noise beside what their seed does to all."""
    return 0.98 + random.normal(0, 0.001, (shape[0], 1)) + random.normal(0, 0.001, shape)


def skewed(random: Random, shape: tuple[int, ...]) -> Array:
    """Errors with a long tail: most runs are good, a few much worse."""
    return 0.98 - random.exponential(0.002, shape)


def heavy(random: Random, shape: tuple[int, ...]) -> Array:
    """Noise with outliers that have no variance: t with two degrees of freedom."""
    return 0.98 + 0.001 * random.standard_t(2, shape)


def tied(random: Random, shape: tuple[int, ...]) -> Array:
    """A small test part: accuracies of few values, many differences 0."""
    return np.round(500 * (0.98 + random.normal(0, 0.002, shape))) / 500


def counts(random: Random, shape: tuple[int, ...]) -> Array:
    """Errors counted on 10,000 images."""
    return 1 - random.binomial(10_000, 0.02, shape) / 10_000


ALIKE: dict[str, Callable[[Random, tuple[int, ...]], Array]] = {
    "normal": normal,
    "skewed": skewed,
    "heavy tails": heavy,
    "tied": tied,
    "error counts": counts,
}


def differences(kind: str, random: Random, seeds: int, cells: int) -> Array:
    """Return one study's paired differences, (seeds, cells)."""
    if kind == "skewed differences":
        return 0.002 * (random.exponential(1.0, (seeds, cells)) - 1)
    accuracy = ALIKE[kind](random, (seeds, cells + 1))
    drawn: Array = (accuracy[:, 1:] - accuracy[:, :1]).round(12)
    return drawn


def called_significant(drawn: Array) -> bool:
    """Whether the report would call a difference of this study significant."""
    rows = []
    for pairs in drawn.T:
        low, high = statistics.t_interval(pairs)
        p_value = statistics.sign_flip_p(pairs)
        rows.append((len(pairs), low, high, p_value))
    names = ["pairs", "difference_low", "difference_high", "p_value"]
    return SIGNIFICANT in verdicts(pd.DataFrame(rows, columns=names))


def called_different(drawn: Array) -> bool:
    """Whether the sentence about the shape would tell a value from the best."""
    return any(told_apart(list(drawn.T)))


def rate(kind: str, seeds: int, cells: int, studies: int, called: Callable[[Array], bool]) -> float:
    """Return the share of studies without effect in which one is found."""
    random = np.random.default_rng([studies, seeds, cells, *kind.encode()])
    found = sum(called(differences(kind, random, seeds, cells)) for _ in range(studies))
    return found / studies


def too_high(share: float, studies: int) -> bool:
    """Whether a rate lies above the nominal one by more than two standard errors."""
    return share > NOMINAL + 2 * math.sqrt(NOMINAL * (1 - NOMINAL) / studies)


def print_table(
    kinds: list[str],
    sizes: tuple[tuple[int, int], ...],
    studies: int,
    called: Callable[[Array], bool],
) -> list[str]:
    """Print the rates of some distributions and sizes; return those that are too high."""
    print(f"{'':20}" + "".join(f"{f'n={n} m={m}':>11}" for n, m in sizes))
    wrong = []
    for kind in kinds:
        print(f"{kind:20}", end="", flush=True)
        for n, m in sizes:
            share = rate(kind, n, m, studies, called)
            print(f"{share:11.4f}", end="", flush=True)
            if too_high(share, studies):
                wrong.append(f"{kind} at n = {n}, {m} cells: {share:.4f}")
        print()
    return wrong


def main() -> None:
    """Print the rates; exit with 1 if one is too high."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f'studies without effect with a "significant", of {studies:,} (n seeds, m cells)')
    wrong = print_table(list(ALIKE), SIZES, studies, called_significant)
    print("beyond the assumption, told and not judged")
    print_table(["skewed differences"], SIZES, studies, called_significant)
    print("a value of p told from the best of ten that are alike")
    shapes = ((2, 9), (3, 9), (5, 9), (12, 9))
    wrong += print_table(list(ALIKE), shapes, studies, called_different)
    for line in wrong:
        print(f"too high: {line}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
