"""What is laid on a cluster for its workers: data, and the checkpoints that fleets go on from."""

import asyncio
from concurrent.futures import Future as Answer
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dropout_lab.cluster.handshake import Worker

if TYPE_CHECKING:
    from distributed import Client, Future

_CARRY = 60.0  # seconds, for something on its way to a worker


@dataclass(frozen=True)
class Laid:
    """Something that lies on a worker, for all, or is on its way; it stays as long as this.

    Args:
        worker: Where.
        there: What Dask knows it by, once it is there.
    """

    worker: Worker
    there: "Answer[Future[Any]]"


class NotLaidError(Exception):
    """Something did not reach its worker, or not in time.

    Args:
        laid: What it was.
    """

    def __init__(self, laid: Laid) -> None:
        self.laid = laid


async def carry(client: "Client", what: object, worker: Worker) -> "Future[Any]":
    """Lay something on a worker; return what Dask knows it by.

    Raises:
        Exception: Of many kinds, where the worker is gone, or does not answer.
    """
    laying = client.scatter([what], workers=[worker.address], hash=False)
    (there,) = await asyncio.wait_for(laying, _CARRY)
    return there  # type: ignore[no-any-return]


async def arrived(laid: Laid | None) -> "Future[Any] | None":
    """Return what Dask knows something by, when it is there; none if nothing was laid.

    Raises:
        NotLaidError: It did not get there.
    """
    if laid is None:
        return None
    try:
        return await asyncio.wrap_future(laid.there)
    except Exception as error:
        raise NotLaidError(laid) from error
