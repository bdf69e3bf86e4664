"""How long the commands take that need no torch: `--help` and a config mistake.

python benchmarks/startup.py [repetitions]
"""

import subprocess
import sys
import time

from report import figure, heading, verdict

BOUND = 0.5  # seconds


def seconds(*arguments: str) -> float:
    """Return the wall-clock time of a command."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "dropout_lab", *arguments], capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure both after a warm-up."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    heading("Commands that need no torch")
    for name, arguments in (
        ("dropout-lab --help", ("--help",)),
        ("a config mistake", ("sweep", "--set", "dropout.p=2")),
    ):
        seconds(*arguments)
        median = figure(name, [seconds(*arguments) for _ in range(repetitions)], "s")
        verdict(name, median, BOUND)


if __name__ == "__main__":
    main()
