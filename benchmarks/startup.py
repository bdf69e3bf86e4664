"""How long until something happens: `--help`, a config mistake, the first training step.

python benchmarks/startup.py [repetitions]

Each figure is the time of a whole process, the interpreter's own start included. The first step is
that of `dropout-lab train` with the defaults, in a process that ends right after it; from it goes
the time of `import torch` in a process of its own, repetition by repetition; neither process tidies
up at its end.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import figure, heading, verdict

ROOT = Path(__file__).parents[1]
HELP, MISTAKE, FIRST_STEP = 0.3, 0.4, 1.0  # seconds
UNTIL_FIRST_STEP = """
import os
from dropout_lab.cli import main
from dropout_lab.optimizer import FleetOptimizer

step = FleetOptimizer.step

def first_step(*arguments):
    step(*arguments)
    os._exit(0)

FleetOptimizer.step = first_step
main()
os._exit(1)
"""
LAB = ("-m", "dropout_lab")
COMMANDS = {
    "python -c pass": (0, "-c", "pass"),
    "dropout-lab --help": (0, *LAB, "--help"),
    "a config mistake": (2, *LAB, "sweep", "--set", "dropout.p=2"),
    "import torch": (0, "-c", "import os, torch; os._exit(0)"),  # as the first step ends too
    "dropout-lab train, first step done": (0, "-c", UNTIL_FIRST_STEP, "train", "--quiet"),
}
_, HELPED, REFUSED, TORCH, TRAINED = COMMANDS
# With bytecode kept, as Python does unless told otherwise: the warm-up compiles, the others read.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def seconds(status: int, *arguments: str) -> float:
    """Return the wall-clock time of a process, which must end as it should."""
    with tempfile.TemporaryDirectory() as folder:
        out = ("--out", f"{folder}/study") if "train" in arguments else ()
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments, *out], cwd=ROOT, env=ENVIRONMENT, capture_output=True
        )
        took = time.perf_counter() - began
    if done.returncode != status:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr.decode()}")
    return took


def main() -> None:
    """Measure all in turn, after a warm-up, and compare."""
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    heading("From the command to what the user waits for, whole processes")
    for command in COMMANDS.values():
        seconds(*command)
    rounds = [
        {name: seconds(*command) for name, command in COMMANDS.items()} for _ in range(repetitions)
    ]
    medians = {name: figure(name, [each[name] for each in rounds], "s") for name in COMMANDS}
    beyond = [each[TRAINED] - each[TORCH] for each in rounds]
    first = figure("first step, beyond import torch", beyond, "s")
    verdict(HELPED, medians[HELPED], HELP)
    verdict(REFUSED, medians[REFUSED], MISTAKE)
    verdict("first step, beyond import torch", first, FIRST_STEP)


if __name__ == "__main__":
    main()
