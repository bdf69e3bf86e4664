"""Which workers may train, how a cluster is opened, and what a worker is told to do."""

import pickle
import subprocess
import sys
from concurrent.futures import Future as Answer
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from dask import config
from distributed import LocalCluster
from distributed.protocol.pickle import dumps

from dropout_lab.cluster import opening
from dropout_lab.cluster import task as task_module
from dropout_lab.cluster import workers as workers_module
from dropout_lab.cluster.flight import cores_of, function_of_a_task
from dropout_lab.cluster.opening import opened
from dropout_lab.cluster.task import own_device
from dropout_lab.cluster.workers import Workers, display_name, question, versions
from dropout_lab.errors import ConfigError
from dropout_lab.study import Study
from dropout_lab.study.packing import need_of
from tests.cluster.conftest import (
    Listener,
    asked_of,
    assert_same_folder,
    cluster_of,
    study,
)
from tests.conftest import make_runs
from tests.study.test_run import go


@pytest.mark.parametrize("package", ["torch", "dropout-lab"])
def test_workers_with_other_versions_are_refused_with_both_named(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    ours = versions()
    other = {**ours, package: "9.9.9"}
    monkeypatch.setattr(workers_module, "versions", lambda: other)
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
            *told, why = tell(dask_worker)
            return *told, why or ("too old" if dask_worker.name == 1 else "")

        return told

    monkeypatch.setattr(workers_module, "question", half)
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
    monkeypatch.setattr("tests.cluster.test_workers.ASKED", asked, raising=False)

    def unsure(*arguments: Any, **more: Any) -> Any:
        tell = question(*arguments, **more)

        def told(dask_worker: Any) -> Any:
            from tests.cluster import (
                test_workers,  # the function was copied, the module is this one
            )

            test_workers.ASKED.append(dask_worker.name)
            if test_workers.ASKED.count(dask_worker.name) < 2:
                raise OSError("no answer")
            return tell(dask_worker)

        return told

    monkeypatch.setattr(workers_module, "question", unsure)
    go(asked_of(dask, tmp_path / "s", save_models=True))
    assert list(map(asked.count, (0, 1))) == [2, 2]
    assert_same_folder(tmp_path / "s", whole)


def test_packages_that_are_not_there_and_workers_without_a_gpu_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(required: dict[str, str], *, gpu: bool = False) -> str:
        tell = question(required, gpu=gpu, local=False)
        worker: Any = SimpleNamespace(
            name="a", state=SimpleNamespace(total_resources={}, nthreads=1),
            memory_manager=SimpleNamespace(memory_limit=None),
        )  # fmt: skip
        return tell(worker)[3]

    assert "it has no no-such-package" in refused({"no-such-package": "1"})
    assert refused(versions()) == ""
    assert refused(versions(), gpu=True) == "it was started without the resource GPU=1"
    monkeypatch.setitem(sys.modules, "dropout_lab.cluster.task", None)
    assert "it cannot import dropout-lab (ModuleNotFoundError" in refused(versions())


def test_the_question_travels_whole(tmp_path: Path) -> None:
    """A worker without dropout-lab can read it, and say so."""
    (tmp_path / "question").write_bytes(dumps(question(versions(), gpu=False, local=False)))
    program = (
        "import pickle, sys; from types import SimpleNamespace as N\n"
        "sys.modules['dropout_lab'] = None\n"
        "worker = N(name=3, memory_manager=N(memory_limit=5), state=N(nthreads=2))\n"
        "print(pickle.load(open('question', 'rb'))(worker))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert told.stdout.startswith("(3, 5, 2, 'it has no dropout-lab, and this study is made")


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
    with opened(asked, silent, silent) as workers:
        one, other = workers.known
        for address, memory in ((one, needed - 1), (other, needed / 2)):
            workers.known[address] = replace(workers.known[address], memory=memory)
        with pytest.raises(ConfigError, match=r"needs about .* and worker . may use "):
            workers.check([fleet])
        assert workers.allowed(fleet) == []
        workers.known[one] = replace(workers.known[one], memory=needed)
        workers.check([fleet])
        assert workers.allowed(fleet) == [one]
        workers.known[other] = replace(workers.known[other], memory=float("inf"))
        assert workers.allowed(fleet) is None
        workers._gpu = True
        workers.known[other] = replace(workers.known[other], memory=0)
        assert workers.allowed(fleet) is None


@pytest.mark.parametrize("threads", [1, 2])
def test_a_thread_of_a_worker_may_use_four_fifths_of_its_share_of_the_memory(
    tmp_path: Path, threads: int
) -> None:
    with (
        cluster_of(1, threads_per_worker=threads, memory_limit="1GB") as dask,
        opened(asked_of(dask, tmp_path / "s"), silent, silent) as workers,
    ):
        (told,) = workers.known.values()
    assert told.memory == 0.8e9 / threads


def silent(line: str) -> None:
    """Take a line."""


def test_a_worker_that_never_answers_does_not_hold_up_the_study(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, address = Workers.run, ""

    def asked(self: Any, function: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal address
        address = address or options.get("workers", [""])[0]
        if [address] == options.get("workers"):
            return Answer()
        return run(self, function, *arguments, **options)

    monkeypatch.setattr(Workers, "run", asked)
    monkeypatch.setattr(workers_module, "_ANSWER", 0.1)
    assert go(asked_of(dask, tmp_path / "s")).count("completed") == 4


def test_a_task_stops_when_told_or_when_nobody_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task_module, "_stopped", set())
    task = SimpleNamespace(state="executing")
    worker: Any = SimpleNamespace(
        state=SimpleNamespace(tasks={"f-2": task}), status=SimpleNamespace(name="running")
    )
    order: Any = SimpleNamespace(fleet="f", study="s")
    assert not task_module._to_stop(worker, order, 2)
    task.state = "cancelled"
    assert task_module._to_stop(worker, order, 2)
    task.state = "executing"
    for leaving in ("closing_gracefully", "closing"):
        worker.status.name = leaving
        assert task_module._to_stop(worker, order, 2)
    worker.status.name = "paused"  # it has too little memory for further tasks
    assert not task_module._to_stop(worker, order, 2)
    task_module.stop("s")
    assert task_module._to_stop(worker, order, 2)


def test_the_memory_is_divided_among_the_processes(
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
    monkeypatch.setattr(opening, "total_memory", lambda: 12 * 2**30)
    start(study(tmp_path / "s", workers=3))
    (few,) = asked
    assert (few["n_workers"], few["threads_per_worker"], few["memory_limit"]) == (3, 1, 2**32)
    assert few["resources"] is None
    cuda = replace(study(tmp_path / "s", workers=2), device=torch.device("cuda"))
    start(cuda)
    assert asked[-1]["resources"] == {"GPU": 1}


def test_names_and_devices_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert display_name(3) == "worker 3"
    assert display_name("node7-2") == "node7-2"
    assert own_device("cpu", 3) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device("cuda", 3) == torch.device("cuda", 1)
    assert own_device("cuda", "node7-2") == torch.device("cuda", 0)


@pytest.mark.parametrize(
    ("workers", "nthreads", "cores"), [(3, 1, [2]), (16, 1, [1]), (None, 1, []), (None, 4, [1])]
)
def test_how_many_cores_a_fleet_uses(
    monkeypatch: pytest.MonkeyPatch,
    workers: int | None,
    nthreads: int,
    cores: list[int],
) -> None:
    """Processes of a command share its cores; a worker with several threads trains several."""
    used: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    order: Any = SimpleNamespace(plugins={}, device="cpu", threads=cores_of(workers))
    worker: Any = SimpleNamespace(name=0, state=SimpleNamespace(nthreads=nthreads))
    task_module.prepared(order, worker)
    assert used == cores


def test_the_scheduler_needs_neither_this_package_nor_torch(tmp_path: Path) -> None:
    """It reads each task, which Dask sends with this function."""
    order = pickle.dumps(make_runs())
    (tmp_path / "task").write_bytes(dumps((function_of_a_task(), order)))
    program = (
        "import pickle, sys\n"
        "sys.modules['dropout_lab'] = sys.modules['torch'] = None\n"
        "function, order = pickle.load(open('task', 'rb'))\n"
        "print(function.__name__, len(order))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert told.stdout == f"train {len(order)}\n"
