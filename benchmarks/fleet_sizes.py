"""Time of a run's training step in fleets of 1 to 64, beside what the packing chooses.

python benchmarks/fleet_sizes.py [repetitions [net[:precision[:optimizer]] ...]]

Each size is measured in turn with a fleet of one run, A B A B, and compared pair by pair. A net is
written 784-512-512-10.
"""

import sys
import time
from pathlib import Path

import torch
from report import figure, heading, verdict

from dropout_lab import data
from dropout_lab.config.changes import Changes
from dropout_lab.config.grid import runs_of, single_cell
from dropout_lab.config.load import load
from dropout_lab.config.schema import Config
from dropout_lab.data import Examples
from dropout_lab.rates import Rates
from dropout_lab.study.machine import this_machine
from dropout_lab.study.plan import suitable_size
from dropout_lab.training import Fleet
from dropout_lab.training.allocator import keep_freed_memory
from dropout_lab.training.objective import Objective

SIZES = (1, 2, 4, 8, 16, 32, 64)
NETS = (
    "784-32-10", "784-128-10", "784-512-512-10", "784-512-512-10:bfloat16", "784-1024-1024-10",
    "784-1024-1024-10:bfloat16", "784-2048-2048-2048-10", "784-4096-4096-10",
)  # fmt: skip
SECONDS = 0.25  # of one measurement, about
MOST_WEIGHTS = 200_000_000  # of a fleet together: 3 GB with gradients and velocities
COPIES = 12  # of mnist_5k: as many examples as full MNIST has, and as little in the cache


class Steps:
    """Training steps of a fleet: batches picked by index, both passes, the optimizer."""

    def __init__(self, config: Config, size: int, examples: Examples, scale: float) -> None:
        self.fleet = Fleet(runs_of(single_cell(config), range(size)), torch.device("cpu"))
        self.objective = Objective(
            self.fleet.model, config.dropout, len(examples), self.fleet.regularizers
        )
        self.objective.open_epoch(1)
        self.examples, self.scale = examples, scale
        self.rate = Rates(config.training, 1, 1).at(0)
        self.batch = (size, config.training.batch_size)
        self.size = size

    def seconds(self, steps: int) -> float:
        """Return the time of a step for each of the runs."""
        picked = torch.randint(len(self.examples), (steps, *self.batch))
        began = time.perf_counter()
        for indices in picked:
            pixels = self.examples.images[indices].float().mul_(self.scale)
            step = self.objective(pixels, self.examples.labels[indices], 1.0)
            self.fleet.optimizer.step(step.total, self.rate)
        return (time.perf_counter() - began) / steps / self.size


def config_of(net: str) -> Config:
    """Return the settings of a net."""
    name, _, rest = net.partition(":")
    precision, _, optimizer = rest.partition(":")
    hidden = [int(units) for units in name.split("-")[1:-1]]
    changes = (
        f"model.hidden={hidden}",
        f"training.batch_size={64 if hidden[0] <= 128 else 128}",
        f"training.precision={precision or 'float32'}",
        f"training.optimizer={optimizer or 'sgd'}",
        f"training.learning_rate={0.001 if optimizer else 0.01}",
    )
    return load(None, Changes(changes))


def table(net: str, repetitions: int, examples: Examples, scale: float) -> float:
    """Print the times of a net at each size; return that of the packing's own over a fleet of 1."""
    config = config_of(net)
    chosen = suitable_size(config, this_machine(torch.device("cpu")))
    single = Steps(config, 1, examples, scale)
    weights = sum(weight.numel() for weight in single.fleet.model.weights)
    single.seconds(3)
    steps = max(4, round(SECONDS / single.seconds(4)))
    alone: list[float] = []
    ratio_of_chosen = 1.0
    print(f"{net}, batch {config.training.batch_size}")
    for size in sorted({*SIZES, chosen} - {1}):
        if size * weights > MOST_WEIGHTS:
            print(f"  R = {size:<3} left out: {size * weights:,} weights")
            continue
        fleet = Steps(config, size, examples, scale)
        own = max(2, steps // size)
        fleet.seconds(2)
        pairs = [(fleet.seconds(own), single.seconds(steps)) for _ in range(repetitions)]
        alone += [one for _, one in pairs]
        mark = "  <- the packing" if size == chosen else ""
        figure(f"  R = {size}, ms", [1e3 * ours for ours, _ in pairs], "")
        ratio = figure(f"  R = {size}, over R = 1{mark}", [a / b for a, b in pairs], "")
        ratio_of_chosen = ratio if size == chosen else ratio_of_chosen
        del fleet
    figure(
        "  R = 1, ms" + ("  <- the packing" if chosen == 1 else ""), [1e3 * t for t in alone], ""
    )
    return ratio_of_chosen


def main() -> None:
    """Measure each net, and compare what the packing chose with the bound."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    heading("time per run and training step by the size of the fleet")
    print(f"{torch.get_num_threads()} threads; {load(None).dropout.variant} dropout, p = 0.5")
    keep_freed_memory()
    splits = data.load(data_dir=Path(), say=lambda line: None, **load(None).dataset.model_dump())
    train = splits.train
    examples = Examples(train.images.repeat(COPIES, 1), train.labels.repeat(COPIES))
    worst = max(table(net, repetitions, examples, splits.scale) for net in sys.argv[2:] or NETS)
    verdict("the packing's size over R = 1, the largest ratio", worst, 1.02)


if __name__ == "__main__":
    main()
