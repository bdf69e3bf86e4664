"""Time of a training step against the time of its matrix products alone.

python benchmarks/roofline.py [repetitions]

The products are those of the step, of the same shapes, by the same calls and in the same
precision: forward, of the weights' gradients, and of the gradients that go on to a layer below.
The step has inverted dropout, p = 0.5 after each hidden layer. The bounds hold for SGD in float32
and the packing's own choice.
"""

import itertools
import sys
import time
from collections.abc import Callable

import torch
from report import figure, heading, verdicts
from steps import Steps, changes_of, paired, splits

from dropout_lab.layers.affine import product
from dropout_lab.study.machine import this_machine
from dropout_lab.study.packing import suitable_size

NETS = {  # net: batch, least share of the products
    "784-128-10": (64, 0.45),
    "784-512-512-10": (128, 0.70),
    "784-1024-1024-10": (128, 0.75),
    "784-2048-2048-2048-10": (128, 0.75),
}
OPTIMIZERS = {"sgd": 0.01, "adam": 0.001}  # with learning rates that keep the numbers ordinary


def products(net: str, batch: int, runs: int, dtype: torch.dtype) -> Callable[[int], float]:
    """Return what makes the products of so many steps and returns the seconds of one step's."""
    sizes = [int(units) for units in net.split("-")]
    layers = [
        tuple(torch.randn(runs, *shape).to(dtype) for shape in ((batch, a), (a, b), (batch, b)))
        for a, b in itertools.pairwise(sizes)
    ]

    def seconds(steps: int) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            for x, weight, _ in layers:
                product(x, weight)
            for place, (x, weight, gradient) in reversed(list(enumerate(layers))):
                product(x.mT, gradient)
                if place:
                    torch.bmm(gradient, weight.mT)
        return (time.perf_counter() - began) / steps

    return seconds


def main() -> None:
    """Measure each kind of step and its products in turn, and compare pair by pair."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    heading("share of the matrix products in a training step, SGD with momentum 0.9 or Adam")
    print(f"{torch.get_num_threads()} threads; inverted dropout, p = 0.5; ms per run and step")
    data, kept = splits(), []
    for net, (batch, least) in NETS.items():
        for precision in ("float32", "bfloat16"):
            for optimizer, rate in OPTIMIZERS.items():
                changes = changes_of(
                    *(net, batch, f"training.precision={precision}"),
                    *(f"training.optimizer={optimizer}", f"training.learning_rate={rate}"),
                )
                steps = Steps(changes, 1, data)
                chosen = suitable_size(steps.config, this_machine(torch.device("cpu")))
                for runs in (1, chosen):
                    steps = Steps(changes, runs, data)
                    alone = products(net, batch, runs, getattr(torch, precision))
                    pairs = paired(repetitions, steps, alone)
                    name = f"{net} {optimizer} {precision} R = {runs}"
                    figure(f"{name}, step", [1e3 * step / runs for step, _ in pairs], "ms")
                    figure("    its products", [1e3 * own / runs for _, own in pairs], "ms")
                    share = figure("    their share", [own / step for step, own in pairs], "")
                    if (precision, optimizer, runs) == ("float32", "sgd", chosen):
                        kept.append((f"share of the products, {net}, R = {runs}", share, least))
    verdicts(least=kept)


if __name__ == "__main__":
    main()
