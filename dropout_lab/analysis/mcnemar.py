"""Two trained networks on the same test examples: McNemar's test of their stored predictions."""

from dataclasses import dataclass

import numpy as np

from dropout_lab.analysis import statistics
from dropout_lab.analysis.statistics import Array
from dropout_lab.analysis.tables import StudyTables
from dropout_lab.errors import ConfigError, StorageError
from dropout_lab.results import RUN_FOLDERS
from dropout_lab.results.predictions import PREDICTIONS, read_predictions


@dataclass(frozen=True)
class Disagreement:
    """Two trained networks on the same test examples.

    Args:
        examples: How many there are.
        only_first: Those that only the first has right.
        only_second: Those that only the second has right.
        p_value: McNemar's exact test of whether the two are equally good.
    """

    examples: int
    only_first: int
    only_second: int
    p_value: float


def mcnemar_of(study: StudyTables, first: str, second: str) -> Disagreement:
    """Compare two runs by their stored predictions.

    It says whether these two networks differ on such images, not whether their settings do: for
    that there are seeds.

    Args:
        study: The study.
        first: The run_id of one run.
        second: That of the other.

    Raises:
        ConfigError: There is no such run, or the two were tested on different examples.
        StorageError: Predictions were not kept, or are damaged.
    """
    known = set(study.runs["run_id"])
    unknown = [run_id for run_id in (first, second) if run_id not in known]
    if unknown:
        raise ConfigError([f"{study.path} has no run {run_id}." for run_id in unknown])
    (one, labels), (other, others) = (_predicted(study, run_id) for run_id in (first, second))
    if not np.array_equal(labels, others):
        raise ConfigError([f"runs {first} and {second} were tested on different examples."])
    right, too = one == labels, other == labels
    counts = int(np.sum(right & ~too)), int(np.sum(too & ~right))
    return Disagreement(len(labels), *counts, statistics.mcnemar(*counts))


def sentence_of(first: str, second: str, found: Disagreement) -> str:
    """Return McNemar's test in a sentence."""
    return (
        f"Of {found.examples:,} test examples, run {first} alone has {found.only_first} right and "
        f"run {second} alone {found.only_second} (McNemar's exact test, p = {found.p_value:.3g}); "
        "that is of these two networks, and says nothing of their settings."
    )


def _predicted(study: StudyTables, run_id: str) -> tuple[Array, Array]:
    """Return the classes a run predicts for the test examples, and their labels."""
    path = study.path / RUN_FOLDERS / run_id / PREDICTIONS
    try:
        kept = read_predictions(path)
    except ValueError as error:
        raise StorageError(f"{path} {error}.") from error
    if kept is None:
        raise StorageError(
            f"{path} is not there: run {run_id} kept no predictions; "
            "evaluation.at_end: predictions keeps them."
        )
    return np.argmax(kept[0], axis=1), kept[1]
