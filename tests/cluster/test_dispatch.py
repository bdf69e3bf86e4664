"""What comes from workers is put into the folder once and in order, whatever is lost on the way."""

import gc
import os
import pickle
import shutil
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from distributed import KilledWorker
from distributed.scheduler import WorkerState

from dropout_lab import results
from dropout_lab.cluster import dispatch
from dropout_lab.cluster.retries import RETRIES
from dropout_lab.cluster.task import NotThereError
from dropout_lab.config.grid import Run
from dropout_lab.errors import ClusterError, ConfigError, InterruptedStudyError
from dropout_lab.results import read_rows
from dropout_lab.study import Study
from tests.cluster import pretended
from tests.cluster.pretended import Pretended, use
from tests.study.test_run import Silent, StopsAfter, assert_same_results, go
from tests.study.test_run import study as study_of

TABLES = (results.INFERENCE, results.RELIABILITY, results.ACTIVATIONS)


class Listener(Silent):
    """Also notes where fleets start."""

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[str] = []

    def fleet_started(
        self, fleet: Sequence[Run], epochs_done: int, epochs: int, worker: str = ""
    ) -> None:
        super().fleet_started(fleet, epochs_done, epochs, worker)
        self.workers.append(worker)


def study(out: Path, **changes: Any) -> Study:
    at_end = "evaluation.at_end=[reliability,histograms,features,predictions]"
    changes = {"p": "0,0.5", "seeds": "2", "fleet_size": 1, "workers": 2, **changes}
    return study_of(out, at_end, "training.epochs=4", **changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study as this process trains it."""
    out = tmp_path_factory.mktemp("whole") / "s"
    go(study(out, workers=None, save_models=True))
    return out


def assert_same_folder(out: Path, whole: Path) -> None:
    assert_same_results(out, whole)
    for name in TABLES:
        assert (out / name).read_text() == (whole / name).read_text()
    files = [
        {path.relative_to(folder) for path in (folder / "runs").rglob("*")}
        for folder in (out, whole)
    ]
    assert files[0] == files[1]
    for path in files[0]:
        if path.suffix in (".npz", ".pt"):
            assert (out / path).read_bytes() == (whole / path).read_bytes()


MANGLES = [
    pretended.nothing,
    pretended.twice,
    pretended.backwards,
    pretended.every_other,
    list,
]


@pytest.mark.parametrize("mangle", MANGLES, ids=lambda mangle: mangle.__name__)
def test_whatever_becomes_of_the_reports_the_folder_is_that_of_this_process(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, mangle: pretended.Mangle
) -> None:
    """Rows, tables, weights and predictions, to the byte, and no checkpoint left."""
    cluster = use(monkeypatch, Pretended(mangle))
    outcome = go(study(tmp_path / "s", save_models=True))
    assert outcome.count("completed") == 4
    assert_same_folder(tmp_path / "s", whole)
    assert cluster.most == 2  # a fleet for each worker, and no more
    assert (cluster.sent, cluster.carried) == (1, 2)  # the data, once to each worker
    manifest = results.read_manifest(tmp_path / "s")
    assert manifest is not None
    assert manifest.to_json()["sessions"][-1]["cluster"] == {"workers": 2, "scheduler": None}
    gc.collect()
    assert not cluster.there  # and nothing is left


def test_with_one_worker_or_five_the_folder_is_the_same(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for workers in (1, 5):
        use(monkeypatch, Pretended(workers=workers))
        go(study(tmp_path / str(workers), save_models=True))
        assert_same_folder(tmp_path / str(workers), whole)


@pytest.mark.parametrize("same", [True, False], ids=["same name", "another"])
def test_a_death_is_told_and_the_fleet_starts_again(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    """Twice in mid-fleet, once before any word."""
    deaths = [None, 3, 2, 0]  # the first task has no data
    cluster = use(monkeypatch, Pretended(workers=1, deaths=deaths, same=same))
    events = Listener()
    go(study(tmp_path / "s", save_models=True), events)
    assert_same_folder(tmp_path / "s", whole)
    names = ["worker 1"] * 4 if same else [f"worker {n}" for n in range(1, 5)]
    assert cluster.at[1:5] == names
    gone = [f"{name} is gone, and the training of 1 run with it." for name in names[:3]]
    again = [
        f"Retrying 1 run from the beginning, on {name} (attempt {n} of 4)."
        for n, name in enumerate(names[1:], start=2)
    ]
    assert events.warnings == [text for pair in zip(gone, again, strict=True) for text in pair]


def test_a_fleet_that_died_with_a_worker_goes_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the one that it died with is free first, and the other is at work."""
    cluster = use(monkeypatch, Pretended(workers=2, deaths=[None, None, 1]))
    assert go(study(tmp_path / "s")).count("completed") == 4
    ids = [order.runs[0].run_id for order in cluster.orders]
    first, second = [place for place, each in enumerate(ids) if each == ids[2] and place >= 2]
    assert cluster.at[first] != cluster.at[second]


def test_a_process_that_came_in_the_place_of_another_is_not_taken_for_it(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask has started its task again, and what it tells is of a second beginning."""
    cluster = use(monkeypatch, Pretended(workers=1))
    submit = cluster.submit

    def mangled(*arguments: Any) -> None:
        cluster.mangle = pretended.of_another if len(cluster.orders) == 1 else list
        submit(*arguments)

    monkeypatch.setattr(cluster, "submit", mangled)
    events = Listener()
    go(study(tmp_path / "s", save_models=True), events)
    assert_same_folder(tmp_path / "s", whole)
    assert events.warnings[0] == "worker 1 is gone, and the training of 1 run with it."


def killed(allowed: int = 3) -> KilledWorker:
    state = WorkerState(
        address="tcp://10.0.0.7:1", status="running", pid=1, name="x", nthreads=1, memory_limit=1,
        local_directory="", nanny=None, server_id="s", services=None, versions={}, extra={},
        scheduler=None,
    )  # fmt: skip
    return KilledWorker("task", state, allowed)


def test_a_fleet_that_always_kills_its_worker_fails_and_the_study_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Pretended(workers=1, deaths=[None, 2, 0, 2, 1]))
    events = Listener()
    outcome = go(study(tmp_path / "s"), events)
    assert (outcome.count("failed"), outcome.count("completed")) == (1, 3)
    (failed,) = (r for r in read_rows(tmp_path / "s" / "runs.csv") if r["status"] == "failed")
    assert failed["message"] == "its worker died, 4 times, the last being worker 1"
    log = tmp_path / "s" / "runs" / failed["run_id"] / "log.txt"
    assert "its worker died" in log.read_text()
    assert str(log) in events.problems[0]
    use(monkeypatch, Pretended(workers=1))
    again = go(study(tmp_path / "s", retry_failed=True))
    assert again.count("completed") == 4
    assert not log.exists()


def test_a_fleet_that_gets_on_between_deaths_is_not_given_up(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs with a time limit end workers again and again; each goes on from the last checkpoint."""
    use(monkeypatch, Pretended(workers=1, hold=True, deaths=[None, *[4] * 3, *[0] * 3]))
    monkeypatch.setattr(dispatch, "_FETCHING", 1.0)  # of its time: there always is some
    events = Listener()
    go(study(tmp_path / "s", save_models=True), events)
    assert_same_folder(tmp_path / "s", whole)
    after = [text.split(",")[0] for text in events.warnings if "Retrying" in text]
    assert after[:2] == ["Retrying 1 run after epoch 1", "Retrying 1 run after epoch 2"]
    assert sum("is gone" in text for text in events.warnings) == 6 > RETRIES


@pytest.mark.parametrize("error", [killed(0), CancelledError()], ids=["killed", "cancelled"])
def test_a_cluster_that_gives_up_sooner_is_asked_again(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Of three losses nothing is seen; the fourth is the end of the fleet."""
    use(monkeypatch, Pretended(workers=1, ends=[None, *[error] * RETRIES]))
    go(study(tmp_path / "s", save_models=True))
    assert_same_folder(tmp_path / "s", whole)
    use(monkeypatch, Pretended(workers=1, ends=[None, *[error] * (RETRIES + 1)]))
    outcome = go(study(tmp_path / "t"))
    assert (outcome.count("failed"), outcome.count("completed")) == (1, 3)


def test_without_a_worker_it_waits_for_one_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = use(monkeypatch, Pretended(workers=0))
    looks = iter(range(1_000))

    def look() -> None:
        if next(looks) == 20:
            cluster.come()

    monkeypatch.setattr(cluster, "look", look)
    events = Listener()
    assert go(study(tmp_path / "s"), events).count("completed") == 4
    assert events.warnings == [
        "no worker is there for what is to be trained; the study waits for one."
    ]


def test_a_fleet_goes_to_a_worker_with_memory_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = use(monkeypatch, Pretended(workers=3))
    monkeypatch.setattr(cluster, "fits", lambda fleet, worker: worker.name == "worker 2")
    assert go(study(tmp_path / "s")).count("completed") == 4
    assert set(cluster.at) == {"worker 2"}


def test_mistakes_come_whole_from_a_worker() -> None:
    error = pickle.loads(pickle.dumps(ConfigError(["one", "two"])))
    assert (error.mistakes, str(error)) == (("one", "two"), str(ConfigError(["one", "two"])))


def test_another_exception_of_a_task_fails_its_runs_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Pretended(workers=1, ends=[None, ImportError("no module")]))
    go(study(tmp_path / "s"))
    messages = {row["message"] for row in read_rows(tmp_path / "s" / "runs.csv")}
    assert messages == {"", "ImportError: no module"}


def test_lost_data_are_sent_again_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (NotThereError(), CancelledError()):
        cluster = use(monkeypatch, Pretended(workers=1, ends=[None, error]))
        assert go(study(tmp_path / type(error).__name__)).count("completed") == 4
        assert cluster.sent == 2
    cluster = use(monkeypatch, Pretended(workers=1, ends=[None, *[NotThereError()] * 4]))
    assert go(study(tmp_path / "t")).count("failed") == 1
    (message,) = {row["message"] for row in read_rows(tmp_path / "t" / "runs.csv")} - {""}
    assert message == "its data did not arrive whole, 4 times"


def test_data_of_one_kind_after_the_other_do_not_gather_on_the_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = use(monkeypatch, Pretended(workers=1))
    most, put = [], cluster.put

    def noted(what: object, worker: Any) -> Any:
        laid = put(what, worker)
        gc.collect()
        most.append(len(cluster.there))
        return laid

    monkeypatch.setattr(cluster, "put", noted)
    asked = study_of(
        tmp_path / "s", "dataset.train_size=100,200,300,400,500,600", p="0.5", seeds="1", workers=2
    )
    assert go(asked).count("completed") == 12
    assert most[:6] == [1, 2, 3, 4, 4, 4]
    assert max(most) == 4


def test_stopped_while_no_worker_is_left_it_does_not_wait_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = use(monkeypatch, Pretended(workers=1))
    news, calls = cluster.news, iter(range(100))

    def silent_after_a_while(seconds: float) -> Any:
        if next(calls) == 5:
            cluster.workers.clear()
            os.kill(os.getpid(), signal.SIGINT)
        return news(seconds) if cluster.workers else None

    monkeypatch.setattr(cluster, "news", silent_after_a_while)
    with pytest.raises(InterruptedStudyError, match="Stopped between two fleets"):
        go(study(tmp_path / "s"))


def test_stopped_on_request_each_fleet_keeps_its_checkpoint_and_goes_on_from_it(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = study(tmp_path / "s", save_models=True)
    epochs = iter(range(100))
    use(monkeypatch, Pretended(stop=lambda: next(epochs) >= 1))

    class Stops(StopsAfter):
        def stop(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedStudyError, match="after epoch 2 of 4"):
        go(asked, Stops(1))
    statuses = {row["status"] for row in read_rows(tmp_path / "s" / "runs.csv")}
    assert statuses == {"interrupted"}
    assert list((tmp_path / "s").glob("runs/*/checkpoint_*.pt"))
    events = Listener()
    cluster = use(monkeypatch, Pretended())
    go(asked, events)
    assert events.first_started_after == 2
    assert_same_folder(tmp_path / "s", whole)
    gc.collect()
    assert not cluster.there  # the checkpoints that were sent are gone again


def test_a_fleet_whose_worker_had_to_leave_goes_on_from_its_checkpoint(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = iter([False, True, *[False] * 100])
    use(monkeypatch, Pretended(workers=1, stop=lambda: next(asks)))
    events = Listener()
    go(study(tmp_path / "s", save_models=True), events)
    assert events.epochs == 4 * 4  # none done twice
    assert_same_folder(tmp_path / "s", whole)


def test_checkpoints_that_workers_hold_are_fetched_and_a_killed_driver_goes_on_from_them(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = study(tmp_path / "s", save_models=True)
    use(monkeypatch, Pretended(workers=1, hold=True))

    with pytest.raises(KeyboardInterrupt):
        go(asked, StopsAfter(3))
    paths = list((tmp_path / "s").glob("runs/*/checkpoint_*.pt"))
    assert [path.name for path in paths] == ["checkpoint_000001.pt"]
    events = Listener()
    use(monkeypatch, Pretended(workers=1))
    go(asked, events)
    assert events.first_started_after == 1
    assert_same_folder(tmp_path / "s", whole)


def test_without_its_scheduler_the_study_stops_and_goes_on_later(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = study(tmp_path / "s", save_models=True)
    cluster = use(monkeypatch, Pretended())
    calls = iter(range(100))
    news = cluster.news

    def lost(seconds: float) -> Any:
        if next(calls) > 6:
            raise ClusterError("the scheduler is gone")
        return news(seconds)

    monkeypatch.setattr(cluster, "news", lost)
    with pytest.raises(ClusterError):
        go(asked)
    rows = read_rows(tmp_path / "s" / "runs.csv")
    assert {row["status"] for row in rows} == {"interrupted"}
    assert all(int(row["epochs"]) > 0 for row in rows)
    use(monkeypatch, Pretended())
    go(asked)
    assert_same_folder(tmp_path / "s", whole)


def test_a_finished_study_needs_no_cluster(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole, tmp_path / "s")
    monkeypatch.setattr("dropout_lab.cluster.opening.opened", None)
    assert go(study(tmp_path / "s", save_models=True)).trained == 0


def test_the_checkpoints_of_each_fleet_are_fetched_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fleets that began together hold theirs ready together: none is passed over for good."""
    cluster = use(monkeypatch, Pretended(workers=2, hold=True))
    fetched: list[str] = []
    fetch = cluster.fetch

    def noted(key: str, worker: Any) -> None:
        fetched.append(key)
        fetch(key, worker)

    monkeypatch.setattr(cluster, "fetch", noted)
    monkeypatch.setattr(dispatch, "_FETCHING", 1.0)  # of its time: there always is some
    assert go(study(tmp_path / "s")).count("completed") == 4
    assert set(map(fetched.count, {order.key for order in cluster.orders[2:]})) >= {1}
    assert len(set(fetched)) == 4


def test_a_worker_that_dask_pauses_gets_no_fleet_and_holds_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that it was given just before goes to another, and counts as no loss."""
    cluster = use(monkeypatch, Pretended(workers=2))
    submit = cluster.submit

    def paused(order: Any, worker: Any, *more: Any) -> None:
        submit(order, worker, *more)
        if len(cluster.orders) == 3:
            cluster._news.pop()  # it does not begin
            cluster.paused.add(worker.name)

    monkeypatch.setattr(cluster, "submit", paused)
    events = Listener()
    assert go(study(tmp_path / "s"), events).count("completed") == 4
    assert not events.warnings
    (name,) = cluster.paused
    assert cluster.at.count(name) == 2  # without data, and then that once


def test_a_worker_that_does_not_give_its_checkpoints_does_not_keep_others_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = use(monkeypatch, Pretended(workers=2, hold=True))
    fetched: list[str] = []
    monkeypatch.setattr(cluster, "fetch", lambda key, worker: fetched.append(key))
    monkeypatch.setattr(dispatch, "_ANSWER", 0.0)
    assert go(study(tmp_path / "s")).count("completed") == 4
    assert len(set(fetched)) == 4


def test_checkpoints_are_not_asked_for_whose_records_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = use(monkeypatch, Pretended(lambda reports: reports[1:], workers=1, hold=True))
    monkeypatch.setattr(cluster, "fetch", None)
    assert go(study(tmp_path / "s")).count("completed") == 4


def everything(what: object) -> bool:
    return True


def checkpoints(what: object) -> bool:
    return isinstance(what, list)


@pytest.mark.parametrize("lost", [everything, checkpoints])
def test_a_worker_that_nothing_reaches_is_left_alone_and_no_fleet_suffers_from_it(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, lost: Callable[[object], bool]
) -> None:
    """Neither the data that were to be there for all, nor the checkpoints that it was to have."""
    asked = study(tmp_path / "s", save_models=True)
    use(monkeypatch, Pretended(hold=True, workers=1))
    with pytest.raises(KeyboardInterrupt):
        go(asked, StopsAfter(3))
    cluster = use(monkeypatch, Pretended())
    cluster.reaches = lambda what, worker: worker.name != "worker 1" or not lost(what)
    events = Listener()
    assert go(asked, events).count("completed") == 4
    assert events.epochs == 4 * 4 - 1
    assert cluster.shunned == {"worker 1"}
    assert not [text for text in events.warnings if "gone" in text]
    assert_same_folder(tmp_path / "s", whole)


def test_the_name_of_a_worker_is_told_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its owner thought good."""
    cluster = use(monkeypatch, Pretended(workers=0, deaths=[None, *[1] * 4]))
    cluster.come("{0} {} %s [bold]")
    go(study(tmp_path / "s"))
    messages = {row["message"] for row in read_rows(tmp_path / "s" / "runs.csv")}
    assert "its worker died, 4 times, the last being {0} {} %s [bold]" in messages


def test_each_form_of_the_data_reaches_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker, which had the same images in another form: as pixels, as other components."""
    settings = ("dataset.pca=null,5", "training.epochs=1")
    changes: dict[str, Any] = {"p": "0.5", "seeds": "1", "fleet_size": 1}
    go(study_of(tmp_path / "here", *settings, **changes))
    use(monkeypatch, Pretended(workers=1))
    go(study_of(tmp_path / "there", *settings, workers=1, **changes))
    assert_same_results(tmp_path / "there", tmp_path / "here")
