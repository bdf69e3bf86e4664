"""How often a report claims a difference that is not there, and how often it finds one that is.

python benchmarks/null_studies.py [reports, 1000]

Each row is a shape of study: what is swept. Whole reports of simulated results are made with the
functions of `dropout-lab report`, and a report is wrong if it says of any two settings that they
differ although their true accuracies are equal. The columns are distributions of the results, and
at the end two in which something does differ (each data set or rate from the next; the last cell
from all others) and nothing else may be claimed. A field is the
share of wrong reports; none may lie above 0.05 by more than two of its standard errors. Of every
tenth report the sentences are written too, and searched for claims that no verdict stands behind.

All results of a run, on the validation and on the test set, share the luck of that run: so the
setting that validation chooses tends to be lucky on the test set as well.

The second table is the power: the share of reports that find a true difference of dropout to the
baseline, and of two settings with dropout to each other.
"""

import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from dropout_lab.analysis import statistics
from dropout_lab.analysis.conclusions import conclusions
from dropout_lab.analysis.family import Pair, correct_comparisons
from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.tables import MISSING, StudyTables
from dropout_lab.config.grid import baseline_of, run_id, runs_of
from dropout_lab.config.load import load_with_cells
from dropout_lab.config.overrides import Changes
from dropout_lab.config.sections.dropout import is_baseline
from dropout_lab.folder.manifest import new_manifest
from dropout_lab.results import cell_text

NOMINAL = 1 - statistics.LEVEL
SD = 0.001  # of the accuracies of a setting over the seeds
# What a claim looks like in a sentence.
CLAIM = re.compile(
    r"(?<!not )significantly|difference is significant|, significant|\d (is|are) significant"
    r"|is better than|pp( \[[^]]*\])? (higher|lower) at |neighboring value differs"
    r"|classifies \d\S* (more|fewer)|\d of \d+ settings? classif|on \d+ of \d+ data set"
    r"|; (\d+ fewer|fewer on \d)|(?<!classified )equally many"
)
Random = np.random.Generator
Array = statistics.Array


@dataclass(frozen=True)
class Shape:
    """A shape of study.

    Args:
        name: What is swept.
        settings: Its options, as of --set.
        seeds: How many.
        baseline: Whether runs without dropout are added.
        against: The reference that is asked for, if another than the baseline.
        missing: Cells at the end that have no result yet.
    """

    name: str
    settings: tuple[str, ...]
    seeds: int = 8
    baseline: bool = True
    against: dict[str, object] = field(default_factory=dict)
    missing: int = 0


EVERY_P = "dropout.p=0,0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9"
SIZES = "dataset.train_size=200,400,800,1600,2400,3000"
SHAPES = (
    Shape("one p, n = 6", ("dropout.p=0,0.5",), 6),
    Shape("two p, n = 7", ("dropout.p=0,0.25,0.5",), 7),
    Shape("three p, n = 8", ("dropout.p=0,0.25,0.5,0.75",), 8),
    Shape("nine p, n = 6", (EVERY_P,), 6),
    Shape("nine p, n = 10", (EVERY_P,), 10),
    Shape("six variants, n = 10", ("dropout.variant=inverted,gaussian,uniform,alpha,fast,concrete",
                                   "dropout.p=0.25"), 10),
    Shape("six data sizes x two p, n = 6", (SIZES, "dropout.p=0,0.3,0.6"), 6),
    Shape("six data sizes x two p, n = 10", (SIZES, "dropout.p=0,0.3,0.6"), 10),
    Shape("two data sizes x four p, n = 10", ("dataset.train_size=200,3000",
                                              "dropout.p=0,0.2,0.4,0.6,0.8"), 10),
    Shape("four widths x two p, n = 10", ("model.hidden=[8],[16],[32],[64]",
                                          "dropout.p=0,0.3,0.6"), 10),
    Shape("p x rate, n = 12", ("dropout.p=0,0.2,0.4,0.6",
                               "training.learning_rate=0.01,0.02,0.05,0.1"), 12),
    Shape("nine p, no baseline, n = 10", ("dropout.p=0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",), 10,
          baseline=False),
    Shape("four p against p = 0.4, n = 10", ("dropout.p=0,0.2,0.4,0.6,0.8",), 10,
          against={"dropout.p": 0.4}),
    Shape("five p, two of them to come, n = 9", ("dropout.p=0,0.2,0.4,0.5,0.6,0.8",), 9, missing=2),
)  # fmt: skip


def normal(random: Random, shape: tuple[int, int]) -> Array:
    """Normal noise of each run beside what its seed does to all."""
    return random.normal(0, SD, (shape[0], 1)) + random.normal(0, SD, shape)


def skewed(random: Random, shape: tuple[int, int]) -> Array:
    """Most runs are good, a few much worse."""
    return -random.exponential(2 * SD, shape)


def heavy(random: Random, shape: tuple[int, int]) -> Array:
    """Outliers that have no variance: t with two degrees of freedom."""
    return SD * random.standard_t(2, shape)


def tied(random: Random, shape: tuple[int, int]) -> Array:
    """A test set of 500 images: accuracies of few values, many differences 0."""
    return np.round(500 * random.normal(0, 2 * SD, shape)) / 500


def counts(random: Random, shape: tuple[int, int]) -> Array:
    """Errors counted on 10,000 images."""
    return 0.02 - random.binomial(10_000, 0.02, shape) / 10_000


ALIKE: dict[str, Callable[[Random, tuple[int, int]], Array]] = {
    "normal": normal,
    "skewed": skewed,
    "heavy": heavy,
    "tied": tied,
    "counts": counts,
}


def template(shape: Shape) -> StudyTables:
    """Return a study of a shape without its results."""
    changes = Changes(settings=shape.settings, sweep=True)
    config, cells = load_with_cells(None, changes, baseline=shape.baseline)
    swept = tuple(dict.fromkeys(key for cell in cells for key in cell.values))
    runs = runs_of(cells, tuple(range(shape.seeds)))
    last = cells[len(cells) - shape.missing :]
    frame = pd.DataFrame(
        [
            {
                "run_id": run.run_id,
                "seed": run.seed,
                "status": MISSING if run.cell in last else "completed",
                **{key: cell_text(run.cell.values.get(key)) or None for key in swept},
                "is_baseline": is_baseline(run.settings),
                "baseline_run_id": run_id(baseline_of(run.settings), run.seed),
                "label": run.cell.label,
                "test_loss": 0.1,
            }
            for run in runs
        ]
    )
    for key in swept:
        numbers = pd.to_numeric(frame[key], errors="coerce")
        if numbers.notna().all():
            frame[key] = numbers
    empty = pd.DataFrame()
    return StudyTables(
        path=None,  # type: ignore[arg-type]  # nothing is read from a folder
        manifest=new_manifest(config),
        swept=swept,
        runs_by_id={run.run_id: run for run in runs},
        runs=frame,
        metrics=empty,
        inference=empty,
        monte_carlo=empty,
        ensembles=empty,
    )


def with_results(study: StudyTables, luck: Array, truth: Array, noise: Array) -> StudyTables:
    """Return a study with results.

    Args:
        study: From :func:`template`.
        luck: Of each run, (seeds, cells): how far its accuracy is from the truth.
        truth: The true accuracy of each cell.
        noise: What validation accuracy has beside: (seeds, cells).
    """
    runs = study.runs
    seeds = runs["seed"].nunique()
    test = (truth + luck).T.reshape(-1)  # the runs of a cell follow each other
    validation = (truth + luck + noise).T.reshape(-1)
    assert len(runs) == len(test) == seeds * len(truth)  # noqa: S101
    there = (runs["status"] == "completed").to_numpy()
    test, validation = np.where(there, test, np.nan), np.where(there, validation, np.nan)
    return replace(
        study,
        runs=runs.assign(
            test_accuracy=test, validation_accuracy=validation, accuracy_gap=0.99 - test
        ),
    )


def found_by(study: StudyTables, against: dict[str, object], *, read: bool) -> frozenset[Pair]:
    """Return the pairs of cells that the report of a study calls different.

    Args:
        study: The study.
        against: The reference that is asked for; empty for the baseline.
        read: Whether to write the sentences too, and look for claims in them.

    Raises:
        AssertionError: A sentence has a claim, and no pair of cells has been found to differ.
    """
    table = compare_cells(study, against or None)
    pairs = correct_comparisons(study, table).significant
    if read and not pairs:
        for sentence in conclusions(study, table):
            if CLAIM.search(sentence):
                raise AssertionError(f"{study.manifest.name}: no verdict says {sentence!r}")
    return pairs


def no_bootstrap() -> None:
    """Leave out the bootstrap, the slowest part of a report, on which no claim rests."""
    statistics.bca_interval = lambda *_, **__: statistics.NO_INTERVAL  # type: ignore[assignment]
    statistics.selection_optimism = (  # type: ignore[assignment]
        lambda *_: statistics.Optimism(math.nan, 0, 0)
    )


def true_accuracies(study: StudyTables, effect: str) -> Array:
    """Return the true accuracy of each cell.

    Args:
        study: From :func:`template`.
        effect: ``nothing`` differs; ``data`` differ, and dropout does nothing; or ``one`` cell,
            the last, is far behind all others.
    """
    first = study.runs.drop_duplicates(list(study.swept))
    truth = np.full(len(first), 0.98)
    if effect == "data":
        keys = [key for key in study.swept if not key.startswith("dropout.")]
        if keys:
            truth -= 0.02 * first.groupby(keys, sort=False).ngroup().to_numpy()
    if effect == "one":
        truth[-1] -= 0.03
    return truth


def rate(shape: Shape, kind: str, reports: int, effect: str = "nothing") -> float:
    """Return the share of reports that claim a difference of two cells that are alike.

    Raises:
        AssertionError: A sentence has a claim that is in no verdict.
    """
    study = template(shape)
    truth = true_accuracies(study, effect)
    random = np.random.default_rng([reports, shape.seeds, *shape.name.encode(), *kind.encode()])
    size = (shape.seeds, len(truth))
    wrong = 0
    for number in range(reports):
        luck = ALIKE[kind](random, size)
        made = with_results(study, luck, truth, random.normal(0, SD / 2, size))
        found = found_by(made, shape.against, read=number % 10 == 0)
        wrong += any(len({truth[i] for i in pair}) == 1 for pair in found)
    return wrong / reports


def power(shape: Shape, gains: Sequence[float], reports: int) -> tuple[float, float]:
    """Return how often the last cell is found to differ from the first, and from the one before.

    Args:
        shape: The shape of study.
        gains: The true accuracy of each cell beside that of the first, in its standard deviations.
        reports: How many are simulated.
    """
    study = template(shape)
    truth = 0.98 + SD * np.asarray(gains)
    random = np.random.default_rng([reports, shape.seeds, len(gains)])
    size, last = (shape.seeds, len(truth)), len(truth) - 1
    first = other = 0
    for _ in range(reports):
        luck = normal(random, size)
        made = with_results(study, luck, truth, random.normal(0, SD / 2, size))
        pairs = found_by(made, shape.against, read=False)
        first += frozenset((0, last)) in pairs
        other += frozenset((last - 1, last)) in pairs
    return first / reports, other / reports


def too_high(share: float, reports: int) -> bool:
    """Return whether a rate lies above the nominal one by more than two standard errors."""
    return share > NOMINAL + 2 * math.sqrt(NOMINAL * (1 - NOMINAL) / reports)


POWER = (
    (Shape("one p, n = 6", ("dropout.p=0,0.5",), 6), (0, 2)),
    (Shape("one p, n = 10", ("dropout.p=0,0.5",), 10), (0, 2)),
    (Shape("three p, n = 10", ("dropout.p=0,0.25,0.5,0.75",), 10), (0, 1, 2, 5)),
    (Shape("nine p, n = 12", (EVERY_P,), 12), (0, 1, 2, 2, 2, 2, 2, 1, 0, -5)),
)


def main() -> None:
    """Print the rates; exit with 1 if one is too high."""
    reports = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    no_bootstrap()
    columns = [(kind, "nothing") for kind in ALIKE] + [("normal", "data"), ("normal", "one")]
    print(f"share of {reports:,} reports with a false claim")
    print(f"{'':36}" + "".join(f"{e if e != 'nothing' else k:>9}" for k, e in columns))
    wrong = []
    for shape in SHAPES:
        print(f"{shape.name:36}", end="", flush=True)
        for kind, effect in columns:
            share = rate(shape, kind, reports, effect)
            print(f"{share:9.4f}", end="", flush=True)
            if too_high(share, reports):
                wrong.append(f"{shape.name}, {kind}, {effect}: {share:.4f}")
        print()
    print("power: the last setting against the first, and against the one before")
    for shape, gains in POWER:
        first, other = power(shape, gains, reports)
        print(f"{shape.name:36}{first:9.4f}{other:9.4f}   true values, in SD: {list(gains)}")
    for line in wrong:
        print(f"too high: {line}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
