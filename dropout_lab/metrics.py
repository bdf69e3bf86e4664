"""Compute loss, accuracy, errors and macro F1 of each run from logits."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Scores:
    """The metrics of one data set; every tensor is ``(runs,)``, float64, on the CPU.

    Args:
        loss: Mean cross-entropy in nats.
        accuracy: Fraction of correctly classified examples.
        errors: Number of misclassified examples.
        macro_f1: Mean of F1 = 2 TP / (2 TP + FP + FN) over the classes that occur as a label or as
            a prediction.
    """

    loss: Tensor
    accuracy: Tensor
    errors: Tensor
    macro_f1: Tensor


def losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of each run's batch, in nats.

    Shape:
        ``logits``: ``(runs, batch, classes)``, ``labels``: ``(runs, batch)``. Output: ``(runs,)``.
    """
    # cross_entropy expects the class axis second, which is also the memory layout of the logits.
    return nn.functional.cross_entropy(logits.mT, labels, reduction="none").mean(dim=1)


class Tally:
    """Accumulate batches of one data set, and compute their scores.

    Args:
        runs: The length of the run axis.
        classes: Number of classes.
        device: The device of the logits.
    """

    def __init__(self, runs: int, classes: int, device: torch.device) -> None:
        self.runs, self.classes = runs, classes
        self.loss = torch.zeros(runs, dtype=torch.float64, device=device)
        self.confusion = torch.zeros(runs, classes, classes, dtype=torch.int64, device=device)

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Add a batch.

        Args:
            logits: ``(runs, batch, classes)``.
            labels: ``(runs, batch)``.
        """
        self.loss += losses(logits, labels).double() * labels.shape[1]
        pairs = labels * self.classes + logits.argmax(dim=2)  # (runs, batch)
        pairs += torch.arange(self.runs, device=pairs.device).view(-1, 1) * self.classes**2
        counts = torch.bincount(pairs.flatten(), minlength=self.confusion.numel())
        self.confusion += counts.view_as(self.confusion)

    def scores(self) -> Scores:
        """Return the scores of all added batches, on the CPU; nan without any."""
        confusion = self.confusion.cpu()
        count = confusion.sum(dim=(1, 2)).double()
        correct = confusion.diagonal(dim1=1, dim2=2).double()  # (runs, classes)
        occurrences = (confusion.sum(dim=1) + confusion.sum(dim=2)).double()
        f1 = 2 * correct / occurrences.where(occurrences > 0, 1.0)
        present = (occurrences > 0).sum(dim=1)
        return Scores(
            loss=self.loss.cpu() / count,
            accuracy=correct.sum(dim=1) / count,
            errors=count - correct.sum(dim=1),
            macro_f1=f1.sum(dim=1) / present,
        )
