"""A fleet as a task of a Dask cluster: what a worker is given, does, and gives back.

The worker trains with the very function that this process would train with; what that gives to
its store, and tells of, is entered in a journal. The entries of an epoch are sent to the driver
when it ends, and the whole journal comes back with the task: the driver carries out each entry
once, in order, whichever way it came first. So what is lost on the way, or comes twice, does no
harm. Checkpoints are too large for that way: the worker holds the newest ready, to be fetched.
"""

import os
import pickle
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from dropout_lab.config.grid import Run
from dropout_lab.data import Splits, load, present
from dropout_lab.devices import prepare
from dropout_lab.errors import DataError
from dropout_lab.plugins import Plugin, take_plugins
from dropout_lab.study.checkpoint import content_of
from dropout_lab.study.engine import Events, FleetEnd, train_fleet
from dropout_lab.study.store import Store
from dropout_lab.training.allocator import keep_freed_memory
from dropout_lab.training.fleet import Fleet

if TYPE_CHECKING:
    from distributed import Worker

_PATIENCE = 60.0  # seconds, with what comes over the network
HOLD_EVERY = 20.0  # seconds between checkpoints held ready
_LIVE = frozenset({"fleet_started", "epoch_ended"})  # what is told with is sent at once
_halted: set[str] = set()  # studies that are to stop
_data: dict[str, Splits] = {}  # by their digest


@dataclass(frozen=True)
class Order:
    """What a worker needs to know to train a fleet, beside the data and the checkpoints.

    Args:
        key: Of the task; another for each time the fleet is sent out.
        study: Names the study on the cluster, and the topic under which the worker reports.
        runs: Those of the fleet.
        path: The study's folder, for messages; it is not on the worker.
        device: The kind of device.
        save_models: Whether the weights are kept.
        plugins: Those that the runs need, by the names of their variants.
        digest: That of the data.
        data: The name under which the data lie on the cluster; none if they were not sent.
        start: The name under which the checkpoints lie; none if the fleet begins.
    """

    key: str
    study: str
    runs: tuple[Run, ...]
    path: Path
    device: str
    save_models: bool
    plugins: Mapping[str, Plugin]
    digest: str
    data: str | None = None
    start: str | None = None


class NotThereError(Exception):
    """What a fleet needs is not on the cluster: its name there, or nothing if it has none yet."""


Held = tuple[str, int, Sequence[bytes]]  # the attempt, the epoch, a checkpoint for each run
Entry = tuple[str, str, tuple[Any, ...]]  # for whom, the call, its arguments


@dataclass(frozen=True)
class Report:
    """What a worker sends while it trains.

    Args:
        key: Of the task.
        attempt: Names this attempt at the task; after a worker's death there is another.
        worker: Its name.
        first: The place of the first entry in the journal.
        entries: Some entries.
        held: The epoch of a checkpoint that is ready to be fetched; 0 if none.
    """

    key: str
    attempt: str
    worker: str
    first: int
    entries: Sequence[Entry]
    held: int = 0


@dataclass(frozen=True)
class Delivery:
    """What comes back: the whole journal.

    Args:
        attempt: Which attempt it was.
        worker: Where.
        entries: All entries.
        end: How far the fleet has come.
    """

    attempt: str
    worker: str
    entries: Sequence[Entry]
    end: FleetEnd


@dataclass
class Journal:
    """Enters what a store and the events of a fleet are called with.

    Args:
        order: What is worked on.
        worker: Its name.
        send: Takes what is to be sent to the driver at once.
        hold: Takes checkpoints and holds them ready to be fetched, if it can.
    """

    order: Order
    worker: str
    send: Callable[[Report], None]
    hold: Callable[[Held], bool]
    attempt: str = field(default_factory=partial(secrets.token_hex, 8))
    entries: list[Entry] = field(default_factory=list)
    _fleet: Fleet | None = None
    _sent: int = 0
    _held: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> Path:
        """The study's folder, for messages."""
        return self.order.path

    @property
    def store(self) -> Store:
        """What a fleet's training takes for the store."""
        return cast(Store, _Calls(self, "store"))

    @property
    def events(self) -> Events:
        """What a fleet's training takes for the listener."""
        return cast(Events, _Calls(self, "events"))

    def enter(self, whom: str, call: str, *arguments: Any) -> None:
        """Enter a call; send what was not sent yet if somebody waits for it."""
        if call == "keep_checkpoints":
            self._hold(*arguments)
            return
        if whom == "events":  # the driver knows the fleet
            arguments = arguments[1:]
        self.entries.append((whom, call, arguments))
        if call in _LIVE:
            self._report()

    def finish(self) -> None:
        """Enter the checkpoints of a fleet that was stopped."""
        if self._fleet is not None:
            ids = [run.run_id for run in self.order.runs]
            arguments = (ids, self._fleet.epoch, self._contents(self._fleet))
            self.entries.append(("store", "keep_contents", arguments))

    def _report(self, held: int = 0) -> None:
        first, self._sent = self._sent, len(self.entries)
        entries = self.entries[first:]
        self.send(Report(self.order.key, self.attempt, self.worker, first, entries, held))

    def _hold(self, fleet: Fleet) -> None:
        self._fleet = fleet
        if time.monotonic() - self._held >= HOLD_EVERY:
            if self.hold((self.attempt, fleet.epoch, self._contents(fleet))):
                self._report(held=fleet.epoch)
            self._held = time.monotonic()

    def _contents(self, fleet: Fleet) -> list[bytes]:
        pairs = zip(fleet.checkpoint(), fleet.runs, strict=True)
        return [content_of(checkpoint, run.run_id) for checkpoint, run in pairs]


class _Calls:
    """Stands for a store or a listener; every call on it is entered in the journal."""

    def __init__(self, journal: Journal, whom: str) -> None:
        self._journal, self._whom = journal, whom
        self.path = journal.path

    def __getattr__(self, call: str) -> Callable[..., None]:
        return partial(self._journal.enter, self._whom, call)


def fleet_task(order: Order) -> Delivery:
    """Train a fleet on a worker: a function of its order alone, whatever was done there before.

    Raises:
        ConfigError: A plugin will not do here.
        NotThereError: The data, or the checkpoints, are to be sent (again).
    """
    from distributed import get_worker

    worker = get_worker()
    name = worker_name(worker)
    with redirect_stdout(sys.stderr):  # what a variant of one's own prints is no result
        take_plugins(order.plugins)
        device = own_device(order.device, worker.name)
        torch.set_num_threads(worker.state.nthreads)
        keep_freed_memory()
        prepare(device)
        splits = _splits(order)
        checkpoints: Sequence[bytes] = fetched(order.start) if order.start else ()
        send = partial(_send, worker, order.study)
        journal = Journal(order, name, send, partial(_hold, order.key))
        end = train_fleet(
            order.runs,
            splits.to(device),
            checkpoints,
            journal.store,
            device,
            journal.events,
            partial(_to_stop, worker, order),
            save_models=order.save_models,
        )
        if end.stopped:
            journal.finish()
    return Delivery(journal.attempt, name, journal.entries, end)


def halt(study: str) -> None:
    """Let a study's fleets on this worker stop after the epoch in progress."""
    _halted.add(study)


def worker_name(worker: "Worker") -> str:
    """Return what a worker is called: its own name, or its address."""
    name = str(worker.name)
    return f"worker {name}" if name.isdecimal() else name


def own_device(kind: str, name: object) -> torch.device:
    """Return a worker's device; the workers of one machine, numbered, take its GPUs in turn."""
    if kind != "cuda":
        return torch.device(kind)
    number = int(str(name)) if str(name).isdecimal() else 0
    return torch.device("cuda", number % max(torch.cuda.device_count(), 1))


def _splits(order: Order) -> Splits:
    """Return the data: those of the fleet before, the worker's own if they are these, or sent ones.

    Raises:
        NotThereError: They are to be sent.
    """
    if order.digest in _data:
        return _data[order.digest]
    _data.clear()  # one is kept, since neighbouring fleets mostly share it
    splits = _own_splits(order)
    if splits is None or splits.digest != order.digest:
        if order.data is None:
            raise NotThereError
        splits = fetched(order.data)
        if splits.digest != order.digest or not splits.intact():
            raise NotThereError(order.data)
    _data[order.digest] = splits
    return splits


def _own_splits(order: Order) -> Splits | None:
    """Return the data that the worker has itself, in a package or where its environment says."""
    settings = order.runs[0].settings.dataset
    folder = os.environ.get("DROPOUT_LAB_DATA")
    if settings.name != "mnist_5k" and not (folder and present(settings.name, Path(folder))):
        return None
    try:
        return load(data_dir=Path(folder or ""), say=print, **settings.model_dump())
    except DataError:
        return None


def fetched(name: str) -> Any:
    """Return what lies on the cluster under a name.

    Raises:
        NotThereError: It was lost with the worker that had it.
    """
    from distributed import Variable, get_client

    try:
        return Variable(name, get_client()).get(timeout=_PATIENCE).result(timeout=_PATIENCE)
    except Exception as error:  # Dask says it in several ways
        raise NotThereError(name) from error


def _send(worker: "Worker", topic: str, report: Report) -> None:
    worker.log_event(topic, pickle.dumps(report))


def _hold(key: str, held: Held) -> bool:
    """Hold checkpoints in this worker's memory, under the name of the task."""
    from distributed import Variable, get_client

    try:
        client = get_client()
        Variable(key, client).set(client.scatter([held], hash=False)[0])
    except Exception:  # of whatever kind: a fleet trains on without it
        return False
    return True


def _to_stop(worker: "Worker", order: Order) -> bool:
    """Whether a fleet is to stop: asked to, or since nobody waits for it any more."""
    task = worker.state.tasks.get(order.key)
    leaving = worker.status.name in ("closing", "closed", "failed")
    return order.study in _halted or leaving or task is None or task.state != "executing"
