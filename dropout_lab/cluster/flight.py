"""An attempt to train a fleet on a cluster: a chain of tasks."""

import pickle
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from dropout_lab.cluster.task import Order, Part, key_of
from dropout_lab.cluster.workers import GPU
from dropout_lab.config.grid import Run
from dropout_lab.config.sections.dataset import DatasetSettings
from dropout_lab.data import Splits
from dropout_lab.plugins import sources_of
from dropout_lab.study.serial import RunningStudy

if TYPE_CHECKING:
    from distributed import Client, Future

PART_SECONDS = 20.0  # of training in a task


@dataclass
class Flight:
    """An attempt to train a fleet.

    Args:
        order: What the workers are told.
        data: The data on the cluster.
        epoch: The last epoch whose rows are in the folder.
        kept: The epoch of the newest checkpoints in the folder.
        allowed: The addresses of the workers that may train it; None if all may.
        part: The number of the last task of its chain.
        task: That task; none until it is submitted.
        state: The task before, whose result is on a worker; none for the first task.
        reached: The epoch of that result.
        holder: The name of the worker that made it.
        running: The number of the last task that has started.
        worker: The name of the worker where that was.
        address: Its address.
        since: When its checkpoints were last fetched.
        ended: Whether the fleet has ended; the last task brings the rest.
    """

    order: Order
    data: "Future[Splits]"
    epoch: int
    kept: int
    allowed: list[str] | None
    part: int = 0
    task: "Future[Part] | None" = None
    state: "Future[Part] | None" = None
    reached: int = 0
    holder: str = ""
    running: int = 0
    worker: str = ""
    address: str = ""
    since: float = field(default_factory=time.monotonic)
    ended: bool = False

    @property
    def dataset(self) -> DatasetSettings:
        """The data set that its runs use."""
        return self.order.runs[0].settings.dataset

    @property
    def lost(self) -> bool:
        """Whether the result that the chain continues from is on no worker any more."""
        return self.state is not None and self.state.status in ("lost", "cancelled")

    def submit(
        self,
        client: "Client",
        before: "Future[Part] | Part | None",
        done: Callable[[int], None],
    ) -> None:
        """Submit the next task of the chain. Those that continue a fleet come before new fleets.

        Args:
            client: Connected to the scheduler.
            before: The result of the task before, or checkpoints; none to start.
            done: Called in another thread with the number of the task when it is done.
        """
        self.part += 1
        number = self.part
        self.task = client.submit(
            function_of_a_task(),
            pickle.dumps(self.order),
            number,
            self.data,
            before,
            key=key_of(self.order.fleet, number),
            workers=self.allowed,
            resources={GPU: 1} if self.order.device == "cuda" else None,
            priority=int(before is not None),
            pure=False,
        )
        self.task.add_done_callback(lambda task: done(number))

    def cancel(self) -> None:
        """Take back the task that is not done."""
        if self.task is not None:
            self.task.cancel()
        self.task = None


def function_of_a_task() -> Callable[..., Part]:
    """Return what a task does. It travels by value, and the order as bytes.

    The scheduler reads each task, too, and need not have dropout-lab or torch.
    """

    def train(order: bytes, number: int, splits: Any, before: Any) -> Any:
        from pickle import loads

        from dropout_lab.cluster.task import train_part

        return train_part(loads(order), number, splits, before)

    return train


def order_of(running: RunningStudy, topic: str, number: int, fleet: tuple[Run, ...]) -> Order:
    """Return what the workers are told about a fleet.

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
