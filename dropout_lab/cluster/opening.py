"""Opening a Dask cluster: processes of this machine for the time of a study, or one that runs."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dropout_lab.cluster.forkserver import FORKS, start_forkserver
from dropout_lab.cluster.workers import GPU, Workers
from dropout_lab.errors import ConfigError
from dropout_lab.study.machine import total_memory
from dropout_lab.study.spec import Study

if TYPE_CHECKING:
    from distributed import LocalCluster

_CONNECT = 10.0  # seconds
_TLS_KEY = "DASK_DISTRIBUTED__COMM__TLS"  # as an environment variable

# What Dask does many times a second for its own diagnostics takes from the core that
# training is on, and each time stalls the others, which wait for it.
_CALM = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.client.scheduler-info-interval": "60s",
    # A task is about 20 seconds of training; the scheduler balances the workers by that.
    "distributed.scheduler.unknown-task-duration": "20s",
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.multiprocessing-method": "forkserver" if FORKS else "spawn",
}

# Dask's web pages ask nobody for a password: with --workers there are none.
_NO_PAGES: dict[str, list[str]] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


@contextmanager
def opened(
    study: Study, say: Callable[[str], None], warn: Callable[[str], None]
) -> Iterator[Workers]:
    """Start workers on this machine, or join the cluster of a scheduler; leave it at the end.

    Args:
        study: The request.
        say: Receives lines for the user, such as the dashboard's address.
        warn: Receives warnings, such as workers that are refused.

    Raises:
        ConfigError: No scheduler answers, the workers cannot be started, or all are refused.
    """
    import distributed

    # The study itself reports workers that come and go.
    for name in ("distributed", "distributed.client"):  # each has a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of another dashboard's port, of other versions of Dask
        if study.scheduler is None:
            address: Any = stack.enter_context(_local_cluster(study))
        else:
            _check_certificate(study.scheduler)
            address = study.scheduler
        try:
            client = distributed.Client(address, timeout=_CONNECT, set_as_default=False)
        except Exception as error:  # OSError, ValueError, and what Dask asserts of its settings
            raise ConfigError(
                [
                    f"--scheduler is {study.scheduler!r}, and no Dask scheduler answers there "
                    f"({error}). Start one with dask scheduler, and give the address that it "
                    "prints, such as tcp://host:8786, or tls://host:8786 if it takes TLS."
                ]
            ) from error
        stack.enter_context(client)
        workers = Workers(client, study, warn)
        workers.ask_all()
        if study.scheduler is not None and client.dashboard_link:
            say(f"dashboard: {client.dashboard_link}")
        yield workers


def _check_certificate(scheduler: str) -> None:
    """Refuse an address with TLS where Dask's configuration has no certificate for it.

    Raises:
        ConfigError: It names none, or files that cannot be read as one.
    """
    from distributed import Security

    if not scheduler.startswith("tls://"):
        return
    try:
        found = Security().get_connection_args("client")["ssl_context"]
        why = "" if found else "its configuration names none"
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = str(error)
    if why:
        keys = [f"{_TLS_KEY}__{key}" for key in ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY")]
        raise ConfigError(
            [
                f"--scheduler is {scheduler!r}, and Dask has no certificate for it ({why}). Set "
                f"{', '.join(keys)} to the paths of its files; the page on clusters in docs/ "
                "has an example."
            ]
        )


@contextmanager
def _local_cluster(study: Study) -> "Iterator[LocalCluster]":
    """Start the processes of ``--workers``, and end them: threads and memory divided among them.

    Only these processes have the certificate without which none of them is answered. What they
    write goes to a folder that no other user can enter.

    Raises:
        ConfigError: They cannot be started.
    """
    import dask
    from distributed import LocalCluster

    count = study.workers or 1
    with ExitStack() as stack:
        try:
            start_forkserver()
            folder = TemporaryDirectory(prefix="dropout-lab-", ignore_cleanup_errors=True)
            own = {**_CALM, **_NO_PAGES, "temporary-directory": stack.enter_context(folder)}
            stack.enter_context(dask.config.set(own))
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                memory_limit=total_memory() // count,
                resources={GPU: 1} if study.device.type == "cuda" else None,
                host="127.0.0.1",
                security=True,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
        except Exception as error:  # of many kinds: no memory, no port, no process
            raise ConfigError(
                [
                    f"--workers is {count}, and the processes could not be started "
                    f"({type(error).__name__}: {error}). Give a smaller number, or leave it out."
                ]
            ) from error
        yield stack.enter_context(cluster)
