"""Time of a run in studies of 10, 100 and 1,000 runs: does it cost more where there are more?

python benchmarks/linear.py [repetitions]

Runs of 784-128-10, four epochs of 1,500 examples, everything written, in fleets of 10 in each of
the studies: so a run has the same company and the files are rewritten as often per run. Reading the
data set, which a study does once, is not counted; it is shown apart.
"""

import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from report import figure, heading, verdict
from studies import swept

from dropout_lab import data
from dropout_lab.cli.progress import QuietProgress
from dropout_lab.config.overrides import Changes
from dropout_lab.study import Study, preview, run_study

SIZES = (10, 100, 1_000)
FLEET = 10
AT_MOST = 100  # runs in a repetition of the small studies
BOUND = 1.1
SETTINGS = (
    "dataset.train_size=1500", "dataset.validation_size=500", "model.hidden=[128]",
    "evaluation.train_examples=500",
)  # fmt: skip


def study(runs: int, out: Path) -> Study:
    """Return a study of so many runs, 10 p and a tenth as many seeds."""
    changes = Changes(SETTINGS, epochs=4, seeds=str(runs // 10), p="0:0.9:0.1", sweep=True)
    return swept(out, changes, baseline=False, fleet_size=FLEET)


class Reading:
    """Counts the seconds in which data are read."""

    def __init__(self, load_data: Callable[..., Any]) -> None:
        self.load_data, self.seconds = load_data, 0.0

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """Read."""
        began = time.perf_counter()
        splits = self.load_data(*arguments, **more)
        self.seconds += time.perf_counter() - began
        return splits


def milliseconds(runs: int, reading: Reading) -> tuple[float, float]:
    """Return the time of a run of a study of so many, and that of reading its data."""
    repeats = max(1, AT_MOST // runs)
    before, total = reading.seconds, 0.0
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            asked = study(runs, Path(folder) / "study")
            began = time.perf_counter()
            run_study(asked, QuietProgress(), lambda line: None)
            total += time.perf_counter() - began
    read = reading.seconds - before
    return 1e3 * (total - read) / (repeats * runs), 1e3 * read / repeats


def bookkeeping(runs: int) -> float:
    """Return the kilobytes for each run that a plan of so many holds."""
    with tempfile.TemporaryDirectory() as folder:
        tracemalloc.start()
        asked = study(runs, Path(folder) / "study")
        fleets = preview(asked).fleets  # kept while it is measured
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return held / sum(map(len, fleets)) / 1e3


def main() -> None:
    """Measure the studies in turn, and compare with the bound."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    heading(f"a run of 784-128-10 in studies of {', '.join(f'{n:,}' for n in SIZES)} runs")
    reading = Reading(data.load)
    data.load = reading
    milliseconds(10, reading)  # warm-up
    rounds = [[milliseconds(runs, reading) for runs in SIZES] for _ in range(repetitions)]
    medians = [
        figure(f"a run of {runs:,}, ms", [each[index][0] for each in rounds], "")
        for index, runs in enumerate(SIZES)
    ]
    figure("reading the data, once, ms", [each[-1][1] for each in rounds], "")
    for runs in (1_000, 10_000):
        figure(f"what a plan of {runs:,} runs holds, kB per run", [bookkeeping(runs)], "")
    verdict("the largest of the three over the smallest", max(medians) / min(medians), BOUND)


if __name__ == "__main__":
    main()
