"""Every file operation of a small study fails once, and dies once; the same command ends it."""

import functools
import itertools
import random
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dropout_lab import data
from dropout_lab.errors import StorageError
from dropout_lab.study import Study
from tests.faults import preloaded
from tests.faults.conftest import Start, training
from tests.faults.folders import assert_reads_clean, assert_same_study, files_of, tables_of
from tests.faults.operations import Died, How, Operations, Part
from tests.study.test_run import Silent, go, study

ASKED = (
    "dataset.train_size=100",
    "dataset.validation_size=50",
    "model.hidden=[4]",
    "training.epochs=2",
    "training.optimizer=adam",
    "training.learning_rate=0.01",
    "evaluation.inference=[mean,ensemble]",
)
EPOCHS = 4  # two fleets, two epochs each
WAYS: tuple[tuple[How, Part], ...] = (
    ("die", "before"),
    ("fail", "before"),
    ("full", "half"),
    ("gone", "half"),
    ("die", "half"),
)


@pytest.fixture(scope="module")
def data_at_hand() -> Iterator[None]:
    """Read the data once; a study is broken off some hundred times here."""
    kept: dict[str, Any] = {}

    def load(*, say: object, data_dir: Path, **settings: Any) -> Any:
        key = repr(settings)
        if key not in kept:
            kept[key] = true(data_dir=data_dir, say=lambda line: None, **settings)
        return kept[key]

    true = data.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", load)
        yield


@pytest.fixture(scope="module")
def asked(data_at_hand: None, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study that is broken off: two p and no dropout, two seeds, two fleets; it is done."""
    out = tmp_path_factory.mktemp("undisturbed") / "s"
    asked = study(out, *ASKED, p="0.3,0.6", seeds="2", fleet_size=4)
    assert go(asked).count("completed") == 6
    return asked


def break_off(asked: Study, out: Path, operations: Operations) -> None:
    """Break a study off at an operation; look at what is there, and end it by the same command."""
    ours = replace(asked, out=out)
    events = Silent()
    complete = False
    with suppress(Died, StorageError), operations:
        complete = go(ours, events).count("completed") == 6
    assert complete or operations.hit, "it ended without a fault and is not complete"
    assert_reads_clean(ours.out)
    if complete:  # the fault was in tidying up
        assert tables_of(ours.out) == tables_of(asked.out)
    assert go(ours, events).count("completed") == 6
    assert events.epochs <= EPOCHS + 1, "more was lost than the epoch in progress"
    assert_same_study(ours.out, asked.out)


def every_operation(
    asked: Study, folder: Path, ways: Sequence[tuple[How, Part]], step: int = 1
) -> None:
    """Break a study off at every operation, in each of some ways in turn, until it passes."""
    wrong = []
    for at, (how, part) in zip(itertools.count(1, step), itertools.cycle(ways), strict=False):
        out = folder / str(at)
        out.mkdir()
        operations = Operations(out, at, how, part)
        try:
            break_off(asked, out / "s", operations)
        except Exception as error:
            wrong.append(f"{at}, {how} {part} {operations.hit}: {type(error).__name__}: {error}")
        if operations.hit is None:
            break
        shutil.rmtree(out)
    assert not wrong, "\n".join(wrong)
    assert at > 150, "that was not the whole of it"


def test_every_seventh_operation_fails_or_dies(asked: Study, tmp_path: Path) -> None:
    """A file takes six operations and there are five ways: seven has no divisor of either."""
    every_operation(asked, tmp_path, WAYS, step=7)


@pytest.mark.slow
def test_every_operation_fails_or_dies_once(asked: Study, tmp_path: Path) -> None:
    every_operation(asked, tmp_path, WAYS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_every_operation_in_every_way(asked: Study, tmp_path: Path, way: tuple[How, Part]) -> None:
    every_operation(asked, tmp_path, [way])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", ["before", "half", "after"])
def test_a_real_process_killed_at_every_operation(tmp_path: Path, start: Start, part: Part) -> None:
    """And again at some operation of its second start; the third ends the study."""
    asked = ("evaluation.inference=[mean,ensemble]", "training.optimizer=adam")
    whole = tmp_path / "undisturbed"
    assert start("undisturbed", training(whole, *asked, epochs=2)).wait() == 0
    moments = random.Random(0)
    killed = 0
    for at in itertools.count(1):
        folder = tmp_path / "killed"
        folder.mkdir()
        command = training(folder / "s", *asked, epochs=2)
        statuses = []
        for moment in (at, moments.randint(1, 150), 0):
            kill = functools.partial(preloaded.kill_at, folder, moment, part)
            statuses.append(start("killed", command, first=kill).wait())
            assert_reads_clean(folder / "s")
        assert set(statuses[:2]) <= {-signal.SIGKILL, 0}
        assert statuses[2] == 0
        left = set(files_of(folder / "s")) - set(files_of(whole))
        assert tables_of(folder / "s") == tables_of(whole)
        assert not left
        shutil.rmtree(folder)
        killed += statuses.count(-signal.SIGKILL)
        if statuses[0] == 0:
            break
    print(f"{killed} kills, {at - 1} operations")  # noqa: T201
    assert at > 150
    assert "Traceback" not in (tmp_path / "killed.log").read_text()
