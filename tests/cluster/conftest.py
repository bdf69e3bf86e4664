"""A small study, and clusters for it whose workers are threads of this process."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from distributed import LocalCluster

from dropout_lab import results
from dropout_lab.cluster import driver, flight, task, workers
from dropout_lab.config.grid import Run
from dropout_lab.study import Study
from tests.study.test_run import Silent, assert_same_results, go
from tests.study.test_run import study as study_of

TABLES = (results.INFERENCE, results.RELIABILITY, results.ACTIVATIONS)


class Listener(Silent):
    """Also notes where fleets start."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[str] = []
        self.done: list[int] = []

    def fleet_started(
        self, fleet: Sequence[Run], epochs_done: int, epochs: int, worker: str = ""
    ) -> None:
        super().fleet_started(fleet, epochs_done, epochs, worker)
        self.workers.append(worker)
        self.done.append(epochs_done)


def study(out: Path, *settings: str, **changes: Any) -> Study:
    at_end = "evaluation.at_end=[reliability,histograms,features,predictions]"
    changes = {"p": "0,0.5", "seeds": "2", "fleet_size": 1, **changes}
    return study_of(out, at_end, "training.epochs=4", *settings, **changes)


def asked_of(dask: LocalCluster, out: Path, *settings: str, **changes: Any) -> Study:
    """Return the study, to be trained by the cluster."""
    return study(out, *settings, scheduler=dask.scheduler_address, **changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study as this process trains it."""
    out = tmp_path_factory.mktemp("whole") / "s"
    go(study(out, save_models=True))
    return out


def assert_same_folder(out: Path, whole: Path) -> None:
    assert_same_results(out, whole)
    for name in TABLES:
        assert (out / name).exists() == (whole / name).exists()
        if (whole / name).exists():
            assert (out / name).read_text() == (whole / name).read_text()
    files = [
        {path.relative_to(folder) for path in (folder / "runs").rglob("*")}
        for folder in (out, whole)
    ]
    assert files[0] == files[1]
    for path in files[0]:
        if path.suffix in (".npz", ".pt"):
            assert (out / path).read_bytes() == (whole / path).read_bytes()


@contextmanager
def cluster_of(count: int = 2, **options: Any) -> Iterator[LocalCluster]:
    """Start a cluster in this process; what Dask starts does not count as left open."""
    level = logging.getLogger("distributed").level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(
            n_workers=count, processes=False, dashboard_address=None,
            silence_logs=logging.CRITICAL, **{"threads_per_worker": 1, **options},
        ) as cluster:  # fmt: skip
            yield cluster
    logging.getLogger("distributed").setLevel(level)


@pytest.fixture(scope="module")
def dask() -> Iterator[LocalCluster]:
    with cluster_of() as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _as_on_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers' threads are those of the tests; a task trains one epoch."""
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    monkeypatch.setattr(task, "_stopped", set())
    monkeypatch.setattr(flight, "PART_SECONDS", 0.0)
    monkeypatch.setattr(workers, "_REFRESH", 0.0)
    monkeypatch.setattr(driver, "_TELL_WAITS", 0.0)
