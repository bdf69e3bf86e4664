"""Training a study's fleets on the workers of a cluster; this process alone writes the folder."""

import itertools
import time
import traceback
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial

from dropout_lab.cluster.cluster import Cluster, Ended, News
from dropout_lab.cluster.handshake import Worker
from dropout_lab.cluster.journal import Entry, Held, Order, Report
from dropout_lab.cluster.retries import RETRIES, Losses
from dropout_lab.cluster.scatter import Laid, NotLaidError
from dropout_lab.cluster.sent_data import SentData
from dropout_lab.cluster.task import NotThereError
from dropout_lab.config.grid import Run
from dropout_lab.errors import ClusterError
from dropout_lab.files import read_file
from dropout_lab.folder.checkpoint import epoch_of
from dropout_lab.folder.store import FolderStore
from dropout_lab.folder.study_folder import RunEnd
from dropout_lab.plugins import sources_of
from dropout_lab.results import counted
from dropout_lab.study import failures
from dropout_lab.study.fleet_runner import FleetEnd, fail, resumed, tell
from dropout_lab.study.serial import RunningStudy

_WAIT = 0.5  # seconds for news, before the workers are counted again
_ANSWER = 30.0  # seconds, before another worker is asked for its checkpoints
_FETCHING = 0.1  # of this process's time, for checkpoints that workers hold ready


@dataclass
class _Flight:
    """A fleet that was sent out.

    Args:
        order: What the worker was told.
        worker: Where.
        data: What was laid for it; none if the worker has its own.
        attempt: The attempt whose entries are carried out; none before the first.
        done: How many entries were carried out.
        held: The epoch of the newest checkpoint of which the worker told.
        kept: That of the newest which was asked for.
        since: When that was, or when the fleet was sent out.
    """

    order: Order
    worker: Worker
    data: Laid | None
    attempt: str = ""
    done: int = 0
    held: int = 0
    kept: int = 0
    since: float = field(default_factory=time.monotonic)


class Dispatch:
    """Sends fleets out, and puts what comes back into the folder, each thing once and in order.

    Every worker has one fleet at a time, so that the memory here does not grow with the study. A
    fleet whose worker dies is sent to another, and goes on from the newest checkpoint that is here.

    Args:
        cluster: Where they are trained.
        running: The study.
        fleets: Its fleets.
    """

    def __init__(
        self, cluster: Cluster, running: RunningStudy, fleets: Sequence[tuple[Run, ...]]
    ) -> None:
        self.cluster, self.running = cluster, running
        self.todo = deque(fleets)
        self.flights: dict[str, _Flight] = {}  # by the key of the task
        self.store = FolderStore(running.folder)
        self._numbers = itertools.count(1)
        self._data = SentData(cluster, running.source)
        self._losses = Losses()
        self._fetching, self._asked, self._may_fetch = "", 0.0, 0.0  # the key, and times
        self._waits = False  # for a worker, and that was told
        self._halted = 0.0  # when the workers were last asked to stop

    def run(self) -> None:
        """Train all fleets.

        Raises:
            StorageError: The folder cannot be written.
            ClusterError: The scheduler is gone; what had come stays, and the fleets that were out
                are interrupted.
            InterruptedStudyError: A stop was requested; the epochs in progress were finished.
        """
        stopped = ""
        try:
            while self.flights or (self.todo and not self.running.stop.asked()):
                self.cluster.look()
                self._miss()
                if self.running.stop.asked():
                    self._stop()
                else:
                    self._send_out()
                self._fetch()
                stopped = self._take(self.cluster.news(_WAIT)) or stopped
        except ClusterError:
            self.running.folder.set_status(
                RunEnd(run, "interrupted")
                for flight in self.flights.values()
                if flight.attempt
                for run in flight.order.runs
            )
            raise
        if self.running.stop.asked() and (stopped or self.todo):
            raise self.running.interrupted(f"after {stopped}" if stopped else "between two fleets")

    def _miss(self) -> None:
        """Take back the fleets whose workers are gone."""
        for key, flight in list(self.flights.items()):
            address = flight.worker.address
            if not self.cluster.out(key):
                continue  # its end came in time
            if address not in self.cluster.workers:
                self._over(key)
                self._died(flight)
            elif address not in self.cluster.ready and not flight.attempt:  # and will not begin
                self.todo.appendleft(self._over(key).order.runs)

    def _stop(self) -> None:
        """Let fleets stop; those that have not begun need not be waited for."""
        for key, flight in list(self.flights.items()):
            if not flight.attempt:
                self.todo.append(self._over(key).order.runs)
        if time.monotonic() - self._halted > 1:  # again, since a word may be lost
            self._halted = time.monotonic()
            self.cluster.halt([flight.worker for flight in self.flights.values()])

    def _send_out(self) -> None:
        """Let every worker have a fleet."""
        busy = {flight.worker.address for flight in self.flights.values()}
        if self.todo and len(busy) < len(self.cluster.workers):
            for address, worker in self.cluster.ready.items():
                fleet = None if address in busy else self._next_for(worker)
                if fleet is not None:
                    self.todo.remove(fleet)
                    self._launch(fleet, worker)
        every = self.cluster.ready.values()
        waits = bool(self.todo) and not self.flights and not any(map(self._next_for, every))
        if waits and not self._waits:
            text = "no worker is there for what is to be trained; the study waits for one."
            tell(self.running.events.warned, text)
        self._waits = waits

    def _next_for(self, worker: Worker) -> tuple[Run, ...] | None:
        """Return the next fleet that fits on a worker, and did not die with it if there is another.

        What a process dies of may be its machine, which then has time for every fleet.
        """
        fits, every = self.cluster.fits, self.cluster.ready.values()
        for fleet in self.todo:
            bad = self._losses.worker(fleet)
            elsewhere = bad == worker.name and any(w.name != bad and fits(fleet, w) for w in every)
            if fits(fleet, worker) and not elsewhere:
                return fleet
        return None

    def _launch(self, fleet: tuple[Run, ...], worker: Worker) -> None:
        running = self.running
        settings = fleet[0].settings.dataset
        splits = running.source.splits(settings, running.folder)
        paths = resumed(fleet, running.folder, self.store, running.events)
        if isinstance(paths, FleetEnd):
            self._go_on(fleet, paths)
            return
        epoch = epoch_of(paths[0]) if paths else 0
        if again := self._losses.sent_out(fleet, epoch, worker.name):
            tell(running.events.warned, again)
        start = self.cluster.put([read_file(path) for path in paths], worker) if paths else None
        order = Order(
            key=f"{self.cluster.name}-{next(self._numbers)}",
            study=self.cluster.name,
            runs=fleet,
            path=running.folder.path,
            device=running.study.device.type,
            save_models=running.study.save_models,
            plugins=sources_of(run.settings.dropout.variant for run in fleet),
            digest=splits.digest,
        )
        flight = _Flight(order, worker, self._data.to(worker, settings))
        self.cluster.submit(order, worker, flight.data, start)
        self.flights[order.key] = flight

    def _take(self, news: News | None) -> str:
        """Take what comes from a worker; return where its fleet was stopped, if it was."""
        if isinstance(news, Held):
            self._keep(news)
        elif news is not None and news.key in self.flights:  # not of a task that is over
            if isinstance(news, Report):
                self._hear(news)
            else:
                return self._end(news)
        return ""

    def _hear(self, report: Report) -> None:
        """Carry out what a worker reports, if it is the process that the fleet was sent to."""
        flight = self.flights[report.key]
        if flight.attempt and report.attempt != flight.attempt:  # the process was another
            self._over(report.key)
            self._died(flight)
            return
        self._carry_out(flight, report.attempt, report.first, report.entries)
        if report.held and flight.done >= report.first + len(report.entries):
            flight.held = report.held  # the records until then are here

    def _fetch(self) -> None:
        """Ask for the checkpoints that have waited longest, if there is time."""
        now = time.monotonic()
        if now < self._may_fetch or (self._fetching and now < self._asked + _ANSWER):
            return
        ready = [flight for flight in self.flights.values() if flight.held > flight.kept]
        if ready:
            flight = min(ready, key=lambda flight: flight.since)
            self._fetching, self._asked = flight.order.key, now
            flight.kept, flight.since = flight.held, now
            self.cluster.fetch(flight.order.key, flight.worker)

    def _keep(self, held: Held) -> None:
        """Keep checkpoints, unless the records until then are not here yet."""
        began = time.monotonic()
        flight = self.flights.get(held.key)
        if flight is not None and held.attempt == flight.attempt and held.epoch <= flight.held:
            ids = [run.run_id for run in flight.order.runs]
            self.store.keep_contents(ids, held.epoch, held.contents)
        now = time.monotonic()
        self._may_fetch = now + (now - began) * (1 / _FETCHING - 1)
        if held.key == self._fetching:
            self._fetching = ""

    def _carry_out(
        self, flight: _Flight, attempt: str, first: int, entries: Sequence[Entry]
    ) -> None:
        """Carry out the entries that are next; the rest comes with the end of the task."""
        running, fleet = self.running, flight.order.runs
        flight.attempt = attempt
        self._data.arrived(flight.worker, fleet[0].settings.dataset)
        for place, (whom, call, arguments) in enumerate(entries, first):
            if place != flight.done:
                continue
            if call == "fleet_started":
                arguments = (*arguments, flight.worker.name)
            if whom == "events":
                tell(partial(getattr(running.events, call), fleet), *arguments)
            else:
                getattr(self.store, call)(*arguments)
            flight.done += 1

    def _end(self, ended: Ended) -> str:
        """Take a task that has ended; return where its fleet was stopped, if it was."""
        end = ended.end
        if isinstance(end, BaseException):
            self.cluster.present()  # without a scheduler no task comes back
            self._not_back(self._over(ended.key), end)
            return ""
        flight = self._over(ended.key)
        if flight.attempt not in ("", end.attempt):  # the process was another
            self._died(flight)
            return ""
        self._carry_out(flight, end.attempt, 0, end.entries)
        self._go_on(flight.order.runs, end.end)
        return end.end.stopped if self._halted else ""

    def _go_on(self, fleet: tuple[Run, ...], end: FleetEnd) -> None:
        """Let a fleet go on in parts, or elsewhere, if it has not come to its end."""
        if end.parts:
            self.running.repack(fleet, end.parts)
            self.todo.extendleft(reversed(end.parts))
        elif end.stopped and not self._halted:
            self.todo.appendleft(fleet)

    def _not_back(self, flight: _Flight, error: BaseException) -> None:
        """Deal with a task that ended without a delivery."""
        from distributed import KilledWorker

        fleet, log = flight.order.runs, "".join(traceback.format_exception(error))
        settings = fleet[0].settings.dataset
        if isinstance(error, NotLaidError):
            self.cluster.shun(error.laid.worker)
            if error.laid is flight.data:
                self._data.missed(flight.worker, settings, flight.data)
            self.todo.appendleft(fleet)
        elif isinstance(error, NotThereError):
            self._data.missed(flight.worker, settings, flight.data)
            if flight.data is None:  # nobody had said that they are needed
                self.todo.appendleft(fleet)
            else:
                self._retry(fleet, "its data did not arrive whole", log)
        elif isinstance(error, KilledWorker):  # so soon that it was not missed
            self._died(flight)
        elif isinstance(error, CancelledError):  # what it needs was lost with a worker
            self._data.missed(flight.worker, settings, flight.data)
            self._retry(fleet, "the cluster gave it up", log)
        else:
            fail(fleet, self.store, self.running.events, failures.sentence(error), log)

    def _died(self, flight: _Flight) -> None:
        """Deal with a fleet whose worker is gone."""
        fleet, worker = flight.order.runs, flight.worker.name
        if self._retry(fleet, "its worker died", "", worker):
            runs = counted(len(fleet), "run")
            tell(
                self.running.events.warned, f"{worker} is gone, and the training of {runs} with it."
            )

    def _retry(self, fleet: tuple[Run, ...], why: str, log: str, worker: str = "") -> bool:
        """Send a fleet out again that was lost, or fail it, if that was too often; return which."""
        times = self._losses.lost(fleet, worker)
        if times <= RETRIES:
            self.todo.appendleft(fleet)
            return True
        why += f", {times} times" + (f", the last being {worker}" if worker else "")
        fail(fleet, self.store, self.running.events, why, log or f"{why}\n")
        return False

    def _over(self, key: str) -> _Flight:
        """Return a flight that is over."""
        self.cluster.over(key)
        return self.flights.pop(key)
