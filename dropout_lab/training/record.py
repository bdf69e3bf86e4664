"""One row of metrics.csv."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from dropout_lab.metrics import Scores
from dropout_lab.results import METRICS, columns_after_key


@dataclass(frozen=True)
class Record:
    """The measurements of one run after one epoch. Losses in nats, accuracies in [0, 1].

    The fields are the columns of metrics.csv; :mod:`dropout_lab.results.columns` says what each
    holds.

    Args:
        diagnostics: The columns that ``evaluation.diagnostics`` requests, by name.
    """

    epoch: int
    updates: int
    seconds: float
    learning_rate: float
    p: float | str
    noisy_train_loss: float
    noisy_train_accuracy: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    test_loss: float
    test_accuracy: float
    test_errors: int
    test_macro_f1: float
    accuracy_gap: float
    loss_gap: float
    dropout_loss: float
    sparsity: float | str | None
    pruned_test_accuracy: float | None
    diagnostics: Mapping[str, float]

    def columns(self) -> dict[str, Any]:
        """Return the row as a dict, by column."""
        columns = {name: getattr(self, name) for name in RECORD_COLUMNS}
        return {**columns, **self.diagnostics}


# The columns of every record. Columns of diagnostics follow them.
RECORD_COLUMNS = columns_after_key(METRICS)


@dataclass(frozen=True)
class EpochScores:
    """The scores of a fleet on each data set after an epoch."""

    train: Scores
    validation: Scores
    test: Scores
    pruned: Scores | None = None
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)

    def columns(self, run: int) -> dict[str, Any]:
        """Return the columns of one run's record that are measured with dropout off."""
        train, test = self.train, self.test
        columns: dict[str, Any] = {}
        for part, scores in (("train", train), ("validation", self.validation), ("test", test)):
            columns[f"{part}_loss"] = scores.loss[run].item()
            columns[f"{part}_accuracy"] = scores.accuracy[run].item()
        columns["test_errors"] = int(test.errors[run].item())
        columns["test_macro_f1"] = test.macro_f1[run].item()
        columns["accuracy_gap"] = (train.accuracy[run] - test.accuracy[run]).item()
        columns["loss_gap"] = (test.loss[run] - train.loss[run]).item()
        columns["diagnostics"] = {name: v[run].item() for name, v in self.diagnostics.items()}
        columns["pruned_test_accuracy"] = self.pruned and self.pruned.accuracy[run].item()
        return columns
