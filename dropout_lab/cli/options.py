"""Define the options that train and sweep share, and make a study of them."""

import re
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropout_lab.catalogue import CATALOGUE, variant_of_other_name
from dropout_lab.cli.option_values import folder, memory_size, whole_number
from dropout_lab.errors import ConfigError

if TYPE_CHECKING:
    from dropout_lab.config.grid import Cell
    from dropout_lab.config.schema import Config
    from dropout_lab.study import Study


_DEVICES = ("auto", "cpu", "cuda")
_ADDRESS = re.compile(r"[a-z]+://\S+:[0-9]{1,5}")


Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Set a key of the config: --set training.epochs=5. Repeat it for more keys.",
        metavar="KEY=VALUE",
    ),
]
TrainP = Annotated[
    str | None,
    typer.Option("--p", help="Probability of dropping (the key dropout.p).", metavar="P"),
]
SweepP = Annotated[
    str | None,
    typer.Option(
        "--p", help="Values of p to compare: 0,0.25,0.5 or 0:0.9:0.1.", metavar="P|LIST|RANGE"
    ),
]
TrainRate = Annotated[
    str | None,
    typer.Option("--lr", help="Learning rate (the key training.learning_rate).", metavar="X"),
]
SweepRate = Annotated[
    str | None,
    typer.Option(
        "--lr", help="Learning rate, or several to compare: 0.05,0.1.", metavar="X|LIST|RANGE"
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        help="Number of seeds, or a list of seeds: 5 or 3,7. (default: as in the config)",
        metavar="N|LIST",
    ),
]
Seed = Annotated[str | None, typer.Option(help="Train with this one seed only.", metavar="SEED")]
Baseline = Annotated[
    bool | None,
    typer.Option(
        "--baseline/--no-baseline",
        help="Add a baseline (no dropout) for each seed. (default: as in the config)",
        show_default=False,
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        help="Name of the study; its results go to results/NAME. (default: as in the config)",
        metavar="NAME",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Results folder. (default: results/<name>)",
        metavar="DIR",
        parser=folder,
    ),
]
Elsewhere = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder to write to, for a study that you may only read. (default: the study's)",
        metavar="DIR",
        parser=folder,
    ),
]
Results = Annotated[
    Path,
    typer.Argument(
        help="Folder of a study, or a folder of studies. (default: results)",
        metavar="RESULTS",
        parser=folder,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        help="Number of passes over the training set.", metavar="N", parser=whole_number()
    ),
]
Device = Annotated[
    str, typer.Option(help="Where to train: auto, cpu or cuda. (default: auto)", metavar="NAME")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the data sets. (default: $DROPOUT_LAB_DATA, or the user's cache)",
        envvar="DROPOUT_LAB_DATA",
        metavar="DIR",
        parser=folder,
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be trained. Train and write nothing.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
FleetSize = Annotated[
    int | None,
    typer.Option(
        "--fleet",
        help="Maximum number of runs trained together as one batch (a fleet).",
        metavar="N",
        parser=whole_number(least=1),
    ),
]
Memory = Annotated[
    int | None,
    typer.Option(
        help="Maximum memory of a fleet: 8G, 500M. (default: half of the machine's)",
        metavar="SIZE",
        parser=memory_size,
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Train with N processes on this machine, with Dask.",
        metavar="N",
        parser=whole_number(least=1, most=1024),
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Train on the workers of a Dask scheduler: tcp://host:8786.", metavar="ADDRESS"
    ),
]
QuickLessons = Annotated[
    bool, typer.Option("--quick", help="Use fewer draws and smaller networks in the lessons.")
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        help="Python file with a variant of your own. Repeat it for more files.",
        metavar="FILE",
    ),
]
Retry = Annotated[
    str | None,
    typer.Option(help="Which runs to retry: failed.", metavar="STATUS"),
]
ForcePrecision = Annotated[
    bool,
    typer.Option(
        "--force-precision", help="Train in bfloat16 even if this processor is slow at it."
    ),
]
SaveModels = Annotated[bool, typer.Option("--save-models", help="Save the weights of each run.")]


def variant_names(names: Sequence[str] | None) -> list[str]:
    """Return the given names of variants without repetition; all variants without names.

    Other names of a variant, from ``Variant.other_names``, stand for it.

    Raises:
        ConfigError: A name is unknown.
    """
    known = [variant_of_other_name(name) or name for name in names or ()]
    _check_names(known, {"variant": CATALOGUE})
    return [name for name in CATALOGUE if not names or name in known]


def lesson_name(name: str) -> str:
    """Return the given name of a lesson.

    Raises:
        ConfigError: It is unknown.
    """
    from dropout_lab.lessons import LESSONS

    _check_names([name], {"lesson": LESSONS})
    return name


def variant_and_lesson_names(names: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Return the given variants and lessons without repetition; all without names.

    A name that a variant and a lesson share stands for both.

    Raises:
        ConfigError: A name is unknown.
    """
    from dropout_lab.lessons import LESSONS

    known: dict[str, Collection[str]] = {"variant": CATALOGUE, "lesson": LESSONS}
    _check_names(names, known)
    variants, lessons = (
        [name for name in each if not names or name in names] for each in known.values()
    )
    return variants, lessons


def _check_names(names: Sequence[str] | None, known: Mapping[str, Collection[str]]) -> None:
    """Refuse unknown names."""
    from dropout_lab.config.messages import suggest_nearest, suggest_variants

    every = list(dict.fromkeys(name for each in known.values() for name in each))
    lessons = known.get("lesson", ())

    def instead(name: str) -> str:
        if "variant" in known:
            more = ". To list the lessons: dropout-lab lesson" if lessons else ""
            return f"{suggest_variants(name, lessons)}{more}"
        return f";{suggest_nearest(name, every)} known: {', '.join(every)}."

    unknown = [
        f"{name!r} is not a {' or a '.join(known)}{instead(name)}"
        for name in names or ()
        if name not in every
    ]
    if unknown:
        raise ConfigError(unknown)


def check_device(device: str) -> None:
    """Refuse an invalid device name before torch is imported.

    Raises:
        ConfigError: The name is unknown.
    """
    if device not in _DEVICES:
        from dropout_lab.config.messages import suggest_nearest

        near = " write cuda;" if device.lower() == "gpu" else suggest_nearest(device, _DEVICES)
        raise ConfigError([f"--device is {device!r};{near} allowed: {', '.join(_DEVICES)}."])


def check_cluster(workers: int | None, scheduler: str | None, *, dry_run: bool) -> None:
    """Refuse invalid cluster options before torch is imported, and begin to start workers.

    The process that workers are forked from imports torch while the study's process does.

    Raises:
        ConfigError: Both ways to one are given, or Dask is not installed.
    """
    if workers is not None and scheduler is not None:
        raise ConfigError(
            [
                "--workers starts processes on this machine and --scheduler joins a cluster that "
                "runs; give one of them."
            ]
        )
    if scheduler is not None and not _ADDRESS.fullmatch(scheduler):
        raise ConfigError(
            [
                f"--scheduler is {scheduler!r}; write the address that dask scheduler prints, "
                "protocol, host and port: tcp://host:8786."
            ]
        )
    option = "--workers" if scheduler is None else "--scheduler"
    needed = {"distributed": "Dask"} | ({"cryptography": "cryptography"} if workers else {})
    missing = [name for module, name in needed.items() if find_spec(module) is None]
    if (workers or scheduler is not None) and missing:
        are = "is" if len(missing) == 1 else "are"
        raise ConfigError(
            [
                f"{option} needs {' and '.join(missing)}, which {are} not installed. Install it in "
                'your clone of the repository: pip install ".[cluster]"'
            ]
        )
    if workers and not dry_run:
        from dropout_lab.cluster.forkserver import start_forkserver

        start_forkserver()


def check_retry(retry: str | None) -> None:
    """Refuse a status that --retry does not take.

    Raises:
        ConfigError: It is another than failed.
    """
    if retry not in (None, "failed"):
        raise ConfigError(
            [
                f"--retry is {retry!r}; allowed: failed. Interrupted runs resume without it, and "
                "a run that diverged would diverge again."
            ]
        )


def load_plugins(files: Sequence[Path] | None) -> None:
    """Load plugins before the config is checked. Imports torch if there are plugins.

    Raises:
        ConfigError: What is wrong with them.
    """
    if files:
        from dropout_lab.plugins import load_plugins as load

        load(files)


def make_study(
    config: "Config",
    cells: "Sequence[Cell]",
    *,
    out: Path | None,
    data_dir: Path | None,
    device: str,
    fleet: int | None,
    memory: int | None,
    workers: int | None,
    scheduler: str | None,
    save_models: bool,
    retry: str | None,
) -> "Study":
    """Return the requested study. Imports torch.

    Raises:
        ConfigError: The device asked for is not there.
    """
    import torch

    from dropout_lab.datasets import data_folder
    from dropout_lab.devices import explain_missing_cuda
    from dropout_lab.study import Study

    # The workers of a cluster have a GPU only if they are asked for it.
    available = torch.cuda.is_available() if scheduler is None else device == "cuda"
    if device == "cuda" and not available:
        raise ConfigError(
            [
                f"--device is cuda, and torch finds no CUDA device: {explain_missing_cuda()}. "
                "Leave --device out to train on the CPU."
            ]
        )
    return Study(
        config=config,
        cells=cells,
        out=out or Path("results") / config.name,
        data_dir=data_folder(data_dir),
        device=torch.device("cuda" if device != "cpu" and available else "cpu"),
        fleet_size=fleet,
        memory=memory,
        workers=workers,
        scheduler=scheduler,
        save_models=save_models,
        retry_failed=retry == "failed",
        command=shlex.join(["dropout-lab", *sys.argv[1:]]),
    )
