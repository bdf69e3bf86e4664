"""Peak memory: of fleets against the formula of the packing, and of one run on full MNIST.

python benchmarks/memory.py [DATA_FOLDER [repetitions [fleet ...]]]

Each fleet is trained in a process of its own, two short epochs with everything that a study writes;
its peak is that of the resident memory above what the process and the data held before. Without a
folder, or with `-` for it, the run on full MNIST is left out.
"""

import subprocess
import sys
import tempfile

from report import figure, heading, verdict

CONFIG = "configs/mnist_placement.yaml"
BOUND = 600  # MB, above import torch
LOOSE = 3  # predicted over measured, where the fleet dominates
DOMINATES = 150  # MB
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
FLEET = """
import ctypes, sys
from pathlib import Path
import torch
from dropout_lab.cli.progress import QuietProgress
from dropout_lab.config.overrides import Changes
from dropout_lab.config.grid import single_cell
from dropout_lab.config.load import load
from dropout_lab.study import Study, run_study
from dropout_lab.study.memory import data_bytes
from dropout_lab.study.packing import need_of
from dropout_lab.training.allocator import keep_freed_memory

def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

class Progress(QuietProgress):
    def planned(self, fleets, finished):  # the data are read, the fleets are not made yet
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident now
        self.before = resident("VmRSS")

def train(runs, folder, *settings):
    config = load(None, Changes(settings, epochs=2, seeds=str(runs)))
    study = Study(
        config=config, cells=single_cell(config), out=Path(folder), data_dir=Path(),
        device=torch.device("cpu"), fleet_size=runs, memory=2**50,
    )
    progress = Progress()
    run_study(study, progress, lambda line: None)
    predicted = need_of(study.runs).of(runs) - data_bytes(study.runs[0].settings)
    return resident("VmHWM") - progress.before, predicted

keep_freed_memory()
small = ("dataset.train_size=1000", "evaluation.train_examples=1000")
train(1, sys.argv[2] + "/first", *small, "model.hidden=[16]")  # what is loaded late is loaded
print(*train(int(sys.argv[1]), sys.argv[2] + "/study", *small, *sys.argv[3:]))
"""
WIDE = "model.hidden=[1024,1024]"
DROPCONNECT = ("dropout.variant=dropconnect", "model.hidden=[256,256]", "training.batch_size=64")
FLEETS = {
    "1 run of 784-2048-2048-2048-10": (1, "model.hidden=[2048,2048,2048]"),
    "16 of 784-512-512-10": (16,),
    "64 of 784-512-512-10": (64,),
    "64 of 784-128-10, batch 64": (64, "model.hidden=[128]", "training.batch_size=64"),
    "64 of 784-32-10, batch 1000": (64, "model.hidden=[32]", "training.batch_size=1000"),
    "8 of 784-1024-1024-10": (8, WIDE),
    "8 without momentum": (8, WIDE, "training.momentum=0"),
    "8 with Adam": (8, WIDE, "training.optimizer=adam", "training.learning_rate=0.001"),
    "8 with RMSprop": (8, WIDE, "training.optimizer=rmsprop", "training.learning_rate=0.001"),
    "8 in bfloat16": (8, WIDE, "training.precision=bfloat16"),
    "8 with early stopping": (8, WIDE, "training.patience=1"),
    "8 with averaged weights": (8, WIDE, "training.average=exponential"),
    "8 with l1 and noisy pixels": (
        8, WIDE, "regularization.l1=0.0001", "regularization.input_noise=0.1"
    ),
    "8 of maxout": (8, "model.hidden=[400,400]", "model.activation=maxout", "model.pieces=4"),
    "8 without dropout": (8, WIDE, "dropout.variant=none"),
    "16, all places": (16, "dropout.placement=all"),
    "16 with r_drop": (16, "dropout.loss=r_drop", "training.batch_size=500"),
    "16 of gaussian, batch 500": (16, "dropout.variant=gaussian", "training.batch_size=500"),
    "16 of concrete": (16, "dropout.variant=concrete", "training.batch_size=500"),
    "16 of multinomial": (16, "dropout.variant=multinomial", "training.batch_size=500"),
    "16 of fast": (16, "dropout.variant=fast"),
    "16 of batchwise": (16, "dropout.variant=batchwise"),
    "16 of shakeout": (16, "dropout.variant=shakeout"),
    "16 of jumpout": (16, "dropout.variant=jumpout", "training.batch_size=500"),
    "16 of nested": (16, "dropout.variant=nested", "training.batch_size=500"),
    "16 of masksembles": (16, "dropout.variant=masksembles", "training.batch_size=500"),
    "16 of information": (
        16, "dropout.variant=information", "dropout.p=0.3", "training.batch_size=500"
    ),
    "16 of guided": (16, "dropout.variant=guided", "training.batch_size=500"),
    "16 of learned_bernoulli": (
        16, "dropout.variant=learned_bernoulli", "training.batch_size=500"
    ),
    "8 of mixout": (8, WIDE, "dropout.variant=mixout"),
    "8 of bayes_by_backprop": (8, WIDE, "dropout.variant=bayes_by_backprop"),
    "8 of bayes_by_backprop, a draw per batch": (
        8, WIDE, "dropout.variant=bayes_by_backprop", "dropout.mask=batch"
    ),
    "8 of stochastic_delta": (8, WIDE, "dropout.variant=stochastic_delta"),
    "8 of stochastic_delta, a draw per batch": (
        8, WIDE, "dropout.variant=stochastic_delta", "dropout.mask=batch"
    ),
    "16 with dropout_k": (16, "dropout.loss=dropout_k", "training.batch_size=500"),
    "16 with the explicit regularizer": (
        16, "dropout.loss=explicit", "training.batch_size=500"
    ),
    "16 with adversarial dropout": (
        16, "dropout.loss=adversarial", "training.batch_size=500"
    ),
    "8 of targeted_weight": (8, WIDE, "dropout.variant=targeted_weight", "dropout.share=0.5"),
    "8 of gaussian_dropconnect": (8, WIDE, "dropout.variant=gaussian_dropconnect"),
    "8 of sparse_variational": (8, WIDE, "dropout.variant=sparse_variational"),
    "8 of variational_b, alpha per weight": (
        8, WIDE, "dropout.variant=variational_b", "dropout.alpha_per=weight", "dropout.p=0.3"
    ),
    "4 of dropconnect": (4, *DROPCONNECT),
    "8 of dropconnect, a mask per batch": (
        8, WIDE, "dropout.variant=dropconnect", "dropout.mask=batch"
    ),
    "4 of dropconnect, Monte Carlo": (
        4, *DROPCONNECT, "evaluation.inference=monte_carlo", "evaluation.samples=2"
    ),
    "4 of dropconnect, moments": (
        4, *DROPCONNECT, "evaluation.inference=moment_matching", "evaluation.samples=5"
    ),
    "16, Monte Carlo": (16, "evaluation.inference=monte_carlo", "evaluation.samples=5"),
    "16, a curve": (
        16, "evaluation.inference=monte_carlo", "evaluation.samples=100", "evaluation.curve=2"
    ),
    "64, predictions kept": (64, "model.hidden=[128]", "evaluation.inference=ensemble"),
    "8, gradients": (8, "evaluation.diagnostics=gradients"),
    "8, co-adaptation": (8, "evaluation.diagnostics=co_adaptation"),
    "8 with batch normalization": (8, WIDE, "model.normalization=batch"),
    "16 with batch normalization, batch 500": (
        16, "model.normalization=batch", "training.batch_size=500"
    ),
    "16 with layer normalization, batch 500": (
        16, "model.normalization=layer", "training.batch_size=500"
    ),
    "8, variance shift": (8, "model.normalization=batch", "evaluation.diagnostics=variance_shift"),
    "8, activation variance": (8, "evaluation.diagnostics=activation_variance"),
    "8, weight condensation": (8, "evaluation.diagnostics=weight_condensation"),
    "8, flatness": (8, "evaluation.diagnostics=flatness"),
    "16, a decision boundary": (
        16, "dataset.name=two_moons", "dataset.validation_size=100", "evaluation.at_end=boundary"
    ),
}  # fmt: skip


def printed(code: str, *arguments: str) -> list[float]:
    """Return the numbers in the last line that a process prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [float(word) for word in done.stdout.splitlines()[-1].split()]


def peak(code: str, *arguments: str) -> float:
    """Return the peak resident memory of a process, in MB."""
    return printed(code, *arguments)[0]


def train(data_dir: str) -> float:
    """Return the peak of `dropout-lab train` with one seed, two epochs of full MNIST."""
    with tempfile.TemporaryDirectory() as folder:
        return peak(
            TRAIN,
            *("train", "--config", CONFIG, "--data-dir", data_dir, "--quiet"),
            *("--seeds", "1", "--epochs", "2", "--out", f"{folder}/study"),
        )


def fleet(name: str) -> tuple[float, float]:
    """Return what a fleet took at its peak, and what the formula says, in MB; print both."""
    runs, *settings = FLEETS[name]
    with tempfile.TemporaryDirectory() as folder:
        measured, predicted = printed(FLEET, str(runs), folder, *map(str, settings))
    measured, predicted = measured / 1e6, predicted / 1e6
    ratio = predicted / measured
    print(f"{name:<44} measured {measured:7.0f} MB, predicted {predicted:7.0f} MB: {ratio:.2f}")
    return measured, predicted


def main() -> None:
    """Measure and compare."""
    data_dir = sys.argv[1] if len(sys.argv) > 1 else "-"
    repetitions = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    heading("Peak resident memory")
    pairs = [fleet(name) for name in sys.argv[3:] or FLEETS]
    if data_dir != "-":
        bare = figure("import torch", [peak(BARE) for _ in range(repetitions)], "MB")
        ones = [train(data_dir) for _ in range(repetitions)]
        one = figure(f"one run of {CONFIG}", ones, "MB")
        verdict("MB above import torch", one - bare, BOUND)
    verdict("measured over predicted, the largest", max(m / p for m, p in pairs), 1)
    loose = [p / m for m, p in pairs if m > DOMINATES]
    if loose:
        verdict(f"predicted over measured above {DOMINATES} MB, the largest", max(loose), LOOSE)


if __name__ == "__main__":
    main()
