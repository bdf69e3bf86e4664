"""Early stopping: keep each run's best weights by validation accuracy, and decide when it stops."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class BestEpoch:
    """The state of one run after its best epoch.

    Args:
        epoch: Epochs completed.
        updates: Optimizer steps completed.
        accuracy: Validation accuracy.
        parameters: All learned parameters, without the run axis.
    """

    epoch: int
    updates: int
    accuracy: float
    parameters: list[Tensor]


class EarlyStopping:
    """Stop a run whose validation accuracy has not improved for ``patience`` epochs.

    If two epochs have the same accuracy, the earlier one is the best. Each run of a fleet stops on
    its own. A stopped run is still computed with the others, but its results are ignored.

    Args:
        patience: Epochs without improvement, at least 1.
        runs: Number of runs in the fleet.

    Attributes:
        best: The best epoch of each run, None before the first evaluation.
        stopped: The epoch after which each stopped run stopped, by the index of the run.
    """

    def __init__(self, patience: int, runs: int) -> None:
        self.patience = patience
        self.best: list[BestEpoch | None] = [None] * runs
        self.stopped: dict[int, int] = {}

    def update(
        self,
        epoch: int,
        updates: int,
        accuracies: Tensor,
        parameters: Sequence[Tensor],
        runs: Iterable[int],
    ) -> None:
        """Record the validation accuracies of an epoch.

        Args:
            epoch: Epochs completed.
            updates: Optimizer steps completed.
            accuracies: Validation accuracy, ``(runs,)``.
            parameters: All learned parameters, ``(runs, ...)`` each.
            runs: Indices of the runs that are still training.
        """
        for run in runs:
            accuracy, best = accuracies[run].item(), self.best[run]
            if best is None or accuracy > best.accuracy:
                weights = [parameter.detach()[run].clone() for parameter in parameters]
                self.best[run] = BestEpoch(epoch, updates, accuracy, weights)
            elif epoch - best.epoch >= self.patience:
                self.stopped[run] = epoch

    def restore_best(self, parameters: Sequence[Tensor]) -> None:
        """Replace the current weights of each run by the weights of its best epoch."""
        with torch.no_grad():
            for run, best in enumerate(self.best):
                for parameter, weights in zip(
                    parameters, best.parameters if best else (), strict=False
                ):
                    parameter[run] = weights

    def run_state(self, run: int) -> dict[str, Any]:
        """Return the state of one run, for its checkpoint: tensors and plain numbers."""
        best = self.best[run]
        return {"stopped": self.stopped.get(run, 0), "best": vars(best) if best else None}

    def load_run_state(self, run: int, state: dict[str, Any]) -> None:
        """Restore one run from what :meth:`run_state` returned."""
        if state["stopped"]:
            self.stopped[run] = state["stopped"]
        self.best[run] = BestEpoch(**state["best"]) if state["best"] else None
