"""An attempt to train a fleet on a cluster: a chain of tasks."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dropout_lab.cluster.task import Order, Part, key_of, train_part
from dropout_lab.cluster.workers import GPU
from dropout_lab.config.sections.dataset import DatasetSettings
from dropout_lab.data import Splits

if TYPE_CHECKING:
    from distributed import Client, Future


@dataclass
class Flight:
    """An attempt to train a fleet.

    Args:
        order: What the workers are told.
        epoch: The last epoch whose rows are in the folder.
        kept: The epoch of the newest checkpoints in the folder.
        allowed: The addresses of the workers that may train it; None if all may.
        part: The number of the last task of its chain.
        task: That task; none until it is submitted.
        state: The task before, whose result is on a worker; none for the first task.
        reached: The epoch of that result.
        running: The number of the last task that has started.
        worker: The name of the worker where that was.
        address: Its address; empty once the worker is gone.
        since: When its checkpoints were last fetched.
        ended: Whether the fleet has ended; the last task brings the rest.
    """

    order: Order
    epoch: int
    kept: int
    allowed: list[str] | None
    part: int = 0
    task: "Future[Part] | None" = None
    state: "Future[Part] | None" = None
    reached: int = 0
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
        data: "Future[Splits]",
        before: "Future[Part] | None",
        done: Callable[[int], None],
    ) -> None:
        """Submit the next task of the chain. Those that continue a fleet come before new fleets.

        Args:
            client: Connected to the scheduler.
            data: The data on the cluster.
            before: The result of the task before, or checkpoints; none to start.
            done: Called in another thread with the number of the task when it is done.
        """
        self.part += 1
        number = self.part
        self.task = client.submit(
            train_part,
            self.order,
            number,
            data,
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
