"""Training steps of a fleet as the training loop makes them, for other benchmarks to time."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from dropout_lab import data
from dropout_lab.config.grid import runs_of, single_cell
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.data import Examples, Splits
from dropout_lab.lr_schedules import OptimizerSchedule
from dropout_lab.training import Fleet
from dropout_lab.training.allocator import keep_freed_memory
from dropout_lab.training.objective import Objective, TrainingStepMetrics

CPU = torch.device("cpu")
COPIES = 12  # of mnist_5k: as many examples as full MNIST has, and as little in the cache
SECONDS = 0.1  # of one measurement, about: short turns, since machines drift


def splits() -> Splits:
    """Return the data to train on; the process keeps the memory it frees, as in training."""
    keep_freed_memory()
    small = data.load(data_dir=Path(), say=lambda line: None, **load(None).dataset.model_dump())
    train = Examples(small.train.images.repeat(COPIES, 1), small.train.labels.repeat(COPIES))
    return dataclasses.replace(small, train=train)


def changes_of(net: str, batch: int, *changes: str) -> tuple[str, ...]:
    """Return the settings of a net, written 784-512-512-10."""
    hidden = [int(units) for units in net.split("-")[1:-1]]
    return (f"model.hidden={hidden}", f"training.batch_size={batch}", *changes)


class Steps:
    """Training steps of a fleet: batches picked by index, both passes, the update, the sums.

    Args:
        changes: The settings, as of ``--set``.
        runs: In the fleet.
        splits: What it is trained on.
        device: Where.
    """

    def __init__(
        self, changes: Sequence[str], runs: int, splits: Splits, device: torch.device = CPU
    ) -> None:
        self.config = load(None, Changes(tuple(changes)))
        self.fleet = Fleet(runs_of(single_cell(self.config), range(runs)), device)
        self.splits, self.runs = splits, runs
        self.objective = Objective(
            self.fleet.model, self.config.dropout, len(splits.train), self.fleet.regularizers
        )
        self.objective.open_epoch(1)
        self.noisy = TrainingStepMetrics(runs, self.fleet.device)
        self.rate = OptimizerSchedule(self.config.training, 1, 1).at(0)

    def __call__(self, steps: int) -> float:
        """Train so many steps; return the seconds of one of them, on the host."""
        batch_size, examples = self.config.training.batch_size, len(self.splits.train)
        device = self.fleet.device
        picked = torch.randint(examples, (steps, self.runs, batch_size), device=device)
        began = time.perf_counter()
        for indices in picked:
            batch = self.splits.train[indices]
            step = self.objective(self.splits.pixels(batch.images), batch.labels, 1.0)
            self.fleet.optimizer.step(step.total, self.rate)
            self.fleet.model.constrain()
            self.noisy.add(step, batch.labels)
        return (time.perf_counter() - began) / steps


def paired(
    repetitions: int, first: Callable[[int], float], second: Callable[[int], float]
) -> list[tuple[float, float]]:
    """Measure two kinds of steps in turn, A B A B, each for about the same time."""
    counts = [max(2, round(SECONDS / min(kind(2), kind(2)))) for kind in (first, second)]
    return [(first(counts[0]), second(counts[1])) for _ in range(repetitions)]
