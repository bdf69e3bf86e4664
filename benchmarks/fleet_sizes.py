"""Time of a run's training step in fleets of 1 to 64, beside what the packing chooses.

python benchmarks/fleet_sizes.py [repetitions [net[:precision[:optimizer]] ...]]

Each size is measured in turn with a fleet of one run, A B A B, and compared pair by pair. A net is
written 784-512-512-10.
"""

import sys

import torch
from report import figure, heading, verdict
from steps import Steps, changes_of, paired, splits

from dropout_lab.data import Splits
from dropout_lab.study.machine import this_machine
from dropout_lab.study.packing import suitable_size

SIZES = (1, 2, 4, 8, 16, 32, 64)
NETS = (
    "784-32-10", "784-128-10", "784-512-512-10", "784-512-512-10:bfloat16", "784-1024-1024-10",
    "784-1024-1024-10:bfloat16", "784-2048-2048-2048-10", "784-4096-4096-10",
)  # fmt: skip
MOST_WEIGHTS = 200_000_000  # of a fleet together: 3 GB with gradients and velocities


def settings_of(net: str) -> tuple[str, ...]:
    """Return the settings of a net; the learning rates keep the numbers ordinary."""
    name, _, rest = net.partition(":")
    precision, _, optimizer = rest.partition(":")
    return changes_of(
        name,
        64 if int(name.split("-")[1]) <= 128 else 128,
        f"training.precision={precision or 'float32'}",
        f"training.optimizer={optimizer or 'sgd'}",
        f"training.learning_rate={0.001 if optimizer else 0.01}",
    )


def table(net: str, repetitions: int, data: Splits) -> float:
    """Print the times of a net at each size; return that of the packing's own over a fleet of 1."""
    changes = settings_of(net)
    single = Steps(changes, 1, data)
    chosen = suitable_size(single.config, this_machine(torch.device("cpu")))
    weights = sum(weight.numel() for weight in single.fleet.model.weights)
    alone: list[float] = []
    ratio_of_chosen = 1.0
    print(f"{net}, batch {single.config.training.batch_size}")
    for size in sorted({*SIZES, chosen} - {1}):
        if size * weights > MOST_WEIGHTS:
            print(f"  R = {size:<3} left out: {size * weights:,} weights")
            continue
        pairs = paired(repetitions, Steps(changes, size, data), single)
        alone += [one for _, one in pairs]
        mark = "  <- the packing" if size == chosen else ""
        figure(f"  R = {size}", [1e3 * ours / size for ours, _ in pairs], "ms")
        ratio = figure(f"    over R = 1{mark}", [a / size / b for a, b in pairs], "")
        ratio_of_chosen = ratio if size == chosen else ratio_of_chosen
    figure("  R = 1" + ("  <- the packing" if chosen == 1 else ""), [1e3 * t for t in alone], "ms")
    return ratio_of_chosen


def main() -> None:
    """Measure each net, and compare what the packing chose with the bound."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    heading("time per run and training step by the size of the fleet")
    print(f"{torch.get_num_threads()} threads; inverted dropout, p = 0.5")
    data = splits()
    worst = max(table(net, repetitions, data) for net in sys.argv[2:] or NETS)
    verdict("the packing's size over R = 1, the largest ratio", worst, 1.02)


if __name__ == "__main__":
    main()
