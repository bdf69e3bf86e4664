"""What it costs that nothing is lost: the share of a sweep's time that goes into files.

The sweep of configs/mnist.yaml, shortened; timed are the checkpoints, from the copy of the weights
to the last fsync, and every change of the study's tables and manifest.

python benchmarks/writing_cost.py DATA_FOLDER [repetitions [epochs]]
"""

import io
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import wraps
from typing import Any

from report import figure, heading, verdict

from dropout_lab.cli import main as dropout_lab
from dropout_lab.study import engine, study
from dropout_lab.study.folder import StudyFolder
from dropout_lab.training import Fleet

BOUND = 0.02
WRITING = (
    "write_manifest", "keep_plugins", "rewrite", "forget_after", "append", "add_rows",
    "write_ensembles", "set_status",
)  # fmt: skip


class Clock:
    """Seconds spent inside of timed functions; one inside another counts once."""

    def __init__(self) -> None:
        self.seconds, self.depth, self.began = 0.0, 0, 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose time is counted."""

        @wraps(function)
        def wrapper(*arguments: Any, **more: Any) -> Any:
            if self.depth == 0:
                self.began = time.perf_counter()
            self.depth += 1
            try:
                return function(*arguments, **more)
            finally:
                self.depth -= 1
                if self.depth == 0:
                    self.seconds += time.perf_counter() - self.began

        return wrapper


def share(clock: Clock, data_dir: str, epochs: str) -> tuple[float, float]:
    """Return the share of a sweep's training time that goes into files, and the time."""
    whole = Clock()
    train_fleet = study.train_fleet
    study.train_fleet = whole.timed(train_fleet)
    clock.seconds = 0.0
    with tempfile.TemporaryDirectory(dir=".") as folder:
        sys.argv = [
            "dropout-lab", "sweep", "--config", "configs/mnist.yaml", "--data-dir", data_dir,
            "--quiet", "--json", "--epochs", epochs, "--out", f"{folder}/study",
        ]  # fmt: skip
        try:
            with redirect_stdout(io.StringIO()):  # its result is not what is measured
                dropout_lab()
        except SystemExit as end:
            if end.code:
                raise
    study.train_fleet = train_fleet
    return clock.seconds / whole.seconds, whole.seconds


def main() -> None:
    """Measure and compare with the bound."""
    repetitions = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    epochs = sys.argv[3] if len(sys.argv) > 3 else "3"
    clock = Clock()
    for name in WRITING:
        setattr(StudyFolder, name, clock.timed(getattr(StudyFolder, name)))
    Fleet.checkpoint = clock.timed(Fleet.checkpoint)  # type: ignore[method-assign]
    for name in ("save_checkpoints", "clear"):
        setattr(engine, name, clock.timed(getattr(engine, name)))
    measured = [share(clock, sys.argv[1], epochs) for _ in range(repetitions)]
    heading(f"Writing and checkpointing in configs/mnist.yaml, {epochs} epochs")
    figure("time of the fleets", [seconds for _, seconds in measured], "s")
    verdict(
        "share of it spent on files",
        figure("share of it spent on files", [part for part, _ in measured], ""),
        BOUND,
    )


if __name__ == "__main__":
    main()
