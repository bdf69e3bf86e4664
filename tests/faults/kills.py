"""Commands killed with SIGKILL at random moments, and started again until they are done.

A start is a fork of a process that has imported everything already, which makes some hundred kills
a minute possible; or a fresh process, as a user's is.
"""

import atexit
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

from dropout_lab import results
from tests.faults import preloaded
from tests.faults.folders import assert_reads_clean, assert_same_study
from tests.tables import write_table

ROOT = Path(__file__).parents[2]


class Process:
    """A command at work."""

    def __init__(self, process: "BaseProcess | subprocess.Popen[bytes]") -> None:
        self._process = process

    def send(self, number: int) -> None:
        """Send it a signal."""
        if self.wait(0) is None:
            os.kill(self._process.pid or 0, number)

    def wait(self, seconds: float | None = None) -> int | None:
        """Return its exit status; None if it still works after so many seconds."""
        if isinstance(self._process, subprocess.Popen):
            try:
                return self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                return None
        self._process.join(seconds)
        return self._process.exitcode

    def end(self) -> None:
        """Let it be no more, whatever it does."""
        self.send(signal.SIGKILL)
        self.wait()


@cache
def server() -> ForkServerContext:
    """Return the process that is forked, with everything imported and the data read.

    It has one thread, or its forks would hang.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.preloaded"])
    with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}):
        forkserver.ensure_running()
    first = context.Process(target=preloaded.nothing)
    first.start()
    first.join()  # until all is imported
    return context


def forked(
    arguments: Sequence[str],
    log: Path,
    out: Path | None = None,
    first: Callable[[], Any] = preloaded.nothing,
) -> Process:
    """Start a command as a fork.

    Args:
        arguments: Those of ``dropout-lab``.
        log: Takes its progress and its errors.
        out: Takes what it prints; by default ``log``.
        first: Called there before the command begins.
    """
    what = (list(arguments), str(out or log), str(log), first)
    process = server().Process(target=preloaded.run, args=what)
    process.start()
    return Process(process)


def fresh(arguments: Sequence[str], log: Path) -> Process:
    """Start a command as a process of its own."""
    command = [sys.executable, "-m", "dropout_lab", *arguments]
    with log.open("ab") as out:
        return Process(
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=log.parent,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            )
        )


@dataclass
class Tally:
    """What was survived."""

    kills: int = 0
    starts: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)


class Killer:
    """Runs a command to its end, undisturbed and killed again and again, and compares the two.

    Args:
        start: :func:`forked` or :func:`fresh`.
        seed: Decides the moments.
    """

    def __init__(self, start: Callable[[Sequence[str], Path], Process], seed: int) -> None:
        self.start = start
        self.random = random.Random(seed)
        self.tally = Tally()
        self._lives: dict[Path, tuple[float, float]] = {}

    def survive(self, arguments: Sequence[str], folder: Path, most: int) -> int:
        """Kill a command until it is done or was killed so often; return the kills.

        Args:
            arguments: Those of ``dropout-lab``, without ``--out``.
            folder: Where the two studies are made; the undisturbed one is made but once.
            most: After so many kills it is left alone.

        Raises:
            AssertionError: Something was damaged on the way, or the two studies differ.
        """
        if folder not in self._lives:
            folder.mkdir(parents=True)
            self._lives[folder] = self._undisturbed(arguments, folder)
        out, log, kills = folder / "killed", folder / "killed.log", 0
        shutil.rmtree(out, ignore_errors=True)
        while True:
            process = self.start([*arguments, "--out", str(out)], log)
            self.tally.starts += 1
            status = process.wait(self._moment(*self._lives[folder]) if kills < most else None)
            if status is not None:
                assert status == 0, f"exit status {status}:\n{log.read_text()}"
                break
            process.end()
            if process.wait() == 0:
                break  # it was faster
            kills += 1
            self.tally.kills += 1
            self.tally.phases[phase(out)] += 1
            self.tally.files.update(path.name.rsplit(".", 2)[0] for path in out.rglob(".*.tmp"))
            assert_reads_clean(out)
        assert "Traceback" not in log.read_text(), log.read_text()
        assert_same_study(out, folder / "undisturbed")
        return kills

    def _undisturbed(self, arguments: Sequence[str], folder: Path) -> tuple[float, float]:
        """Return after how many seconds the training has ended, and the command."""
        out, log = folder / "undisturbed", folder / "undisturbed.log"
        process = self.start([*arguments, "--out", str(out)], log)
        began = time.time()  # the first start of all starts the server, too
        status = process.wait()
        ended = time.time() - began
        assert status == 0, f"exit status {status}:\n{log.read_text()}"
        return (out / results.RUNS).stat().st_mtime - began, ended

    def _moment(self, trained: float, ended: float) -> float:
        """Return when to kill, in seconds after the start.

        Most moments come early, or a study would be done after two; what comes late in a study
        comes early in the life of its last processes.
        """
        if self.random.random() < 0.2:
            return ended * self.random.random()
        return trained / 2 * float(self.random.random()) ** 2


def phase(out: Path) -> str:
    """Return how far a killed study had come."""
    manifest = results.read_manifest(out) if out.exists() else None
    if manifest is None:
        return "before the plan"
    ends = results.read_rows(out / results.RUNS)
    if sum(row["status"] == "completed" for row in ends) == len(manifest.runs):
        return "after the last run, drawing"
    if ends:
        return "between two fleets, or in a later one"
    return "in the first fleet" if results.read_rows(out / results.METRICS) else "before an epoch"


_SMALL = (
    "dataset.train_size=600",
    "dataset.validation_size=200",
    "model.hidden=[24,16]",
    "training.epochs=12",
    "training.batch_size=64",
)
_EVERY_WAY = ("evaluation.inference=[mean,monte_carlo,ensemble]", "evaluation.samples=5")
STUDIES: dict[str, tuple[str, ...]] = {
    "inverted, Adam": ("training.optimizer=adam", "training.learning_rate=0.001"),
    "concrete": ("dropout.variant=concrete",),
    "variational": ("dropout.variant=variational_b", "dropout.alpha_per=weight"),
    "sparse variational": (
        "dropout.variant=sparse_variational", "training.optimizer=adam",
        "training.learning_rate=0.001",
    ),
    "batchwise, p rises": ("dropout.variant=batchwise", "dropout.schedule=linear"),
    "targeted weights": ("dropout.variant=targeted_weight", "dropout.share=0.5"),
    "shakeout, late": ("dropout.variant=shakeout", "dropout.schedule=late", "dropout.cutoff=3"),
    "rates and momentum fall": (
        "training.learning_rate_schedule=exponential", "training.learning_rate_decay=0.8",
        "training.momentum_schedule=linear", "training.start_momentum=0.5",
        "training.momentum_epochs=5", "dropout.schedule=exponential",
    ),
    "early stopping": ("training.patience=2", "training.learning_rate=0.2"),
    "r_drop, max_norm": ("dropout.loss=r_drop", "regularization.max_norm=2"),
    "every way of inference": (*_EVERY_WAY, "evaluation.curve=4"),
    "kept at the end": ("evaluation.at_end=[features,histograms,reliability,predictions]",),
    "batch normalization": ("model.normalization=batch", "evaluation.diagnostics=variance_shift"),
    "own table": (
        "dataset.name=arrays", "dataset.target=kind", "dataset.test_size=300",
        "dataset.missing=mean", "dataset.normalize=standard",
    ),
    "ensemble, diagnostics": (
        "evaluation.inference=ensemble", "evaluation.diagnostics=[activations,gradients]",
    ),
}  # fmt: skip
DRAWN = ("inverted, Adam", "early stopping", "every way of inference")  # swept, with pictures


@cache
def _write_table() -> Path:
    """Write a table of 1,200 rows with a column of text and missing numbers; return its path."""
    path = Path(tempfile.mkdtemp(prefix="dropout-lab-table-")) / "table.csv"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    return write_table(path, rows=1_200)


def arguments_of(name: str) -> list[str]:
    """Return the command of one of the studies: small, in several fleets of several runs."""
    own = [f"dataset.path={_write_table()}"] if name == "own table" else []
    settings = [word for text in (*_SMALL, *STUDIES[name], *own) for word in ("--set", text)]
    command = (
        ["sweep", "--p", "0.2,0.5", "--seeds", "2"] if name in DRAWN else ["train", "--seeds", "4"]
    )
    return [*command, "--quiet", "--fleet", "2", *settings]
