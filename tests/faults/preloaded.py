"""What a forked command finds imported and read, and how it runs."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dropout_lab.analysis.plots
import dropout_lab.cli.study_output
import dropout_lab.cli.table  # noqa: F401  # as the command does once its runs are trained
from dropout_lab import cli, data
from tests.faults.operations import Operations, Part

_DATA = data.load_packaged("mnist_5k")


def run(arguments: list[str], out: str, err: str, first: Callable[[], Any]) -> None:
    """Run ``dropout-lab``.

    Args:
        arguments: Those of the command line.
        out: The file that takes what it prints.
        err: The file that takes its progress and its errors.
        first: Called before the command begins.
    """
    os.chdir(Path(err).parent)
    for stream, path in ((1, out), (2, err)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, stream)
        os.close(handle)
    data.LOADERS["package"] = lambda *_: _DATA
    sys.argv = ["dropout-lab", *arguments]
    first()
    # As an interpreter would that starts with these: what they can do is asked but once.
    sys.stdout = open(1, "w", 1, "utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, "utf-8", closefd=False)  # noqa: SIM115
    cli.main()


def nothing() -> None:
    """Let the command begin as it is."""


def wait_while_reading_data() -> None:
    """Let the data take for ever to be read; the command says so."""

    def load(**settings: Any) -> None:
        print("reading data", file=sys.stderr, flush=True)  # noqa: T201
        signal.pause()

    data.load = load


def on_terminal(path: str) -> None:
    """Let the command own a terminal, as one that was typed there does."""
    os.setsid()
    handle = os.open(path, os.O_RDWR)  # of a session without a terminal, it becomes the one
    for stream in (0, 1, 2):
        os.dup2(handle, stream)
    os.close(handle)


def kill_at(folder: Path, at: int, part: Part) -> None:
    """Let the command be killed at one of its file operations below a folder; 0 is none."""
    Operations(folder, at, "kill" if at else "count", part).__enter__()
