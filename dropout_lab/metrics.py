"""What is measured of a network's logits: loss, accuracy, errors, macro F1, for each run."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Scores:
    """The measures of one part of the data; every tensor is ``(runs,)``, float64, on the CPU.

    Args:
        loss: Mean cross-entropy in nats.
        accuracy: Fraction of the examples classified rightly.
        errors: How many are not.
        macro_f1: Mean over the classes of F1 = 2 TP / (2 TP + FP + FN), over the classes that
            occur as a label or as a prediction.
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
    # Classes before examples: that is how the product of the output layer lies in memory.
    return nn.functional.cross_entropy(logits.mT, labels, reduction="none").mean(dim=1)


class Tally:
    """Adds up batches of one part of the data, and scores them.

    Args:
        runs: The length of the run axis.
        classes: How many classes there are.
        device: Where the logits lie.
    """

    def __init__(self, runs: int, classes: int, device: torch.device) -> None:
        self.runs, self.classes = runs, classes
        self.loss = torch.zeros(runs, dtype=torch.float64, device=device)
        self.confusion = torch.zeros(runs, classes, classes, dtype=torch.int64, device=device)

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch.

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
        """Return the measures of everything counted, on the CPU; nan where nothing was."""
        confusion = self.confusion.cpu()
        count = confusion.sum(dim=(1, 2)).double()
        right = confusion.diagonal(dim1=1, dim2=2).double()  # (runs, classes)
        occurrences = (confusion.sum(dim=1) + confusion.sum(dim=2)).double()
        f1 = 2 * right / occurrences.where(occurrences > 0, 1.0)
        present = (occurrences > 0).sum(dim=1)
        return Scores(
            loss=self.loss.cpu() / count,
            accuracy=right.sum(dim=1) / count,
            errors=count - right.sum(dim=1),
            macro_f1=f1.sum(dim=1) / present,
        )
