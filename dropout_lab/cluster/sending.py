"""What the driver exchanges with the cluster besides tasks: data, checkpoints, and messages."""

import asyncio
import pickle
import time
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
    """Sends data sets and checkpoints to a cluster, for as long as somebody uses them.

    Args:
        client: Connected to the scheduler.
    """

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._data: dict[DatasetSettings, asyncio.Task[Future[Splits]]] = {}  # oldest first

    def room_for(self, used: Collection[DatasetSettings]) -> bool:
        """Return whether so many data sets may be on the cluster; let go of others if need be."""
        for settings in list(self._data):
            if settings not in used and len(self._data.keys() | used) > _DATA_SETS:
                del self._data[settings]
        return len(used) <= _DATA_SETS

    async def data(self, settings: DatasetSettings, splits: Splits) -> "Future[Splits]":
        """Send a data set, unless it is on the cluster; workers copy it from each other."""
        sent = self._data.get(settings)
        if sent is None or (sent.done() and not _is_there(sent)):
            sent = self._data[settings] = asyncio.ensure_future(self.send(splits))
        return await sent

    def sent(self, settings: DatasetSettings) -> "Future[Splits]":
        """Return a data set that was sent."""
        return self._data[settings].result()

    async def send(self, what: object) -> "Future[Any]":
        """Send something to a worker."""
        scattered = cast(Any, self._client.scatter([what], hash=False))
        (there,) = await asyncio.wait_for(scattered, _SECONDS)
        return cast("Future[Any]", there)


def _is_there(sent: "asyncio.Task[Future[Splits]]") -> bool:
    failed = sent.cancelled() or sent.exception()
    return not failed and sent.result().status == "finished"


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
