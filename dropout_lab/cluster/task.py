"""A part of a fleet's training, as a Dask task: what a worker does.

A fleet is trained by a chain of tasks of about 20 seconds. Each starts from the checkpoints in the
result of the one before. It calls the function that one process would call, and sends what that
function saves to the driver, epoch by epoch.
"""

import pickle
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import torch

from dropout_lab.cluster.workers import display_name, versions
from dropout_lab.config.grid import Run
from dropout_lab.data import Splits
from dropout_lab.devices import configure_device
from dropout_lab.folder.checkpoint import content_of
from dropout_lab.folder.store import Store
from dropout_lab.plugins import Plugin, take_plugins
from dropout_lab.study.fleet_runner import Events, FleetEnd, train_fleet
from dropout_lab.training.allocator import keep_freed_memory
from dropout_lab.training.fleet import Fleet

if TYPE_CHECKING:
    from distributed import Worker

_LEAVING = frozenset({"closing_gracefully", "closing", "closed", "failed"})
_stopped: set[str] = set()  # studies that were asked to stop
_loading = Lock()  # several threads of a worker may load the same plugin

Call = tuple[str, str, tuple[Any, ...]]  # "store" or "events", a method, its arguments


@dataclass(frozen=True)
class Order:
    """What a worker must know to train a fleet, apart from the data and the checkpoints.

    Args:
        study: The study's name on the cluster, and the topic of its news.
        fleet: The name of this attempt to train the fleet; the keys of its tasks begin with it.
        runs: The runs of the fleet.
        path: The study's folder, for messages only.
        device: The kind of device.
        save_models: Whether to save the weights.
        seconds: How long a task trains.
        threads: How many cores a fleet uses; 0 leaves the number to the worker.
        plugins: The plugins that the runs need, by the names of their variants.
        versions: The versions of packages that the worker must have.
    """

    study: str
    fleet: str
    runs: tuple[Run, ...]
    path: Path
    device: str
    save_models: bool
    seconds: float
    threads: int
    plugins: Mapping[str, Plugin]
    versions: Mapping[str, str] = field(default_factory=versions)


@dataclass(frozen=True)
class Part:
    """The result of a task.

    Args:
        epoch: The last epoch that was trained.
        calls: What training saved after the news of that epoch.
        end: How the training ended; ``end.stopped`` is set if the fleet has not finished.
        checkpoints: The contents of a checkpoint for each run, if it has not finished.
    """

    epoch: int
    calls: Sequence[Call]
    end: FleetEnd
    checkpoints: Sequence[bytes]


@dataclass(frozen=True)
class News:
    """What a worker sends when a task starts, after each epoch, and when a fleet has ended.

    Args:
        fleet: The attempt, as in the order.
        part: The number of the task in its chain.
        worker: The worker's name.
        address: Its address.
        epoch: The last epoch that was trained.
        calls: What training saved since the last news.
        ended: Whether the fleet has ended; the rest is in the task's result.
    """

    fleet: str
    part: int
    worker: str
    address: str
    epoch: int
    calls: Sequence[Call] = ()
    ended: bool = False


class ForeignWorkerError(Exception):
    """A worker has other versions than the driver."""


class Recorder:
    """Records the calls that a fleet's training makes to its store and its events.

    Args:
        order: Which fleet is trained.
        epoch: The epoch after which it starts.
        send: Receives the epoch and the calls since the last time, at the start of training and
            after each epoch.
    """

    def __init__(
        self, order: Order, epoch: int, send: Callable[[int, Sequence[Call]], None]
    ) -> None:
        self.path, self.epoch, self._send = order.path, epoch, send
        self.calls: list[Call] = []
        self.fleet: Fleet | None = None
        self.store = cast(Store, _Recorded(self, "store"))
        self.events = cast(Events, _Recorded(self, "events"))

    def record(self, receiver: str, method: str, *arguments: Any) -> None:
        """Record a call; send all that were not sent yet after an epoch."""
        if method == "keep_checkpoints":
            (self.fleet,) = arguments
            return
        if receiver == "events":
            arguments = arguments[1:]  # the fleet, which the driver knows
        self.calls.append((receiver, method, arguments))
        if method in ("fleet_started", "epoch_ended"):
            self.epoch = arguments[0] if method == "fleet_started" else arguments[0].number
            calls, self.calls = self.calls, []
            self._send(self.epoch, calls)

    def part(self, end: FleetEnd) -> Part:
        """Return the result of the task."""
        checkpoints: list[bytes] = []
        if end.stopped and self.fleet is not None:
            pairs = zip(self.fleet.checkpoint(), self.fleet.runs, strict=True)
            checkpoints = [content_of(checkpoint, run.run_id) for checkpoint, run in pairs]
        return Part(self.epoch, self.calls, end, checkpoints)


class _Recorded:
    """Records each call of a method."""

    def __init__(self, recorder: Recorder, receiver: str) -> None:
        self._recorder, self._receiver = recorder, receiver
        self.path = recorder.path

    def __getattr__(self, method: str) -> Callable[..., None]:
        return partial(self._recorder.record, self._receiver, method)


def train_part(order: Order, number: int, splits: Splits, before: Part | None = None) -> Part:
    """Train a fleet for some seconds, at least one epoch, or to its end.

    Args:
        order: What to train.
        number: The number of the task in its chain.
        splits: The data.
        before: The result of the task before, or the checkpoints to resume from; none to start.

    Raises:
        ForeignWorkerError: This worker has other versions than the driver.
        ConfigError: A plugin cannot be used here.
    """
    from distributed import get_worker

    if order.versions != versions():
        raise ForeignWorkerError(f"this worker has {versions()}, the study {order.versions}")
    worker, until = get_worker(), time.monotonic() + order.seconds
    name, address = display_name(worker.name), worker.address
    news = partial(News, order.fleet, number, name, address)

    def send(epoch: int, calls: Sequence[Call], ended: bool = False) -> None:
        worker.log_event(order.study, pickle.dumps(news(epoch, calls, ended)))

    send(before.epoch if before else 0, ())  # so that the driver knows which task is running
    with redirect_stdout(sys.stderr):  # what a variant prints is not the result of a command
        device = prepared(order, worker)
        recorder = Recorder(order, before.epoch if before else 0, send)
        end = train_fleet(
            order.runs,
            splits.to(device),
            before.checkpoints if before else (),
            recorder.store,
            device,
            recorder.events,
            lambda: time.monotonic() > until or _to_stop(worker, order, number),
            save_models=order.save_models,
        )
        part = recorder.part(end)
    if not end.stopped:
        send(part.epoch, (), ended=True)
    return part


def prepared(order: Order, worker: "Worker") -> torch.device:
    """Prepare a worker's process for training; return its device.

    A worker with several threads trains a fleet in each, with one core. A worker with one thread
    uses as many cores as its environment says (``OMP_NUM_THREADS``, which Dask sets to 1), or as
    the command that started it.
    """
    with _loading:
        take_plugins(order.plugins)
        device = own_device(order.device, worker.name)
        keep_freed_memory()
        configure_device(device)
    if order.threads or worker.state.nthreads > 1:
        torch.set_num_threads(order.threads or 1)
    return device


def stop(study: str) -> None:
    """Let a study's tasks on this worker end after the epoch in progress."""
    _stopped.add(study)


def own_device(kind: str, name: object) -> torch.device:
    """Return a worker's device; the numbered workers of one machine take its GPUs in turn."""
    if kind != "cuda":
        return torch.device(kind)
    number = int(str(name)) if str(name).isdecimal() else 0
    return torch.device("cuda", number % max(torch.cuda.device_count(), 1))


def key_of(fleet: str, number: int) -> str:
    """Return the key of a task; Dask's dashboard shows a bar for each fleet."""
    return f"{fleet}-{number}"


def _to_stop(worker: "Worker", order: Order, number: int) -> bool:
    """Whether the study is to stop, the worker leaves, or nobody waits for the task any more."""
    task = worker.state.tasks.get(key_of(order.fleet, number))
    unwanted = task is None or task.state != "executing"
    return order.study in _stopped or worker.status.name in _LEAVING or unwanted
