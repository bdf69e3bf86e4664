"""A sweep of 20 runs in fleets against the same 20 runs one after the other, in this process.

python benchmarks/fleets.py [repetitions] [epochs] [data folder for full MNIST]
"""

import sys
import tempfile
import time
from pathlib import Path

from report import figure, heading, verdict
from studies import swept

from dropout_lab.cli.progress import QuietProgress
from dropout_lab.config.overrides import Changes
from dropout_lab.study import run_study


def seconds(fleet_size: int | None, epochs: int, data_dir: Path | None) -> float:
    """Return how long the sweep takes, evaluation and files included."""
    dataset = ("dataset.name=mnist", "dataset.validation_size=5000") if data_dir else ()
    changes = Changes(dataset, epochs=epochs, seeds="2", p="0:0.9:0.1", sweep=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "study"
        study = swept(out, changes, data_dir=data_dir or Path(), fleet_size=fleet_size)
        began = time.perf_counter()
        run_study(study, QuietProgress(), lambda line: None)
        return time.perf_counter() - began


def main() -> None:
    """Measure in turn, A B A B, and compare pair by pair."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    data_dir = Path(sys.argv[3]) if len(sys.argv) > 3 else None
    name = "full MNIST" if data_dir else "mnist_5k"
    heading(f"20 runs of 784-512-512-10, 10 p x 2 seeds, {epochs} epochs of {name}, batch 128, SGD")
    seconds(None, 1, data_dir)  # warm-up
    pairs = [
        (seconds(None, epochs, data_dir), seconds(1, epochs, data_dir)) for _ in range(repetitions)
    ]
    figure("in fleets", [fleets for fleets, _ in pairs], "s")
    figure("one after the other (--fleet 1)", [single for _, single in pairs], "s")
    ratio = figure("ratio, pair by pair", [fleets / single for fleets, single in pairs], "")
    verdict("fleets / single", ratio, 1.0)


if __name__ == "__main__":
    main()
