"""What diagnostics and inference cost: an epoch with them against the same without, in pairs.

python benchmarks/diagnostics_cost.py [repetitions]

784-512-512-10 on 3,000 images, the quickstart's epoch of three runs with its evaluation. The last
rows are the cost of a training that asks for nothing, over the epoch, which must be next to
nothing, and of the inference that comes once, after the last epoch, in epochs.
"""

import sys
import time
from pathlib import Path

import torch
from report import figure, heading, verdict

from dropout_lab import data
from dropout_lab.config.grid import runs_of, single_cell
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.data import Splits
from dropout_lab.training import Fleet, infer, train
from dropout_lab.training.allocator import keep_freed_memory
from dropout_lab.training.diagnostics import Diagnostics

RUNS, CALLS = 3, 1_000
NAMES = ("activations", "co_adaptation", "gradients", "noise", "weight_condensation", "flatness",
         "activation_variance")  # fmt: skip


def fleet_of(*settings: str) -> Fleet:
    """Return three runs of the quickstart's network at p = 0.5."""
    config = load(None, Changes(settings))
    return Fleet(runs_of(single_cell(config), range(RUNS)), torch.device("cpu"))


def timed_epochs(splits: Splits, count: int, *settings: str) -> list[float]:
    """Return the seconds of so many epochs after the first."""
    fleet = fleet_of(f"training.epochs={count + 1}", *settings)
    return timed(fleet, splits)


def timed(fleet: Fleet, splits: Splits) -> list[float]:
    """Return the seconds of each epoch after the first."""
    seconds, before = [], 0.0
    for _ in train(fleet, splits):
        seconds.append(fleet.seconds - before)
        before = fleet.seconds
    return seconds[1:]


def main() -> None:
    """Measure epochs in turn, without and with each diagnostic, and compare pair by pair."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    heading(f"an epoch of {RUNS} runs of 784-512-512-10 on 3,000 images, over one without")
    keep_freed_memory()
    settings = load(None).dataset.model_dump()
    splits = data.load(data_dir=Path(), say=lambda line: None, **settings)
    epoch = 0.0
    for name in NAMES:
        pairs = []
        for _ in range(repetitions):
            (bare,) = timed_epochs(splits, 1)
            (asked,) = timed_epochs(splits, 1, f"evaluation.diagnostics=[{name}]")
            pairs.append((asked, bare))
        figure(name, [asked / bare for asked, bare in pairs], "")
        epoch = min(epoch or pairs[0][1], *(bare for _, bare in pairs))

    nothing = fleet_of()
    diagnostics = Diagnostics(nothing, splits, splits.train)
    idle = []
    for _ in range(repetitions):
        began = time.perf_counter()
        for _ in range(CALLS):
            diagnostics()
        idle.append((time.perf_counter() - began) / CALLS)
    microseconds = figure("nothing asked for", [1e6 * each for each in idle], "microseconds")

    for samples in (1, 50):
        asked = ("evaluation.inference=monte_carlo", f"evaluation.samples={samples}")
        fleet = fleet_of(*asked)
        times = []
        for _ in range(repetitions):
            began = time.perf_counter()
            infer(fleet.model, splits, fleet.settings.evaluation, fleet.seeds)
            times.append((time.perf_counter() - began) / epoch)
        figure(f"monte_carlo, samples {samples}, 1,000 test images", times, "epochs")
    verdict("what is not asked for, millionths of an epoch", microseconds / epoch, 100)


if __name__ == "__main__":
    main()
