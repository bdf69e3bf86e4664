"""Train a study's fleets on the workers of a Dask cluster."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dropout_lab.config.grid import Run
from dropout_lab.results import counted
from dropout_lab.study import Study
from dropout_lab.study.serial import Say, TrainFleets, train_serially


@contextmanager
def cluster_trainer(
    study: Study, fleets: Sequence[tuple[Run, ...]], say: Say, warn: Say
) -> Iterator[TrainFleets]:
    """Open a cluster for a study and yield the function that trains fleets on its workers.

    A study that has nothing to train opens no cluster.

    Args:
        study: The request, with ``workers`` or ``scheduler``.
        fleets: What it will train.
        say: Receives lines for the user, such as the dashboard's address.
        warn: Receives warnings, such as workers that are refused.

    Raises:
        ConfigError: The cluster cannot be used.
    """
    if not fleets:
        yield train_serially
        return
    from dropout_lab.cluster.driver import Driver
    from dropout_lab.cluster.opening import opened

    with opened(study, say, warn) as there:
        there.check(fleets)
        workers, runs = study.workers or 0, sum(map(len, fleets))
        if len(fleets) < min(workers, runs):
            say(
                f"{counted(len(fleets), 'fleet')} for {counted(workers, 'worker')}: the other "
                f"workers are idle. --fleet {max(1, runs // workers)} makes smaller fleets."
            )
        yield lambda running, fleets: Driver(there, running, fleets).run()
