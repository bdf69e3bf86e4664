"""Compare the stored predictions of two runs on the same test examples by McNemar's test."""

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
    """The test examples on which two trained networks disagree.

    Args:
        examples: Number of test examples.
        only_first: Number of examples that only the first network classifies correctly.
        only_second: Number of examples that only the second network classifies correctly.
        p_value: The p-value of McNemar's exact test for equal accuracy.
    """

    examples: int
    only_first: int
    only_second: int
    p_value: float


def compare_predictions(study: StudyTables, first: str, second: str) -> Disagreement:
    """Compare the stored predictions of two runs.

    The test compares these two networks, not their settings, which need several seeds.

    Args:
        study: The study.
        first: The run_id of the first run.
        second: The run_id of the second run.

    Raises:
        ConfigError: A run does not exist, or the runs were tested on different examples.
        StorageError: Predictions were not saved, or are damaged.
    """
    run_ids = set(study.runs["run_id"])
    unknown = [run_id for run_id in (first, second) if run_id not in run_ids]
    if unknown:
        raise ConfigError([f"{study.path} has no run {run_id}." for run_id in unknown])
    (one, labels), (other, other_labels) = (
        _predicted_classes(study, run_id) for run_id in (first, second)
    )
    if not np.array_equal(labels, other_labels):
        raise ConfigError([f"runs {first} and {second} were tested on different examples."])
    first_correct, second_correct = one == labels, other == labels
    only_first = int(np.sum(first_correct & ~second_correct))
    only_second = int(np.sum(second_correct & ~first_correct))
    p_value = statistics.mcnemar(only_first, only_second)
    return Disagreement(len(labels), only_first, only_second, p_value)


def mcnemar_sentence(first: str, second: str, found: Disagreement) -> str:
    """Return the result of McNemar's test as a sentence."""
    return (
        f"Of {found.examples:,} test examples, run {first} alone has {found.only_first} right and "
        f"run {second} alone {found.only_second} (McNemar's exact test, p = {found.p_value:.3g}); "
        "that is of these two networks, and says nothing of their settings."
    )


def _predicted_classes(study: StudyTables, run_id: str) -> tuple[Array, Array]:
    """Return the predicted classes of a run for the test examples, and the labels."""
    path = study.path / RUN_FOLDERS / run_id / PREDICTIONS
    try:
        predictions = read_predictions(path)
    except ValueError as error:
        raise StorageError(f"{path} {error}.") from error
    if predictions is None:
        raise StorageError(
            f"{path} is not there: run {run_id} kept no predictions; "
            "evaluation.at_end: predictions keeps them."
        )
    return np.argmax(predictions[0], axis=1), predictions[1]
