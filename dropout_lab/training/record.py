"""One row of metrics.csv: its fields are the columns, their texts the definitions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor

from dropout_lab.metrics import Scores


@dataclass(frozen=True)
class Record:
    """What is known of one run after one epoch. Losses in nats, accuracies in [0, 1].

    Args:
        epoch: Passes over the training part so far.
        updates: Steps of the optimizer so far.
        seconds: Wall-clock time so far, training and evaluation: the fleet's, divided by its runs.
        learning_rate: In force in the last update of this epoch.
        p: The chance of dropping in force in the last update, at the places of the placement, as
            it was used (rounded to 1/65,536 where coins are tossed) or learned, save that of
            sparse_variational, which is where it started; a JSON list where the places differ.
            Of input_p nothing is recorded where the placement does not name the input.
        noisy_train_loss: Mean cross-entropy in the training steps of this epoch, dropout on, each
            batch before its update; that of the labels as they are, whatever their smoothing.
        noisy_train_accuracy: Accuracy in these steps.
        train_loss: Mean loss on the measured training examples, dropout off.
        train_accuracy: Accuracy on them.
        validation_loss: Mean loss on the validation examples, dropout off; nan if there are none.
        validation_accuracy: Accuracy on them.
        test_loss: Mean loss on the test examples, dropout off.
        test_accuracy: Accuracy on them.
        test_errors: How many of them are classified wrongly.
        test_macro_f1: Their macro F1.
        accuracy_gap: train_accuracy - test_accuracy.
        loss_gap: test_loss - train_loss.
        dropout_loss: Mean, in the training steps of this epoch, of what was minimized beside the
            cross-entropy for the sake of dropout: the penalties of variants that learn, and the
            terms of r_drop, expectation_linear and fraternal; 0 without any. Regularizers are no
            part of it.
        sparsity: Share of the weights or units that pruning takes away, for the variants that
            prune; a JSON list where the places differ.
        pruned_test_accuracy: Accuracy on the test examples after pruning them, for targeted
            dropout.
        diagnostics: What ``evaluation.diagnostics`` asks for, each a column of its own.
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
        """Return the row, by column."""
        columns = {name: getattr(self, name) for name in RECORD_COLUMNS}
        return {**columns, **self.diagnostics}


# Those of every record; what the diagnostics add comes after them.
RECORD_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Record))[:-1]


@dataclass(frozen=True)
class Measured:
    """The scores of the parts of the data after an epoch."""

    train: Scores
    validation: Scores
    test: Scores
    pruned: Scores | None = None
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)

    def columns(self, run: int) -> dict[str, Any]:
        """Return the clean columns of one run's record."""
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
