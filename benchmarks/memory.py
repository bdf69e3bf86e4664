"""Peak memory of one run on full MNIST above that of a bare `import torch`.

python benchmarks/memory.py DATA_FOLDER [repetitions]
"""

import subprocess
import sys
import tempfile

from report import figure, heading, verdict

BOUND = 600  # MB
PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)"
BARE = f"import torch; {PEAK}"
TRAIN = f"""
import sys
from dropout_lab.cli import main
try:
    main()
except SystemExit:
    pass
{PEAK}
"""


def peak(code: str, *arguments: str) -> float:
    """Return the peak resident memory of a process, in MB."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def train(data_dir: str) -> float:
    """Return the peak of `dropout-lab train` with one seed, two epochs of full MNIST."""
    with tempfile.TemporaryDirectory() as folder:
        return peak(
            TRAIN,
            *("train", "--config", "configs/mnist.yaml", "--data-dir", data_dir, "--quiet"),
            *("--seeds", "1", "--epochs", "2", "--out", f"{folder}/study"),
        )


def main() -> None:
    """Measure both and compare."""
    repetitions = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    heading("Peak resident memory")
    bare = figure("import torch", [peak(BARE) for _ in range(repetitions)], "MB")
    one = figure(
        "one run of configs/mnist.yaml", [train(sys.argv[1]) for _ in range(repetitions)], "MB"
    )
    verdict("MB above import torch", one - bare, BOUND)


if __name__ == "__main__":
    main()
