"""A Dask cluster: processes of this machine for the time of a study, or one that runs anyway."""

import itertools
import logging
import pickle
import secrets
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import torch

from dropout_lab.config.grid import Run
from dropout_lab.errors import ClusterError, ConfigError
from dropout_lab.results import counted
from dropout_lab.study.admission import GPU, admission, resource, versions
from dropout_lab.study.machine import total_memory
from dropout_lab.study.plan import need_of, shown_bytes
from dropout_lab.study.request import Study
from dropout_lab.study.task import Delivery, Held, Order, Report, fleet_task, halt

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT = 10.0  # seconds
_LOOK = 1.0  # seconds between two looks at which workers there are
_FETCH = 30.0  # seconds


@contextmanager
def opened(study: Study, say: Callable[[str], None]) -> Iterator["Cluster"]:
    """Start workers on this machine, or join the cluster of a scheduler; leave it at the end.

    Args:
        study: What is asked.
        say: Takes lines for the user: where the dashboard is, which worker is refused.

    Raises:
        ConfigError: No scheduler answers, or all its workers are refused.
    """
    import distributed

    # What Dask logs of workers that come and go is told by the study, in its own words.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of another dashboard's port, of other versions of Dask
        if study.scheduler is None:
            address: Any = stack.enter_context(_local_cluster(study))
        else:
            address = study.scheduler
        try:
            client = distributed.Client(address, timeout=_CONNECT, set_as_default=False)
        except Exception as error:  # OSError, ValueError, and what Dask asserts of its settings
            raise ConfigError(
                [
                    f"--scheduler is {study.scheduler!r}, and no Dask scheduler answers there "
                    f"({error}). Start one with dask scheduler, and give the address that it "
                    "prints, such as tcp://host:8786."
                ]
            ) from error
        stack.enter_context(client)
        cluster = Cluster(client, study, say)
        stack.callback(cluster.leave)
        cluster.enlist()
        if client.dashboard_link:
            say(f"dashboard: {client.dashboard_link}")
        yield cluster


def _local_cluster(study: Study) -> Any:
    """Return the processes of ``--workers``: threads and memory divided among them."""
    from distributed import LocalCluster

    count = study.workers or 1
    return LocalCluster(
        n_workers=count,
        threads_per_worker=max(1, torch.get_num_threads() // count),
        memory_limit=total_memory() // count,
        resources={GPU: 1} if study.device.type == "cuda" else None,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:8787",
        silence_logs=logging.CRITICAL,
    )


class Cluster:
    """The cluster as a study sees it: workers that may train, tasks, and news of them.

    Args:
        client: Connected to the scheduler.
        study: Whose fleets are to be trained.
        say: Takes lines for the user.

    Attributes:
        name: The study's name on the cluster, and the topic of its reports.
        admitted: The names of the workers that may train, by address, and their memory.
    """

    def __init__(self, client: "Client", study: Study, say: Callable[[str], None]) -> None:
        self.client, self.study, self.say = client, study, say
        self.name = f"dropout-lab-{secrets.token_hex(8)}"
        self.admitted: dict[str, tuple[str, int | None]] = {}
        self._refused: dict[str, str] = {}
        self._news: SimpleQueue[Report | Future[Delivery]] = SimpleQueue()
        self.address = client.scheduler.address if client.scheduler else ""
        self._out: WeakValueDictionary[str, Future[Delivery]] = WeakValueDictionary()
        self._looked = 0.0
        self._required = versions()
        self._gpu = study.device.type == "cuda"

    def enlist(self) -> None:
        """Admit the workers that are there, and let those that come be admitted.

        Raises:
            ConfigError: There are some, and all are refused.
        """
        self.client.subscribe_topic(self.name, lambda event: self._news.put(pickle.loads(event[1])))
        plugin = admission(
            f"{self.name}-workers",
            self._required,
            gpu=self._gpu,
            ours=self.study.scheduler is None,
        )
        self.client.register_plugin(plugin, name=self.name)
        self._look()
        if self._refused and not self.admitted:
            raise ConfigError(
                [f"{self.study.scheduler}: no worker can be used."]
                + [f"{name} is refused: {why}." for name, why in self._refused.items()]
            )
        if not self.admitted:
            self.say("no worker is there yet; the study waits for one.")

    def check(self, fleets: Iterable[tuple[Run, ...]]) -> None:
        """Refuse fleets that need more memory than a worker has.

        Raises:
            ConfigError: There is one.
        """
        limits = [(memory, name) for name, memory in self.admitted.values() if memory]
        if not limits:
            return
        memory, name = min(limits)
        for fleet in fleets:
            needed = need_of(fleet).of(len(fleet))
            if needed > memory:
                raise ConfigError(
                    [
                        f"a fleet of {counted(len(fleet), 'run')} needs about "
                        f"{shown_bytes(needed)} of memory, and {name} has {shown_bytes(memory)}. "
                        "Allow a fleet less with --memory, e.g. --memory "
                        f"{memory // 2**20}M, or give --workers a smaller number."
                    ]
                )

    def slots(self) -> int:
        """Return how many fleets can be trained at once: one by each worker."""
        if time.monotonic() - self._looked > _LOOK:
            self._look()
        return len(self.admitted)

    def waiting(self) -> set[str]:
        """Return the tasks that no worker has, of those that are not done.

        A worker is admitted a moment after it has come, and Dask looks for work for it only when
        it comes: so what had no worker then stays without one.
        """
        with self._asking():
            given = set(itertools.chain(*self.client.processing().values()))
        pending = {key for key, future in self._out.items() if future.status == "pending"}
        return pending - given

    def send(self, name: str, what: object) -> None:
        """Put something on the cluster, where tasks find it by its name.

        If that fails, since a worker goes meanwhile, the next task that looks for it will say so.
        """
        from distributed import Variable

        self._look()
        try:
            [future] = self.client.scatter(
                [what], workers=list(self.admitted), broadcast=True, hash=False
            )
            Variable(name, self.client).set(future)
        except Exception:
            self.present()

    def forget(self, name: str | None) -> None:
        """Take away what lies on the cluster under a name, if anything does."""
        from distributed import Variable

        if name is None:
            return
        with suppress(Exception):  # the scheduler may be gone
            Variable(name, self.client).delete()

    def submit(self, order: Order) -> "Future[Delivery]":
        """Let a worker train a fleet; its end is news."""
        wanted = {resource(self._required): 1} | ({GPU: 1} if self._gpu else {})
        with self._asking():
            future = self.client.submit(fleet_task, order, key=order.key, resources=wanted)
        future.add_done_callback(self._news.put)
        self._out[order.key] = future
        return future

    def news(self, seconds: float) -> "Report | Future[Delivery] | None":
        """Return the next report of a worker, or ended task; none if nothing comes in time.

        Raises:
            ClusterError: The scheduler is gone.
        """
        if self.client.status != "running":
            raise self._gone()
        try:
            return self._news.get(timeout=seconds)
        except Empty:
            return None

    def present(self) -> None:
        """See that the scheduler is there.

        Raises:
            ClusterError: It is not.
        """
        with self._asking():
            self.client.nthreads()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Let what Dask raises where the scheduler is gone be the study's own error."""
        try:
            yield
        except (OSError, CancelledError, TimeoutError, RuntimeError, ValueError) as error:
            raise self._gone() from error
        if self.client.status != "running":
            raise self._gone()

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"The scheduler {self.address} is gone; everything so far is in {self.study.out}. "
            "The same command goes on from there."
        )

    def held(self, key: str) -> Held | None:
        """Return the checkpoints that the worker on a task holds ready; none if it cannot be."""
        from distributed import Variable

        try:
            held: Held = Variable(key, self.client).get(timeout=_FETCH).result(timeout=_FETCH)
        except Exception:  # the worker may be gone, or further on
            return None
        return held

    def halt(self) -> None:
        """Let every fleet stop after the epoch in progress."""
        with suppress(Exception):  # of workers that are going, too
            self.client.run(halt, self.name, workers=list(self.admitted), on_error="ignore")

    def leave(self) -> None:
        """Let no more workers be admitted for this study."""
        with suppress(Exception):  # the scheduler may be gone
            self.client.unregister_worker_plugin(self.name)

    def _look(self) -> None:
        """See which workers are there, and what each told of itself when it came."""
        self._looked = time.monotonic()
        with self._asking():
            there = self.client.nthreads()
            told = self.client.get_events(f"{self.name}-workers")
        for address, name, memory, why in (pickle.loads(message) for _, message in told):
            if not why:
                self.admitted[address] = (name, memory)
            elif address not in self._refused:
                self._refused[address] = why
                self.say(f"{name} ({address}) is refused: {why}.")
        self.admitted = {a: told for a, told in self.admitted.items() if a in there}


def delivery_of(future: "Future[Delivery]") -> Delivery:
    """Return what an ended task brought.

    Raises:
        Exception: What it ended with instead, of whatever kind.
    """
    delivery: Delivery = future.result()
    return delivery
