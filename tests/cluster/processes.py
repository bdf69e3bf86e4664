"""Schedulers, workers and drivers as processes of their own, over TCP."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from distributed import Client

SMALL = (
    "dataset.train_size=500", "dataset.validation_size=200", "model.hidden=[16,12]",
    "training.batch_size=64",
)  # fmt: skip


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is true.

    Raises:
        TimeoutError: It is not in time.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not so within {seconds} s: {true}")
        time.sleep(0.02)


@dataclass
class Processes:
    """A scheduler and its workers.

    Args:
        folder: Where they write their logs.
        host: Where the scheduler listens.
        prefix: The command under which the scheduler runs, such as one that enters a namespace.
        environment: More variables.
    """

    folder: Path
    host: str = "127.0.0.1"
    prefix: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    all: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        log = self.folder / "scheduler.json"
        options = ["--host", self.host, "--port", "0", "--no-dashboard"]
        self.scheduler = self.start(
            "dask_scheduler", *options, "--scheduler-file", str(log), prefix=self.prefix
        )
        until(log.exists)
        until(lambda: "address" in log.read_text())
        self.address = log.read_text().split('"address": "')[1].partition('"')[0]

    def start(
        self, program: str, *options: str, prefix: Sequence[str] = ()
    ) -> "subprocess.Popen[bytes]":
        command = [*prefix, sys.executable, "-m", f"distributed.cli.{program}", *options]
        with (self.folder / f"{program}-{len(self.all)}.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **self.environment},
                start_new_session=True,
            )  # fmt: skip
        self.all.append(process)
        return process

    def worker(
        self, name: str, *options: str, prefix: Sequence[str] = ()
    ) -> "subprocess.Popen[bytes]":
        """Start a worker of one thread."""
        more = ["--nthreads", "1", "--name", name, "--no-dashboard", "--memory-limit", "8GiB"]
        return self.start("dask_worker", self.address, *more, *options, prefix=prefix)

    def client(self) -> Client:
        return Client(self.address, set_as_default=False)

    def stop(self) -> None:
        for process in self.all[::-1]:
            process.kill()
            process.wait()


@contextmanager
def processes(folder: Path, **more: object) -> Iterator[Processes]:
    """Start a scheduler; stop it, and the workers that were started, at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    started = Processes(folder, **more)
    try:
        yield started
    finally:
        started.stop()


def driver(
    out: Path,
    *options: str,
    command: str = "train",
    prefix: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    seconds: float = 0.2,
) -> "subprocess.Popen[bytes]":
    """Start a study of small runs; what it prints goes into files beside its folder.

    Its tasks on a cluster are so short that each fleet is a chain of several.
    """
    settings = [f"--set={each}" for each in SMALL]
    code = (
        f"from dropout_lab.cluster import flight; flight.PART_SECONDS = {seconds}; "
        "from dropout_lab.cli import main; main()"
    )
    program = [*prefix, sys.executable, "-c", code, command, *settings, "--out", str(out)]
    with (
        out.with_suffix(".stdout").open("wb") as stdout,
        out.with_suffix(".stderr").open("wb") as e,
    ):
        return subprocess.Popen(
            [*program, *options], stdout=stdout, stderr=e, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip


def ends(process: "subprocess.Popen[bytes]", out: Path, status: int = 0) -> str:
    """Wait for a driver, see its exit status, and return what it told."""
    process.wait(timeout=120)
    told = out.with_suffix(".stderr").read_text()
    assert process.returncode == status, told
    assert "Traceback" not in told
    return told


def rows(out: Path) -> int:
    """Return how many rows metrics.csv has."""
    path = out / "metrics.csv"
    return path.read_bytes().count(b"\n") - 1 if path.exists() else 0


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process at once, and what it has started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
