"""Commands as processes, none of which outlives its test."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import run as run
from tests.faults.kills import Process, forked

SMALL = (
    "dataset.train_size=200",
    "dataset.validation_size=100",
    "model.hidden=[8]",
    "training.batch_size=50",
)
Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a command; its outputs go to ``<name>.log`` in the test's folder."""
    processes = []

    def start(name: str, arguments: Sequence[str], **more: Any) -> Process:
        processes.append(forked(arguments, tmp_path / f"{name}.log", **more))
        return processes[-1]

    yield start
    for process in processes:
        process.end()


def training(out: Path, *settings: str, epochs: int = 3, seeds: int = 4) -> list[str]:
    """Return the command of a small study without pictures, in fleets of two runs."""
    words = [word for text in (*SMALL, *settings) for word in ("--set", text)]
    size = ["--epochs", str(epochs), "--seeds", str(seeds), "--fleet", "2"]
    return ["train", "--out", str(out), *size, *words]


def rows(path: Path) -> int:
    """Return how many rows there are so far."""
    return max(path.read_text().count("\n") - 1, 0) if path.exists() else 0


def until(condition: Callable[[], bool], process: Process) -> None:
    """Wait for a condition that a process at work will bring about."""
    while not condition():
        status = process.wait(0.005)
        assert status is None or condition(), f"it ended with {status} before that"
