"""What the driver exchanges with the cluster besides tasks: data, checkpoints, and messages."""

import asyncio
import pickle
import secrets
import time
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from dropout_lab.config.sections.dataset import DatasetSettings
from dropout_lab.data import Splits

if TYPE_CHECKING:
    from distributed import Client, Future

_SECONDS = 60.0  # to send something to a worker
_DATA_SETS = 4  # data sets on the cluster at a time


class Sender:
    """Sends data sets and checkpoints to a cluster.

    Args:
        client: Connected to the scheduler.
    """

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._data: dict[DatasetSettings, Future[Splits]] = {}  # oldest first

    def room_for(self, used: Collection[DatasetSettings]) -> bool:
        """Return whether so many data sets may be on the cluster; let go of others if need be."""
        for settings in list(self._data):
            if settings not in used and len(self._data.keys() | used) > _DATA_SETS:
                del self._data[settings]
        return len(used) <= _DATA_SETS

    def data(
        self, settings: DatasetSettings, splits: Splits, allowed: list[str] | None
    ) -> "Future[Splits]":
        """Return a data set as the result of a task, which the first worker that needs it runs.

        The data travel in the task, so the scheduler keeps them, compressed: no worker must be
        there yet, and Dask makes them again if the workers that have them die.

        Args:
            settings: The settings of the data set.
            splits: The data.
            allowed: The addresses of the workers that may unpack them; None if all may.
        """
        data = self._data.get(settings)
        if data is None or data.status in ("error", "cancelled"):
            data = self._data[settings] = self._client.submit(
                _unpacking(),
                zlib.compress(pickle.dumps(splits), level=1),
                key=f"data-{secrets.token_hex(4)}",
                workers=allowed,
                priority=2,
                pure=False,
            )
        return data

    async def send(self, what: object) -> "Future[Any]":
        """Send something to a worker that is there."""
        scattered = cast(Any, self._client.scatter([what], hash=False))
        (there,) = await asyncio.wait_for(scattered, _SECONDS)
        return cast("Future[Any]", there)


def _unpacking() -> Callable[[bytes], Any]:
    """Return a function that travels by value; the scheduler need not have this package."""

    def unpack(packed: bytes) -> Any:
        from pickle import loads
        from zlib import decompress

        return loads(decompress(packed))

    return unpack


@contextmanager
def messages(client: "Client", topic: str, receive: Callable[[Any], None]) -> Iterator[None]:
    """Receive the messages that workers send to a topic; leave nothing on the scheduler."""
    client.subscribe_topic(topic, lambda event: receive(pickle.loads(event[1])))

    def remove(dask_scheduler: Any) -> bool:
        """Remove the topic unless the client still subscribes to it; return whether."""
        topics = dask_scheduler._broker._topics
        if topic in topics and topics[topic].subscribers:
            return False
        topics.pop(topic, None)
        return True

    try:
        yield
    finally:
        with suppress(Exception):  # the scheduler may be gone
            if client.status == "running":
                client.unsubscribe_topic(topic)  # it arrives later, on another connection
                for _ in range(100):
                    if client.run_on_scheduler(remove):
                        break
                    time.sleep(0.02)
