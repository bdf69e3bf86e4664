"""A real Dask cluster, its workers threads of this process."""

import asyncio
import logging
import subprocess
import sys
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import Future as Answer
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from dask import config
from distributed import Client, LocalCluster
from distributed.protocol.pickle import dumps

from dropout_lab import data
from dropout_lab.cluster import cluster as cluster_module
from dropout_lab.cluster import opening
from dropout_lab.cluster import scatter as laid
from dropout_lab.cluster import task as task_module
from dropout_lab.cluster.handshake import question, versions
from dropout_lab.cluster.journal import Held
from dropout_lab.cluster.opening import opened
from dropout_lab.cluster.scatter import NotLaidError
from dropout_lab.cluster.task import NotThereError, own_device, worker_name
from dropout_lab.errors import ConfigError
from dropout_lab.study import Study
from dropout_lab.study.packing import need_of
from tests.cluster.processes import until
from tests.cluster.test_dispatch import Listener, assert_same_folder, study, whole
from tests.conftest import make_runs
from tests.study.test_run import go

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
        *(r for w in dask_scheduler.workers.values() for r in w.resources),
        *(t for t in dask_scheduler._broker._topics if str(t).startswith("dropout-lab")),
    ]


def asked_of(dask: LocalCluster, out: Path, **changes: Any) -> Study:
    """Return the study, to be trained by the cluster."""
    return study(out, workers=None, scheduler=dask.scheduler_address, **changes)


def test_data_that_the_workers_do_not_have_are_sent_once_and_looked_at(
    tmp_path: Path, whole: Path, dask: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_module, "_own_splits", lambda order: None)
    sent: list[object] = []
    put = cluster_module.Cluster.put

    def noted(self: cluster_module.Cluster, what: object, worker: Any) -> object:
        sent.append(what)
        return put(self, what, worker)

    monkeypatch.setattr(cluster_module.Cluster, "put", noted)
    assert go(asked_of(dask, tmp_path / "s", save_models=True)).count("completed") == 4
    assert len(sent) == 1
    assert_same_folder(tmp_path / "s", whole)


def test_other_data_under_the_same_name_are_not_taken(
    dask: LocalCluster, small_splits: data.Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the worker's own of another digest, nor damaged ones from the network."""
    runs = make_runs()
    order = SimpleNamespace(runs=runs, digest=small_splits.digest)
    monkeypatch.setattr(task_module, "_own_splits", lambda order: small_splits)
    assert task_module._splits(order, None) is small_splits
    order.digest = "another"
    for sent in (None, small_splits):
        with pytest.raises(NotThereError):
            task_module._splits(order, sent)
    damaged = replace(small_splits, train=small_splits.train[torch.tensor([1, 0, 2])])
    monkeypatch.setattr(task_module, "_own_splits", lambda order: None)
    order = SimpleNamespace(runs=runs, digest=small_splits.digest)
    with pytest.raises(NotThereError):
        task_module._splits(order, damaged)


def test_the_same_images_in_another_form_are_other_data(small_splits: data.Splits) -> None:
    """The digest is of the images, not of what normalize and pca make of them."""
    digest = small_splits.digest
    shapes = {}
    for form in ("normalize=unit", "normalize=standard", "pca=5"):
        order = SimpleNamespace(runs=make_runs(f"dataset.{form}"), digest=digest)
        splits = task_module._splits(order, None)
        assert splits.digest == digest
        shapes[form] = splits.shift, splits.train.images.shape[1]
    assert shapes["normalize=unit"] == (0, 784)
    assert shapes["normalize=standard"][0] > 0
    assert shapes["pca=5"] == (0, 5)


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


@pytest.mark.parametrize(("name", "train"), [("digits", 297), ("two_moons", 200)])
def test_a_worker_has_data_that_need_no_file(
    name: str, train: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DROPOUT_LAB_DATA", raising=False)
    (run,) = make_runs(
        f"dataset.name={name}", "dataset.train_size=null", "dataset.validation_size=1000"
    )
    splits = task_module._own_splits(SimpleNamespace(runs=[run]))
    assert splits is not None
    assert len(splits.train) == train


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
        tell = question(*arguments, **more)

        def told(dask_worker: Any) -> Any:
            name, memory, why = tell(dask_worker)
            return name, memory, why or ("too old" if dask_worker.name == 1 else "")

        return told

    monkeypatch.setattr(cluster_module, "question", half)
    events = Listener()
    go(asked_of(dask, tmp_path / "s"), events)
    assert set(events.workers) == {"worker 0"}
    told = [text for text in events.warnings if "is refused" in text]
    assert len(told) == 1
    assert told[0].startswith("worker 1 (")
    assert told[0].endswith(") is refused: too old.")


def test_a_worker_that_gives_no_answer_is_asked_again(
    dask: LocalCluster, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its set-up fails, or it dies while it is asked: neither ends the study."""
    asked: list[int] = []
    monkeypatch.setattr("tests.cluster.test_cluster.ASKED", asked, raising=False)

    def unsure(*arguments: Any, **more: Any) -> Any:
        tell = question(*arguments, **more)

        def told(dask_worker: Any) -> Any:
            from tests.cluster import (
                test_cluster,  # the function was copied, the module is this one
            )

            test_cluster.ASKED.append(dask_worker.name)
            if test_cluster.ASKED.count(dask_worker.name) < 2:
                raise OSError("no answer")
            return tell(dask_worker)

        return told

    monkeypatch.setattr(cluster_module, "question", unsure)
    go(asked_of(dask, tmp_path / "s", save_models=True))
    assert list(map(asked.count, (0, 1))) == [2, 2]
    assert_same_folder(tmp_path / "s", whole)


def test_packages_that_are_not_there_and_workers_without_a_gpu_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(required: dict[str, str], *, gpu: bool = False) -> str:
        tell = question(required, gpu=gpu, ours=False)
        worker: Any = SimpleNamespace(
            name="a", state=SimpleNamespace(total_resources={}),
            memory_manager=SimpleNamespace(memory_limit=None),
        )  # fmt: skip
        return tell(worker)[2]

    assert "it has no no-such-package" in refused({"no-such-package": "1"})
    assert refused(versions()) == ""
    assert refused(versions(), gpu=True) == "it was started without the resource GPU=1"
    monkeypatch.setitem(sys.modules, "dropout_lab.cluster.task", None)
    assert "it cannot import dropout-lab (ModuleNotFoundError" in refused(versions())


def test_the_question_travels_whole(tmp_path: Path) -> None:
    """A worker without dropout-lab can read it, and say so."""
    (tmp_path / "question").write_bytes(dumps(question(versions(), gpu=False, ours=False)))
    program = (
        "import pickle, sys; from types import SimpleNamespace as N\n"
        "sys.modules['dropout_lab'] = None\n"
        "worker = N(name=3, memory_manager=N(memory_limit=5))\n"
        "print(pickle.load(open('question', 'rb'))(worker))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("('worker 3', 5, 'it has no dropout-lab, and this study is made")


def test_where_no_scheduler_answers_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "_CONNECT", 0.2)
    with pytest.raises(ConfigError, match="no Dask scheduler answers there"):
        go(study(tmp_path / "s", workers=None, scheduler="tcp://127.0.0.1:9"))
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(("named", "why"), [(False, "names none"), (True, "No such file")])
def test_a_scheduler_with_tls_and_no_certificate_here_is_a_plain_message(
    tmp_path: Path, named: bool, why: str
) -> None:
    keys = {"comm.tls.ca-file": "absent.crt", "comm.tls.client.cert": "absent.crt"}
    wanted = rf"no certificate for it \(.*{why}.*DASK_DISTRIBUTED__COMM__TLS__CA_FILE"
    with (
        config.set({f"distributed.{key}": name for key, name in keys.items()} if named else {}),
        pytest.raises(ConfigError, match=wanted),
    ):
        go(study(tmp_path / "s", workers=None, scheduler="tls://127.0.0.1:9"))
    assert not (tmp_path / "s").exists()


def test_workers_that_cannot_be_started_are_a_plain_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**options: Any) -> None:
        raise RuntimeError("Nanny failed to start.")

    monkeypatch.setattr("distributed.LocalCluster", fails)
    with pytest.raises(ConfigError, match=r"--workers is 2, .*Nanny failed to start"):
        go(study(tmp_path / "s", workers=2))
    assert not (tmp_path / "s").exists()


def test_a_fleet_larger_than_every_worker_is_refused_before_anything_is_written(
    dask: LocalCluster, tmp_path: Path
) -> None:
    """A worker may use four fifths of its memory; more, and Dask stops it."""
    asked = asked_of(dask, tmp_path / "s")
    fleet = (asked.runs[0],)
    needed = need_of(fleet).of(1)
    with opened(asked, silent, silent) as cluster:
        one, other = cluster.workers
        for address, memory in ((one, needed), (other, needed * 1.2)):
            cluster.workers[address] = replace(cluster.workers[address], memory=int(memory))
        with pytest.raises(ConfigError, match=r"needs about .* and worker . may use "):
            cluster.check([fleet])
        enough = replace(cluster.workers[one], memory=int(needed * 1.26))
        cluster.workers[one] = enough
        cluster.check([fleet])
        assert cluster.fits(fleet, enough)
        assert not cluster.fits(fleet, cluster.workers[other])
        assert cluster.fits(fleet, replace(enough, memory=None))
        cluster._gpu = True
        assert cluster.fits(fleet, cluster.workers[other])


def silent(line: str) -> None:
    """Take a line."""


def test_without_a_worker_a_study_waits_for_one(tmp_path: Path, whole: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(
            n_workers=0, processes=False, dashboard_address=None, silence_logs=logging.CRITICAL
        ) as late:
            events = Listener()

            def warned(text: str) -> None:
                events.warnings.append(text)
                late.scale(1)

            events.warned = warned
            go(asked_of(late, tmp_path / "s", save_models=True), events)
    assert events.warnings[0].endswith("the study waits for one.")
    assert_same_folder(tmp_path / "s", whole)


def test_checkpoints_held_on_a_worker_are_fetched(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held("key", "attempt", 3, [b"one", b"two"])
    task_module._hold(held)
    with opened(asked_of(dask, tmp_path / "s"), silent, silent) as cluster:
        worker = next(iter(cluster.workers.values()))
        cluster.fetch("key", worker)
        assert cluster.news(10) == held
        cluster.fetch("another key", worker)
        assert cluster.news(10) == Held("another key", "", 0, ())
        monkeypatch.setattr(cluster_module, "held_of", 1 / 2)  # there it cannot be called
        cluster.fetch("key", worker)
        assert cluster.news(10) == Held("key", "", 0, ())


def test_a_task_that_was_let_go_is_taken_back(dask: LocalCluster, tmp_path: Path) -> None:
    with opened(asked_of(dask, tmp_path / "s"), silent, silent) as cluster:
        order: Any = SimpleNamespace(key="k")
        worker = replace(next(iter(cluster.workers.values())), address="tcp://127.0.0.1:9")
        cluster.submit(order, worker, None, None)  # it has gone, and the task waits for it
        assert cluster.out("k")
        until(lambda: cluster.client.run_on_scheduler(_leftovers)[:1] == ["k"])
        cluster.over("k")
        assert not cluster.out("k")
        until(lambda: "k" not in cluster.client.run_on_scheduler(_leftovers))
        assert cluster.news(0.01) is None


def test_what_does_not_reach_a_worker_holds_up_nothing_and_is_news(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is not sent, and the worker is left alone for a while."""

    async def never(*arguments: Any, **options: Any) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(Client, "scatter", never)
    order: Any = SimpleNamespace(key="k")
    with opened(asked_of(dask, tmp_path / "s"), silent, silent) as cluster:
        monkeypatch.setattr(cluster.client, "submit", None)
        worker = next(iter(cluster.workers.values()))
        monkeypatch.setattr(laid, "_CARRY", 3600.0)
        cluster.submit(order, worker, cluster.put("data", worker), None)
        assert cluster.out("k")
        assert cluster.news(0.01) is None
        cluster.over("k")  # and is not sent later
        monkeypatch.setattr(laid, "_CARRY", 0.01)
        lost = cluster.put("checkpoints", worker)
        cluster.submit(order, worker, None, lost)
        ended = cluster.news(10)
        assert isinstance(ended.end, NotLaidError)
        assert ended.end.laid is lost
        cluster.shun(worker)
        assert worker.address not in cluster.ready
        assert worker.address in cluster.workers
        monkeypatch.setattr(cluster_module, "_LOOK", 0.0)
        cluster.look()
        assert worker.address not in cluster.ready
        monkeypatch.setattr(cluster_module, "_SHUN", 0.0)
        cluster.shun(worker)
        cluster.look()
        assert worker.address in cluster.ready


@pytest.mark.parametrize(("failures", "ends"), [(2, "delivery"), (3, OSError)])
def test_what_a_task_brought_is_asked_for_again_but_not_for_ever(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, ends: Any
) -> None:
    class Task:
        status = "finished"

        def __await__(self) -> Generator[None, None, str]:
            asked.append(1)
            if len(asked) <= failures:
                raise OSError("the connection was lost")
            yield from ()
            return "delivery"

    asked: list[int] = []
    order: Any = SimpleNamespace(key="k")
    with opened(asked_of(dask, tmp_path / "s"), silent, silent) as cluster:
        monkeypatch.setattr(cluster.client, "submit", lambda *arguments, **options: Task())
        cluster.submit(order, next(iter(cluster.workers.values())), None, None)
        end = cluster.news(10).end
    assert ends in (end, type(end))
    assert len(asked) == 3


def test_a_worker_that_never_answers_gets_nothing_and_the_others_train(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, address = cluster_module.Cluster._ask, ""

    def asked(self: Any, function: Any, *arguments: Any, workers: list[str], **more: Any) -> Any:
        nonlocal address
        address = address or workers[0]
        if address in workers:
            return Answer()
        return ask(self, function, *arguments, workers=workers, **more)

    monkeypatch.setattr(cluster_module.Cluster, "_ask", asked)
    monkeypatch.setattr(cluster_module, "_ANSWER", 0.1)
    events = Listener()
    assert go(asked_of(dask, tmp_path / "s"), events).count("completed") == 4
    assert len(set(events.workers)) == 1


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
    for leaving in ("closing_gracefully", "closing"):
        worker.status.name = leaving
        assert task_module._to_stop(worker, order)
    worker.status.name = "paused"  # it has too little memory for further tasks
    assert not task_module._to_stop(worker, order)
    task_module.halt("s")
    assert task_module._to_stop(worker, order)


def test_cores_and_memory_are_divided_among_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def started(**options: Any) -> AbstractContextManager[None]:
        asked.append(options)
        return nullcontext()

    def start(asks: Study) -> None:
        with opening._local_cluster(asks):
            pass

    monkeypatch.setattr("distributed.LocalCluster", started)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(opening, "total_memory", lambda: 12 * 2**30)
    for workers in (3, 16):
        start(study(tmp_path / "s", workers=workers))
    few, many = asked
    assert (few["n_workers"], few["threads_per_worker"], few["memory_limit"]) == (3, 2, 2**32)
    assert many["threads_per_worker"] == 1  # more processes than cores have one each
    assert few["resources"] is None
    cuda = replace(study(tmp_path / "s", workers=2), device=torch.device("cuda"))
    start(cuda)
    assert asked[-1]["resources"] == {"GPU": 1}


def test_names_and_devices_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_name(SimpleNamespace(name=3)) == "worker 3"
    assert worker_name(SimpleNamespace(name="node7-2")) == "node7-2"
    assert own_device("cpu", 3) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device("cuda", 3) == torch.device("cuda", 1)
    assert own_device("cuda", "node7-2") == torch.device("cuda", 0)
