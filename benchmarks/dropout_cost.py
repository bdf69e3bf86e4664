"""A training step with each variant against the same step without dropout, in this process.

python benchmarks/dropout_cost.py [repetitions] [variant ...]

The medians are the costs in dropout_lab/catalogue.py.
"""

import sys
import time
from pathlib import Path

import torch
from report import figure, heading, verdict

from dropout_lab import data
from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.changes import Changes
from dropout_lab.config.grid import runs_of, single_cell
from dropout_lab.config.load import load
from dropout_lab.rates import Rates
from dropout_lab.training import Fleet
from dropout_lab.training.allocator import keep_freed_memory
from dropout_lab.training.objective import Objective

RUNS, BATCH, STEPS = 4, 128, 5


class Steps:
    """Steps of a fleet of 784-512-512-10 with one variant at p = 0.5 after both hidden layers."""

    def __init__(self, variant: str, pixels: torch.Tensor, labels: torch.Tensor) -> None:
        needed = tuple(f"dropout.{key}=0.5" for key in CATALOGUE[variant].needed)
        config = load(None, Changes((f"dropout.variant={variant}", *needed)))
        self.fleet = Fleet(runs_of(single_cell(config), range(RUNS)), torch.device("cpu"))
        self.objective = Objective(
            self.fleet.model, config.dropout, len(labels[0]), self.fleet.regularizers
        )
        self.pixels, self.labels = pixels, labels
        self.rate = Rates(config.training, 1, 1).at(0)
        self.objective.open_epoch(1)

    def seconds(self) -> float:
        """Return the time of a step."""
        began = time.perf_counter()
        for _ in range(STEPS):
            step = self.objective(self.pixels, self.labels, 1.0)
            self.fleet.optimizer.step(step.total, self.rate)
            self.fleet.model.constrain()
        return (time.perf_counter() - began) / STEPS


def main() -> None:
    """Measure in turn, without and with the variant, and compare pair by pair."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    names = sys.argv[2:] or [name for name in CATALOGUE if name != "none"]
    heading(f"a step of {RUNS} runs of 784-512-512-10, batch {BATCH}, SGD, p = 0.5, over none")
    keep_freed_memory()
    settings = load(None).dataset.model_dump()
    splits = data.load(data_dir=Path(), say=lambda line: None, **settings)
    batch = torch.arange(BATCH).expand(RUNS, -1)
    pixels, labels = splits.pixels(splits.train.images[batch]), splits.train.labels[batch]
    worst = 0.0
    for name in names:
        bare, dropped = (Steps(each, pixels, labels) for each in ("none", name))
        for each in (bare, dropped):
            each.seconds()
        pairs = [(dropped.seconds(), bare.seconds()) for _ in range(repetitions)]
        ratio = figure(name, [ours / theirs for ours, theirs in pairs], "")
        worst = max(worst, ratio / CATALOGUE[name].cost)
    verdict("the largest ratio over the catalogue's", worst, 1.5)


if __name__ == "__main__":
    main()
