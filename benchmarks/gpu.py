"""Fleets on a CUDA device: their steps, what the steps are made of, and where the masks come from.

python benchmarks/gpu.py [repetitions]

Three tables. The time of a training step for each run, in fleets of 1, 8, 64 and 256, and how often
a fleet's runs are trained in the time that they take one by one. The kernels of a step and the
share of the time in which the device computes: where it is well below 1 the host launches kernels
too slowly, and CUDA graphs would pay. The draws of a step by Triton's kernel, by torch's own
operations, and by a torch generator for each run.

Without a CUDA device there is nothing to measure, and it says so.
"""

import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from report import figure, heading
from steps import Steps, changes_of, splits
from torch.profiler import ProfilerActivity, profile

from dropout_lab.data import Splits
from dropout_lab.devices import configure_device, explain_missing_cuda
from dropout_lab.rng import TorchNoise
from dropout_lab.rng.philox import normal, philox, philox_on

CUDA = torch.device("cuda")
BATCH, STEPS, WARM_UP = 128, 50, 10
FLEETS = (1, 8, 64, 256)
NETS = ("784-512-512-10", "784-1024-1024-10")
PRECISIONS = ("float32", "bfloat16")


def steps_of(runs: int, net: str, precision: str, data: Splits) -> Steps:
    """Return training steps of a fleet, warmed up."""
    changes = changes_of(net, BATCH, f"training.precision={precision}")
    steps = Steps(changes, runs, data, CUDA)
    steps(WARM_UP)
    return steps


def seconds(work: Callable[[], object]) -> float:
    """Return how long the device and the host take over some work, from idle to idle."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def fleets(repetitions: int, data: Splits) -> None:
    """Print the time of a step for each run, and its ratio to a run alone, in turn."""
    for net in NETS:
        for precision in PRECISIONS:
            alone = steps_of(1, net, precision, data)
            for runs in FLEETS:
                name = f"{net} {precision} fleet of {runs}"
                torch.cuda.reset_peak_memory_stats()
                try:
                    together = steps_of(runs, net, precision, data)
                    pairs = [
                        (seconds(partial(together, STEPS)) / runs, seconds(partial(alone, STEPS)))
                        for _ in range(repetitions)
                    ]
                except torch.OutOfMemoryError:
                    print(f"{name:<44} does not fit into the memory of this device")
                    continue
                peak = torch.cuda.max_memory_allocated() / 2**30
                figure(f"{name}, run and step", [1e6 * own / STEPS for own, _ in pairs], "us")
                figure(f"{name}, times as fast", [single / own for own, single in pairs], "")
                print(f"{name:<44} peak memory {peak:.2f} GiB")
                del together


def kernels(data: Splits) -> None:
    """Print the kernels of a step and the share of the time in which any of them runs."""
    for net in NETS:
        for runs in (1, 8, 64):
            steps = steps_of(runs, net, "float32", data)
            whole = seconds(partial(steps, STEPS))  # without the profiler, which slows the host
            with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
                steps(STEPS)
                torch.cuda.synchronize()
            on_device = [
                event
                for event in profiled.events()
                if event.device_type == torch.autograd.DeviceType.CUDA
                and not event.name.startswith("Optimizer.")  # a span of kernels, not a kernel
            ]
            busy = sum(event.time_range.elapsed_us() for event in on_device) / 1e6
            print(
                f"{net} float32 fleet of {runs:<4} {len(on_device) / STEPS:.1f} kernels and "
                f"copies a step, {1e6 * whole / STEPS:.0f} us, device busy {busy / whole:.0%}"
            )


def draws(repetitions: int) -> None:
    """Print the time of the draws of a layer of 512 units, for each of three generators."""
    for runs in FLEETS:
        shape = (runs, BATCH, 512)
        keys = torch.arange(runs, device=CUDA)
        blocks = BATCH * 512 // 8
        each = [TorchNoise(torch.Generator(CUDA).manual_seed(run)) for run in range(runs)]
        makers: dict[str, Callable[[], object]] = {
            "torch's operations": partial(philox, keys, 0, blocks),
            "a generator per run": lambda own=each, of=shape: torch.stack(
                [noise.lanes(of[1:], CUDA) for noise in own]
            ),
            "normal draws": lambda own=keys, of=2 * blocks: normal(philox_on(CUDA)(own, 0, of)),
        }
        if philox_on(CUDA) is not philox:
            makers = {"Triton": partial(philox_on(CUDA), keys, 0, blocks), **makers}
        for make in makers.values():
            make()
        for name, make in makers.items():
            # Ten at once, so that the launches, not the waiting for them, are what is measured.
            times = [
                seconds(lambda once=make: [once() for _ in range(10)]) / 10
                for _ in range(repetitions)
            ]
            figure(f"masks of {runs} x {BATCH} x 512, {name}", [1e6 * t for t in times], "us")


def main() -> None:
    """Print the three tables."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    if not torch.cuda.is_available():
        print(f"There is no CUDA device, so there is nothing to measure: {explain_missing_cuda()}.")
        return
    configure_device(CUDA)
    heading(f"Fleets on {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    print(f"batch {BATCH}, SGD with momentum, inverted dropout, p = 0.5, {STEPS} steps at once")
    data = splits().to(CUDA)
    fleets(repetitions, data)
    kernels(data)
    draws(repetitions)


if __name__ == "__main__":
    main()
