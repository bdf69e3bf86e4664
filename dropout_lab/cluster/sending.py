"""What the driver exchanges with the cluster besides the tasks: data sets and messages."""

import pickle
import secrets
import time
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from dropout_lab.config.sections.dataset import DatasetSettings
from dropout_lab.data import Splits

if TYPE_CHECKING:
    from distributed import Client, Future

_DATA_SETS = 4  # data sets on the cluster at a time


class Sender:
    """Sends data sets to a cluster.

    Args:
        client: Connected to the scheduler.
    """

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._data: dict[DatasetSettings, Future[bytes]] = {}  # oldest first

    def room_for(self, used: Collection[DatasetSettings]) -> bool:
        """Return whether so many data sets may be on the cluster. Drop unused ones for them."""
        for settings in list(self._data):
            if settings not in used and len(self._data.keys() | used) > _DATA_SETS:
                del self._data[settings]
        return len(used) <= _DATA_SETS

    def data(self, settings: DatasetSettings, splits: Splits) -> "Future[bytes]":
        """Return a data set as the result of a task, in pickled form.

        The data travel in the task, so the scheduler keeps them, compressed: no worker must be
        there yet, and Dask makes them again if the workers that have them die. Any worker can run
        the task, also one that may not train.
        """
        data = self._data.get(settings)
        if data is None or data.status in ("error", "cancelled"):
            packed = zlib.compress(pickle.dumps(splits), level=1)
            key = f"data-{secrets.token_hex(4)}"
            data = self._client.submit(_unpacking(), packed, key=key, priority=2, pure=False)
            self._data[settings] = data
        return data


def _unpacking() -> Callable[[bytes], bytes]:
    """Return a function that is pickled by value; the scheduler need not have this package."""

    def unpack(packed: bytes) -> bytes:
        from zlib import decompress

        return decompress(packed)

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
