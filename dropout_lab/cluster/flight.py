"""An attempt to train a fleet on a cluster: a chain of tasks."""

import pickle
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from dropout_lab.cluster.task import Order, Part, key_of
from dropout_lab.cluster.workers import GPU
from dropout_lab.config.grid import Run
from dropout_lab.config.sections.dataset import DatasetSettings
from dropout_lab.plugins import sources_of
from dropout_lab.study.serial import RunningStudy

if TYPE_CHECKING:
    from distributed import Client, Future

PART_SECONDS = 20.0  # of training in a task


@dataclass
class Flight:
    """An attempt to train a fleet.

    Args:
        order: The instructions for the workers.
        data: The data on the cluster.
        epoch: The last epoch whose rows are in the folder.
        kept: The epoch of the newest checkpoints in the folder.
        allowed: The addresses of the workers that may run the last task; None if all may.
        part: The number of the last task of its chain.
        task: That task.
        state: The task whose result the chain continues from, on a worker; none at its start.
        reached: The epoch of that result.
        holder: The name of the worker that made it.
        running: The number of the last task that has started, unless its worker is gone.
        worker: The name of the worker that runs or ran that task.
        address: Its address.
        shown: The address of the worker that the progress display shows.
        deaths: How often the worker was gone while it ran a task.
        since: When its checkpoints were last fetched.
        idle: Whether no worker is there that may train it.
        ended: Whether the fleet has ended; the last task brings the rest.
    """

    order: Order
    data: "Future[bytes]"
    epoch: int
    kept: int
    allowed: list[str] | None = None
    part: int = 0
    task: "Future[Part] | None" = None
    state: "Future[Part] | None" = None
    reached: int = 0
    holder: str = ""
    running: int = 0
    worker: str = ""
    address: str = ""
    shown: str = ""
    deaths: int = 0
    since: float = field(default_factory=time.monotonic)
    idle: bool = False
    ended: bool = False

    @property
    def dataset(self) -> DatasetSettings:
        """The data set that its runs use."""
        return self.order.runs[0].settings.dataset

    @property
    def lost(self) -> bool:
        """Whether a result that the chain needs is on no worker any more."""
        tasks = (self.state, self.task)
        return any(task is not None and task.status in ("lost", "cancelled") for task in tasks)

    @cached_property
    def _packed_order(self) -> bytes:
        return pickle.dumps(self.order)

    @property
    def waits(self) -> bool:
        """Whether its last task has not started, or its worker is gone."""
        return self.running < self.part and not self.ended and not self.done

    @property
    def continues(self) -> bool:
        """Whether its last task continues from the result of another."""
        return self.state is not None and self.state is not self.task and not self.ended

    @property
    def done(self) -> bool:
        """Whether its last task is done."""
        return self.task is not None and self.task.status in ("finished", "error")

    def submit(
        self,
        client: "Client",
        allowed: list[str] | None,
        before: "Future[Part] | bytes | None",
        done: Callable[[int], None],
    ) -> None:
        """Submit the next task of the chain. Those that continue a fleet come before new fleets.

        Args:
            client: Connected to the scheduler.
            allowed: The addresses of the workers that may run it; None if all may.
            before: The result of the task before, or pickled checkpoints; none to start.
            done: Called in another thread with the number of the task when it is done.
        """
        self.part, self.allowed = self.part + 1, allowed
        number = self.part
        self.task = client.submit(
            function_of_a_task(),
            self._packed_order,
            number,
            self.data,
            before,
            key=key_of(self.order.fleet, number),
            workers=allowed,
            resources={GPU: 1} if self.order.device == "cuda" else None,
            priority=int(before is not None),
            pure=False,
        )
        self.task.add_done_callback(lambda task: done(number))

    def advance(self) -> None:
        """Let the chain continue from the result of its last task."""
        self.state, self.reached, self.holder = self.task, self.epoch, self.worker

    def take_back(self) -> None:
        """Cancel the last task, which has not started; the one before is the last again."""
        self.cancel()
        self.task = self.state
        self.running = self.part  # it is done

    def cancel(self) -> None:
        """Cancel the unfinished task."""
        if self.task is not None:
            self.task.cancel()


def function_of_a_task() -> Callable[..., Part]:
    """Return the function that a task runs.

    It is pickled by value, and what it takes is bytes, so that the scheduler, which unpickles each
    task, needs neither this package nor torch.
    """

    def train(order: bytes, number: int, splits: bytes, before: Any) -> Any:
        from pickle import loads

        from dropout_lab.cluster.task import train_part

        start = loads(before) if isinstance(before, bytes) else before
        return train_part(loads(order), number, loads(splits), start)

    return train


def order_of(running: RunningStudy, topic: str, number: int, fleet: tuple[Run, ...]) -> Order:
    """Return the instructions for the workers.

    Args:
        running: The study.
        topic: The name of the study on the cluster.
        number: The number of the attempt to train a fleet.
        fleet: Its runs.
    """
    name = re.sub(r"[^\w ]", "_", running.study.config.name)
    return Order(
        study=topic,
        fleet=f"fleet {number} of {name}-{secrets.token_hex(4)}",
        runs=fleet,
        path=running.folder.path,
        device=running.study.device.type,
        save_models=running.study.save_models,
        seconds=PART_SECONDS,
        threads=cores_of(running.study.workers),
        plugins=sources_of(run.settings.dropout.variant for run in fleet),
    )


def cores_of(workers: int | None) -> int:
    """Return how many cores each of the processes of ``--workers`` uses; 0 on other clusters."""
    return max(1, torch.get_num_threads() // workers) if workers else 0
