"""Train a study's fleets on a Dask cluster. Only this process writes the study's folder.

Each fleet is a chain of tasks, see ``task.py``. Dask queues and places them, repeats those of a
dead worker, and moves the results of a worker that leaves. The driver continues each chain, writes
what the workers send, and fetches a fleet's checkpoints from time to time. If the result that a
chain would continue from is lost, the fleet starts again from its newest checkpoint in the folder.
"""

import asyncio
import pickle
import secrets
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, cast

from dropout_lab.cluster.flight import Flight, order_of
from dropout_lab.cluster.sending import Sender, messages
from dropout_lab.cluster.task import Call, News, Part, stop
from dropout_lab.cluster.workers import Workers
from dropout_lab.config.grid import Run
from dropout_lab.errors import ClusterError, DropoutLabError
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

_TELL_WAITS = 3.0  # seconds without a worker; a new process takes the place of a dead one sooner
RETRIES = 3  # of a fleet that was lost and has not advanced since the last time
_ROUND = 0.25  # seconds in which events are handled before the fleets are looked at again
_FETCH_SHARE = 0.1  # of the driver's time, for fetching checkpoints
_FETCH_PATIENCE = 30.0  # seconds before another fleet's checkpoints are fetched
_QUEUE = 100  # most fleets on the cluster at a time, in addition to two for each thread
_RESUMED = 2  # most of them with checkpoints, in addition to two for each thread


@dataclass(frozen=True)
class _Done:
    """A task is done."""

    fleet: str
    part: int


@dataclass(frozen=True)
class _Fetched:
    """The result of a task has been fetched, or could not be."""

    fleet: str
    part: int
    result: Part | BaseException


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
        self._fetching: tuple[str, int] | None = None  # the fleet and the number of the task
        self._fetch_began = self._may_fetch = 0.0
        self._waits_since, self._told_waits = 0.0, False  # for a worker
        self._busy: dict[str, str] = {}  # names of the workers that train, by address
        self._stop_sent = 0.0
        self._stopped = ""  # where a fleet was stopped on request

    def run(self) -> None:
        """Train all fleets.

        Raises:
            StorageError: The folder cannot be written.
            ClusterError: The scheduler is gone. Rows that have arrived are kept, and the fleets in
                training are interrupted.
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
                self.workers.refresh()
                self._see_workers()
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
        threads = sum(self.workers.threads.values())
        used = {flight.dataset for flight in self.flights.values()}
        waits = not self.workers.threads or (
            bool(self.flights) and all(flight.idle for flight in self.flights.values())
        )
        while self.todo and len(self.flights) < 2 * threads + _QUEUE:
            fleet = self.todo[0]
            used.add(fleet[0].settings.dataset)
            allowed = self.workers.allowed(fleet)
            resumed_fleets = sum(flight.kept > 0 for flight in self.flights.values())
            if allowed == []:
                waits = waits or not self.flights
                break
            if not self.sender.room_for(used) or resumed_fleets >= 2 * threads + _RESUMED:
                break
            self._submit_fleet(self.todo.popleft(), allowed)
        began, now = self._waits_since, time.monotonic()
        self._waits_since = (began or now) if waits else 0.0
        if waits and not self._told_waits and now - self._waits_since >= _TELL_WAITS:
            self._told_waits = True
            text = "no worker is there for what is to be trained; the study waits for one."
            tell(self.running.events.warned, text)
        self._told_waits = self._told_waits and waits

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
        flight = Flight(order, self.sender.data(dataset, splits), epoch, epoch)
        self.flights[order.fleet] = flight
        start = Part(epoch, (), FleetEnd(), [read_file(path) for path in paths]) if paths else None
        self._submit(flight, allowed, pickle.dumps(start) if start else None)

    def _submit(
        self, flight: Flight, allowed: list[str] | None, before: "Future[Part] | bytes | None"
    ) -> None:
        fleet, put = flight.order.fleet, self._events.put
        flight.submit(self.client, allowed, before, lambda number: put(_Done(fleet, number)))

    def _continue(self, flight: Flight) -> None:
        """Submit the next task of a fleet's chain, if a worker is there that may train it."""
        allowed = self.workers.allowed(flight.order.runs)
        flight.idle = allowed == []
        if not flight.idle:
            self._submit(flight, allowed, flight.state)

    def _see_workers(self) -> None:
        """See which workers are gone, and what that means for their fleets."""
        there = self.workers.threads
        for address in self._busy.keys() - there.keys():
            text = f"{self._busy[address]} is gone; what it trained continues elsewhere."
            tell(self.running.events.warned, text)
        for flight in list(self.flights.values()):
            if flight.running == flight.part and flight.address not in there:
                flight.running -= 1  # Dask will repeat the task
                flight.deaths += 1
            if flight.lost:
                self._lost(flight, f"{flight.holder or flight.worker or 'its worker'} died")
            elif flight.idle and not self.running.stop.asked():
                self._continue(flight)
            elif flight.waits:
                self._allow_others(flight)
        flights = self.flights.values()
        self._busy = {f.address: f.worker for f in flights if f.address in there}

    def _allow_others(self, flight: Flight) -> None:
        """Submit a waiting task again if other workers may train its fleet now."""
        allowed = self.workers.allowed(flight.order.runs)
        if flight.allowed == allowed:
            return
        if flight.state is not None:
            flight.take_back()
            self._continue(flight)
        elif flight.kept or allowed == []:
            self.todo.append(self._drop(flight))
        else:
            flight.take_back()
            self._submit(flight, allowed, None)

    def _lost(self, flight: Flight, why: str, log: str = "", times: int = 1) -> None:
        """Train a lost fleet again from its newest checkpoints, or give it up."""
        runs = self._drop(flight)
        epoch, before = self._losses.get(runs[0].run_id, (0, 0))
        times += before if flight.kept <= epoch else 0
        self._losses[runs[0].run_id] = flight.kept, times
        if times > RETRIES:
            why += f", {times} times"
            fail(runs, self.store, self.running.events, why, log or f"{why}\n")
            return
        where = f"after epoch {flight.kept}" if flight.kept else "from the beginning"
        tries = f" (attempt {times + 1} of {RETRIES + 1})" if times > 1 else ""
        text = f"Retrying {counted(len(runs), 'run')} {where}{tries}: {why}."
        tell(self.running.events.warned, text)
        self.todo.appendleft(runs)

    def _stop(self) -> None:
        """Let the running tasks end after their epoch. Those that wait are not needed."""
        if time.monotonic() - self._stop_sent > 1:  # again, since workers may come
            self._stop_sent = time.monotonic()
            self.workers.run(stop, self.name, on_error="ignore")
        for flight in list(self.flights.values()):
            if flight.waits and flight.state is None:
                self.todo.append(self._drop(flight))
            elif flight.waits or flight.idle:
                if flight.waits:
                    flight.take_back()
                flight.idle = False
                self._fetch(flight, flight.part)

    def _fetch_oldest(self) -> None:
        """Fetch the checkpoints that have waited longest, if there is time."""
        now = time.monotonic()
        if now < self._may_fetch or (self._fetching and now < self._fetch_began + _FETCH_PATIENCE):
            return
        ready = [f for f in self.flights.values() if f.reached > f.kept and f.continues]
        flight = min(ready, key=lambda flight: flight.since, default=None)
        if flight is not None:
            flight.since = now
            self._fetching, self._fetch_began = (flight.order.fleet, flight.part - 1), now
            self._fetch(flight, flight.part - 1)

    def _fetch(self, flight: Flight, number: int) -> None:
        """Fetch the result of a fleet's last task, or of the one before."""
        fleet, task = flight.order.fleet, flight.task if number == flight.part else flight.state

        async def fetched() -> None:
            result: Part | BaseException
            try:
                result = await cast("Future[Part]", task)
            except (Exception, asyncio.CancelledError) as error:
                result = error
            self._events.put(_Fetched(fleet, number, result))

        self.workers.do(fetched())

    def _handle_events(self) -> None:
        """Handle events for a while.

        Raises:
            ClusterError: The scheduler is gone.
        """
        until = time.monotonic() + _ROUND
        with suppress(Empty):
            while (left := until - time.monotonic()) > 0:
                self._handle(self._events.get(timeout=left))
        with self.workers.scheduler_there():
            pass

    def _handle(self, event: News | _Done | _Fetched) -> None:
        flight = self.flights.get(event.fleet)
        if isinstance(event, _Fetched) and (event.fleet, event.part) == self._fetching:
            self._fetching = None
        if flight is None:  # of an attempt that was given up
            return
        if isinstance(event, News):
            self._hear(flight, event)
        elif event.part != flight.part:
            if isinstance(event, _Fetched) and isinstance(event.result, Part):
                self._keep(flight, event.result)
        elif isinstance(event, _Done):
            self._done(flight)
        else:
            self._end(flight, event.result)

    def _hear(self, flight: Flight, news: News) -> None:
        """Write what a worker sent, unless a repeated task has sent it before."""
        flight.running = max(flight.running, news.part)
        if news.epoch > flight.epoch + 1:
            self._lost(flight, "a message was lost")
            return
        for receiver, method, arguments in news.calls:
            if method == "fleet_started":
                if news.epoch >= flight.epoch and news.address != flight.shown:
                    flight.shown = news.address
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

    def _done(self, flight: Flight) -> None:
        """Continue a fleet whose last task is done."""
        task = cast("Future[Part]", flight.task)
        if task.status == "error":
            self._failed(flight, cast(BaseException, task.exception()))
        elif task.status != "finished":
            self._lost(flight, f"{flight.worker or 'its worker'} died")
        elif flight.ended or self.running.stop.asked():
            self._fetch(flight, flight.part)
        else:
            flight.advance()
            self._continue(flight)

    def _failed(self, flight: Flight, error: BaseException) -> None:
        """Deal with a task that raised an exception; training itself raises none."""
        from distributed import KilledWorker

        log = "".join(traceback.format_exception(error))
        if isinstance(error, KilledWorker):  # which counts also for tasks that only waited there
            self._lost(flight, "its worker died", log, max(flight.deaths, 1))
        elif isinstance(error, DropoutLabError):
            runs = self._drop(flight)
            fail(runs, self.store, self.running.events, failures.sentence(error), log)
        elif self.workers.unanswered:  # a new worker took the task, which may not train
            self.todo.append(self._drop(flight))
        else:
            self._lost(flight, failures.sentence(error), log)

    def _keep(self, flight: Flight, part: Part) -> None:
        """Write the checkpoints that were fetched."""
        began = time.monotonic()
        if flight.kept < part.epoch <= flight.epoch:
            ids = [run.run_id for run in flight.order.runs]
            self.store.keep_contents(ids, part.epoch, part.checkpoints)
            flight.kept = part.epoch
        flight.reached = min(flight.reached, flight.kept)
        now = time.monotonic()
        self._may_fetch = now + (now - began) * (1 / _FETCH_SHARE - 1)

    def _end(self, flight: Flight, part: Part | BaseException) -> None:
        """Write what the last task of a fleet brought."""
        if isinstance(part, BaseException):
            self._lost(flight, "its result could not be fetched")
            return
        if part.end.stopped:
            self._keep(flight, part)
            if not self.running.stop.asked():  # Dask has repeated the task, which came less far
                flight.ended = False
                flight.advance()
                self._continue(flight)
                return
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
