"""A sweep by `dropout-lab sweep` and by what a user would do otherwise, on full MNIST.

python benchmarks/peers.py --data-dir FOLDER [--runs 2] [--epochs 2] [--repetitions 3] [--only NAME]

The sweep: 10 p x 2 seeds, SGD with momentum, after each epoch a measurement on 10,000 training
examples, the 5,000 held out and the test part. `dropout-lab sweep` trains all of it, as a user
types it. The peers (benchmarks/peers/, a script each) train `--runs` of its 20 runs, spread evenly
over p, a process for each run, as many at a time as there are cores, one thread each; their whole
sweep is told as if all runs took as long. Which they are is printed; by default none is without
dropout, which has a little less to do.

Whole sweep: processes from start to end, imports, data and files included. Per run and epoch: the
epochs alone, measurements included, divided by how many are trained at a time. The ratios are of
repetitions in turn, peer over dropout-lab. The bounds are on the whole sweep, what a user waits
for; a process for each run spends much of so short a training on its imports, so for long trainings
the ratio per run and epoch tells more.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from report import figure, heading

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(__file__).with_suffix("")
GRID = [p / 10 for p in range(10)]
SEEDS = (0, 1)
RUNS = [(p, seed) for p in GRID for seed in SEEDS]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
NEARNESS = 0.01  # of the mean test accuracies of a peer and of ours
KEPT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True)
class Net:
    """A network and the batches it is trained on."""

    name: str
    hidden: tuple[int, ...]
    batch_size: int


@dataclass(frozen=True)
class Trainer:
    """Who trains the sweep.

    Args:
        name: In the table.
        net: What is trained.
        script: Of a peer.
        packages: What a peer needs beside ours.
        precision: Of dropout-lab.
    """

    name: str
    net: Net
    script: str = ""
    packages: tuple[str, ...] = ()
    precision: str = "float32"

    @property
    def label(self) -> str:
        """The first column of the table."""
        precision = "" if self.precision == "float32" else f", {self.precision}"
        return f"{self.name}{precision}, {self.net.name}"


@dataclass(frozen=True)
class Measured:
    """What a sweep took, in seconds, and the last test accuracy of the runs trained."""

    sweep: float
    epoch: float
    accuracies: dict[tuple[float, int], float]


LARGE = Net("784-512-512-10", (512, 512), 128)
SMALL = Net("784-128-10", (128,), 64)
OURS = "(f) dropout-lab sweep"
LAB, LAB_16 = Trainer(OURS, LARGE), Trainer(OURS, LARGE, precision="bfloat16")
EXPERT = Trainer("(b) expert's loop", LARGE, "expert.py")
SMALL_LAB = Trainer(OURS, SMALL)
SMALL_EXPERT = Trainer(EXPERT.name, SMALL, EXPERT.script)
# A peer, whom it is compared with, and how many times as long it is to take at least.
COMPARISONS = {
    "first_script": (Trainer("(a) first script", LARGE, "first_script.py"), LAB, 4.0),
    "expert": (EXPERT, LAB, 1.25),
    "lightning": (
        Trainer("(c) Lightning", LARGE, "lightning_trainer.py", ("lightning",)),
        LAB,
        2.0,
    ),
    "skorch": (Trainer("(d) skorch", LARGE, "skorch_net.py", ("skorch",)), LAB, 2.0),
    "keras": (Trainer("(e) Keras 3, JAX", LARGE, "keras_fit.py", ("keras", "jax")), LAB, 2.0),
    "expert_bfloat16": (EXPERT, LAB_16, 2.0),
    "expert_small": (SMALL_EXPERT, SMALL_LAB, 2.0),
}


def sample(count: int) -> list[tuple[float, int]]:
    """Return so many of the runs, evenly from the list."""
    return [RUNS[int((index + 0.5) * len(RUNS) / count)] for index in range(count)]


def train_ours(lab: Trainer, data_dir: str, epochs: int) -> Measured:
    """Run `dropout-lab sweep`, as it is typed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "study"
        command = [
            sys.executable, "-m", "dropout_lab", "sweep", "--p", "0:0.9:0.1",
            "--seeds", ",".join(map(str, SEEDS)), "--epochs", str(epochs), "--quiet",
            "--data-dir", data_dir, "--out", str(out),
        ]  # fmt: skip
        settings = {
            "dataset.name": "mnist", "dataset.validation_size": 5000,
            "model.hidden": list(lab.net.hidden), "training.batch_size": lab.net.batch_size,
            "training.learning_rate": 0.05,
        }  # fmt: skip
        if lab.precision != "float32":
            settings["training.precision"] = lab.precision
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=KEPT, capture_output=True, text=True)
        took = time.perf_counter() - began
        if done.returncode:
            sys.exit(f"{lab.label} ended with {done.returncode}:\n{done.stderr}")
        with (out / "metrics.csv").open(newline="") as file:
            last = [row for row in csv.DictReader(file) if row["epoch"] == str(epochs)]
    seconds = sum(float(row["seconds"]) for row in last)
    accuracies = {
        (float(row["dropout.p"]), int(row["seed"])): float(row["test_accuracy"]) for row in last
    }
    return Measured(took, seconds / len(RUNS) / epochs, accuracies)


def train_peer(
    peer: Trainer, data_dir: str, epochs: int, runs: Sequence[tuple[float, int]]
) -> Measured:
    """Run a peer's script once for each run, one process a core."""
    environment = KEPT | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    answers: dict[tuple[float, int], dict] = {}
    began = time.perf_counter()
    for start in range(0, len(runs), CORES):
        processes = {}
        for slot, (p, seed) in enumerate(runs[start : start + CORES]):
            task = {
                "data_dir": data_dir, "p": p, "seed": seed, "epochs": epochs, "slot": slot,
                "hidden": peer.net.hidden, "batch_size": peer.net.batch_size,
            }  # fmt: skip
            command = [sys.executable, str(SCRIPTS / peer.script), json.dumps(task)]
            processes[p, seed] = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        for run, process in processes.items():
            out, error = process.communicate()
            if process.returncode:
                sys.exit(f"{peer.label} ended with {process.returncode}:\n{error}")
            answers[run] = json.loads(out.splitlines()[-1])
    took = time.perf_counter() - began
    at_a_time = min(CORES, len(runs))
    seconds = statistics.mean(value for each in answers.values() for value in each["seconds"])
    accuracies = {run: answer["test_accuracy"] for run, answer in answers.items()}
    return Measured(took * len(RUNS) / len(runs), seconds / at_a_time, accuracies)


def train(
    trainer: Trainer, data_dir: str, epochs: int, runs: Sequence[tuple[float, int]]
) -> Measured:
    """Let a trainer do its part; say on stderr that it is done."""
    measured = (
        train_peer(trainer, data_dir, epochs, runs)
        if trainer.script
        else train_ours(trainer, data_dir, epochs)
    )
    print(f"  {trainer.label}: {measured.epoch:.2f} s per run and epoch", file=sys.stderr)
    return measured


def has_bfloat16_units() -> bool:
    """Whether torch reports instructions for bfloat16 on this CPU."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def chosen(only: Sequence[str]) -> list[tuple[Trainer, Trainer, float]]:
    """Return the comparisons asked for that can be made; say which cannot."""
    comparisons = []
    for name, (peer, lab, bound) in COMPARISONS.items():
        if only and name not in only:
            continue
        if lab.precision == "bfloat16" and not has_bfloat16_units():
            print(f"{lab.label}: not compared, this CPU has no bfloat16 units")
        elif not all(map(find_spec, peer.packages)):
            print(f"{peer.label}: not installed; in the clone: pip install '.[bench]'")
        else:
            versions = ", ".join(f"{each} {version(each)}" for each in peer.packages)
            more = f" ({versions})" if versions else ""
            print(f"{peer.label}{more}, against {lab.label}")
            comparisons.append((peer, lab, bound))
    return comparisons


def at_least(name: str, value: float, bound: float) -> bool:
    """Print whether a ratio reaches its bound; return whether it does."""
    print(f"{name}: {value:.2f}, at least {bound:g}: {'kept' if value >= bound else 'BROKEN'}")
    return value >= bound


def compare(
    peer: Trainer, lab: Trainer, bound: float, rounds: Sequence[dict[Trainer, Measured]]
) -> bool:
    """Print the ratios of a peer to dropout-lab, and whether both learned the same."""
    print(f"\n{peer.label} over {lab.label}{'' if lab.precision == 'float32' else ', bfloat16'}")
    sweeps = figure("whole sweep", [each[peer].sweep / each[lab].sweep for each in rounds], "x")
    figure("per run and epoch", [each[peer].epoch / each[lab].epoch for each in rounds], "x")
    kept = at_least("whole sweep", sweeps, bound)
    theirs, ours = rounds[-1][peer].accuracies, rounds[-1][lab].accuracies
    their = statistics.mean(theirs.values())
    our = statistics.mean(ours[run] for run in theirs)
    near = abs(their - our) <= NEARNESS
    print(
        f"mean test accuracy of the same {len(theirs)} runs: {their:.2%}, ours {our:.2%}; "
        f"within 1 point: {'kept' if near else 'BROKEN'}"
    )
    return kept and near


def main() -> None:
    """Measure all in turn, repetition by repetition, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True, help="folder of torchvision's MNIST")
    parser.add_argument("--runs", type=int, default=2, help="of the 20, trained by each peer")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", action="append", choices=COMPARISONS, default=[])
    asked = parser.parse_args()
    data_dir, runs = str(Path(asked.data_dir).resolve()), sample(asked.runs)
    heading(f"The sweep of 20 runs, 10 p x 2 seeds, {asked.epochs} epochs of full MNIST")
    trained = ", ".join(f"p {p:g} seed {seed}" for p, seed in runs)
    print(f"trained by dropout-lab: all 20 runs; by each peer: {trained}")
    comparisons = chosen(asked.only)
    if not comparisons:
        return
    trainers = dict.fromkeys(each for peer, lab, _ in comparisons for each in (lab, peer))
    needed = {package for each in trainers for package in each.packages}
    for package in ("dropout_lab.training", "torchvision", *sorted(needed)):
        # Read from the disk once, before any time is taken.
        warm_up = [sys.executable, "-c", f"import {package}"]
        subprocess.run(warm_up, cwd=ROOT, env=KEPT | {"KERAS_BACKEND": "jax"}, check=True)
    rounds = []
    for _ in range(asked.repetitions):
        rounds.append({each: train(each, data_dir, asked.epochs, runs) for each in trainers})
    print("\nwhole sweep of 20 runs")
    for each in trainers:
        figure(each.label, [measured[each].sweep for measured in rounds], "s")
    print("\nper run and epoch")
    for each in trainers:
        figure(each.label, [measured[each].epoch for measured in rounds], "s")
    kept = [compare(peer, lab, bound, rounds) for peer, lab, bound in comparisons]
    if not all(kept):
        sys.exit(1)


if __name__ == "__main__":
    main()
