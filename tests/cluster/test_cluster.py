"""A real Dask cluster, its workers threads of this process."""

import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster, Variable
from distributed.protocol.pickle import dumps

from dropout_lab import data
from dropout_lab.errors import ConfigError
from dropout_lab.study import Study, run_study
from dropout_lab.study import cluster as cluster_module
from dropout_lab.study import task as task_module
from dropout_lab.study.admission import admission, resource, versions
from dropout_lab.study.cluster import opened
from dropout_lab.study.task import NotThereError, own_device, worker_name
from tests.cluster.test_dispatch import Listener, assert_same_folder, study, whole
from tests.conftest import make_runs
from tests.study.test_study import go

__all__ = ["whole"]


@pytest.fixture(scope="module")
def dask() -> Iterator[LocalCluster]:
    """Two workers; what Dask starts does not count as what a test leaves open."""
    level = logging.getLogger("distributed").level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as cluster:  # fmt: skip
            yield cluster
    logging.getLogger("distributed").setLevel(level)


@pytest.fixture(autouse=True)
def _as_on_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The workers' threads are those of the tests."""
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    monkeypatch.setattr(task_module, "_data", {})
    monkeypatch.setattr(task_module, "_halted", set())


def test_the_folder_is_that_of_this_process(
    tmp_path: Path, whole: Path, dask: LocalCluster
) -> None:
    events = Listener()
    assert go(asked_of(dask, tmp_path / "s", save_models=True), events).count("completed") == 4
    assert set(events.workers) == {"worker 0", "worker 1"}
    assert_same_folder(tmp_path / "s", whole)
    with Client(dask, set_as_default=False) as client:
        assert not client.run_on_scheduler(_leftovers)


def _leftovers(dask_scheduler: Any) -> list[str]:
    """Return what a study left on the cluster."""
    variables = dask_scheduler.extensions["variables"].variables
    return [
        *dask_scheduler.tasks,
        *variables,
        *(dask_scheduler.worker_plugins.keys() - {"shuffle"}),
    ]


def asked_of(dask: LocalCluster, out: Path, **changes: Any) -> Study:
    """Return the study, to be trained by the cluster."""
    return study(out, workers=None, scheduler=dask.scheduler_address, **changes)


def test_data_that_the_workers_do_not_have_are_sent_once_and_looked_at(
    tmp_path: Path, whole: Path, dask: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_module, "_own_splits", lambda order: None)
    sent: list[str] = []
    send = cluster_module.Cluster.send

    def noted(self: cluster_module.Cluster, name: str, what: object) -> None:
        sent.append(name)
        send(self, name, what)

    monkeypatch.setattr(cluster_module.Cluster, "send", noted)
    assert go(asked_of(dask, tmp_path / "s", save_models=True)).count("completed") == 4
    assert len(sent) == 1
    assert_same_folder(tmp_path / "s", whole)


def test_other_data_under_the_same_name_are_not_taken(
    dask: LocalCluster, small_splits: data.Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the worker's own of another digest, nor damaged ones from the network."""
    order = SimpleNamespace(digest=small_splits.digest, data=None)
    monkeypatch.setattr(task_module, "_own_splits", lambda order: small_splits)
    assert task_module._splits(order) is small_splits
    order.digest = "another"
    with pytest.raises(NotThereError):
        task_module._splits(order)
    damaged = replace(small_splits, train=small_splits.train[torch.tensor([1, 0, 2])])
    monkeypatch.setattr(task_module, "_own_splits", lambda order: None)
    monkeypatch.setattr(task_module, "fetched", lambda name: damaged)
    order = SimpleNamespace(digest=small_splits.digest, data="x")
    with pytest.raises(NotThereError):
        task_module._splits(order)


def test_a_worker_reads_full_mnist_where_its_environment_says(
    mnist_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = make_runs("dataset.name=mnist", "dataset.train_size=100")
    order = SimpleNamespace(runs=[run])
    splits = task_module._own_splits(order)
    assert splits is not None
    assert len(splits.train) == 100
    monkeypatch.delenv("DROPOUT_LAB_DATA")
    assert task_module._own_splits(order) is None


@pytest.mark.parametrize("package", ["torch", "dropout-lab"])
def test_workers_with_other_versions_are_refused_with_both_named(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    ours = versions()
    other = {**ours, package: "9.9.9"}
    monkeypatch.setattr(cluster_module, "versions", lambda: other)
    with pytest.raises(ConfigError) as caught:
        go(asked_of(dask, tmp_path / "s"))
    told = "\n".join(caught.value.mistakes)
    assert f"it has {package} {ours[package]}, and this study is made with {package} 9.9.9" in told
    assert not (tmp_path / "s").exists()


def test_a_worker_that_is_refused_is_told_and_the_others_train(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(*arguments: Any, **more: Any) -> Any:
        plugin = admission(*arguments, **more)
        kind = type(plugin)
        why = kind._why_not
        kind._why_not = lambda self, worker: "too old" if worker.name == 1 else why(self, worker)
        return plugin

    monkeypatch.setattr(cluster_module, "admission", half)
    # A resource that an earlier study gave to both is not this one's.
    monkeypatch.setattr(cluster_module, "versions", lambda: {**versions(), "numpy": np.__version__})
    said: list[str] = []
    events = Listener()
    run_study(asked_of(dask, tmp_path / "s"), events, said.append)
    assert set(events.workers) == {"worker 0"}
    assert sum("worker 1" in line and "is refused: too old." in line for line in said) == 1


def test_packages_that_are_not_there_and_workers_without_a_gpu_are_refused(
    dask: LocalCluster,
) -> None:
    def refused(required: dict[str, str], **more: Any) -> str:
        plugin = admission("topic", required, **{"gpu": False, "ours": False, **more})
        worker = SimpleNamespace(state=SimpleNamespace(total_resources={}))
        return str(plugin._why_not(worker))

    assert "it has no no-such-package" in refused({"no-such-package": "1"})
    assert refused(versions()) == ""
    assert refused(versions(), gpu=True) == "it was started without the resource GPU=1"


def test_the_plugin_travels_whole(tmp_path: Path) -> None:
    """A worker without dropout-lab can read it, and say so."""
    (tmp_path / "plugin").write_bytes(dumps(admission("topic", versions(), gpu=False, ours=False)))
    program = (
        "import pickle, sys; sys.modules['dropout_lab'] = None; "
        "print(pickle.load(open('plugin', 'rb'))._why_not(None))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("it has no dropout-lab, and this study is made with dropout-lab")


def test_where_no_scheduler_answers_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "_CONNECT", 0.2)
    with pytest.raises(ConfigError, match="no Dask scheduler answers there"):
        go(study(tmp_path / "s", workers=None, scheduler="tcp://127.0.0.1:9"))
    assert not (tmp_path / "s").exists()


def test_a_fleet_larger_than_a_worker_is_refused_before_anything_is_written(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asked_of(dask, tmp_path / "s")
    with opened(asked, lambda line: None) as cluster:
        cluster.admitted = {a: (name, 2**20) for a, (name, _) in cluster.admitted.items()}
        with pytest.raises(ConfigError, match=r"needs about .* and worker . has 1 MB"):
            cluster.check([(run,) for run in asked.runs])


def test_without_a_worker_a_study_waits_for_one(tmp_path: Path, whole: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(
            n_workers=0, processes=False, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as late:
            said: list[str] = []

            def say(line: str) -> None:
                said.append(line)
                late.scale(1)

            run_study(asked_of(late, tmp_path / "s", save_models=True), Listener(), say)
    assert said[0] == "no worker is there yet; the study waits for one."
    assert_same_folder(tmp_path / "s", whole)


def test_what_was_lost_with_its_worker_is_said_to_be_not_there(
    dask: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_module, "_PATIENCE", 0.3)
    with Client(dask, set_as_default=False) as client:
        with pytest.raises(NotThereError, match="no such thing"):
            client.submit(task_module.fetched, "no such thing").result()
        Variable("thing", client).set(client.scatter([b"it"])[0])
        assert client.submit(task_module.fetched, "thing", pure=False).result() == b"it"
        Variable("thing", client).delete()


def test_checkpoints_held_on_a_worker_are_fetched_by_the_name_of_the_task(
    dask: LocalCluster, tmp_path: Path
) -> None:
    with opened(asked_of(dask, tmp_path / "s"), lambda line: None) as cluster:
        held = ("attempt", 3, [b"one", b"two"])
        assert cluster.client.submit(task_module._hold, "key", held).result()
        assert cluster.held("key") == held
        cluster.forget("key")


def test_a_fleet_stops_when_told_or_when_nobody_waits_for_it(dask: LocalCluster) -> None:
    task = SimpleNamespace(state="executing")
    worker: Any = SimpleNamespace(
        state=SimpleNamespace(tasks={"k": task}), status=SimpleNamespace(name="running")
    )
    order: Any = SimpleNamespace(key="k", study="s")
    assert not task_module._to_stop(worker, order)
    task.state = "cancelled"
    assert task_module._to_stop(worker, order)
    task.state = "executing"
    worker.status.name = "closing"
    assert task_module._to_stop(worker, order)
    worker.status.name = "paused"  # it has too little memory for further tasks
    assert not task_module._to_stop(worker, order)
    task_module.halt("s")
    assert task_module._to_stop(worker, order)


def test_cores_and_memory_are_divided_among_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("distributed.LocalCluster", lambda **options: asked.append(options))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(cluster_module, "total_memory", lambda: 12 * 2**30)
    for workers in (3, 16):
        cluster_module._local_cluster(study(tmp_path / "s", workers=workers))
    few, many = asked
    assert (few["n_workers"], few["threads_per_worker"], few["memory_limit"]) == (3, 2, 2**32)
    assert many["threads_per_worker"] == 1  # more processes than cores have one each
    assert few["resources"] is None
    cuda = replace(study(tmp_path / "s", workers=2), device=torch.device("cuda"))
    cluster_module._local_cluster(cuda)
    assert asked[-1]["resources"] == {"GPU": 1}


def test_names_and_devices_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_name(SimpleNamespace(name=3)) == "worker 3"
    assert worker_name(SimpleNamespace(name="node7-2")) == "node7-2"
    assert own_device("cpu", 3) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device("cuda", 3) == torch.device("cuda", 1)
    assert own_device("cuda", "node7-2") == torch.device("cuda", 0)


def test_the_resource_names_the_versions() -> None:
    assert resource({"a": "1", "b": "2.0"}) == "a 1 b 2.0"
