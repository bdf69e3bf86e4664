"""Training a study's fleets on the workers of a cluster; this process alone writes the folder."""

import itertools
import time
import traceback
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from dropout_lab.config.grid import Run
from dropout_lab.config.schema import DatasetSettings
from dropout_lab.errors import ClusterError
from dropout_lab.plugins import sources_of
from dropout_lab.results import counted
from dropout_lab.study import failures
from dropout_lab.study.checkpoint import epoch_of
from dropout_lab.study.cluster import Cluster, delivery_of
from dropout_lab.study.engine import FleetEnd, fail, resumed, rewind, tell
from dropout_lab.study.folder import RunEnd
from dropout_lab.study.here import Job
from dropout_lab.study.store import FolderStore
from dropout_lab.study.task import Delivery, Entry, NotThereError, Order, Report

if TYPE_CHECKING:
    from distributed import Future

RETRIES = 3  # of a fleet whose worker died
_WAIT = 0.5  # seconds for news, before the workers are counted again
_KINDS = 4  # of data that stay on the cluster, or as many as are in use
_LOOK = 1.0  # seconds between two looks at fleets that wait for a worker
_DIED = "its worker died, {} times"
_FETCHING = 0.1  # of this process's time, for checkpoints that workers hold ready


@dataclass
class _Flight:
    """A fleet that was sent out.

    Args:
        order: What the worker was told.
        future: Its end.
        epoch: Where it began.
        expected: Whether there was a worker for it.
        attempt: The attempt whose entries are carried out.
        attempts: All there were so far; after a worker's death Dask starts another.
        done: How many entries were carried out.
    """

    order: Order
    future: "Future[Delivery]"
    epoch: int
    expected: bool
    attempt: str = ""
    attempts: list[str] = field(default_factory=list)
    done: int = 0


class Dispatch:
    """Sends fleets out, and puts what comes back into the folder, each thing once and in order.

    As many fleets are out as there are workers, so that the memory here does not grow with the
    study. A fleet whose worker dies is started again elsewhere by Dask; what the dead one had
    reported since it was sent out is taken away then.

    Args:
        cluster: Where they are trained.
        job: The study.
        fleets: Its fleets.
    """

    def __init__(self, cluster: Cluster, job: Job, fleets: Sequence[tuple[Run, ...]]) -> None:
        self.cluster, self.job = cluster, job
        self.todo = deque(fleets)
        self.flights: dict[str, _Flight] = {}  # by the key of the task
        self.store = FolderStore(job.folder)
        self._numbers = itertools.count(1)
        self._sent: dict[DatasetSettings, str] = {}  # names of data on the cluster
        self._lost: Counter[str] = Counter()  # times a fleet did not come back, by its first run
        self._waiting: set[str] = set()  # of the tasks, those that no worker had
        self._looked = self._may_fetch = 0.0
        self._halted = False

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
            while self.flights or (self.todo and not self.job.stop.asked()):
                self._send_out()
                news = self.cluster.news(_WAIT)
                if isinstance(news, Report):
                    self._hear(news)
                elif news is not None:
                    stopped = self._take(news) or stopped
        except ClusterError:
            self.job.folder.set_status(
                RunEnd(run, "interrupted")
                for flight in self.flights.values()
                if flight.attempt
                for run in flight.order.runs
            )
            raise
        finally:
            for name in self._sent.values():
                self.cluster.forget(name)
        if self.job.stop.asked() and (stopped or self.todo):
            raise self.job.interrupted(f"after {stopped}" if stopped else "between two fleets")

    def _send_out(self) -> None:
        """Let every worker have a fleet; on request, let them stop."""
        if self.job.stop.asked():
            if not self._halted:
                self._halted = True
                self.cluster.halt()
            for key, flight in list(self.flights.items()):
                if not flight.attempt or not self.cluster.slots():  # there is nothing to wait for
                    self._over(key).future.cancel()
                    self.todo.append(flight.order.runs)
            return
        self._look()
        while self.todo and len(self.flights) < max(1, self.cluster.slots()):
            self._launch(self.todo.popleft())

    def _look(self) -> None:
        """Send fleets out again that no worker has, and had none when it was last looked."""
        if time.monotonic() - self._looked < _LOOK:
            return
        self._looked = time.monotonic()
        waiting = self.cluster.waiting() & self.flights.keys()
        for key in waiting & self._waiting if self.cluster.slots() else ():
            flight = self._over(key)
            flight.future.cancel()
            deaths = max(len(flight.attempts), flight.expected)  # one may come before any word
            self._retry(flight.order.runs, deaths, _DIED, "")
        self._waiting = waiting

    def _launch(self, fleet: tuple[Run, ...]) -> None:
        job, number = self.job, next(self._numbers)
        settings = fleet[0].settings.dataset
        splits = job.source.splits(settings, job.folder)
        paths = resumed(fleet, job.folder, self.store, job.events)
        if isinstance(paths, FleetEnd):
            self._go_on(fleet, paths)
            return
        key = f"{self.cluster.name}-{number}"
        start = f"{key}-start" if paths else None
        if start:
            self.cluster.send(start, [path.read_bytes() for path in paths])
        order = Order(
            key=key,
            study=self.cluster.name,
            runs=fleet,
            path=job.folder.path,
            device=job.study.device.type,
            save_models=job.study.save_models,
            plugins=sources_of(run.settings.dropout.variant for run in fleet),
            digest=splits.digest,
            data=self._sent.get(settings),
            start=start,
        )
        epoch = epoch_of(paths[0]) if paths else 0
        expected = self.cluster.slots() > 0
        self.flights[key] = _Flight(order, self.cluster.submit(order), epoch, expected)

    def _hear(self, report: Report) -> None:
        """Carry out what a worker reports; fetch the checkpoints it holds, if there is time."""
        flight = self.flights.get(report.key)
        if flight is None or report.attempt in flight.attempts[:-1]:
            return  # of a task that is over, or of a worker that was given up
        self._carry_out(flight, report.attempt, report.worker, report.first, report.entries)
        began = time.monotonic()
        if report.held and began >= self._may_fetch:
            held = self.cluster.held(report.key)
            if held is not None and held[:2] == (report.attempt, report.held):  # not a later one
                ids = [run.run_id for run in flight.order.runs]
                self.store.keep_contents(ids, *held[1:])
            now = time.monotonic()
            self._may_fetch = now + (now - began) * (1 / _FETCHING - 1)

    def _carry_out(
        self, flight: _Flight, attempt: str, worker: str, first: int, entries: Sequence[Entry]
    ) -> None:
        """Carry out the entries that are next; the rest comes with the end of the task."""
        job, fleet = self.job, flight.order.runs
        if attempt != flight.attempt:
            if flight.attempt:
                tell(job.events.warned, self._again(flight, worker))
                rewind(fleet, job.folder, flight.epoch)
            flight.attempt, flight.done = attempt, 0
            flight.attempts.append(attempt)
        for place, (whom, call, arguments) in enumerate(entries, first):
            if place != flight.done:
                continue
            if call == "fleet_started":
                arguments = (*arguments, worker)
            if whom == "events":
                tell(partial(getattr(job.events, call), fleet), *arguments)
            else:
                getattr(self.store, call)(*arguments)
            flight.done += 1

    def _take(self, future: "Future[Delivery]") -> str:
        """Take a task that has ended; return where its fleet was stopped, if it was."""
        if future.key not in self.flights:
            return ""
        try:
            delivery = delivery_of(future)
        except NotThereError as error:
            self._send_again(self._over(future.key), str(error))
        except Exception as error:
            self.cluster.present()  # without a scheduler no task comes back
            self._not_back(self._over(future.key), error)
        else:
            flight = self._over(future.key)
            worker = delivery.worker
            self._carry_out(flight, delivery.attempt, worker, 0, delivery.entries)
            self._go_on(flight.order.runs, delivery.end)
            return delivery.end.stopped if self._halted else ""
        return ""

    def _go_on(self, fleet: tuple[Run, ...], end: FleetEnd) -> None:
        """Let a fleet go on in parts, or elsewhere, if it has not come to its end."""
        if end.parts:
            self.job.repack(fleet, end.parts)
            self.todo.extendleft(reversed(end.parts))
        elif end.stopped and not self._halted:  # its worker had to leave
            self.todo.appendleft(fleet)

    def _send_again(self, flight: _Flight, name: str) -> None:
        """Send the data, if it is them that were not there, and the fleet out again."""
        order = flight.order
        settings = order.runs[0].settings.dataset
        if name != order.start and self._sent.get(settings) == order.data:  # nobody did it since
            in_use = {flight.order.data for flight in self.flights.values()} - {order.data}
            self.cluster.forget(self._sent.pop(settings, None))
            idle = [each for each, sent in self._sent.items() if sent not in in_use]
            for each in idle[: max(0, len(self._sent) + 1 - _KINDS)]:  # the oldest
                self.cluster.forget(self._sent.pop(each))
            self._sent[settings] = f"{self.cluster.name}-data-{next(self._numbers)}"
            self.cluster.send(self._sent[settings], self.job.source.splits(settings))
        if name:
            self._retry(order.runs, 1, f"what it needs was lost on the cluster ({name})", "")
        else:
            self.todo.appendleft(order.runs)

    def _not_back(self, flight: _Flight, error: Exception) -> None:
        """Deal with a task that ended without a delivery."""
        from distributed import KilledWorker

        log = "".join(traceback.format_exception(error))
        if isinstance(error, KilledWorker):  # Dask has started it again itself, so often
            deaths = error.allowed_failures + 1
            why = f"{_DIED}, the last being {error.last_worker.address}"
            self._retry(flight.order.runs, deaths, why, log)
        elif isinstance(error, CancelledError):
            self._retry(flight.order.runs, 1, "the cluster gave it up, {} times", log)
        else:
            fail(flight.order.runs, self.store, self.job.events, failures.sentence(error), log)

    def _retry(self, fleet: tuple[Run, ...], times: int, why: str, log: str) -> None:
        """Send a fleet out again that was lost; after too many times its runs have failed."""
        self._lost[fleet[0].run_id] += times
        if self._lost[fleet[0].run_id] <= RETRIES:
            self.todo.appendleft(fleet)
        else:
            why = why.format(self._lost[fleet[0].run_id])
            fail(fleet, self.store, self.job.events, why, log or f"{why}\n")

    def _again(self, flight: _Flight, worker: str) -> str:
        """Return in words that a fleet begins again."""
        fleet = flight.order.runs
        where = f"after epoch {flight.epoch}" if flight.epoch else "from the beginning"
        return (
            f"the worker of {counted(len(fleet), 'run')} is gone; they begin again {where}, "
            f"on {worker} (attempt {len(flight.attempts) + 1} of {RETRIES + 1})."
        )

    def _over(self, key: str) -> _Flight:
        """Return a flight that is over; take away what was on the cluster for it alone."""
        flight = self.flights.pop(key)
        self.cluster.forget(key)
        self.cluster.forget(flight.order.start)
        return flight
