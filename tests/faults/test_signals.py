"""Real signals to real processes: an epoch is finished, the files are whole, no traceback."""

import functools
import os
import pty
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from dropout_lab import results
from tests.faults import preloaded
from tests.faults.conftest import Start, rows, training, until
from tests.faults.folders import assert_reads_clean, assert_same_study
from tests.faults.kills import Process, forked

EPOCHS = 30


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of these tests, without any signal."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert forked(training(folder / "s", epochs=EPOCHS), folder / "log").wait() == 0
    return folder / "s"


def started(start: Start, out: Path) -> Process:
    """Start a study and wait for its first rows."""
    process = start("first", training(out, epochs=EPOCHS))
    until(lambda: rows(out / results.METRICS) > 0, process)
    return process


def assert_goes_on(start: Start, out: Path, undisturbed: Path) -> None:
    """The same command ends the study, and it is the undisturbed one."""
    assert_reads_clean(out)
    assert start("again", training(out, epochs=EPOCHS)).wait() == 0
    assert_same_study(out, undisturbed)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),  # tests/cli has it too
        signal.SIGTERM,
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),  # a closed terminal sends it, below
    ],
)
def test_a_signal_finishes_the_epoch(
    tmp_path: Path, start: Start, undisturbed: Path, number: signal.Signals
) -> None:
    process = started(start, tmp_path / "s")
    process.send(number)
    assert process.wait() == 128 + number
    log = (tmp_path / "first.log").read_text()
    assert "Traceback" not in log
    assert "Stopped after epoch" in log or "Stopped between two fleets" in log
    assert "Run the same command again to resume." in log
    assert_goes_on(start, tmp_path / "s", undisturbed)


def test_a_second_signal_stops_now(tmp_path: Path, start: Start) -> None:
    """An epoch of 3,000 steps is not waited for."""
    slow = ("dataset.train_size=3000", "training.batch_size=1", "evaluation.every=40")
    command = training(tmp_path / "s", *slow, epochs=EPOCHS)
    process = start("first", command)
    until(lambda: (tmp_path / "s" / results.RUNS).exists(), process)
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send(number)
    assert process.wait() == 128 + signal.SIGTERM
    log = (tmp_path / "first.log").read_text()
    assert (
        "Stopped at once; the epoch in progress is lost. Run the same command again to resume."
        in log
    )
    assert "Traceback" not in log
    assert rows(tmp_path / "s" / results.METRICS) == 0
    assert_reads_clean(tmp_path / "s")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_data_are_read_leaves_nothing(
    tmp_path: Path, start: Start, number: signal.Signals
) -> None:
    process = start("first", training(tmp_path / "s"), first=preloaded.wait_while_reading_data)
    log = tmp_path / "first.log"
    until(lambda: log.exists() and "reading data" in log.read_text(), process)
    process.send(number)
    assert process.wait() in (128 + number, -number)  # a shell says the same of both
    assert "Traceback" not in log.read_text()
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_while_pictures_are_drawn_costs_only_them(
    tmp_path: Path, start: Start, number: signal.Signals
) -> None:
    command = training(tmp_path / "s")
    assert start("train", command).wait() == 0
    process = start("plot", ["plot", str(tmp_path / "s")])
    until(lambda: any((tmp_path / "s" / results.PLOTS).glob("*.png")), process)
    process.send(number)
    assert process.wait() in (128 + number, -number)
    assert "Traceback" not in (tmp_path / "plot.log").read_text()
    assert_reads_clean(tmp_path / "s")
    assert start("plot again", ["plot", str(tmp_path / "s")]).wait() == 0


def test_a_closed_terminal_ends_the_study_cleanly(
    tmp_path: Path, start: Start, undisturbed: Path
) -> None:
    """The bars are drawn on a terminal that goes away: no run fails by that."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    terminal = functools.partial(preloaded.on_terminal, os.ttyname(theirs))
    process = start("first", training(tmp_path / "s", epochs=EPOCHS), first=terminal)

    def begun() -> bool:
        with suppress(BlockingIOError):
            os.read(ours, 65536)  # or the terminal is full, and waits for its reader
        return rows(tmp_path / "s" / results.METRICS) > 0

    until(begun, process)
    os.close(theirs)
    os.close(ours)  # now it is gone: SIGHUP, and every write to it fails
    assert process.wait() == 128 + signal.SIGHUP
    statuses = {row["status"] for row in results.read_rows(tmp_path / "s" / results.RUNS)}
    assert statuses <= {"interrupted", "completed"}
    assert_goes_on(start, tmp_path / "s", undisturbed)


def test_a_reader_that_has_had_enough_makes_no_traceback(tmp_path: Path, start: Start) -> None:
    """As in ``dropout-lab train | head -1``."""
    out = tmp_path / "pipe"
    os.mkfifo(out)
    process = start("first", training(tmp_path / "s"), out=out)
    with out.open() as reader:
        assert reader.readline()
    process.wait()
    assert "Traceback" not in (tmp_path / "first.log").read_text()
    assert rows(tmp_path / "s" / results.RUNS) == 4


def test_progress_that_nobody_reads_is_no_failure(tmp_path: Path, start: Start) -> None:
    """As in ``dropout-lab train 2>&1 >/dev/null | head -1``."""
    err = tmp_path / "first.log"
    os.mkfifo(err)
    process = start("first", training(tmp_path / "s"), out=tmp_path / "out")
    with err.open() as reader:
        assert "4 runs to train in 2 fleets" in reader.readline()
    assert process.wait() == 0
    assert {row["status"] for row in results.read_rows(tmp_path / "s" / results.RUNS)} == {
        "completed"
    }


@pytest.mark.slow
@pytest.mark.parametrize("redirect", ["2>errors", "2>&1 >output"])
def test_the_same_in_a_shell(tmp_path: Path, redirect: str) -> None:
    python = "python -m dropout_lab"
    command = " ".join(training(tmp_path / "s"))
    script = f"{python} {command} {redirect} | head -1; exit ${{PIPESTATUS[0]}}"
    subprocess.run(["bash", "-c", script], cwd=tmp_path)
    assert "Traceback" not in "".join(path.read_text() for path in tmp_path.glob("[eo]*"))
    assert rows(tmp_path / "s" / results.RUNS) == 4
