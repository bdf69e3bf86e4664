"""Early stopping: each run's best weights by validation accuracy, and when to stop looking."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Best:
    """A run as it was after its best epoch.

    Args:
        epoch: Epochs done.
        updates: Optimizer steps done.
        accuracy: Validation accuracy.
        parameters: Everything that is learned, without the run axis.
    """

    epoch: int
    updates: int
    accuracy: float
    parameters: list[Tensor]


class EarlyStopping:
    """Stops a run that has not bettered its validation accuracy for ``patience`` epochs.

    Of equal accuracies the earliest counts. Runs of a fleet stop one by one; those that have
    stopped are computed on with the others, and what becomes of them is not looked at.

    Args:
        patience: Epochs, at least 1.
        runs: How many runs the fleet has.

    Attributes:
        stopped: For each run that has stopped, by its index, the epoch after which it did.
    """

    def __init__(self, patience: int, runs: int) -> None:
        self.patience = patience
        self.best: list[Best | None] = [None] * runs
        self.stopped: dict[int, int] = {}

    def look(
        self,
        epoch: int,
        updates: int,
        accuracies: Tensor,
        parameters: Sequence[Tensor],
        runs: Iterable[int],
    ) -> None:
        """Take in what was measured after an epoch.

        Args:
            epoch: Epochs done.
            updates: Optimizer steps done.
            accuracies: Validation accuracy, ``(runs,)``.
            parameters: Everything that is learned, ``(runs, ...)`` each.
            runs: The indices of those that are going still.
        """
        for run in runs:
            accuracy, best = accuracies[run].item(), self.best[run]
            if best is None or accuracy > best.accuracy:
                own = [parameter.detach()[run].clone() for parameter in parameters]
                self.best[run] = Best(epoch, updates, accuracy, own)
            elif epoch - best.epoch >= self.patience:
                self.stopped[run] = epoch

    def restore(self, parameters: Sequence[Tensor]) -> None:
        """Put the weights of each run's best epoch in place of its last."""
        with torch.no_grad():
            for run, best in enumerate(self.best):
                for parameter, own in zip(
                    parameters, best.parameters if best else (), strict=False
                ):
                    parameter[run] = own

    def checkpoint(self, run: int) -> dict[str, Any]:
        """Return what a run needs to resume: tensors and plain numbers."""
        best = self.best[run]
        return {"stopped": self.stopped.get(run, 0), "best": vars(best) if best else None}

    def load(self, run: int, checkpoint: dict[str, Any]) -> None:
        """Go on from what :meth:`checkpoint` returned."""
        if checkpoint["stopped"]:
            self.stopped[run] = checkpoint["stopped"]
        self.best[run] = Best(**checkpoint["best"]) if checkpoint["best"] else None
