"""A training step with dropout against the same step without, in this process.

python benchmarks/dropout_cost.py [repetitions [variant ...]]

First inverted dropout, what nn.Dropout does, at several p and placements of two nets, with the
packing's own fleets; beside it nn.Dropout itself in a plain loop. Then each variant at p = 0.5
after both hidden layers of 784-512-512-10, in fleets of 4; their medians are the costs in
dropout_lab/catalogue.py. At last batchwise dropout, which computes less, against inverted.
"""

import itertools
import sys
import time
from collections.abc import Callable

import torch
from report import figure, heading, verdicts
from steps import Steps, changes_of, paired, splits
from torch import nn

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.data import Splits
from dropout_lab.study.machine import this_machine
from dropout_lab.study.packing import suitable_size

NETS = ("784-512-512-10", "784-1024-1024-10")
BATCH, RUNS = 128, 4
COST = 1.08  # of inverted dropout
KINDS = {
    "p = 0.1": ("dropout.p=0.1",),
    "p = 0.5": ("dropout.p=0.5",),
    "p = 0.9": ("dropout.p=0.9",),
    "p = 0.5, input_p = 0.2": ("dropout.p=0.5", "dropout.input_p=0.2"),
    "p = 0.2 at the input alone": ("dropout.p=0.2", "dropout.placement=input"),
    "p = 0.5 before the activation": ("dropout.p=0.5", "dropout.position=before"),
}
GAIN = 1 / 1.7  # of batchwise dropout over inverted


def plain(net: str, p: float, data: Splits) -> Callable[[int], float]:
    """Return what trains one network the plain way, with nn.Dropout or, at p = 0, without it."""
    sizes = [int(units) for units in net.split("-")]
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU(), *([nn.Dropout(p)] if p else [])]
    model = nn.Sequential(*layers[: -1 - bool(p)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    pixels, labels = data.pixels(data.train.images), data.train.labels

    def seconds(steps: int) -> float:
        picked = torch.randint(len(labels), (steps, BATCH))
        began = time.perf_counter()
        for indices in picked:
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.cross_entropy(model(pixels[indices]), labels[indices])
            loss.backward()
            optimizer.step()
        return (time.perf_counter() - began) / steps

    return seconds


def ratio(
    name: str, repetitions: int, first: Callable[[int], float], second: Callable[[int], float]
) -> float:
    """Measure in turn; print and return the median of the ratios, pair by pair."""
    return figure(name, [a / b for a, b in paired(repetitions, first, second)], "")


def main() -> None:
    """Measure in turn, without and with, and compare pair by pair."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    heading(f"a training step, batch {BATCH}, SGD with momentum, over the same without dropout")
    data = splits()
    most = []
    none, slow = "dropout.variant=none", "training.learning_rate=0.01"
    for net in NETS if not sys.argv[2:] else ():
        bare = changes_of(net, BATCH, none, slow)
        runs = suitable_size(Steps(bare, 1, data).config, this_machine(torch.device("cpu")))
        print(f"{net}, R = {runs}")
        without = Steps(bare, runs, data)
        for name, changes in KINDS.items():
            dropped = Steps(changes_of(net, BATCH, slow, *changes), runs, data)
            cost = ratio(f"  inverted, {name}", repetitions, dropped, without)
            most.append((f"inverted, {net}, {name}", cost, COST))
        ratio(
            "  nn.Dropout, p = 0.5, a plain loop",
            repetitions,
            *(plain(net, p, data) for p in (0.5, 0)),
        )
    bare = Steps(changes_of(NETS[0], BATCH, none), RUNS, data)
    print(f"{NETS[0]}, R = {RUNS}, p = 0.5")
    for variant in sys.argv[2:] or [name for name in CATALOGUE if name != "none"]:
        needed = (f"dropout.{key}=0.5" for key in CATALOGUE[variant].needed)
        dropped = Steps(
            changes_of(NETS[0], BATCH, f"dropout.variant={variant}", *needed), RUNS, data
        )
        cost = ratio(f"  {variant}", repetitions, dropped, bare)
        most.append((f"{variant}, over the catalogue's", cost / CATALOGUE[variant].cost, 1.5))
    if not sys.argv[2:]:
        inverted, batchwise = (
            Steps(changes_of(NETS[1], BATCH, slow, f"dropout.variant={variant}"), RUNS, data)
            for variant in ("inverted", "batchwise")
        )
        gain = ratio(f"batchwise over inverted, {NETS[1]}", repetitions, batchwise, inverted)
        most.append(("batchwise over inverted", gain, GAIN))
    verdicts(most=most)


if __name__ == "__main__":
    main()
