"""A fleet: the networks of several runs, their optimizer, and what one run needs to resume."""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dropout_lab.config.grid import Run
from dropout_lab.config.schema import Settings, places
from dropout_lab.layers import Dropout
from dropout_lab.model import MLP, p_of_fleet
from dropout_lab.optimizer import FleetOptimizer
from dropout_lab.p_schedules import Schedule
from dropout_lab.training.averages import Averages
from dropout_lab.training.early_stopping import EarlyStopping
from dropout_lab.training.regularizers import Regularizers

RunCheckpoint = dict[str, Any]


class Fleet:
    """Runs of equal shape, trained in lockstep.

    Args:
        runs: They differ at most in seed, p, learning rate and strength of the regularizers.
        device: Where they are trained.

    Attributes:
        p: The p of each place and run at full strength, before a schedule changes it.
        averages: The average of the weights that is measured, with ``training.average``.
        epoch: Epochs done.
        updates: Optimizer steps done.
        seconds: Wall-clock time used so far.
        diverged: For each run that diverged, by its index, the epoch in which it did.
        broken: For each run with a dropout layer that does not do what it says, by its index, what
            was measured, where and when first.
    """

    def __init__(self, runs: Sequence[Run], device: torch.device) -> None:
        self.runs = tuple(runs)
        self.device = device
        settings = [run.settings for run in runs]
        self.settings: Settings = settings[0]
        self.seeds = [run.seed for run in runs]
        self.p = p_of_fleet(settings)
        self.model = MLP(self.settings, self.p, self.seeds, device)
        model = self.model
        self.optimizer = FleetOptimizer(model.weights, model.biases, settings, model.learned)
        self.regularizers = Regularizers(settings, self.seeds, device)
        self.averages = Averages(self.settings.training, list(model.parameters()))
        self.epoch = 0
        self.updates = 0
        self.seconds = 0.0
        self.diverged: dict[int, int] = {}
        self.broken: dict[int, str] = {}
        patience = self.settings.training.patience
        self.early_stopping = None if patience is None else EarlyStopping(patience, len(runs))

    @property
    def going(self) -> list[int]:
        """The indices of the runs that have neither diverged nor stopped early."""
        ended = self.diverged.keys() | self.stopped.keys()
        return [run for run in range(len(self.runs)) if run not in ended]

    @property
    def stopped(self) -> dict[int, int]:
        """For each run that stopped early, by its index, the epoch after which it did."""
        return {} if self.early_stopping is None else self.early_stopping.stopped

    def p_in_force(self, run: int) -> float | str:
        """Return the p at the places of a run's placement; a JSON list where they differ."""
        return _in_one([float(dropout.p[run]) for dropout, _ in self._named()]) or 0.0

    def sparsity(self, run: int) -> float | str | None:
        """Return what pruning takes away at the places of a run; None if nothing is pruned."""
        shares = [dropout.sparsity(weight.detach()) for dropout, weight in self._named()]
        return _in_one([float(share[run]) for share in shares if share is not None])

    def _named(self) -> list[tuple[Dropout, Tensor]]:
        """Return the dropout and the weights of the places of the placement."""
        every = self.model.places()
        return [every[place][:2] for place in places(self.settings)] if self.p else []

    def look(self, validation_accuracy: Tensor) -> None:
        """Let early stopping, if there is any, see how the runs stand: ``(runs,)``."""
        if self.early_stopping is not None:
            parameters = list(self.model.parameters())
            self.early_stopping.look(
                self.epoch, self.updates, validation_accuracy, parameters, self.going
            )

    def finish(self, schedule: Schedule) -> None:
        """Give each run the weights that were measured: averages, with early stopping the best."""
        self.averages.keep()
        if self.early_stopping is None:
            return
        self.early_stopping.restore(list(self.model.parameters()))
        ps = [schedule.at(best.updates - 1 if best else 0) for best in self.early_stopping.best]
        self.model.set_p(
            {place: torch.stack([p[place][run] for run, p in enumerate(ps)]) for place in ps[0]}
        )

    def checkpoint(self) -> list[RunCheckpoint]:
        """Return what each run needs to resume: tensors and plain numbers only."""
        parameters = list(self.model.parameters())
        optimizer_states = self.optimizer.run_states()
        stopping = self.early_stopping
        running_means = self.regularizers.run_states()
        return [
            {
                "epoch": self.epoch,
                "updates": self.updates,
                "seconds": self.seconds,
                "runs": len(self.runs),
                "diverged": self.diverged.get(run, 0),
                "broken": self.broken.get(run, ""),
                "parameters": [parameter.detach()[run].clone() for parameter in parameters],
                "optimizer": optimizer_states[run],
                **({"early_stopping": stopping.checkpoint(run)} if stopping else {}),
                "running_means": running_means[run] if running_means else [],
                "averages": self.averages.checkpoint(run),
            }
            for run in range(len(self.runs))
        ]

    def restore(self, checkpoints: Sequence[RunCheckpoint]) -> None:
        """Go on from what :meth:`checkpoint` returned for these very runs."""
        parameters = list(self.model.parameters())
        with torch.no_grad():
            for index, parameter in enumerate(parameters):
                parts = [checkpoint["parameters"][index] for checkpoint in checkpoints]
                parameter.copy_(torch.stack(parts))
        self.optimizer.load_run_states([checkpoint["optimizer"] for checkpoint in checkpoints])
        for run, checkpoint in enumerate(checkpoints):
            if self.early_stopping is not None:
                self.early_stopping.load(run, checkpoint["early_stopping"])
            # A checkpoint from before there were averages has none, and needs none.
            self.averages.load(run, checkpoint.get("averages", []))
        # Checkpoints from before there was KL-sparsity have no running means, and need none.
        self.regularizers.load_run_states([c.get("running_means", []) for c in checkpoints])
        first = checkpoints[0]
        self.epoch, self.updates = first["epoch"], first["updates"]
        # The fleet may be a part of the one that was saved; its share of the time is too.
        self.seconds = first["seconds"] * len(self.runs) / first.get("runs", len(self.runs))
        self.broken = {
            run: checkpoint["broken"]
            for run, checkpoint in enumerate(checkpoints)
            if checkpoint.get("broken")
        }
        self.diverged = {
            run: checkpoint["diverged"]
            for run, checkpoint in enumerate(checkpoints)
            if checkpoint["diverged"]
        }


def _in_one(values: list[float]) -> float | str | None:
    """Return the value all places share, a JSON list where they differ; None without places."""
    if not values:
        return None
    return values[0] if len(set(values)) == 1 else json.dumps(values)
