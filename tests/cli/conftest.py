"""Running a command in this process, as a user would in an empty folder."""

import sys
from pathlib import Path

import pytest

from dropout_lab.cli import main

SMALL = [
    "--set", "dataset.train_size=300", "--set", "dataset.validation_size=100",
    "--set", "model.hidden=[8]", "--epochs", "2",
]  # fmt: skip


class Result:
    """What a command left: its exit status, its two outputs."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def command(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["dropout-lab", *arguments])
        status = 0
        try:
            main()
        except SystemExit as exit_:
            status = exit_.code if isinstance(exit_.code, int) else 0
        return Result(status, *capfd.readouterr())

    return command
