"""What a worker sends back: a journal of the calls that a fleet's training makes.

What training gives to its store, and tells of, is entered. The entries of an epoch are sent to the
driver when it ends, and the whole journal comes back with the task: the driver carries out each
entry once, in order, whichever way it came first. So what is lost on the way, or comes twice, does
no harm. Checkpoints are too large for that way: the worker holds the newest ready, to be fetched.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from dropout_lab.config.grid import Run
from dropout_lab.folder.checkpoint import content_of
from dropout_lab.folder.store import Store
from dropout_lab.plugins import Plugin
from dropout_lab.study.fleet_runner import Events, FleetEnd
from dropout_lab.training.fleet import Fleet

HOLD_EVERY = 20.0  # seconds between checkpoints held ready
_LIVE = frozenset({"fleet_started", "epoch_ended"})  # what is told with is sent at once


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
    """

    key: str
    study: str
    runs: tuple[Run, ...]
    path: Path
    device: str
    save_models: bool
    plugins: Mapping[str, Plugin]
    digest: str


Entry = tuple[str, str, tuple[Any, ...]]  # for whom, the call, its arguments


@dataclass(frozen=True)
class Held:
    """Checkpoints that a worker holds ready.

    Args:
        key: Of the task.
        attempt: Which attempt at it.
        epoch: When they were made; 0 if there are none.
        contents: A checkpoint for each run.
    """

    key: str
    attempt: str
    epoch: int
    contents: Sequence[bytes]


@dataclass(frozen=True)
class Report:
    """What a worker sends while it trains.

    Args:
        key: Of the task.
        attempt: Names this attempt at the task; a process that died and came again makes another.
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
        hold: Takes checkpoints and holds them ready to be fetched.
    """

    order: Order
    worker: str
    send: Callable[[Report], None]
    hold: Callable[[Held], None]
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
            self.hold(Held(self.order.key, self.attempt, fleet.epoch, self._contents(fleet)))
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
