"""Several processes on one folder: each run is trained once, and nobody overwrites anybody."""

import functools
import json
import signal
from pathlib import Path

import pytest

from dropout_lab import results
from dropout_lab.analysis.tables import read_study, summarize_cells
from dropout_lab.errors import StorageError
from tests.faults.conftest import Start, rows, training, until
from tests.faults.folders import assert_same_study, tables_of
from tests.faults.kills import server

REFUSED = "is being written by"


def together(start: Start, commands: list[list[str]], folder: Path, turn: str = "") -> list[int]:
    """Start commands in the same instant; return their exit statuses."""
    barrier = server().Barrier(len(commands))
    first = functools.partial(barrier.wait, 60)
    processes = [
        start(f"{turn}{i}", command, first=first, out=folder / f"{turn}{i}.out")
        for i, command in enumerate(commands)
    ]
    return [process.wait() or 0 for process in processes]


def trained(path: Path) -> int:
    """Return how many runs a command says that it trained."""
    return int(json.loads(path.read_text())["trained"])


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.slow), 5])
def test_started_in_the_same_instant_one_does_it(tmp_path: Path, start: Start, count: int) -> None:
    command = [*training(tmp_path / "s"), "--json"]
    done = 0
    for i, status in enumerate(together(start, [command] * count, tmp_path)):
        log = (tmp_path / f"{i}.log").read_text()
        assert "Traceback" not in log
        if status == 0:
            assert trained(tmp_path / f"{i}.out") in (0, 4)  # all of it, or it came after the end
            done += trained(tmp_path / f"{i}.out")
        else:
            assert (status, REFUSED in log) == (4, True), log
    assert done == 4
    assert start("undisturbed", training(tmp_path / "undisturbed")).wait() == 0
    assert_same_study(tmp_path / "s", tmp_path / "undisturbed")


def test_two_requests_at_once_end_in_the_sum_of_both(tmp_path: Path, start: Start) -> None:
    """The one that is refused is done when it is asked again; the first's rows stay as they are."""
    seeds = {"few": "3,4", "more": "3,5,6"}
    commands = {
        name: [*training(tmp_path / "s", "training.optimizer=adam"), "--seeds", value]
        for name, value in seeds.items()
    }
    statuses = together(start, list(commands.values()), tmp_path)
    assert 0 in statuses
    before = tables_of(tmp_path / "s")[results.METRICS]
    for name, command in commands.items():
        assert start(f"again {name}", command).wait() == 0
    after = tables_of(tmp_path / "s")[results.METRICS]
    assert all(row in after for row in before)
    seen = sorted((row[1], row[after[0].index("epoch")]) for row in after[1:])
    assert seen == [(seed, epoch) for seed in "3456" for epoch in "123"]


def test_the_lock_of_a_killed_process_is_no_obstacle(tmp_path: Path, start: Start) -> None:
    command = training(tmp_path / "s", epochs=20)
    process = start("killed", command)
    until(lambda: rows(tmp_path / "s" / results.METRICS) > 0, process)
    process.end()
    assert (tmp_path / "s" / ".lock").exists()
    assert start("again", command).wait() == 0
    assert "Traceback" not in (tmp_path / "again.log").read_text()


def test_a_process_that_stands_still_keeps_its_folder(tmp_path: Path, start: Start) -> None:
    """It may only be suspended, by Ctrl-Z or with its laptop, and goes on writing one day."""
    command = training(tmp_path / "s", epochs=20)
    process = start("stopped", command)
    until(lambda: rows(tmp_path / "s" / results.METRICS) > 0, process)
    process.send(signal.SIGSTOP)
    before = (tmp_path / "s" / results.METRICS).read_bytes()
    assert start("second", command).wait() == 4
    assert REFUSED in (tmp_path / "second.log").read_text()
    assert (tmp_path / "s" / results.METRICS).read_bytes() == before
    process.send(signal.SIGCONT)
    assert process.wait() == 0
    assert start("undisturbed", training(tmp_path / "undisturbed", epochs=20)).wait() == 0
    assert_same_study(tmp_path / "s", tmp_path / "undisturbed")


def test_a_study_is_read_while_it_is_written(tmp_path: Path, start: Start) -> None:
    process = start("sweep", training(tmp_path / "s", epochs=30))
    plot = start("plot", ["plot", str(tmp_path / "s")])
    read, refused = 0, set()
    while process.wait(0) is None:
        try:
            read += len(summarize_cells(read_study(tmp_path / "s"))) and 1
        except StorageError as error:
            refused.add(str(error).rpartition("/")[2])
    assert read > 0
    assert all("has no manifest.json" in each or "no finished run yet" in each for each in refused)
    assert plot.wait() in (0, 4)
    assert start("plot again", ["plot", str(tmp_path / "s")]).wait() == 0
    assert process.wait() == 0
    assert "Traceback" not in "".join(path.read_text() for path in tmp_path.glob("*.log"))
