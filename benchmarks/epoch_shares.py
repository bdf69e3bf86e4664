"""The shares of a sweep's time that do not train: the clean measurements, and the files.

The sweep of configs/mnist_placement.yaml, shortened; timed are the evaluations of each epoch, and
what it costs that nothing is lost: the checkpoints, from the copy of the weights to the last fsync,
and every change of the study's tables and manifest.

python benchmarks/epoch_shares.py DATA_FOLDER [repetitions [epochs]]
"""

import io
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import wraps
from typing import Any

from report import figure, heading, verdicts

from dropout_lab.cli import main as dropout_lab
from dropout_lab.folder import store
from dropout_lab.folder.study_folder import StudyFolder
from dropout_lab.study import serial as here
from dropout_lab.training import Fleet, loop

CONFIG = "configs/mnist_placement.yaml"
EVALUATION, FILES = 0.15, 0.02
WRITING = (
    "write_manifest", "save_plugins", "rewrite", "truncate_after", "append", "add_rows",
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


def seconds(clocks: Sequence[Clock], data_dir: str, epochs: str) -> list[float]:
    """Return how long a sweep's fleets took, and how much of it each clock counted."""
    whole = Clock()
    train_fleet = here.train_fleet
    here.train_fleet = whole.timed(train_fleet)
    for clock in clocks:
        clock.seconds = 0.0
    with tempfile.TemporaryDirectory(dir=".") as folder:
        sys.argv = [
            "dropout-lab", "sweep", "--config", CONFIG, "--data-dir", data_dir,
            "--quiet", "--json", "--epochs", epochs, "--out", f"{folder}/study",
        ]  # fmt: skip
        try:
            with redirect_stdout(io.StringIO()):  # its result is not what is measured
                dropout_lab()
        except SystemExit as end:
            if end.code:
                raise
    here.train_fleet = train_fleet
    return [clock.seconds for clock in (whole, *clocks)]


def main() -> None:
    """Measure and compare with the bound."""
    repetitions = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    epochs = sys.argv[3] if len(sys.argv) > 3 else "3"
    files, evaluation = Clock(), Clock()
    for name in WRITING:
        setattr(StudyFolder, name, files.timed(getattr(StudyFolder, name)))
    Fleet.checkpoint = files.timed(Fleet.checkpoint)  # type: ignore[method-assign]
    for name in ("save_checkpoints", "clear"):
        setattr(store, name, files.timed(getattr(store, name)))
    for name in ("evaluate", "evaluate_pruned"):
        setattr(loop, name, evaluation.timed(getattr(loop, name)))
    measured = [seconds((files, evaluation), sys.argv[1], epochs) for _ in range(repetitions)]
    heading(f"Evaluation, and writing and checkpointing, in {CONFIG}, {epochs} epochs")
    figure("time of the fleets", [whole for whole, _, _ in measured], "s")
    evaluated = figure("share of the evaluations", [own / whole for whole, _, own in measured], "")
    written = figure("share of the files", [own / whole for whole, own, _ in measured], "")
    verdicts(most=[("evaluation", evaluated, EVALUATION), ("files", written, FILES)])


if __name__ == "__main__":
    main()
