"""Which workers of a Dask cluster may train: those with the driver's versions and enough memory.

Dask places the tasks. Only while a worker is there that may not train a fleet, the fleet's tasks
are restricted to the others.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import CancelledError, wait
from concurrent.futures import Future as Answer
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from dropout_lab import __version__
from dropout_lab.config.grid import Run
from dropout_lab.errors import ClusterError, ConfigError
from dropout_lab.printable import counted
from dropout_lab.study.packing import need_of, shown_bytes
from dropout_lab.study.spec import Study

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from distributed import Client
    from distributed import Worker as DaskWorker

GPU = "GPU"  # the Dask resource that workers with a GPU are started with
_ANSWER = 30.0  # seconds that a study waits for the answers of the workers at its start
_REFRESH = 0.2  # seconds between two looks at the workers
_USABLE = 0.8  # of a worker's memory; Dask pauses a worker that uses more


@dataclass(frozen=True)
class WorkerInfo:
    """What is known of a worker.

    Args:
        name: Its name.
        memory: The memory limit for each of its threads in bytes; infinity if there is none.
        refused: Why it may not train; empty if it may.
    """

    name: str
    memory: float
    refused: str = ""


class Workers:
    """The workers of a cluster.

    Args:
        client: Connected to the scheduler.
        study: The study to train.
        warn: Receives warnings.

    Attributes:
        threads: The number of threads of each worker that is there, by address.
        known: The workers that may train, by address.
    """

    def __init__(self, client: "Client", study: Study, warn: Callable[[str], None]) -> None:
        self.client, self.study, self.warn = client, study, warn
        self.threads: dict[str, int] = {}
        self.known: dict[str, WorkerInfo] = {}
        self._refused: dict[str, str] = {}  # a sentence, by address
        self._gpu = study.device.type == "cuda"
        self._question = question(versions(), gpu=self._gpu, local=study.scheduler is None)
        self._asked: dict[str, Answer[dict[str, Any]]] = {}
        self._refreshed = 0.0

    def ask_all(self) -> None:
        """Ask the workers at the start of a study about themselves.

        Raises:
            ConfigError: All of them are refused.
            ClusterError: The scheduler is gone.
        """
        self.refresh()
        self.wait_for_answers()
        if self._refused and not self.known:
            address = self.client.scheduler.address if self.client.scheduler else ""
            raise ConfigError([f"{address}: no worker can be used.", *self._refused.values()])

    def wait_for_answers(self) -> None:
        """Wait for the answers of new workers."""
        for _ in range(2):
            self._refreshed = 0.0
            self.refresh()
            wait(self._asked.values(), _ANSWER)
        self._refreshed = 0.0
        self.refresh()

    @property
    def unanswered(self) -> bool:
        """Whether a worker has not told yet whether it may train."""
        return bool(self._asked)

    def refresh(self) -> None:
        """See which workers are there, at most five times a second. Ask those that are new.

        Raises:
            ClusterError: The scheduler is gone.
        """
        if time.monotonic() - self._refreshed < _REFRESH:
            return
        self._refreshed = time.monotonic()
        with self.scheduler_there():
            self.threads = self.client.nthreads()
        for kept in (self.known, self._refused, self._asked):
            for address in kept.keys() - self.threads.keys():
                kept.pop(address)
        for address in self.threads.keys() - self.known.keys() - self._refused.keys():
            if address not in self._asked:
                answer = self.run(self._question, workers=[address], on_error="return")
                self._asked[address] = answer
            elif self._asked[address].done():
                self._note(address, self._asked.pop(address))

    def _note(self, address: str, answer: Answer[dict[str, Any]]) -> None:
        """Note a worker's answer; one that did not answer is asked again."""
        failed = answer.cancelled() or answer.exception()
        told = None if failed else answer.result().get(address)
        if told is None or isinstance(told, OSError):
            return
        if isinstance(told, Exception):
            told = address, None, 1, f"it cannot answer ({type(told).__name__}: {told})"
        name, memory, threads, refused = told
        name = display_name(name)
        if refused:
            self._refused[address] = f"{name} ({address}) is refused: {refused}."
            self.warn(self._refused[address])
        else:
            limit = float("inf") if memory is None else _USABLE * memory / threads
            self.known[address] = WorkerInfo(name, limit)

    def allowed(self, fleet: Collection[Run]) -> list[str] | None:
        """Return the addresses of the workers that may train a fleet; None if all may."""
        need = self._need(fleet)
        small = {address for address, told in self.known.items() if told.memory < need}
        excluded = small | self._refused.keys()
        return sorted(self.threads.keys() - excluded) if excluded else None

    def check(self, fleets: Iterable[Collection[Run]]) -> None:
        """Refuse fleets that need more memory than any worker has.

        Raises:
            ConfigError: There is one.
        """
        if not self.known:
            return
        largest = max(self.known.values(), key=lambda told: told.memory)
        for fleet in fleets:
            if self._need(fleet) > largest.memory:
                allowed = int(largest.memory)
                fewer = "" if self.study.scheduler else ", or give --workers a smaller number"
                raise ConfigError(
                    [
                        f"a fleet of {counted(len(fleet), 'run')} needs about "
                        f"{shown_bytes(need_of(fleet).of(len(fleet)))} of memory, and "
                        f"{largest.name} may use {shown_bytes(allowed)}. Allow a fleet less with "
                        f"--memory, e.g. --memory {allowed // 2**20}M{fewer}."
                    ]
                )

    def _need(self, fleet: Collection[Run]) -> int:
        """Return how many bytes a fleet needs; 0 on GPUs, whose memory is unknown here."""
        return 0 if self._gpu else need_of(fleet).of(len(fleet))

    def run(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Answer[Any]:
        """Run a function on workers, beside their tasks; the results come by address."""

        async def ran() -> Any:
            return await self.client.run(function, *arguments, **options)

        return self.do(ran())

    def do(self, work: "Coroutine[Any, Any, Any]") -> Answer[Any]:
        """Run a coroutine on the client's event loop, without waiting for it."""
        return asyncio.run_coroutine_threadsafe(work, cast(Any, self.client.loop).asyncio_loop)

    @contextmanager
    def scheduler_there(self) -> Iterator[None]:
        """Turn what Dask raises without a scheduler into the error of the study.

        Raises:
            ClusterError: The scheduler is gone.
        """
        if self.client.status != "running":  # the client would wait for the scheduler to return
            raise self._gone()
        try:
            yield
        except (OSError, CancelledError, TimeoutError, RuntimeError, ValueError) as error:
            raise self._gone() from error
        if self.client.status != "running":
            raise self._gone()

    def _gone(self) -> ClusterError:
        address = self.client.scheduler.address if self.client.scheduler else ""
        return ClusterError(
            f"The scheduler {address} is gone; everything so far is in {self.study.out}. "
            "Run the same command again to resume."
        )


def display_name(name: object) -> str:
    """Return a worker's name for messages: ``worker 0`` if it is a number."""
    return f"worker {name}" if str(name).isdecimal() else str(name)


def versions() -> dict[str, str]:
    """Return the versions that a worker must have: those of this process."""
    return {"dropout-lab": __version__, "torch": torch.__version__.partition("+")[0]}


def question(
    required: dict[str, str], *, gpu: bool, local: bool
) -> Callable[["DaskWorker"], tuple[object, int | None, int, str]]:
    """Return the function that a worker runs to tell its name, memory, threads, and why not.

    It is made inside a function, so that it travels by value and also runs where dropout-lab is not
    installed. It imports what training needs, so that the first task does not wait for it.

    Args:
        required: The versions of packages that a worker must have.
        gpu: Whether the worker must have the resource GPU.
        local: Whether the workers are processes of this command, which handles Ctrl-C itself.
    """
    gpu_resource = GPU

    def tell(dask_worker: "DaskWorker") -> tuple[object, int | None, int, str]:
        import signal

        if local:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        memory, threads = dask_worker.memory_manager.memory_limit, dask_worker.state.nthreads
        return dask_worker.name, memory, threads, refused(dask_worker)

    def refused(worker: "DaskWorker") -> str:
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
