"""The columns of every table of a study, each declared once.

The checks of ``doctor``, the headers of the files and the reference page of the columns read them
here. Columns of swept keys are dotted (``dropout.p``) and are not listed.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from dropout_lab.config.sections.evaluation import InferenceName
from dropout_lab.results import names

STATUSES = ("completed", "diverged", "failed", "interrupted")

# number: a float, nan, inf or empty. list: a number, or a JSON list of numbers. edge: a finite
# number. count: a whole number from 1. whole: a whole number from 0, or empty. text: one of
# `words`, or any text if there are none.
Kind = Literal["number", "list", "edge", "count", "whole", "text"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        name: Its name in the header.
        about: What it holds, in one sentence.
        kind: Which values it may have.
        words: The only texts that it may have.
        measured: Whether each row of a completed run has a value; nan where none can be measured.
        first: Whether the table has had it since the first version. A table without such a column
            is damaged.
    """

    name: str
    about: str
    kind: Kind = "number"
    words: tuple[str, ...] = ()
    measured: bool = False
    first: bool = True


_RUN_ID = Column("run_id", "Digest of everything that can change the run's numbers.", "text")
_SEED = Column("seed", "Seed of the run.", "whole", first=False)
_ERRORS = Column("test_errors", "Number of misclassified test examples.", "whole", measured=True)
_SCORES = (
    Column("test_accuracy", "Accuracy of the most probable class on the test set.", measured=True),
    _ERRORS,
    Column("test_loss", "Mean negative log-likelihood of the labels, in nats.", measured=True),
    Column(
        "test_brier",
        "Brier score: squared distance of the probabilities from the one-hot label, summed over "
        "the classes, in [0, 2].",
        measured=True,
    ),
    Column(
        "test_ece",
        "Expected calibration error with 15 bins of equal width, each closed on the right.",
        measured=True,
    ),
    Column("test_entropy", "Mean entropy of the prediction, in nats.", measured=True),
    Column(
        "test_mutual_information",
        "Entropy of the prediction minus the mean entropy of the averaged networks, in nats.",
    ),
)
_INFERENCE = Column(
    "inference", "How the trained network predicts.", "text", words=get_args(InferenceName)
)
_SAMPLES = Column("samples", "Number of sampled networks or draws.", "count")

RECORD = (
    Column("epoch", "Epochs completed.", "count", measured=True),
    Column("updates", "Optimizer steps completed.", "whole", measured=True),
    Column(
        "seconds",
        "Wall-clock time of training and evaluation so far: the fleet's time divided by its runs.",
        first=False,
    ),
    Column("learning_rate", "Learning rate of the last update in this epoch.", first=False),
    Column(
        "p",
        "Dropout rate in the last update, as used (rounded to 1/65,536 where masks are drawn from "
        "16-bit integers) or as learned. For sparse_variational, the initial value. A JSON list if "
        "the places differ.",
        "list",
        first=False,
    ),
    Column(
        "noisy_train_loss",
        "Mean cross-entropy in the training steps of this epoch, dropout on, each batch before its "
        "update. Under label smoothing, too, the labels are not smoothed.",
        measured=True,
    ),
    Column("noisy_train_accuracy", "Accuracy in these training steps.", measured=True),
    Column(
        "train_loss",
        "Mean loss on up to `evaluation.train_examples` training examples, dropout off, in nats.",
        measured=True,
    ),
    Column(
        "train_accuracy",
        "Accuracy on these examples. With `dataset.label_noise`, on the labels as trained.",
        measured=True,
    ),
    Column(
        "validation_loss",
        "Mean loss on the validation set, dropout off; nan if the set is empty.",
        measured=True,
    ),
    Column("validation_accuracy", "Accuracy on the validation set.", measured=True),
    Column("test_loss", "Mean loss on the test set, dropout off, in nats.", measured=True),
    Column("test_accuracy", "Accuracy on the test set, in [0, 1].", measured=True),
    _ERRORS,
    Column("test_macro_f1", "F1 score on the test set, averaged over the classes.", measured=True),
    Column("accuracy_gap", "train_accuracy − test_accuracy.", measured=True),
    Column("loss_gap", "test_loss − train_loss.", measured=True),
    Column(
        "dropout_loss",
        "Mean of the terms that dropout adds to the cross-entropy in the training steps of this "
        "epoch: KL penalties and the terms of `dropout.loss`. 0 without any.",
        first=False,
    ),
    Column(
        "sparsity",
        "Share of the weights or units that pruning removes, for variants that prune. A JSON list "
        "if the places differ.",
        "list",
        first=False,
    ),
    Column(
        "pruned_test_accuracy",
        "Accuracy on the test set after pruning, for targeted dropout.",
        first=False,
    ),
)

TABLES: dict[str, tuple[Column, ...]] = {
    names.METRICS: (_RUN_ID, _SEED, *RECORD),
    names.RUNS: (
        _RUN_ID,
        Column("status", "How the run ended.", "text", words=STATUSES),
        _SEED,
        Column("epochs", "Epochs trained.", "whole"),
        RECORD[1],
        *RECORD[5:],  # what is measured
        Column("best_epoch", "Epoch of the highest validation accuracy.", "whole"),
        Column("best_validation_accuracy", "Validation accuracy after the best epoch."),
        Column("best_test_accuracy", "Test accuracy after the best epoch."),
        Column("seconds", "Wall-clock time of the run.", first=False),
        Column("examples_per_second", "Training examples per second.", first=False),
        Column("message", "Why the run did not complete.", "text", first=False),
    ),
    names.INFERENCE: (_RUN_ID, _SEED, _INFERENCE, _SAMPLES, *_SCORES),
    names.MONTE_CARLO: (
        _RUN_ID,
        _SEED,
        Column("samples", "Number k of sampled networks averaged.", "count"),
        Column("repeats", "Number of random choices of k networks.", "count"),
        Column("test_accuracy_mean", "Mean test accuracy over the repeats.", measured=True),
        Column("test_accuracy_sd", "Its standard deviation over the repeats.", measured=True),
        Column("test_loss_mean", "Mean test loss over the repeats, in nats.", measured=True),
        Column("test_loss_sd", "Its standard deviation over the repeats.", measured=True),
    ),
    names.RELIABILITY: (
        _RUN_ID,
        _SEED,
        _INFERENCE,
        Column("bin", "Bin k of 15: confidences in ((k − 1) / 15, k / 15].", "count"),
        Column("examples", "Number of predictions in the bin.", "whole"),
        Column("confidence", "Their mean highest probability; nan without any.", measured=True),
        Column("accuracy", "Share of them that are correct; nan without any.", measured=True),
    ),
    names.ACTIVATIONS: (
        _RUN_ID,
        _SEED,
        Column("layer", "Hidden layer, from 1.", "count"),
        Column(
            "of",
            "`activation`: of each unit and example; `unit_mean`: of each unit, averaged over the "
            "examples.",
            "text",
            words=("unit_mean", "activation"),
        ),
        Column("low", "Lower edge of the bin, included.", "edge"),
        Column("high", "Upper edge of the bin.", "edge"),
        Column("count", "Number of values in the bin; empty bins have no row.", "count"),
        Column("mean", "Mean of these values.", measured=True),
    ),
    names.DIGESTS: (
        _RUN_ID,
        Column("file", "Table or file that the digest is of.", "text"),
        Column("sha256", "SHA-256 of the run's rows in the table, or of the file.", "text"),
    ),
    names.ENSEMBLES: (Column("seeds", "Number of runs averaged.", "count"), *_SCORES),
}
# The columns that distinguish the rows of a table.
KEYS: dict[str, tuple[str, ...]] = {
    names.METRICS: ("run_id", "epoch"),
    names.RUNS: ("run_id",),
    names.INFERENCE: ("run_id", "inference"),
    names.MONTE_CARLO: ("run_id", "samples"),
    names.RELIABILITY: ("run_id", "inference", "bin"),
    names.ACTIVATIONS: ("run_id", "layer", "of", "low"),
    names.DIGESTS: ("run_id", "file"),
}
NEEDED = {
    table: tuple(column.name for column in columns if column.first)
    for table, columns in TABLES.items()
}
_ALL = tuple(column for columns in TABLES.values() for column in columns)


def _of_kind(*kinds: Kind) -> frozenset[str]:
    return frozenset(column.name for column in _ALL if column.kind in kinds)


COUNTS, WHOLE_NUMBERS = _of_kind("count"), _of_kind("count", "whole")
LISTS, EDGES, TEXTS = _of_kind("list"), _of_kind("edge"), _of_kind("text")
MEASURED = frozenset(column.name for column in _ALL if column.measured)
WORDS = {column.name: column.words for column in _ALL if column.words}
MESSAGE = "message"  # the only column of free text
_NUMBERS = frozenset(column.name for column in _ALL) - TEXTS
_DIAGNOSTICS = re.compile(
    r"(mean_activation|activation_sparsity|unit_correlation|effective_rank|keep_rate|noise_mean"
    r"|noise_variance|variance_shift|weight_similarity|weight_orientations"
    r"|(noisy_)?activation_variance)_\d+"
    r"|removed_\d+_test_accuracy|loss_rise_\d+|gradient_(norm|direction_(variance|error))"
)


def columns_after_key(table: str) -> tuple[str, ...]:
    """Return the names of a table's columns after ``run_id`` and ``seed``."""
    return tuple(column.name for column in TABLES[table] if column not in (_RUN_ID, _SEED))


def is_number_column(name: str) -> bool:
    """Return whether a column of ours holds numbers. A swept key's column may hold anything."""
    return name in _NUMBERS or _DIAGNOSTICS.fullmatch(name) is not None


def is_ours(name: str) -> bool:
    """Return whether a column is ours. A dotted name is that of a swept key."""
    return "." in name or name in TEXTS or is_number_column(name)
