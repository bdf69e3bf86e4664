"""A fleet: several runs trained together as one batch, with one checkpoint for each run."""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dropout_lab.config.grid import Run
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.dropout import places
from dropout_lab.layers import Dropout
from dropout_lab.model import MLP, fleet_p
from dropout_lab.optimizer import FleetOptimizer
from dropout_lab.p_schedules import PSchedule
from dropout_lab.training.averages import WeightAverages
from dropout_lab.training.early_stopping import EarlyStopping
from dropout_lab.training.regularizers import Regularizers

RunCheckpoint = dict[str, Any]


class Fleet:
    """The state of several runs of equal shape that are trained together as one batch.

    Args:
        runs: May differ in seed, p, learning rate and strength of the regularizers only.
        device: The device to train on.

    Attributes:
        seeds: The seed of each run.
        order_seeds: The seed of the order of each run's examples.
        p: The p of each place and run, before a schedule changes it.
        averages: The averaged weights, with ``training.average``.
        epoch: Epochs completed.
        updates: Optimizer steps completed.
        seconds: Wall-clock time so far.
        diverged: The epoch in which each diverged run diverged, by the index of the run.
        broken: The first violated claim of each run whose dropout noise differs from what its
            variant claims, by the index of the run.
    """

    def __init__(self, runs: Sequence[Run], device: torch.device) -> None:
        self.runs = tuple(runs)
        self.device = device
        settings = [run.settings for run in runs]
        self.settings: Settings = settings[0]
        self.seeds = [run.seed for run in runs]
        self.p = fleet_p(settings)
        training = self.settings.training
        mask_seeds = self._seeds_of(training.mask_seed)
        self.order_seeds = self._seeds_of(training.data_order_seed)
        self.model = MLP(
            self.settings, self.p, self._seeds_of(training.initial_weights_seed), device, mask_seeds
        )
        model = self.model
        self.optimizer = FleetOptimizer(model.weights, model.biases, settings, model.learned)
        self.regularizers = Regularizers(settings, mask_seeds, device)
        self.averages = WeightAverages(training, list(model.parameters()))
        self.epoch = 0
        self.updates = 0
        self.seconds = 0.0
        self.diverged: dict[int, int] = {}
        self.broken: dict[int, str] = {}
        patience = training.patience
        self.early_stopping = None if patience is None else EarlyStopping(patience, len(runs))

    def _seeds_of(self, seed: int | None) -> list[int]:
        """Return the seed of each run for one purpose: its own, or the one given for all runs."""
        return self.seeds if seed is None else [seed] * len(self.runs)

    @property
    def active_runs(self) -> list[int]:
        """Indices of the runs that have neither diverged nor stopped early."""
        ended = self.diverged.keys() | self.stopped.keys()
        return [run for run in range(len(self.runs)) if run not in ended]

    @property
    def stopped(self) -> dict[int, int]:
        """The epoch after which each early-stopped run stopped, by the index of the run."""
        return {} if self.early_stopping is None else self.early_stopping.stopped

    def current_p(self, run: int) -> float | str:
        """Return the current p at the places of a run's placement; a JSON list if they differ."""
        values = [float(dropout.p[run]) for dropout, _ in self._placement_layers()]
        return _number_or_json(values) or 0.0

    def sparsity(self, run: int) -> float | str | None:
        """Return the share of units or weights that pruning removes; None for other variants."""
        layers = self._placement_layers()
        shares = [dropout.sparsity(weight.detach()) for dropout, weight in layers]
        return _number_or_json([float(share[run]) for share in shares if share is not None])

    def _placement_layers(self) -> list[tuple[Dropout, Tensor]]:
        """Return the dropout layer and the outgoing weights of each place in the placement."""
        layers = self.model.places()
        return [layers[place][:2] for place in places(self.settings)] if self.p else []

    def update_early_stopping(self, validation_accuracy: Tensor) -> None:
        """Pass the validation accuracies, ``(runs,)``, to early stopping if it is on."""
        if self.early_stopping is not None:
            parameters = list(self.model.parameters())
            self.early_stopping.update(
                self.epoch, self.updates, validation_accuracy, parameters, self.active_runs
            )

    def load_final_weights(self, schedule: PSchedule) -> None:
        """Load the weights that were evaluated: averaged ones, or those of the best epoch."""
        self.averages.copy_to_parameters()
        if self.early_stopping is None:
            return
        self.early_stopping.restore_best(list(self.model.parameters()))
        ps = [schedule.at(best.updates - 1 if best else 0) for best in self.early_stopping.best]
        self.model.set_p(
            {place: torch.stack([p[place][run] for run, p in enumerate(ps)]) for place in ps[0]}
        )

    def checkpoint(self) -> list[RunCheckpoint]:
        """Return a checkpoint of each run: tensors and plain numbers only."""
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
                **({"early_stopping": stopping.run_state(run)} if stopping else {}),
                "running_means": running_means[run] if running_means else [],
                "averages": self.averages.run_state(run),
            }
            for run in range(len(self.runs))
        ]

    def restore(self, checkpoints: Sequence[RunCheckpoint]) -> None:
        """Restore the checkpoints that :meth:`checkpoint` returned for the same runs."""
        parameters = list(self.model.parameters())
        with torch.no_grad():
            for index, parameter in enumerate(parameters):
                parts = [checkpoint["parameters"][index] for checkpoint in checkpoints]
                parameter.copy_(torch.stack(parts))
        self.optimizer.load_run_states([checkpoint["optimizer"] for checkpoint in checkpoints])
        for run, checkpoint in enumerate(checkpoints):
            if self.early_stopping is not None:
                self.early_stopping.load_run_state(run, checkpoint["early_stopping"])
            # Checkpoints of versions without weight averaging have no averages.
            self.averages.load_run_state(run, checkpoint.get("averages", []))
        # Checkpoints of versions without KL-sparsity have no running means.
        self.regularizers.load_run_states([c.get("running_means", []) for c in checkpoints])
        first = checkpoints[0]
        self.epoch, self.updates = first["epoch"], first["updates"]
        # The saved fleet may have had more runs. Then these runs take their share of its time.
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


def _number_or_json(values: list[float]) -> float | str | None:
    """Return the common value, a JSON list if the values differ, None if there are none."""
    if not values:
        return None
    return values[0] if len(set(values)) == 1 else json.dumps(values)
