"""Which data lie on a cluster, and which worker has them."""

from dropout_lab.cluster.cluster import Cluster
from dropout_lab.cluster.handshake import Worker
from dropout_lab.cluster.scatter import Laid
from dropout_lab.config.sections.dataset import DatasetSettings
from dropout_lab.study.datasets_cache import Source

_KINDS = 4  # of data that stay on the cluster without being in use


class SentData:
    """Sends data to workers that have none of their own, to each once while it uses them.

    Args:
        cluster: Where they go.
        source: Where they come from.
    """

    def __init__(self, cluster: Cluster, source: Source) -> None:
        self._cluster, self._source = cluster, source
        self._sent: dict[DatasetSettings, Laid] = {}  # the oldest first
        self._has: dict[str, DatasetSettings] = {}  # of what a worker has, by its address

    def to(self, worker: Worker, settings: DatasetSettings) -> Laid | None:
        """Return what to give along with a fleet: nothing if the worker has it, or may have it."""
        return None if self._has.get(worker.address) == settings else self._sent.get(settings)

    def arrived(self, worker: Worker, settings: DatasetSettings) -> None:
        """Note that a worker has data, from wherever."""
        self._has[worker.address] = settings

    def missed(self, worker: Worker, settings: DatasetSettings, given: Laid | None) -> None:
        """Lay data on a worker that lacks them; from there others get them.

        Args:
            worker: The worker.
            settings: Those of the data.
            given: What was given along with the fleet that lacked them, and is of no use.
        """
        self._has.pop(worker.address, None)
        if given is not None and self._sent.get(settings) is given:
            del self._sent[settings]
        if settings not in self._sent and worker.address in self._cluster.ready:
            while len(self._sent) >= _KINDS:
                del self._sent[next(iter(self._sent))]
            self._sent[settings] = self._cluster.put(self._source.splits(settings), worker)
