"""The options that train and sweep share, and how they become a study."""

import os
import re
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.errors import ConfigError

if TYPE_CHECKING:
    from dropout_lab.config.grid import Cell
    from dropout_lab.config.schema import Config
    from dropout_lab.study import Study


_SIZE = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([KMGTkmgt])(?:i?[Bb])?\s*")
_LARGEST_SIZE = 2**60
_ADDRESS = re.compile(r"[a-z]+://\S+:[0-9]{1,5}")


def folder(text: str) -> Path:
    """Return the folder that an option names; what is there is looked at later."""
    if not text:
        raise typer.BadParameter("it is empty; name a folder, or leave it out.")
    return Path(text)


def memory_size(text: str) -> int:
    """Return the bytes that an option names: 8G, 1.5 GB, 500M; in powers of 1,024."""
    found = _SIZE.fullmatch(text)
    amount = int(float(found[1]) * 1024 ** ("KMGT".index(found[2].upper()) + 1)) if found else 0
    if not 0 < amount <= _LARGEST_SIZE:
        raise typer.BadParameter(
            f"{text!r} is no size; write a number above 0 and K, M, G or T: 8G, 1.5G, 500M."
        )
    return amount


ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML file; without one, the defaults.", metavar="FILE"),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change a key: --set training.epochs=5. May be repeated.", metavar="KEY=VALUE"
    ),
]
P = Annotated[
    str | None,
    typer.Option(
        "--p", help="What to sweep: --p 0,0.25,0.5 or --p 0:0.9:0.1.", metavar="LIST|RANGE"
    ),
]
Seeds = Annotated[
    str | None, typer.Option(help="A count, or a list: --seeds 5, --seeds 3,7.", metavar="N|LIST")
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
        help="Folder to write to, such as for a study you may only read. (default: the study's)",
        metavar="DIR",
        parser=folder,
    ),
]
Results = Annotated[
    Path,
    typer.Argument(
        help="A study's folder, or a folder of studies.", metavar="RESULTS", parser=folder
    ),
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training part.", metavar="N")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.", metavar="NAME")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Where the data sets lie. (default: the user's cache)",
        envvar="DROPOUT_LAB_DATA",
        metavar="DIR",
        parser=folder,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan; train and write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
FleetSize = Annotated[
    int | None, typer.Option("--fleet", help="Most runs trained in lockstep.", min=1, metavar="N")
]
Memory = Annotated[
    int | None,
    typer.Option(
        help="What a fleet may take: 8G, 500M. (default: half of the machine's)",
        metavar="SIZE",
        parser=memory_size,
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Train with N processes of this machine, by Dask.", min=1, max=1024, metavar="N"
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Train on the workers of a Dask scheduler: tcp://host:8786.", metavar="ADDRESS"
    ),
]
QuickLessons = Annotated[
    bool, typer.Option("--quick", help="Lessons for a class: fewer draws, smaller networks.")
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", help="Python file with a variant of your own. May be repeated.", metavar="FILE"
    ),
]
Retry = Annotated[
    str | None,
    typer.Option(help="failed: train again the runs that failed before.", metavar="STATUS"),
]
ForcePrecision = Annotated[
    bool,
    typer.Option(
        "--force-precision", help="Train in bfloat16 even where this processor is slow at it."
    ),
]
SaveModels = Annotated[bool, typer.Option("--save-models", help="Keep each run's weights.")]


def data_folder(data_dir: Path | None) -> Path:
    """Return where data sets lie: as asked, or in the user's cache.

    A ``~`` in it is resolved where a file is needed: mnist_5k needs none, and no home directory.
    """
    if data_dir is not None:
        return data_dir
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dropout-lab"


def variant_names(names: Sequence[str] | None) -> list[str]:
    """Return the names of variants that were given, each once; without one, all there are.

    Raises:
        ConfigError: A name is unknown.
    """
    _check_names(names, {"variant": CATALOGUE})
    return [name for name in CATALOGUE if not names or name in names]


def lesson_name(name: str) -> str:
    """Return the name of a lesson that was given.

    Raises:
        ConfigError: It is unknown.
    """
    from dropout_lab.lessons import LESSONS

    _check_names([name], {"lesson": LESSONS})
    return name


def variant_and_lesson_names(names: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Return the variants and the lessons that were given, each once; without a name, all.

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
    """Refuse names that are in none of the tables; their keys say what is in them."""
    from dropout_lab.config.messages import nearest

    every = list(dict.fromkeys(name for each in known.values() for name in each))
    lists = "; ".join(f"known {kind}s: {', '.join(each)}" for kind, each in known.items())
    own = " A variant of your own: --plugin FILE." if "variant" in known else ""
    unknown = [
        f"{name!r} is not a {' or a '.join(known)};{nearest(name, every)} {lists}.{own}"
        for name in names or ()
        if name not in every
    ]
    if unknown:
        raise ConfigError(unknown)


def check_device(device: str) -> None:
    """Refuse a device's name that is none, before torch is imported.

    Raises:
        ConfigError: The name is unknown.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError([f"--device is {device!r}; allowed: auto, cpu, cuda."])


def check_cluster(workers: int | None, scheduler: str | None) -> None:
    """Refuse a cluster that cannot be meant, before torch is imported.

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


def check_retry(retry: str | None) -> None:
    """Refuse a status whose runs are not to be trained again on request.

    Raises:
        ConfigError: It is another than failed.
    """
    if retry not in (None, "failed"):
        raise ConfigError(
            [
                f"--retry is {retry!r}; allowed: failed. Interrupted runs go on by themselves; "
                "a run that diverged would do so again."
            ]
        )


def load_plugins(files: Sequence[Path] | None) -> None:
    """Let the variants of plugins join, before anything is checked. Imports torch if there are any.

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
    """Return the study that a config and the shared options ask for. Imports torch.

    Raises:
        ConfigError: The device asked for is not there.
    """
    import torch

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
