"""One row of metrics.csv: the fields are the columns, and the docstring defines them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor

from dropout_lab.metrics import Scores


@dataclass(frozen=True)
class Record:
    """The measurements of one run after one epoch. Losses in nats, accuracies in [0, 1].

    Args:
        epoch: Epochs completed.
        updates: Optimizer steps completed.
        seconds: Wall-clock time of training and evaluation so far; the fleet's time divided by its
            number of runs.
        learning_rate: Learning rate of the last update in this epoch.
        p: Dropout rate in the last update, at the places of the placement, as used (rounded to
            1/65,536 where masks are drawn from 16-bit integers) or as learned; for
            sparse_variational, the initial value. A JSON list if the places differ. input_p is not
            recorded if the placement does not name the input.
        noisy_train_loss: Mean cross-entropy in the training steps of this epoch, dropout on, each
            batch before its update; with unsmoothed labels, also under label smoothing.
        noisy_train_accuracy: Accuracy in these steps.
        train_loss: Mean loss on the evaluated training examples, dropout off.
        train_accuracy: Accuracy on these examples.
        validation_loss: Mean loss on the validation set, dropout off; nan if it is empty.
        validation_accuracy: Accuracy on the validation set.
        test_loss: Mean loss on the test set, dropout off.
        test_accuracy: Accuracy on the test set.
        test_errors: Number of misclassified test examples.
        test_macro_f1: Macro F1 on the test set.
        accuracy_gap: train_accuracy - test_accuracy.
        loss_gap: test_loss - train_loss.
        dropout_loss: Mean, over the training steps of this epoch, of the terms that dropout adds to
            the cross-entropy: the penalties of variants that learn their noise, and the terms of
            r_drop, expectation_linear and fraternal; 0 without any. Excludes regularizers.
        sparsity: Share of the weights or units that pruning removes, for variants that prune; a
            JSON list if the places differ.
        pruned_test_accuracy: Accuracy on the test set after pruning, for targeted dropout.
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
RECORD_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Record))[:-1]


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
