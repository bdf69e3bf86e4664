"""A study on a Dask cluster: how fast the driver takes records, and what one worker costs.

python benchmarks/cluster.py rate [--fleets 1000] [--workers 1,2,4,8] [--repetitions 1]
python benchmarks/cluster.py memory [--runs 10000] [--epochs 30]
python benchmarks/cluster.py overhead --data-dir FOLDER [--repetitions 3] [--epochs 2] [options]

rate: fleets of 8 runs, four records each, that train nothing: a worker reports made-up numbers at
once, in the way in which it reports real ones, and everything else is the study's own, files
included. So the driver never waits for training, and what is measured is what it can take. The
scheduler runs in the driver's process, as with --workers; the workers want the same cores. Each
study runs in a process of its own. Counted are the records from the first fleet's start until the
study is over and its workers are gone. All must stand in metrics.csv, each once.

memory: studies of such fleets, a small one and a large one on two workers: what the driver's
process holds at its peak, scheduler included; and what it holds when the same command is given
again, and reads all of it.

overhead: `dropout-lab sweep` of configs/mnist_placement.yaml in its own process against
`--workers 1`, in pairs whose order alternates; further options, such as --seeds 1 or --p 0.5, go to
both. The whole command is compared, from start to end. It is shown apart how long it takes to the
first fleet's start, which a longer study pays once too, and from there. The tables of both must be
equal, but for the columns of time.
"""

import argparse
import csv
import ctypes
import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from report import figure, heading, verdicts
from studies import swept

from dropout_lab import results
from dropout_lab.cli.progress import QuietProgress
from dropout_lab.cluster import flight, task
from dropout_lab.cluster.task import Part
from dropout_lab.cluster.trainer import cluster_trainer
from dropout_lab.config.grid import Run
from dropout_lab.config.overrides import Changes
from dropout_lab.folder.store import Store
from dropout_lab.folder.study_folder import RunEnd
from dropout_lab.results import INFERENCE, columns_after_key, read_rows
from dropout_lab.study import run_study
from dropout_lab.study.fleet_runner import Events, FleetEnd
from dropout_lab.training import Epoch, Record

CONFIG = "configs/mnist_placement.yaml"
RATE = 500.0  # records per second
OVERHEAD = 1.05  # with --workers 1 over in-process
GRID = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # a fleet's runs
EPOCHS = 4  # a run's records, of rate
SMALL = 80  # runs of the small study of memory
TIMES = {"seconds", "examples_per_second"}
TABLES = (results.METRICS, results.RUNS, results.INFERENCE)


def made_up_fleet(
    runs: Sequence[Run], splits: object, checkpoints: object, store: Store, device: object,
    events: Events, stop: object, save_models: bool,
) -> FleetEnd:  # fmt: skip
    """Do on a worker all that a fleet does, save its training."""
    epochs = runs[0].settings.training.epochs
    events.fleet_started(runs, 0, epochs)
    for epoch in range(1, epochs + 1):
        records = {index: made_up(run, epoch) for index, run in enumerate(runs)}
        store.append({runs[index].run_id: record for index, record in records.items()})
        events.epoch_ended(runs, Epoch(epoch, epochs, records))
    values = [0.1 + run.seed / 1e5 for run in runs]
    scores = [dict.fromkeys(columns_after_key(INFERENCE), value) for value in values]
    rows = [row | {"inference": "mean", "samples": 1, "test_errors": 500} for row in scores]
    by_run = {run.run_id: [row] for run, row in zip(runs, rows, strict=True)}
    store.add_rows(results.INFERENCE, by_run)
    store.set_status([RunEnd(run, "completed", "", epochs, 32 * epochs, 4000, 1.0) for run in runs])
    store.clear([run.run_id for run in runs])
    events.fleet_ended(runs, ())
    return FleetEnd()


def train_made_up(order: bytes, number: int, splits: bytes, before: Part | None = None) -> Part:
    """Train a part of such a fleet."""
    task.train_fleet = made_up_fleet  # type: ignore[assignment]
    return task.train_part(pickle.loads(order), number, pickle.loads(splits), before)


def made_up(run: Run, epoch: int) -> Record:
    """Return a record with numbers of the length of real ones."""
    loss = (1 + run.seed / 7) / (epoch + 1)
    return Record(
        epoch=epoch,
        updates=32 * epoch,
        seconds=epoch / 3,
        learning_rate=0.05,
        p=run.settings.dropout.p,
        noisy_train_loss=loss,
        noisy_train_accuracy=1 / (1 + loss),
        train_loss=loss / 3,
        train_accuracy=1 / (1 + loss / 3),
        validation_loss=loss / 2,
        validation_accuracy=1 / (1 + loss / 2),
        test_loss=loss / 2,
        test_accuracy=1 / (1 + loss / 2),
        test_errors=round(1000 * (1 - 1 / (1 + loss / 2))),
        test_macro_f1=1 / (1 + loss / 2),
        accuracy_gap=1 / (1 + loss / 3) - 1 / (1 + loss / 2),
        loss_gap=loss / 6,
        dropout_loss=0.0,
        sparsity=None,
        pruned_test_accuracy=None,
        diagnostics={},
    )


class Watch(QuietProgress):
    """Notes when the first fleet starts, and what the process holds then."""

    def __init__(self) -> None:
        self.began = self.before = 0.0

    def fleet_started(
        self, fleet: Sequence[Run], epochs_done: int, epochs: int, worker: str = ""
    ) -> None:
        """Begin to measure."""
        if not self.began:
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident now
            self.before = resident("VmRSS")
            self.cpu = time.process_time()
            self.began = time.perf_counter()

    def ended(self) -> tuple[float, float, float]:
        """Return the seconds since, those of the processor, and by how many MB the peak is up."""
        seconds = time.perf_counter() - self.began
        cpu = time.process_time() - self.cpu
        return seconds, cpu, resident("VmHWM") - self.before


def resident(name: str) -> float:
    """Return this process's resident memory in MB: VmRSS now, VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))


def take(folder: Path, fleets: int, workers: int, epochs: int) -> dict[str, float]:
    """Run a study of fleets that train nothing; return what was measured, and counted after it."""
    flight.function_of_a_task = lambda: train_made_up
    changes = Changes(
        ("model.hidden=[16]",),
        epochs=epochs,
        seeds=str(fleets),
        p=",".join(map(str, GRID)),
        sweep=True,
    )
    study = swept(folder, changes, baseline=False, fleet_size=len(GRID), workers=workers)
    watch = Watch()
    outcome = run_study(study, watch, lambda line: None, cluster_trainer)
    measured = {"peak": resident("VmHWM"), "completed": outcome.count("completed")}
    if not watch.began:  # all was done before
        return measured
    seconds, cpu, growth = watch.ended()
    places = [(row["run_id"], row["epoch"]) for row in read_rows(study.out / results.METRICS)]
    return measured | {
        "rows": len(places),
        "different": len(set(places)),
        "rate": len(places) / seconds,
        "cpu": 1e3 * cpu / len(places),
        "growth": growth,
        "growth per record": 1e3 * growth / len(places),
    }


def taken(folder: str, fleets: int, workers: int, epochs: int) -> dict[str, float]:
    """Do so in a process of its own."""
    numbers = map(str, (fleets, workers, epochs))
    command = [sys.executable, __file__, "one", str(Path(folder) / "study"), *numbers]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def memory(arguments: argparse.Namespace) -> None:
    """Measure a small study and a large one, and the large one read again."""
    runs, epochs = arguments.runs, arguments.epochs
    heading(f"What the driver holds: {runs:,} runs of {epochs} records, in fleets of {len(GRID)}")
    print(f"distributed {version('distributed')}")
    peaks = []
    for size in (SMALL, runs):
        with tempfile.TemporaryDirectory() as folder:
            one = taken(folder, size // len(GRID), 2, epochs)
            peaks.append(one["peak"])
            figure(f"{size:,} runs, peak of the driver", [one["peak"]], "MB")
            print(f"{int(one['rows']):,} rows, {int(one['different']):,} different")
            again = taken(folder, size // len(GRID), 2, epochs)
            figure(f"{size:,} runs, given again, nothing to do", [again["peak"]], "MB")
            tables = Path(folder, "study").glob("*.*")
            figure("its files", [sum(path.stat().st_size for path in tables) / 1e6], "MB")
    grown = 1e3 * (peaks[1] - peaks[0]) / (runs - SMALL)
    figure("from the small to the large study, per run", [grown], "kB")


def rate(arguments: argparse.Namespace) -> None:
    """Measure each number of workers, in turn, and compare with the bound."""
    fleets = arguments.fleets
    expected = {"completed": fleets * len(GRID)}
    expected |= dict.fromkeys(("rows", "different"), fleets * len(GRID) * EPOCHS)
    heading(
        f"Records that a driver takes: {fleets:,} fleets of {len(GRID)} runs that train nothing, "
        f"{EPOCHS} records each"
    )
    print(f"distributed {version('distributed')}; workers, scheduler and driver share these cores")
    counts = [int(count) for count in arguments.workers.split(",")]
    measured: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for _ in range(arguments.repetitions):
        for count in counts:
            with tempfile.TemporaryDirectory() as folder:
                measured[count].append(taken(folder, fleets, count, EPOCHS))
    least, missing = [], 0
    for count, every in measured.items():
        name = f"{count} worker{'s' * (count > 1)}"
        median = figure(f"{name}, records per second", [one["rate"] for one in every], "")
        figure(f"{name}, driver and scheduler, CPU per record", [one["cpu"] for one in every], "ms")
        figure(f"{name}, growth of the driver's peak", [one["growth"] for one in every], "MB")
        figure(f"{name}, per record", [one["growth per record"] for one in every], "kB")
        least.append((f"{name}, records per second", median, RATE))
        for one in every:
            counted = {key: int(one[key]) for key in expected}
            missing += counted != expected
            print(f"{name}: {counted}, to be {'so' if counted == expected else expected}")
    verdicts(most=[("studies that lack or repeat a record", missing, 0)], least=least)


def overhead(arguments: argparse.Namespace, more: Sequence[str]) -> None:
    """Measure pairs of sweeps in alternating order, and compare with the bound."""
    command = ["--data-dir", arguments.data_dir, "--epochs", str(arguments.epochs), *more]
    ways: dict[str, list[str]] = {"in-process": [], "--workers 1": ["--workers", "1"]}
    heading(f"{CONFIG} in-process and with --workers 1: {' '.join(command[2:])}")
    print(f"distributed {version('distributed')}")
    pairs, unequal = [], 0
    for repetition in range(arguments.repetitions):
        order = sorted(ways, reverse=bool(repetition % 2))
        with tempfile.TemporaryDirectory() as folder:
            outs = {way: Path(folder) / str(place) for place, way in enumerate(ways)}
            taken = {way: sweep([*command, *ways[way]], outs[way]) for way in order}
            tables = [[table(out / name) for name in TABLES] for out in outs.values()]
        pairs.append(taken)
        same = [one == other for one, other in zip(*tables, strict=True)]
        unequal += same.count(False)
        rows = ", ".join(f"{name} {len(t)}" for name, t in zip(TABLES, tables[0], strict=True))
        print(f"pair {repetition + 1}: rows {rows}: {'equal' if all(same) else 'NOT EQUAL'}")
    for way in ways:
        for part in ("whole", "start", "rest", "fleets"):
            figure(f"{way}, {NAMES[part]}", [pair[way][part] for pair in pairs], "s")
    for part in ("start", "rest", "fleets"):
        differences = [pair["--workers 1"][part] - pair["in-process"][part] for pair in pairs]
        figure(f"more with --workers 1, {NAMES[part]}", differences, "s")
    ratios = {
        part: [pair["--workers 1"][part] / pair["in-process"][part] for pair in pairs]
        for part in NAMES
    }
    medians = {part: figure(f"ratio, {NAMES[part]}", ratios[part], "") for part in NAMES}
    verdicts(
        most=[
            ("tables that differ", unequal, 0),
            ("--workers 1 / in-process, the whole command", medians["whole"], OVERHEAD),
        ]
    )


NAMES = {
    "whole": "the whole command",
    "start": "to the first fleet's start",
    "rest": "from there",
    "fleets": "training and evaluation",  # runs.csv says it, on the clock of who trains
}


def sweep(options: Sequence[str], out: Path) -> dict[str, float]:
    """Run a sweep; return the seconds of its parts, see ``NAMES``.

    It shows its progress as plain lines, from which the start of the first fleet is known.
    """
    command = [sys.executable, "-m", "dropout_lab", "sweep", "--config", CONFIG]
    began = time.perf_counter()
    first = 0.0
    with subprocess.Popen(
        [*command, "--json", "--out", str(out), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lines: list[str] = []
        for line in process.stderr or ():
            if line.startswith("fleet ") and not first:
                first = time.perf_counter() - began
            lines.append(line)
    whole = time.perf_counter() - began
    if process.returncode or not first:
        sys.exit(f"{' '.join(process.args)} ended with {process.returncode}:\n{''.join(lines)}")  # type: ignore[arg-type]
    fleets = sum(float(row["seconds"]) for row in read_rows(out / results.RUNS))
    return {"whole": whole, "start": first, "rest": whole - first, "fleets": fleets}


def table(path: Path) -> list[dict[str, Any]]:
    """Return a table's rows without the columns of time."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: text for key, text in row.items() if key not in TIMES} for row in rows]


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser()
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("rate")
    part.add_argument("--fleets", type=int, default=1_000)
    part.add_argument("--workers", default="1,2,4,8")
    part.add_argument("--repetitions", type=int, default=1)
    part = parts.add_parser("overhead")
    part.add_argument("--data-dir", required=True)
    part.add_argument("--repetitions", type=int, default=3)
    part.add_argument("--epochs", type=int, default=2)
    part = parts.add_parser("memory")
    part.add_argument("--runs", type=int, default=10_000)
    part.add_argument("--epochs", type=int, default=30)
    part = parts.add_parser("one")  # a study, in a process of its own
    part.add_argument("folder", type=Path)
    for name in ("fleets", "workers", "epochs"):
        part.add_argument(name, type=int)
    arguments, more = parser.parse_known_args()
    if arguments.part == "overhead":
        overhead(arguments, more)
    elif more:
        parser.error(f"unrecognized: {' '.join(more)}")
    elif arguments.part == "rate":
        rate(arguments)
    elif arguments.part == "memory":
        memory(arguments)
    else:
        one = arguments
        print(json.dumps(take(one.folder, one.fleets, one.workers, one.epochs)))


if __name__ == "__main__":
    main()
