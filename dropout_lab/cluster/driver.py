"""Train a study's fleets on a Dask cluster. Only this process writes the study's folder.

Each fleet is a chain of tasks, see ``task.py``. Dask queues and places them, repeats those of a
dead worker, and moves the results of a worker that leaves. The driver continues each chain, writes
what the workers send, and fetches a fleet's checkpoints from time to time. If the result that a
chain would continue from is lost, the fleet starts again from its newest checkpoint in the folder.
"""

import asyncio
import secrets
import time
import traceback
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from dropout_lab.cluster.flight import Flight, order_of
from dropout_lab.cluster.sending import Sender, messages
from dropout_lab.cluster.task import Call, News, Part, stop
from dropout_lab.cluster.workers import Workers
from dropout_lab.config.grid import Run
from dropout_lab.errors import ClusterError
from dropout_lab.files import read_file
from dropout_lab.folder.checkpoint import epoch_of
from dropout_lab.folder.store import FolderStore
from dropout_lab.folder.study_folder import RunEnd
from dropout_lab.printable import counted
from dropout_lab.study import failures
from dropout_lab.study.fleet_runner import FleetEnd, fail, resumed, tell
from dropout_lab.study.serial import RunningStudy

if TYPE_CHECKING:
    from distributed import Future

RETRIES = 3  # of a fleet that was lost and has not advanced since the last time
_ROUND = 0.25  # seconds in which events are handled before the fleets are looked at again
_FETCH_SHARE = 0.1  # of the driver's time, for fetching checkpoints
_FETCH_PATIENCE = 30.0  # seconds before another fleet's checkpoints are fetched
_QUEUE = 100  # most fleets on the cluster at a time, in addition to two for each thread
_RESUMED = 2  # most of them with checkpoints, in addition to two for each thread


@dataclass(frozen=True)
class _Done:
    """A task is done, or could not be submitted."""

    fleet: str
    part: int
    error: BaseException | None = None


@dataclass(frozen=True)
class _Fetched:
    """A task's result has been fetched, or could not be."""

    fleet: str
    part: Part | BaseException


class Driver:
    """Trains fleets on a cluster.

    Args:
        workers: The workers of the cluster.
        running: The study.
        fleets: Its fleets.
    """

    def __init__(
        self, workers: Workers, running: RunningStudy, fleets: Sequence[tuple[Run, ...]]
    ) -> None:
        self.workers, self.client, self.running = workers, workers.client, running
        self.name = f"dropout-lab-{secrets.token_hex(8)}"
        self.todo = deque(fleets)
        self.flights: dict[str, Flight] = {}  # by the name of the attempt
        self.store, self.sender = FolderStore(running.folder), Sender(self.client)
        self._events: SimpleQueue[News | _Done | _Fetched] = SimpleQueue()
        self._numbers = count(1)
        self._losses: dict[str, tuple[int, int]] = {}  # epoch and times, by a fleet's first run
        self._fetching, self._fetch_began, self._may_fetch = "", 0.0, 0.0
        self._waits = False  # for a worker
        self._busy: dict[str, str] = {}  # names of the workers that train, by address
        self._stop_sent = 0.0
        self._stopped = ""  # where a fleet was stopped on request

    def run(self) -> None:
        """Train all fleets.

        Raises:
            StorageError: The folder cannot be written.
            ClusterError: The scheduler is gone. What had arrived stays, and the fleets in training
                are interrupted.
            InterruptedStudyError: A stop was requested; the epochs in progress were finished.
        """
        asked = self.running.stop.asked
        with messages(self.client, self.name, self._events.put):
            self._train(asked)
        if asked() and (self._stopped or self.todo):
            where = f"after {self._stopped}" if self._stopped else "between two fleets"
            raise self.running.interrupted(where)

    def _train(self, asked: Callable[[], bool]) -> None:
        try:
            while self.flights or (self.todo and not asked()):
                self.workers.look()
                self._see_losses()
                if asked():
                    self._stop()
                else:
                    self._submit_fleets()
                self._fetch_oldest()
                self._handle_events()
        except ClusterError:
            started = [flight for flight in self.flights.values() if flight.running]
            self.running.folder.set_status(
                RunEnd(run, "interrupted") for flight in started for run in flight.order.runs
            )
            raise

    def _submit_fleets(self) -> None:
        """Submit fleets, so that Dask sees the queue."""
        waits, self._waits = self._waits, not self.workers.there
        if self._waits and not waits:
            text = "no worker is there for what is to be trained; the study waits for one."
            tell(self.running.events.warned, text)
        running = 2 * sum(self.workers.there.values())
        used = {flight.dataset for flight in self.flights.values()}
        while self.todo and len(self.flights) < running + _QUEUE:
            fleet = self.todo[0]
            used.add(fleet[0].settings.dataset)
            allowed = self.workers.allowed(fleet)
            resumed_fleets = sum(flight.kept > 0 for flight in self.flights.values())
            room = self.sender.room_for(used) and resumed_fleets < running + _RESUMED
            if allowed == [] or not room:
                return
            self._submit_fleet(self.todo.popleft(), allowed)

    def _submit_fleet(self, fleet: tuple[Run, ...], allowed: list[str] | None) -> None:
        running = self.running
        dataset = fleet[0].settings.dataset
        splits = running.source.splits(dataset, running.folder)
        paths = resumed(fleet, running.folder, self.store, running.events)
        if isinstance(paths, FleetEnd):
            self._continue_in_parts(fleet, paths)
            return
        epoch = epoch_of(paths[0]) if paths else 0
        order = order_of(running, self.name, next(self._numbers), fleet)
        flight = Flight(order, self.sender.data(dataset, splits, allowed), epoch, epoch, allowed)
        self.flights[order.fleet] = flight
        if not paths:
            flight.submit(self.client, None, self._done_in(flight))
            return
        before = Part(epoch, (), FleetEnd(), [read_file(path) for path in paths])
        if self.workers.there:
            self._do(order.fleet, self._resume(flight, before))
        else:
            flight.submit(self.client, before, self._done_in(flight))

    async def _resume(self, flight: Flight, before: Part) -> None:
        """Send checkpoints to the cluster, and submit the first task."""
        start = await self.sender.send(before)
        if flight.order.fleet in self.flights:
            flight.submit(self.client, start, self._done_in(flight))

    def _done_in(self, flight: Flight) -> Callable[[int], None]:
        fleet, put = flight.order.fleet, self._events.put
        return lambda number: put(_Done(fleet, number))

    def _see_losses(self) -> None:
        """Start fleets again whose results were lost with a worker."""
        for address in self._busy.keys() - self.workers.there.keys():
            text = f"{self._busy[address]} is gone; what it trained continues elsewhere."
            tell(self.running.events.warned, text)
        self._busy = {
            flight.address: flight.worker
            for flight in self.flights.values()
            if flight.address in self.workers.there
        }
        for flight in list(self.flights.values()):
            if flight.lost:
                self._lost(flight, f"{flight.holder} died")
            elif flight.allowed is not None and flight.task and flight.running < flight.part:
                self._allow_others(flight)

    def _allow_others(self, flight: Flight) -> None:
        """Submit a waiting task again if other workers may train its fleet now."""
        if flight.allowed == self.workers.allowed(flight.order.runs):
            return
        if flight.state is None:
            self.todo.appendleft(self._drop(flight))
        else:
            flight.cancel()
            self._continue(flight, flight.state)

    def _lost(self, flight: Flight, why: str, log: str = "") -> None:
        """Train a lost fleet again from its newest checkpoints, or give it up."""
        runs = self._drop(flight)
        epoch, times = self._losses.get(runs[0].run_id, (0, 0))
        times = times + 1 if flight.kept <= epoch else 1
        self._losses[runs[0].run_id] = flight.kept, times
        if times > RETRIES:
            self._fail(runs, f"{why}, {times} times", log)
            return
        where = f"after epoch {flight.kept}" if flight.kept else "from the beginning"
        tries = f" (attempt {times + 1} of {RETRIES + 1})" if times > 1 else ""
        text = f"Retrying {counted(len(runs), 'run')} {where}{tries}: {why}."
        tell(self.running.events.warned, text)
        self.todo.appendleft(runs)

    def _fail(self, runs: tuple[Run, ...], why: str, log: str = "") -> None:
        fail(runs, self.store, self.running.events, why, log or f"{why}\n")

    def _stop(self) -> None:
        """Let the running tasks end after their epoch. Those that wait are not needed."""
        if time.monotonic() - self._stop_sent > 1:  # again, since workers may come
            self._stop_sent = time.monotonic()
            self.workers.run(stop, self.name, on_error="ignore")
        for flight in list(self.flights.values()):
            if flight.running == flight.part and flight.task is not None:
                continue
            if flight.state is None:
                self.todo.append(self._drop(flight))
            elif flight.task is not None:
                flight.cancel()
                self._fetch(flight, flight.state)

    def _fetch_oldest(self) -> None:
        """Fetch the checkpoints that have waited longest, if there is time."""
        now = time.monotonic()
        if now < self._may_fetch or (self._fetching and now < self._fetch_began + _FETCH_PATIENCE):
            return
        ready = [flight for flight in self.flights.values() if flight.reached > flight.kept]
        flight = min(ready, key=lambda flight: flight.since, default=None)
        if flight is not None and flight.state is not None:
            flight.since = now
            self._fetching, self._fetch_began = flight.order.fleet, now
            self._fetch(flight, flight.state)

    def _fetch(self, flight: Flight, task: "Future[Part]") -> None:
        fleet = flight.order.fleet

        async def fetched() -> None:
            self._events.put(_Fetched(fleet, await task))

        self._do(fleet, fetched(), fetching=True)

    def _do(self, fleet: str, work: Coroutine[Any, Any, None], fetching: bool = False) -> None:
        """Run a coroutine beside the driver's loop; an exception becomes an event."""

        async def done() -> None:
            try:
                await work
            except (Exception, asyncio.CancelledError) as error:
                event = _Fetched(fleet, error) if fetching else _Done(fleet, 0, error)
                self._events.put(event)

        self.workers.do(done())

    def _handle_events(self) -> None:
        """Handle events for a while.

        Raises:
            ClusterError: The scheduler is gone.
        """
        with self.workers.scheduler_there(), suppress(Empty):
            until = time.monotonic() + _ROUND
            while (left := until - time.monotonic()) > 0:
                self._handle(self._events.get(timeout=left))

    def _handle(self, event: News | _Done | _Fetched) -> None:
        flight = self.flights.get(event.fleet)
        if isinstance(event, _Fetched) and event.fleet == self._fetching:
            self._fetching = ""
        if flight is None:  # of an attempt that was given up
            return
        if isinstance(event, News):
            self._hear(flight, event)
        elif isinstance(event, _Done):
            self._done(flight, event)
        else:
            self._keep(flight, event.part)

    def _hear(self, flight: Flight, news: News) -> None:
        """Write what a worker sent, unless a repeated task has sent it before."""
        flight.running = max(flight.running, news.part)
        if news.epoch > flight.epoch + 1:
            self._lost(flight, "a message was lost")
            return
        for receiver, method, arguments in news.calls:
            if method == "fleet_started":
                if news.address != flight.address:
                    self._call((receiver, method, (*arguments, news.worker)), flight)
            elif news.epoch > flight.epoch:
                self._call((receiver, method, arguments), flight)
        flight.worker, flight.address = news.worker, news.address
        flight.epoch = max(flight.epoch, news.epoch)
        flight.ended = flight.ended or news.ended

    def _call(self, call: Call, flight: Flight) -> None:
        receiver, method, arguments = call
        if receiver == "events":
            tell(partial(getattr(self.running.events, method), flight.order.runs), *arguments)
        else:
            getattr(self.store, method)(*arguments)

    def _done(self, flight: Flight, done: _Done) -> None:
        """Continue a fleet whose task is done."""
        task = flight.task
        if done.error is not None:  # the checkpoints could not be sent
            self.todo.appendleft(self._drop(flight))
        elif task is None or done.part != flight.part:
            return
        elif task.status == "error":
            self._failed(flight, cast(BaseException, task.exception()))
        elif task.status != "finished":
            self._lost(flight, f"{flight.worker or 'its worker'} died")
        elif flight.ended or self.running.stop.asked():
            self._fetch(flight, task)
        else:
            flight.state, flight.reached, flight.holder = task, flight.epoch, flight.worker
            self._continue(flight, task)

    def _continue(self, flight: Flight, before: "Future[Part]") -> None:
        flight.allowed = self.workers.allowed(flight.order.runs)
        flight.submit(self.client, before, self._done_in(flight))

    def _failed(self, flight: Flight, error: BaseException) -> None:
        """Deal with a task that raised an exception."""
        from distributed import KilledWorker

        log = "".join(traceback.format_exception(error))
        if isinstance(error, KilledWorker):
            runs = self._drop(flight)
            self._fail(runs, f"its worker died, {error.allowed_failures + 1} times", log)
        elif isinstance(error, (CancelledError, asyncio.CancelledError, OSError, TimeoutError)):
            self._lost(flight, f"the cluster gave it up ({type(error).__name__})", log)
        elif flight.allowed is None and self._refused(flight.order.runs):
            self.todo.appendleft(self._drop(flight))  # a new worker took it before it answered
        else:
            self._fail(self._drop(flight), failures.sentence(error), log)

    def _refused(self, runs: tuple[Run, ...]) -> bool:
        """Return whether a worker may not train a fleet, once all have answered."""
        self.workers.wait()
        return self.workers.allowed(runs) is not None

    def _keep(self, flight: Flight, part: Part | BaseException) -> None:
        """Write what was fetched: checkpoints, or the rest of a fleet that has ended."""
        if isinstance(part, BaseException):
            if flight.task is None or flight.ended:
                self._lost(flight, "its result could not be fetched")
            return
        began = time.monotonic()
        if part.end.stopped and part.epoch <= flight.epoch:
            ids = [run.run_id for run in flight.order.runs]
            self.store.keep_contents(ids, part.epoch, part.checkpoints)
            flight.kept = part.epoch
            now = time.monotonic()
            self._may_fetch = now + (now - began) * (1 / _FETCH_SHARE - 1)
            if not self.running.stop.asked():
                return
            if part.epoch < flight.epoch:
                return  # the last part comes
            self._stopped = part.end.stopped
        elif part.epoch != flight.epoch:
            self._lost(flight, "a message was lost")
            return
        self._drop(flight)
        for call in part.calls:
            self._call(call, flight)
        self._continue_in_parts(flight.order.runs, part.end)

    def _continue_in_parts(self, fleet: tuple[Run, ...], end: FleetEnd) -> None:
        if end.parts:
            self.running.repack(fleet, end.parts)
            self.todo.extendleft(reversed(end.parts))

    def _drop(self, flight: Flight) -> tuple[Run, ...]:
        """Let go of an attempt; return its runs."""
        del self.flights[flight.order.fleet]
        flight.cancel()
        return flight.order.runs
