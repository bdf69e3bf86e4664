"""How often the fleets of a study were lost on a cluster, and with which workers."""

from collections import Counter
from collections.abc import Sequence

from dropout_lab.config.grid import Run
from dropout_lab.results import counted

RETRIES = 3  # of a fleet that was lost, and had not come further since the last time


class Losses:
    """Counts, for each fleet, how often it was lost since it last came further."""

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()  # by the id of the fleet's first run
        self._epochs: dict[str, int] = {}  # after which it was sent out
        self._workers: dict[str, str] = {}  # with which it was lost

    def sent_out(self, fleet: Sequence[Run], epoch: int, worker: str) -> str:
        """Note that a fleet is sent to a worker after an epoch; return it in words if it is again.

        Where it has come further since it was sent out last, its losses are forgotten.
        """
        name = fleet[0].run_id
        if epoch > self._epochs.get(name, 0):
            del self._times[name]
        self._epochs[name] = epoch
        if name not in self._workers:
            return ""
        where = f"after epoch {epoch}" if epoch else "from the beginning"
        tries = self._times[name] + 1
        again = f" (attempt {tries} of {RETRIES + 1})" if tries > 1 else ""
        return f"Retrying {counted(len(fleet), 'run')} {where}, on {worker}{again}."

    def lost(self, fleet: Sequence[Run], worker: str = "") -> int:
        """Note that a fleet was lost, perhaps with a worker; return how often that has been now."""
        name = fleet[0].run_id
        self._times[name] += 1
        if worker:
            self._workers[name] = worker
        return self._times[name]

    def worker(self, fleet: Sequence[Run]) -> str:
        """Return the worker that a fleet was lost with last; nothing if it was not."""
        return self._workers.get(fleet[0].run_id, "")
