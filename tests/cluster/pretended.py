"""A cluster in this process, that loses, doubles, and delays what its workers report, and dies."""

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast
from weakref import WeakSet

import pytest
import torch

from dropout_lab.cluster import opening
from dropout_lab.cluster.cluster import Ended, News
from dropout_lab.cluster.handshake import Worker
from dropout_lab.cluster.journal import Delivery, Held, Journal, Order, Report
from dropout_lab.cluster.scatter import NotLaidError
from dropout_lab.cluster.task import NotThereError
from dropout_lab.study.fleet_runner import train_fleet

Reports = Sequence[Report]
Mangle = Callable[[Reports], Reports]


class Laid:
    """What lies on the cluster, as long as somebody holds it; nothing if it did not get there."""

    def __init__(self, what: Any, worker: Worker) -> None:
        self.what, self.worker = what, worker


@dataclass(frozen=True)
class Death:
    """A worker dies; another comes, perhaps of the same name."""

    worker: Worker
    name: str


class Pretended:
    """Trains a fleet when it is sent out, and gives the news of all fleets in turn.

    Args:
        mangle: Makes of a task's reports what arrives of them.
        ends: For each task in turn what it ends with in place of its delivery, if anything.
        deaths: For each task in turn how many of its reports come before its worker dies; none if
            it lives.
        workers: How many there are.
        stop: Called before each epoch's end; whether to stop there.
        hold: Whether checkpoints are held ready after each epoch.
        same: Whether who comes after a death has the name of who died.
    """

    name = "pretended"

    def __init__(
        self,
        mangle: Mangle = list,
        ends: Sequence[BaseException | None] = (),
        deaths: Sequence[int | None] = (),
        workers: int = 2,
        stop: Callable[[], bool] = lambda: False,
        hold: bool = False,
        same: bool = True,
    ) -> None:
        self.mangle, self.ends, self.deaths = mangle, deque(ends), deque(deaths)
        self.stop, self.hold, self.same = stop, hold, same
        self.workers: dict[str, Worker] = {}
        for _ in range(workers):
            self.come()
        self.there: WeakSet[Laid] = WeakSet()
        self.orders: list[Order] = []
        self.at: list[str] = []  # the names of the workers that the orders went to
        self.sent = self.carried = 0
        self.paused: set[str] = set()  # the names of workers that Dask lets do nothing
        self.reaches: Callable[[object, Worker], bool] = lambda what, worker: True
        self.shunned: set[str] = set()  # and of those that something did not reach
        self.most = 0
        self._numbers = 0
        self._out: set[str] = set()
        self._news: list[deque[News | Death]] = []
        self._held: dict[str, Held] = {}
        self._data: dict[str, tuple[Any, Any]] = {}  # of each worker, as if it had no data itself

    def come(self, name: str = "") -> None:
        number = getattr(self, "_came", 0) + 1
        self._came = number
        address = f"tcp://10.0.0.{number}:1"
        self.workers[address] = Worker(address, name or f"worker {number}", None)

    @property
    def ready(self) -> dict[str, Worker]:
        unfit = self.paused | self.shunned
        return {a: worker for a, worker in self.workers.items() if worker.name not in unfit}

    def look(self) -> None:
        pass

    def check(self, fleets: object) -> None:
        pass

    def present(self) -> None:
        pass

    def fits(self, fleet: object, worker: object) -> bool:
        return True

    def put(self, what: object, worker: Worker) -> Laid:
        self.sent += 1
        arrives = self.reaches(what, worker)
        laid = Laid(pickle.loads(pickle.dumps(what)) if arrives else None, worker)
        if arrives:
            self.there.add(laid)
        return laid

    def shun(self, worker: Worker) -> None:
        self.shunned.add(worker.name)

    def halt(self, workers: object) -> None:
        pass

    def out(self, key: str) -> bool:
        return key in self._out

    def over(self, key: str) -> None:
        self._out.discard(key)

    def fetch(self, key: str, worker: Worker) -> None:
        """Bring the first that was held; or what it is when the worker has gone further on."""
        self._news.append(deque([self._held.pop(key, Held(key, "", 0, ()))]))

    def submit(self, order: Order, worker: Worker, data: Laid | None, start: Laid | None) -> None:
        order = pickle.loads(pickle.dumps(order))  # as over the network
        assert worker.address in self.workers
        self.orders.append(order)
        self.at.append(worker.name)
        self._out.add(order.key)
        self.most = max(self.most, len(self._out))
        reports: list[Report] = []
        end = self.ends.popleft() if self.ends else None
        death = self.deaths.popleft() if self.deaths else None
        lost = [each for each in (data, start) if each and each.what is None]
        if lost:
            self._news.append(deque([Ended(order.key, NotLaidError(cast(Any, lost[0])))]))
            return
        if data is not None:
            self.carried += 1
            self._data[worker.address] = order.runs[0].settings.dataset, data.what
        settings, splits = self._data.get(worker.address, (None, None))
        if settings != order.runs[0].settings.dataset or splits.digest != order.digest:
            end = NotThereError()
        delivery = None
        if not isinstance(end, NotThereError):
            delivery = self._train(order, splits, start, worker.name, reports)
        arrives = [pickle.loads(pickle.dumps(report)) for report in self.mangle(reports)]
        ended = Ended(order.key, end or pickle.loads(pickle.dumps(delivery)))
        if death is None:
            self._news.append(deque([*arrives, ended]))
        else:
            name = worker.name if self.same else ""
            late = [*arrives[death:], ended]  # of one that was only thought to be dead
            self._news.append(deque([*arrives[:death], Death(worker, name), *late]))

    def _train(
        self, order: Order, splits: Any, start: Laid | None, name: str, reports: list[Report]
    ) -> Delivery:
        def hold(held: Held) -> None:
            self._held.setdefault(order.key, held)

        journal = Journal(order, name, reports.append, hold)
        if self.hold:
            journal._held -= 1e6
        end = train_fleet(
            order.runs, splits, start.what if start else (), journal.store,
            torch.device("cpu"), journal.events, self.stop, save_models=order.save_models,
        )  # fmt: skip
        if end.stopped:
            journal.finish()
        return Delivery(journal.attempt, name, journal.entries, end)

    def news(self, seconds: float) -> News | None:
        """Return one thing from one task, then one from the next."""
        while self._news:
            task = self._news.pop(0)
            item = task.popleft()
            if task:
                self._news.append(task)
            if isinstance(item, Death):
                del self.workers[item.worker.address]
                self.come(item.name)
                return None
            if isinstance(item, Ended):
                if item.key not in self._out:
                    continue
                self._out.discard(item.key)
            return item
        return None


def use(monkeypatch: pytest.MonkeyPatch, cluster: Pretended) -> Pretended:
    """Let studies be trained on a pretended cluster."""

    @contextmanager
    def opened(study: object, say: object, warn: object) -> Iterator[Pretended]:
        yield cluster

    monkeypatch.setattr(opening, "opened", opened)
    return cluster


def nothing(reports: Reports) -> Reports:
    """Lose every report."""
    return []


def twice(reports: Reports) -> Reports:
    """Bring every report twice."""
    return [report for report in reports for _ in range(2)]


def backwards(reports: Reports) -> Reports:
    """Bring the reports in the wrong order."""
    return reports[::-1]


def every_other(reports: Reports) -> Reports:
    """Lose every other report."""
    return reports[::2]


def of_another(reports: Reports) -> Reports:
    """Bring the rest as if a process that came in the place of the first one had sent it."""
    return [*reports[:3], *(replace(report, attempt="another") for report in reports[3:])]
