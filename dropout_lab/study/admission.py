"""Which workers of a Dask cluster may train: those with the driver's versions, told one by one.

The plugin runs on every worker, also on those that come later, and on those without dropout-lab:
so its class is made in a function, by which it travels whole, and needs nothing but Dask there. A
worker that will do gets a resource, one of it, that every fleet asks for: so fleets go to such
workers only, one at a time, whatever the number of its threads. They are the fleet's.
"""

import pickle
from typing import TYPE_CHECKING

import torch

from dropout_lab import __version__

if TYPE_CHECKING:
    from distributed import Worker, WorkerPlugin

GPU = "GPU"  # the resource that workers with a GPU are started with


def versions() -> dict[str, str]:
    """Return the versions that a worker must have: those of this process."""
    return {"dropout-lab": __version__, "torch": torch.__version__.partition("+")[0]}


def resource(required: dict[str, str]) -> str:
    """Return the resource of the workers with these versions."""
    return " ".join(f"{package} {version}" for package, version in required.items())


def admission(topic: str, required: dict[str, str], *, gpu: bool, ours: bool) -> "WorkerPlugin":
    """Return the plugin that admits workers, and reports each under a topic.

    Args:
        topic: Where it reports ``(worker's address, its name, its memory in bytes or none, why it
            is refused or nothing)``, pickled.
        required: The versions of packages that a worker must have.
        gpu: Whether it must have been started with the resource GPU.
        ours: Whether the workers are this process's own, and leave Ctrl-C to it.
    """
    from distributed import WorkerPlugin

    granted, gpu_resource = resource(required), GPU

    class Admission(WorkerPlugin):
        async def setup(self, worker: "Worker") -> None:
            why = self._why_not(worker)
            if not why:
                await worker.set_resources(**{granted: 1})
            if ours:
                import signal

                signal.signal(signal.SIGINT, signal.SIG_IGN)
            memory = worker.memory_manager.memory_limit
            name = str(worker.name)
            said = (worker.address, f"worker {name}" if name.isdecimal() else name, memory, why)
            worker.log_event(topic, pickle.dumps(said))

        def _why_not(self, worker: "Worker") -> str:
            for package, version in required.items():
                found = self._version(package)
                if found != version:
                    there = f"{package} {found}" if found else f"no {package}"
                    return f"it has {there}, and this study is made with {package} {version}"
            if gpu and gpu_resource not in worker.state.total_resources:
                return f"it was started without the resource {gpu_resource}=1"
            return ""

        def _version(self, package: str) -> str:
            from importlib import import_module, metadata

            try:
                if package == "dropout-lab":  # it may run from a folder, not installed
                    return str(import_module("dropout_lab").__version__)
                return metadata.version(package).partition("+")[0]
            except (ImportError, AttributeError):  # PackageNotFoundError is an ImportError
                return ""

    return Admission()
