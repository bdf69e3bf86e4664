"""What stands in a study's folder: its files, and the columns that their rows must have."""

import re
from typing import get_args

from dropout_lab.config.evaluation import InferenceName

MANIFEST = "manifest.json"
METRICS = "metrics.csv"
RUNS = "runs.csv"
INFERENCE = "inference.csv"
MONTE_CARLO = "monte_carlo.csv"
RELIABILITY = "reliability.csv"
ACTIVATIONS = "activations.csv"
ENSEMBLES = "ensembles.csv"
DIGESTS = "digests.csv"
PLOTS = "plots"
REPORT = "report.html"
TABLES = "tables"
RUN_FOLDERS = "runs"
PLUGINS = "plugins"
LOCK = ".lock"
WRITER = ".writer.json"

# What is written of a run once, when it is trained, in rows of its own.
AT_END = (INFERENCE, MONTE_CARLO, RELIABILITY, ACTIVATIONS)
# To these rows are added when a fleet has ended.
ADDED = (*AT_END, DIGESTS)

STATUSES = ("completed", "diverged", "failed", "interrupted")
MESSAGE = "message"  # the one column of free text
RUN_ID = re.compile(r"[0-9a-f]{12}")
SHA256 = re.compile(r"[0-9a-f]{64}")

# In metrics.csv since the first version; without one of them a table is not what was written.
_RECORD = (
    "epoch",
    "updates",
    "noisy_train_loss",
    "noisy_train_accuracy",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
    "test_errors",
    "test_macro_f1",
    "accuracy_gap",
    "loss_gap",
)
_SCORES = ("test_brier", "test_ece", "test_entropy", "test_mutual_information")
_CURVE = ("test_accuracy_mean", "test_accuracy_sd", "test_loss_mean", "test_loss_sd")
_BEST = ("best_epoch", "best_validation_accuracy", "best_test_accuracy")
NEEDED: dict[str, tuple[str, ...]] = {
    METRICS: ("run_id", *_RECORD),
    RUNS: ("run_id", "status", "epochs", *_RECORD[1:], *_BEST),
    INFERENCE: (
        "run_id", "inference", "samples", "test_accuracy", "test_errors", "test_loss", *_SCORES,
    ),
    MONTE_CARLO: ("run_id", "samples", "repeats", *_CURVE),
    RELIABILITY: ("run_id", "inference", "bin", "examples", "confidence", "accuracy"),
    ACTIVATIONS: ("run_id", "layer", "of", "low", "high", "count", "mean"),
    DIGESTS: ("run_id", "file", "sha256"),
    ENSEMBLES: ("seeds", "test_accuracy", "test_errors", "test_loss", *_SCORES),
}  # fmt: skip
# What tells one row of a table from another.
KEYS = {
    METRICS: ("run_id", "epoch"),
    RUNS: ("run_id",),
    INFERENCE: ("run_id", "inference"),
    MONTE_CARLO: ("run_id", "samples"),
    RELIABILITY: ("run_id", "inference", "bin"),
    ACTIVATIONS: ("run_id", "layer", "of", "low"),
    DIGESTS: ("run_id", "file"),
}
COUNTED = ("epoch", "samples", "repeats", "seeds", "bin", "layer", "count")  # whole, from 1
# Whole numbers in every table; of best_epoch and the like there may be none.
WHOLE = frozenset({*COUNTED, "epochs", "updates", "test_errors", "best_epoch", "seed", "examples"})
EDGES = ("low", "high")  # of a bin: there always, and finite
# Never empty in a row of a completed run: nan where it could not be measured.
MEASURED = frozenset({*_RECORD, *_SCORES[:-1], *_CURVE, "confidence", "accuracy", "mean"})
WORDS = {
    "status": STATUSES,
    "inference": get_args(InferenceName),
    "of": ("unit_mean", "activation"),
}
LISTS = ("p", "sparsity")  # a number, or a JSON list of them
TEXTS = ("run_id", "status", "inference", "of", "file", "sha256", MESSAGE)
_LATER = ("p", "seed", "seconds", "learning_rate", "examples_per_second", "dropout_loss")
_NUMBERS = {
    *(column for columns in NEEDED.values() for column in columns),
    *_LATER, "sparsity", "pruned_test_accuracy",
} - {*TEXTS}  # fmt: skip
_DIAGNOSTICS = re.compile(
    r"(mean_activation|activation_sparsity|unit_correlation|effective_rank|keep_rate|noise_mean"
    r"|noise_variance)_\d+|removed_\d+_test_accuracy|gradient_(norm|direction_(variance|error))"
)


def is_number_column(name: str) -> bool:
    """Whether a column of ours holds numbers; a dotted one, a swept key's, holds anything."""
    return name in _NUMBERS or _DIAGNOSTICS.fullmatch(name) is not None


def is_ours(name: str) -> bool:
    """Whether a column is one of ours; a dotted one is taken for a swept key."""
    return "." in name or name in TEXTS or is_number_column(name)
