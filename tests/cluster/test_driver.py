"""Fleets as chains of tasks on a Dask cluster, whose workers are threads of this process."""

import gc
import os
import pickle
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from dask.utils import key_split
from distributed import Client, LocalCluster

from dropout_lab.cluster import driver as driver_module
from dropout_lab.cluster import flight as flight_module
from dropout_lab.cluster import task as task_module
from dropout_lab.cluster.driver import RETRIES, Driver
from dropout_lab.cluster.task import ForeignWorkerError, News, Order, Part, train_part
from dropout_lab.cluster.workers import Workers
from dropout_lab.config.grid import Run
from dropout_lab.errors import ConfigError, InterruptedStudyError
from dropout_lab.results import read_rows
from tests.cluster.conftest import (
    Listener,
    asked_of,
    assert_same_folder,
    cluster_of,
    study,
)
from tests.cluster.processes import until
from tests.study.test_run import StopsAfter, assert_same_results, go
from tests.study.test_run import study as study_of


def test_the_folder_is_that_of_this_process(
    tmp_path: Path, whole: Path, dask: LocalCluster
) -> None:
    events = Listener()
    assert go(asked_of(dask, tmp_path / "s", save_models=True), events).count("completed") == 4
    assert set(events.workers) <= {"worker 0", "worker 1"}
    assert not events.warnings
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


KINDS = {
    "adam": ["training.optimizer=adam", "training.learning_rate=0.001"],
    "dropconnect": ["dropout.variant=dropconnect"],
    "early stopping": ["training.patience=1", "training.learning_rate=1"],
    "divergence": ["training.learning_rate=1e9"],
    "inference": ["evaluation.inference=[mean,monte_carlo]", "evaluation.samples=3"],
    "batch normalization": ["model.normalization=batch"],
    "averaged weights": ["training.average=exponential", "training.average_decay=0.9"],
}


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_every_kind_of_study_is_the_same(
    tmp_path: Path, dask: LocalCluster, settings: list[str]
) -> None:
    """In chains of tasks of one epoch each, fleets of two runs."""
    changes: dict[str, Any] = {"fleet_size": 2, "save_models": True}
    go(study(tmp_path / "here", *settings, **changes))
    go(asked_of(dask, tmp_path / "there", *settings, **changes))
    assert_same_folder(tmp_path / "there", tmp_path / "here")


def test_each_form_of_the_data_reaches_the_workers(tmp_path: Path, dask: LocalCluster) -> None:
    """The same images as pixels, and as components."""
    settings = ("dataset.pca=null,5", "training.epochs=1")
    changes: dict[str, Any] = {"p": "0.5", "seeds": "1", "fleet_size": 1}
    go(study_of(tmp_path / "here", *settings, **changes))
    go(study_of(tmp_path / "there", *settings, scheduler=dask.scheduler_address, **changes))
    assert_same_results(tmp_path / "there", tmp_path / "here")


def test_a_worker_with_two_threads_trains_two_fleets(tmp_path: Path, whole: Path) -> None:
    at_once: list[int] = []
    train = task_module.train_fleet

    def noted(*arguments: Any, **options: Any) -> Any:
        at_once.append(1)
        running.append(len(at_once) - ended[0])
        try:
            return train(*arguments, **options)
        finally:
            ended[0] += 1

    running: list[int] = []
    ended = [0]
    with cluster_of(1, threads_per_worker=2) as dask, pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_module, "train_fleet", noted)
        go(asked_of(dask, tmp_path / "s", save_models=True))
    assert max(running) == 2
    assert_same_folder(tmp_path / "s", whole)


class Acts(Listener):
    """Does something after the given number of epochs."""

    def __init__(self, after: int, act: Callable[[str], None]) -> None:
        super().__init__()
        self.after, self.act = after, act

    def epoch_ended(self, fleet: Sequence[Run], epoch: Any) -> None:
        super().epoch_ended(fleet, epoch)
        self.after -= 1
        if not self.after:
            self.act(self.workers[-1])


def remove(dask: LocalCluster, safe: bool) -> Callable[[str], None]:
    """Return a function that takes a worker away: a death, or after its results have been moved."""

    def act(worker: str) -> None:
        with Client(dask, set_as_default=False) as client:
            (address,) = [
                address
                for address, info in client.scheduler_info(n_workers=-1)["workers"].items()
                if f"worker {info['name']}" == worker
            ]
            if safe:
                client.retire_workers([address])
            else:
                client.run_on_scheduler(_die, address)

    return act


async def _die(address: str, dask_scheduler: Any = None) -> None:
    await dask_scheduler.remove_worker(address, stimulus_id="death", expected=False, close=True)


@pytest.mark.parametrize("retired", [False, True], ids=["dies", "is retired"])
def test_a_worker_leaves_and_its_fleets_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retired: bool
) -> None:
    """A death costs the work since the last checkpoint; a retired worker's results are moved."""
    monkeypatch.setattr(driver_module, "_ROUND", 0.01)
    long = "training.epochs=20"
    go(study(tmp_path / "here", long))
    with cluster_of() as dask:
        events = Acts(3, remove(dask, safe=retired))
        go(asked_of(dask, tmp_path / "there", long), events)
    assert_same_folder(tmp_path / "there", tmp_path / "here")
    assert any("is gone; what it trained continues" in text for text in events.warnings)
    assert not (retired and any("Retrying" in text for text in events.warnings))


def test_the_cluster_adapts_to_the_queue(tmp_path: Path) -> None:
    """From no worker to four and back."""
    most: list[int] = []

    class Counts(Listener):
        def epoch_ended(self, fleet: Sequence[Run], epoch: Any) -> None:
            super().epoch_ended(fleet, epoch)
            most.append(len(dask.scheduler.workers))

    changes: dict[str, Any] = {"p": "0,0.2,0.5", "seeds": "4"}
    go(study(tmp_path / "here", **changes))
    with cluster_of(0) as dask:
        dask.adapt(minimum=0, maximum=4, interval="50ms", target_duration="0.3s", wait_count=3)
        events = Counts()
        go(asked_of(dask, tmp_path / "there", **changes), events)
        until(lambda: not dask.scheduler.workers)
    assert max(most) == 4
    assert_same_results(tmp_path / "there", tmp_path / "here")


def test_without_a_worker_a_study_waits_for_one(tmp_path: Path, whole: Path) -> None:
    with cluster_of(0) as late:
        events = Listener()

        def warned(text: str) -> None:
            events.warnings.append(text)
            late.scale(1)

        events.warned = warned
        go(asked_of(late, tmp_path / "s", save_models=True), events)
    assert events.warnings == [
        "no worker is there for what is to be trained; the study waits for one."
    ]
    assert_same_folder(tmp_path / "s", whole)


def test_a_worker_with_too_little_memory_gets_no_fleet(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "worker 1")
    events = Listener()
    assert go(asked_of(dask, tmp_path / "s"), events).count("completed") == 4
    assert set(events.workers) == {"worker 1"}


def only(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let only the named workers have memory for a fleet."""
    note = Workers._note

    def noted(self: Workers, address: str, answer: Any) -> None:
        note(self, address, answer)
        told = self.known[address]
        self.known[address] = replace(told, memory=float("inf") if told.name in names else 1)

    monkeypatch.setattr(Workers, "_note", noted)


class Once(Listener):
    """Does something in another thread when the first fleet starts."""

    def __init__(self, act: Callable[[str], None]) -> None:
        super().__init__()
        self.act: Callable[[str], None] | None = act

    def fleet_started(self, *arguments: Any, **options: Any) -> None:
        super().fleet_started(*arguments, **options)
        act, self.act = self.act, None
        if act is not None:
            Thread(target=act, args=[self.workers[0]], daemon=True).start()


def test_the_only_worker_with_enough_memory_dies_and_another_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tasks that were restricted to it go to the new one."""
    only(monkeypatch, "worker 1", "worker 2")
    monkeypatch.setattr(flight_module, "PART_SECONDS", 20.0)
    with cluster_of() as dask:

        def dies(worker: str) -> None:
            remove(dask, safe=False)(worker)
            dask.scale(3)

        events = Once(dies)
        outcome = go(asked_of(dask, tmp_path / "s", "training.epochs=40"), events)
    assert outcome.count("completed") == 4
    assert set(events.workers) == {"worker 1", "worker 2"}


@pytest.mark.parametrize("safe", [True, False], ids=["retired", "dead"])
def test_stopped_after_the_last_suitable_worker_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safe: bool
) -> None:
    """An unsuitable one is still there, which gets no fleet."""
    only(monkeypatch, "worker 1")
    with cluster_of() as dask:

        def leaves(worker: str) -> None:
            remove(dask, safe=safe)(worker)
            until(lambda: bool(events.warnings))
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGINT)

        events = Once(leaves)
        with pytest.raises(InterruptedStudyError):
            go(asked_of(dask, tmp_path / "s", "training.epochs=60"), events)
    assert set(events.workers) == {"worker 1"}
    go(study(tmp_path / "s", "training.epochs=60"))
    go(study(tmp_path / "here", "training.epochs=60"))
    assert_same_results(tmp_path / "s", tmp_path / "here")


def test_fleets_that_only_wait_are_not_blamed_for_the_death_of_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask counts the death for every task that the worker was to run."""
    monkeypatch.setattr(flight_module, "PART_SECONDS", 20.0)
    deaths = 0

    class Dies(Listener):
        def fleet_started(self, *arguments: Any, **options: Any) -> None:
            super().fleet_started(*arguments, **options)
            nonlocal deaths
            if deaths < 4:
                deaths += 1
                Thread(target=self.dies, args=[self.workers[-1], deaths], daemon=True).start()

        def dies(self, worker: str, count: int) -> None:
            remove(dask, safe=False)(worker)
            dask.scale(count + 1)

    with cluster_of(1) as dask:
        outcome = go(asked_of(dask, tmp_path / "s", "training.epochs=40"), Dies())
    assert deaths == 4
    assert outcome.count("failed") <= 1
    assert outcome.count("completed") >= 3


def test_repeated_and_late_messages_change_nothing(
    dask: LocalCluster, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a task that Dask has repeated."""
    hear, heard = Driver._hear, []

    def twice(self: Driver, flight: Any, news: News) -> None:
        heard.append(news)
        hear(self, flight, news)
        for old in heard:
            if old.fleet == news.fleet:
                hear(self, flight, old)

    monkeypatch.setattr(Driver, "_hear", twice)
    go(asked_of(dask, tmp_path / "s", save_models=True))
    assert_same_folder(tmp_path / "s", whole)


@pytest.mark.parametrize("lost", [1, 3, 5])
def test_a_lost_message_starts_the_fleet_again(
    dask: LocalCluster, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """The start, an epoch in the middle, the last epoch."""
    hear, heard = Driver._hear, []

    def loses(self: Driver, flight: Any, news: News) -> None:
        if news.calls:
            heard.append(news)
        if len(heard) != lost or not news.calls or sum(map(bool, heard)) > lost:
            hear(self, flight, news)

    monkeypatch.setattr(Driver, "_hear", loses)
    events = Listener()
    go(asked_of(dask, tmp_path / "s", save_models=True), events)
    assert_same_folder(tmp_path / "s", whole)


FAILING: dict[str, Any] = {}  # the error, how often it is raised, and for which fleet


def train_or_fail(order: Order, number: int, splits: Any, before: Part | None = None) -> Part:
    """Raise an exception in the first tasks, of the same fleet each time."""
    fleet = FAILING.setdefault("fleet", order.runs[0].run_id)
    if FAILING["times"] and fleet == order.runs[0].run_id:
        FAILING["times"] -= 1
        raise FAILING["error"]
    return train_part(order, number, splits, before)


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException, times: int) -> None:
    FAILING.clear()
    FAILING.update(error=error, times=times)
    monkeypatch.setattr(task_module, "train_part", train_or_fail)


@pytest.mark.parametrize(
    ("error", "times", "message"),
    [
        (OSError("no way"), RETRIES, ""),
        (OSError("no way"), RETRIES + 1, "OSError: no way, 4 times"),
        (ConfigError(["the plugin is wrong"]), 1, "ConfigError: the plugin is wrong"),
    ],
)
def test_a_task_that_fails(
    dask: LocalCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    times: int,
    message: str,
) -> None:
    """Its runs fail with the reason, at once or after three retries; the study continues."""
    failing(monkeypatch, error, times)
    events = Listener()
    outcome = go(asked_of(dask, tmp_path / "s"), events)
    assert (outcome.count("failed"), outcome.count("completed")) == ((1, 3) if message else (0, 4))
    rows = read_rows(tmp_path / "s" / "runs.csv")
    assert {row["message"] for row in rows} == {"", message}
    logs = list((tmp_path / "s" / "runs").glob("*/log.txt"))
    assert len(logs) == bool(message)
    if message:
        monkeypatch.setattr(task_module, "train_part", train_part)
        again = go(asked_of(dask, tmp_path / "s", retry_failed=True))
        assert again.count("completed") == 4
        assert not logs[0].exists()


def test_a_new_worker_of_another_version_delays_its_fleet_only(
    dask: LocalCluster, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes tasks before it has told its versions; that counts as no failure."""
    failing(monkeypatch, ForeignWorkerError("too old"), RETRIES + 3)
    monkeypatch.setattr(Workers, "unanswered", property(lambda self: True))
    events = Listener()
    go(asked_of(dask, tmp_path / "s", save_models=True), events)
    assert not events.warnings
    assert not FAILING["times"]
    assert_same_folder(tmp_path / "s", whole)


def test_data_sets_do_not_gather_on_the_cluster(
    dask: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most: list[int] = []
    submit = Driver._submit_fleet

    def noted(self: Driver, *arguments: Any) -> None:
        submit(self, *arguments)
        gc.collect()
        most.append(len(self.sender._data))

    monkeypatch.setattr(Driver, "_submit_fleet", noted)
    asked = study_of(
        tmp_path / "s", "dataset.train_size=100,200,300,400,500,600", p="0.5", seeds="1",
        scheduler=dask.scheduler_address,
    )  # fmt: skip
    assert go(asked).count("completed") == 12
    assert max(most) in (3, 4)


class Stops(StopsAfter):
    """Asks to stop, as Ctrl-C does."""

    def stop(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def test_stopped_on_request_each_fleet_keeps_its_checkpoint_and_continues_from_it(
    tmp_path: Path, whole: Path, dask: LocalCluster
) -> None:
    asked = asked_of(dask, tmp_path / "s", save_models=True)
    with pytest.raises(InterruptedStudyError, match=r"after epoch \d of 4"):
        go(asked, Stops(2))
    rows = [row for row in read_rows(tmp_path / "s" / "runs.csv") if row["status"] != "completed"]
    assert {row["status"] for row in rows} == {"interrupted"}
    written = {row["run_id"] for row in read_rows(tmp_path / "s" / "metrics.csv")}
    assert written <= {row["run_id"] for row in read_rows(tmp_path / "s" / "runs.csv")}
    assert list((tmp_path / "s").glob("runs/*/checkpoint_*.pt"))
    task_module._stopped.clear()
    events = Listener()
    go(asked, events)
    assert max(events.done) > 0
    assert_same_folder(tmp_path / "s", whole)


def test_stopped_without_a_worker_it_does_not_wait_for_one(tmp_path: Path) -> None:
    with cluster_of(0) as empty:
        events = Listener()
        events.warned = lambda text: os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(InterruptedStudyError, match="Stopped between two fleets"):
            go(asked_of(empty, tmp_path / "s"), events)


def test_checkpoints_are_fetched_in_turn_and_a_killed_driver_continues_from_them(
    dask: LocalCluster, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "_FETCH_SHARE", 1.0)  # of its time: there always is some
    monkeypatch.setattr(driver_module, "_ROUND", 0.001)
    fetched: list[str] = []
    fetch = Driver._fetch

    def noted(self: Driver, flight: Any, task: Any) -> None:
        fetched.append(flight.order.runs[0].run_id)
        fetch(self, flight, task)

    monkeypatch.setattr(Driver, "_fetch", noted)
    asked = asked_of(dask, tmp_path / "s", save_models=True)

    class KilledAfterCheckpoint(Listener):
        def epoch_ended(self, fleet: Sequence[Run], epoch: Any) -> None:
            super().epoch_ended(fleet, epoch)
            if list((tmp_path / "s").glob("runs/*/checkpoint_*.pt")):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(asked, KilledAfterCheckpoint())
    events = Listener()
    go(asked, events)
    assert_same_folder(tmp_path / "s", whole)
    assert len(set(fetched)) > 1


def test_a_finished_study_needs_no_cluster(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole, tmp_path / "s")
    monkeypatch.setattr("dropout_lab.cluster.opening.opened", None)
    assert go(study(tmp_path / "s", save_models=True, workers=2)).trained == 0


def test_the_dashboard_shows_a_readable_bar_for_each_fleet(
    dask: LocalCluster, tmp_path: Path
) -> None:
    with Client(dask, set_as_default=False) as client:
        client.run_on_scheduler(_watch)
        go(asked_of(dask, tmp_path / "s", "name=mnist-5k"))
        bars = client.run_on_scheduler(_watched)
    assert {f"fleet {number} of mnist_5k" for number in range(1, 5)} <= set(bars)


def _watch(dask_scheduler: Any) -> None:
    from distributed.diagnostics.plugin import SchedulerPlugin

    class Names(SchedulerPlugin):
        name = "names"

        def __init__(self) -> None:
            self.seen: list[str] = []

        def transition(self, key: Any, *arguments: Any, **options: Any) -> None:
            self.seen.append(key_split(key))

    dask_scheduler.add_plugin(Names())


def _watched(dask_scheduler: Any) -> list[str]:
    seen: list[str] = dask_scheduler.plugins["names"].seen
    return seen


def test_mistakes_come_whole_from_a_worker() -> None:
    error = pickle.loads(pickle.dumps(ConfigError(["one", "two"])))
    assert (error.mistakes, str(error)) == (("one", "two"), str(ConfigError(["one", "two"])))
