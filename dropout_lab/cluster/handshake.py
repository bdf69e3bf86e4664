"""Which workers of a Dask cluster may train: those with the driver's versions, asked one by one.

The question goes to every worker, also to those that come later, and to those without dropout-lab:
so the function that is sent is made in a function, by which it travels whole, and needs nothing
but Dask there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dropout_lab import __version__

if TYPE_CHECKING:
    from distributed import Worker as DaskWorker

GPU = "GPU"  # the resource that workers with a GPU are started with
Told = tuple[str, int | None, str]  # its name, its memory in bytes or none, why it is refused


@dataclass(frozen=True)
class Worker:
    """A worker that may train.

    Args:
        address: Where it is.
        name: What it is called.
        memory: Its limit in bytes; none if it has none.
    """

    address: str
    name: str
    memory: int | None


def versions() -> dict[str, str]:
    """Return the versions that a worker must have: those of this process."""
    return {"dropout-lab": __version__, "torch": torch.__version__.partition("+")[0]}


def question(required: dict[str, str], *, gpu: bool, ours: bool) -> Callable[["DaskWorker"], Told]:
    """Return what is to be run on a worker to know of it.

    It imports there what training needs, so that the first fleet does not wait for it.

    Args:
        required: The versions of packages that a worker must have.
        gpu: Whether it must have been started with the resource GPU.
        ours: Whether the workers are this process's own, and leave Ctrl-C to it.
    """
    gpu_resource = GPU

    def tell(dask_worker: "DaskWorker") -> Told:
        import signal

        if ours:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        name = str(dask_worker.name)
        name = f"worker {name}" if name.isdecimal() else name
        return name, dask_worker.memory_manager.memory_limit, why_not(dask_worker)

    def why_not(worker: "DaskWorker") -> str:
        from importlib import import_module

        for package, version in required.items():
            found = found_version(package)
            if found != version:
                there = f"{package} {found}" if found else f"no {package}"
                return f"it has {there}, and this study is made with {package} {version}"
        if gpu and gpu_resource not in worker.state.total_resources:
            return f"it was started without the resource {gpu_resource}=1"
        try:
            import_module("dropout_lab.cluster.task")
        except Exception as error:
            return f"it cannot import dropout-lab ({type(error).__name__}: {error})"
        return ""

    def found_version(package: str) -> str:
        from importlib import import_module, metadata

        try:
            if package == "dropout-lab":  # it may run from a folder, not installed
                return str(import_module("dropout_lab").__version__)
            return metadata.version(package).partition("+")[0]
        except (ImportError, AttributeError):  # PackageNotFoundError is an ImportError
            return ""

    return tell
