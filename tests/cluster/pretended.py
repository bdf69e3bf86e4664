"""A cluster in this process, that loses, doubles, and delays what its workers report."""

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from dropout_lab.study import cluster as cluster_module
from dropout_lab.study.engine import train_fleet
from dropout_lab.study.task import Delivery, Held, Journal, NotThereError, Order, Report

Reports = Sequence[Report]
Mangle = Callable[[Reports], Reports]


@dataclass
class Future:
    """The end of a task: a delivery, or an exception."""

    key: str
    end: Delivery | BaseException
    cancelled: bool = False

    def result(self) -> Delivery:
        assert not self.cancelled
        if isinstance(self.end, BaseException):
            raise self.end
        return self.end

    def cancel(self) -> None:
        self.cancelled = True


class Pretended:
    """Trains a fleet when it is sent out, and gives the news of all fleets in turn.

    Args:
        mangle: Makes of a task's reports what arrives of them.
        ends: For each task in turn what it ends with in place of its delivery, if anything.
        workers: How many fleets are trained at once.
        stop: Called before each epoch's end; whether to stop there.
    """

    name = "pretended"

    def __init__(
        self,
        mangle: Mangle = lambda reports: reports,
        ends: Sequence[BaseException | None] = (),
        workers: int = 2,
        stop: Callable[[], bool] = lambda: False,
        hold: bool = False,
    ) -> None:
        self.mangle, self.ends, self.workers = mangle, deque(ends), workers
        self.stop, self.hold = stop, hold
        self.there: dict[str, Any] = {}
        self.orders: list[Order] = []
        self.most = self.out = 0
        self._news: list[deque[Report | Future]] = []
        self._held: dict[tuple[str, int], Held] = {}

    def check(self, fleets: object) -> None:
        pass

    def present(self) -> None:
        pass

    def waiting(self) -> set[str]:
        return set()

    def slots(self) -> int:
        return self.workers

    def send(self, name: str, what: object) -> None:
        self.there[name] = what

    def forget(self, name: str | None) -> None:
        self.there.pop(name or "", None)

    def halt(self) -> None:
        pass

    def held(self, key: str) -> Held | None:
        """Return the first that is held; the worker is further on by then."""
        return next((held for (of, _), held in self._held.items() if of == key), None)

    def submit(self, order: Order) -> Future:
        order = pickle.loads(pickle.dumps(order))  # as over the network
        self.orders.append(order)
        self.out += 1
        self.most = max(self.most, self.out)
        reports: list[Report] = []
        end = self.ends.popleft() if self.ends else None
        if order.data not in self.there:
            end = NotThereError(*([order.data] if order.data else []))
        delivery = None if isinstance(end, NotThereError) else self._train(order, reports)
        arrives = [pickle.loads(pickle.dumps(report)) for report in self.mangle(reports)]
        future = Future(order.key, end or pickle.loads(pickle.dumps(delivery)))
        self._news.append(deque([*arrives, future]))
        return future

    def _train(self, order: Order, reports: list[Report]) -> Delivery:
        def hold(held: Held) -> bool:
            self._held[order.key, held[1]] = held
            return self.hold

        name = f"worker {len(self.orders)}"
        journal = Journal(order, name, reports.append, hold)
        if self.hold:
            journal._held -= 1e6
        end = train_fleet(
            order.runs, self.there[order.data or ""],
            self.there[order.start] if order.start else (), journal.store, torch.device("cpu"),
            journal.events, self.stop, save_models=order.save_models,
        )  # fmt: skip
        if end.stopped:
            journal.finish()
        return Delivery(journal.attempt, name, journal.entries, end)

    def news(self, seconds: float) -> Report | Future | None:
        """Return one thing from one task, then one from the next."""
        while self._news:
            task = self._news.pop(0)
            item = task.popleft()
            if task:
                self._news.append(task)
            if isinstance(item, Future):
                self.out -= 1
                if item.cancelled:
                    continue
            return item
        return None


def use(monkeypatch: pytest.MonkeyPatch, cluster: Pretended) -> Pretended:
    """Let studies be trained on a pretended cluster."""

    @contextmanager
    def opened(study: object, say: object) -> Iterator[Pretended]:
        yield cluster

    monkeypatch.setattr(cluster_module, "opened", opened)
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


def after_a_death(reports: Reports) -> Reports:
    """Bring first what another attempt had told by its death, and the rest of that too late."""
    dead = [replace(report, attempt="dead", worker="dead") for report in reports]
    return [*dead[:3], *reports[:2], *dead[3:], *reports[2:]]


def after_two_deaths(reports: Reports) -> Reports:
    """Likewise, twice."""
    one = [replace(report, attempt="one", worker="one") for report in reports]
    two = [replace(report, attempt="two", worker="two") for report in reports]
    return [*one[:3], *two[:2], *one[3:], *reports[:1], *two, *reports[1:]]
