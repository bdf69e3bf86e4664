"""A fleet as a task of a Dask cluster: what a worker does.

It trains with the very function that the driver would train with, and its journal goes back.
"""

import os
import pickle
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dropout_lab.cluster.journal import Delivery, Held, Journal, Order, Report
from dropout_lab.config.sections.dataset import DatasetSettings
from dropout_lab.data import Splits, load
from dropout_lab.datasets import OWN, is_downloaded
from dropout_lab.devices import configure_device
from dropout_lab.errors import DataError
from dropout_lab.plugins import take_plugins
from dropout_lab.study.fleet_runner import train_fleet
from dropout_lab.training.allocator import keep_freed_memory

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from distributed import Worker

_LEAVING = frozenset({"closing_gracefully", "closing", "closed", "failed"})
_halted: set[str] = set()  # studies that are to stop
_data: dict[tuple[DatasetSettings, str], Splits] = {}  # by their settings and their digest
_ready: dict[str, Held] = {}  # checkpoints, by the key of the task


class NotThereError(Exception):
    """The data of a fleet are not on its worker, or not whole."""


def fleet_task(
    order: Order, data: Splits | None = None, start: Sequence[bytes] | None = None
) -> Delivery:
    """Train a fleet on a worker: a function of its order alone, whatever was done there before.

    Args:
        order: What is to be done.
        data: The data; none if the worker is to have them itself.
        start: The checkpoints that the runs go on from; none if they begin.

    Raises:
        ConfigError: A plugin will not do here.
        NotThereError: The data are to be sent, or sent again.
    """
    from distributed import get_worker

    return _thread().submit(_train, get_worker(), order, data, start or ()).result()


@cache
def _thread() -> "Executor":
    """Return the one thread that trains here, one fleet at a time.

    OpenMP keeps a team of threads for each thread that computes. With more of them than cores its
    teams sleep between any two operations, where one alone is kept awake.
    """
    from distributed.threadpoolexecutor import ThreadPoolExecutor  # it does not keep a process

    return ThreadPoolExecutor(1, thread_name_prefix="fleet")


def _train(worker: "Worker", order: Order, data: Splits | None, start: Sequence[bytes]) -> Delivery:
    name = worker_name(worker)
    with redirect_stdout(sys.stderr):  # what a variant of one's own prints is no result
        take_plugins(order.plugins)
        device = own_device(order.device, worker.name)
        torch.set_num_threads(worker.state.nthreads)
        keep_freed_memory()
        configure_device(device)
        splits = _splits(order, data)
        journal = Journal(order, name, partial(_send, worker, order.study), _hold)
        try:
            end = train_fleet(
                order.runs,
                splits.to(device),
                start,
                journal.store,
                device,
                journal.events,
                partial(_to_stop, worker, order),
                save_models=order.save_models,
            )
        finally:
            _ready.pop(order.key, None)
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


def held_of(key: str) -> Held:
    """Return the checkpoints of a task that are held ready; empty if there are none."""
    return _ready.get(key, Held(key, "", 0, ()))


def _splits(order: Order, data: Splits | None) -> Splits:
    """Return the data: those of the fleet before, the worker's own if they are these, or sent ones.

    Raises:
        NotThereError: They are to be sent, or sent again.
    """
    key = order.runs[0].settings.dataset, order.digest
    if key in _data:
        return _data[key]
    _data.clear()  # one is kept, since neighbouring fleets mostly share it
    splits = _own_splits(order)
    if splits is None or splits.digest != order.digest:
        splits = data
        if splits is None or splits.digest != order.digest or not splits.intact():
            raise NotThereError
    _data[key] = splits
    return splits


def _own_splits(order: Order) -> Splits | None:
    """Return the data that the worker has itself: without a file, or where its environment says."""
    settings = order.runs[0].settings.dataset
    folder = os.environ.get("DROPOUT_LAB_DATA")
    try:
        if settings.name == OWN or (
            settings.describe().downloadable
            and not (folder and is_downloaded(settings.name, Path(folder)))
        ):
            return None
        return load(data_dir=Path(folder or ""), say=print, **settings.model_dump())
    except DataError:
        return None


def _send(worker: "Worker", topic: str, report: Report) -> None:
    worker.log_event(topic, pickle.dumps(report))


def _hold(held: Held) -> None:
    _ready[held.key] = held


def _to_stop(worker: "Worker", order: Order) -> bool:
    """Whether a fleet is to stop: asked to, or since nobody waits for it any more."""
    task = worker.state.tasks.get(order.key)
    unwanted = task is None or task.state != "executing"
    return order.study in _halted or worker.status.name in _LEAVING or unwanted
