"""A Dask cluster as a study sees it: workers that may train, tasks, and news of them."""

import asyncio
import pickle
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, wait
from concurrent.futures import Future as Answer
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, cast

from dropout_lab.cluster.handshake import GPU, Told, Worker, question, versions
from dropout_lab.cluster.journal import Delivery, Held, Order, Report
from dropout_lab.cluster.scatter import Laid, arrived, carry
from dropout_lab.cluster.task import fleet_task, halt, held_of
from dropout_lab.config.grid import Run
from dropout_lab.errors import ClusterError, ConfigError
from dropout_lab.results import counted
from dropout_lab.study.packing import need_of, shown_bytes
from dropout_lab.study.spec import Study

if TYPE_CHECKING:
    from distributed import Client, Future

_ANSWER = 30.0  # seconds that the study waits for the workers that are there at its start
_SHUN = 60.0  # seconds, of a worker that did not take what was sent to it
_LOOK = 1.0  # seconds between two looks at which workers there are
_FORGET = 100  # times that the scheduler is asked to remove the topic
_COLLECT = 3  # times that what a task brought is asked for
_USABLE = 0.8  # of a worker's memory; beyond it Dask lets it do nothing more


@dataclass(frozen=True)
class Ended:
    """A task has ended.

    Args:
        key: Of the task.
        end: What it brought, or the exception that it ended with instead.
    """

    key: str
    end: Delivery | BaseException


News = Report | Held | Ended


class Cluster:
    """The cluster as a study sees it: workers that may train, tasks, and news of them.

    Nothing that waits for a worker makes the study wait: what is asked of one is done on the
    client's own loop, and the answer is news.

    Args:
        client: Connected to the scheduler.
        study: Whose fleets are to be trained.
        warn: Takes what the user must know.

    Attributes:
        name: The study's name on the cluster, and the topic of its reports.
        workers: Those that are there and may train, by address.
        ready: Those of them that Dask lets work: not one that is leaving, or has too little memory
            left; nor one that did not take what was sent to it.
    """

    def __init__(self, client: "Client", study: Study, warn: Callable[[str], None]) -> None:
        self.client, self.study, self.warn = client, study, warn
        self.name = f"dropout-lab-{secrets.token_hex(8)}"
        self.workers: dict[str, Worker] = {}
        self.ready: dict[str, Worker] = {}
        self.address = client.scheduler.address if client.scheduler else ""
        self._gpu = study.device.type == "cuda"
        self._question = question(versions(), gpu=self._gpu, ours=study.scheduler is None)
        self._asked: dict[str, Answer[dict[str, Told | Exception]]] = {}  # by address
        self._refused: dict[str, str] = {}  # and why, in words
        self._told: set[str] = set()
        self._shunned: dict[str, float] = {}  # workers that took nothing, and until when
        self._news: SimpleQueue[News] = SimpleQueue()
        self._out: set[str] = set()  # the keys of tasks whose end is still to come
        self._tasks: dict[str, Future[Delivery]] = {}  # only of use on the client's loop
        self._looked = 0.0

    def enlist(self) -> None:
        """Ask the workers that are there; later ones are asked when they come.

        Raises:
            ConfigError: There are some, and all are refused.
        """
        self.client.subscribe_topic(self.name, lambda event: self._news.put(pickle.loads(event[1])))
        self._meet()
        wait(self._asked.values(), _ANSWER)
        self._meet()
        if self._refused and not self.workers:
            raise ConfigError([f"{self.address}: no worker can be used.", *self._refused.values()])
        self._tell()

    def look(self) -> None:
        """See which workers are there now, unless that was just done.

        Raises:
            ClusterError: The scheduler is gone.
        """
        if time.monotonic() - self._looked > _LOOK:
            self._meet()
            self._tell()

    def _meet(self) -> None:
        self._looked = time.monotonic()
        with self._asking():
            there = self.client.nthreads().keys()
            running = self.client.sync(
                cast(Any, self.client.scheduler).ncores_running, workers=None
            )
        self._shunned = {a: until for a, until in self._shunned.items() if until > self._looked}
        fit = running.keys() - self._shunned.keys()
        self.workers = {a: worker for a, worker in self.workers.items() if a in there}
        self._asked = {a: answer for a, answer in self._asked.items() if a in there}
        self._refused = {a: why for a, why in self._refused.items() if a in there}
        for address, answer in list(self._asked.items()):
            if answer.done():
                del self._asked[address]
                self._note(address, answer)
        self.ready = {a: worker for a, worker in self.workers.items() if a in fit}
        for address in there - self.workers.keys() - self._refused.keys() - self._asked.keys():
            self._asked[address] = self._ask(self._question, workers=[address], errors="return")

    def _note(self, address: str, answer: "Answer[dict[str, Told | Exception]]") -> None:
        """Note what a worker told of itself; one that did not is asked again."""
        failed = answer.cancelled() or answer.exception()
        told = None if failed else answer.result().get(address)
        if told is None or isinstance(told, OSError):
            return
        if isinstance(told, Exception):
            told = address, None, f"it cannot answer ({type(told).__name__}: {told})"
        name, memory, why = told
        if why:
            self._refused[address] = f"{name} ({address}) is refused: {why}."
        else:
            self.workers[address] = Worker(address, name, memory)

    def _tell(self) -> None:
        for address in self._refused.keys() - self._told:
            self.warn(self._refused[address])
        self._told = set(self._refused)

    def check(self, fleets: Iterable[tuple[Run, ...]]) -> None:
        """Refuse fleets that need more memory than any worker has.

        Raises:
            ConfigError: There is one.
        """
        if not self.workers:
            return
        largest = max(self.workers.values(), key=_memory)
        for fleet in fleets:
            if not self.fits(fleet, largest):
                allowed = int(_memory(largest))
                fewer = "" if self.study.scheduler else ", or give --workers a smaller number"
                raise ConfigError(
                    [
                        f"a fleet of {counted(len(fleet), 'run')} needs about "
                        f"{shown_bytes(need_of(fleet).of(len(fleet)))} of memory, and "
                        f"{largest.name} may use {shown_bytes(allowed)}. Allow a fleet less with "
                        f"--memory, e.g. --memory {allowed // 2**20}M{fewer}."
                    ]
                )

    def fits(self, fleet: tuple[Run, ...], worker: Worker) -> bool:
        """Return whether a worker has the memory for a fleet; of a GPU's nothing is known here."""
        return self._gpu or need_of(fleet).of(len(fleet)) <= _memory(worker)

    def put(self, what: object, worker: Worker) -> Laid:
        """Lay something on a worker, for all."""
        return Laid(worker, self._do(carry(self.client, what, worker)))

    def shun(self, worker: Worker) -> None:
        """Give a worker nothing more for a while."""
        self._shunned[worker.address] = time.monotonic() + _SHUN
        self.ready.pop(worker.address, None)

    def submit(self, order: Order, worker: Worker, data: Laid | None, start: Laid | None) -> None:
        """Let a worker train a fleet, once all that was laid for it is there; its end is news.

        Args:
            order: What it is told.
            worker: Which it is.
            data: The data; none if the worker is to have its own.
            start: The checkpoints; none if the fleet begins.
        """
        self._out.add(order.key)
        self._do(self._train(order, worker, data, start))

    async def _train(
        self, order: Order, worker: Worker, data: Laid | None, start: Laid | None
    ) -> None:
        end: Delivery | BaseException
        try:
            given = await arrived(data), await arrived(start)
            end = await self._trained(order, worker, *given)
        except (Exception, asyncio.CancelledError) as error:
            end = error
        self._tasks.pop(order.key, None)
        if order.key in self._out:
            self._out.discard(order.key)
            self._news.put(Ended(order.key, end))

    async def _trained(
        self, order: Order, worker: Worker, *given: "Future[Any] | None"
    ) -> Delivery:
        if order.key not in self._out:
            raise CancelledError
        task = self._tasks[order.key] = self.client.submit(
            fleet_task,
            order,
            *given,
            key=order.key,
            workers=[worker.address],
            resources={GPU: 1} if self._gpu else None,
            pure=False,
        )
        for _ in range(_COLLECT - 1):
            with suppress(Exception, asyncio.CancelledError):
                return cast(Delivery, await task)
            if task.status != "finished":  # else it is the way here that failed
                break
        return cast(Delivery, await task)

    def out(self, key: str) -> bool:
        """Return whether the end of a task is still to come."""
        return key in self._out

    def over(self, key: str) -> None:
        """Let go of a task, and of its end if that is still to come."""
        self._out.discard(key)
        self._do(self._let_go(key))

    async def _let_go(self, key: str) -> None:
        if task := self._tasks.pop(key, None):
            await cast("Coroutine[Any, Any, None]", task.cancel())

    def fetch(self, key: str, worker: Worker) -> None:
        """Ask a worker for the checkpoints that it holds ready; they are news, empty if gone."""

        def take(answer: "Answer[dict[str, Held]]") -> None:
            nothing = Held(key, "", 0, ())
            failed = answer.cancelled() or answer.exception()
            self._news.put(nothing if failed else answer.result().get(worker.address, nothing))

        self._ask(held_of, key, workers=[worker.address]).add_done_callback(take)

    def halt(self, workers: Sequence[Worker]) -> None:
        """Let fleets stop after the epoch in progress."""
        self._ask(halt, self.name, workers=[worker.address for worker in workers])

    def news(self, seconds: float) -> News | None:
        """Return the next news of a worker; none if nothing comes in time.

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

    def leave(self) -> None:
        """Leave nothing on the scheduler: it would keep the last reports."""
        topic = self.name

        def forget(dask_scheduler: Any) -> bool:
            """Remove the topic, unless the client still subscribes to it; return whether."""
            topics = dask_scheduler._broker._topics
            if topic in topics and topics[topic].subscribers:
                return False
            topics.pop(topic, None)
            return True

        with suppress(Exception):  # it may be gone
            if self.client.status == "running":
                self.client.unsubscribe_topic(topic)  # arrives on another connection, maybe later
                for _ in range(_FORGET):
                    if self.client.run_on_scheduler(forget):
                        break
                    time.sleep(0.02)

    def _ask(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        workers: list[str],
        errors: Literal["ignore", "return"] = "ignore",
    ) -> Answer[Any]:
        """Run a function on workers, beside whatever they do; its results come by address."""

        async def asked() -> Any:
            return await self.client.run(function, *arguments, workers=workers, on_error=errors)

        return self._do(asked())

    def _do(self, work: Coroutine[Any, Any, Any]) -> Answer[Any]:
        return asyncio.run_coroutine_threadsafe(work, cast(Any, self.client.loop).asyncio_loop)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Let what Dask raises where the scheduler is gone be the study's own error."""
        if self.client.status != "running":  # it would wait for the scheduler to come back
            raise self._gone()
        try:
            yield
        except (OSError, CancelledError, TimeoutError, RuntimeError, ValueError) as error:
            raise self._gone() from error
        if self.client.status != "running":
            raise self._gone()

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"The scheduler {self.address} is gone; everything so far is in {self.study.out}. "
            "Run the same command again to resume."
        )


def _memory(worker: Worker) -> float:
    """Return how many bytes of memory a worker's fleet may take."""
    return float("inf") if worker.memory is None else _USABLE * worker.memory
