"""Every file operation of a small study fails once, and dies once; the same command ends it."""

import itertools
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dropout_lab import data
from dropout_lab.errors import StorageError
from dropout_lab.study import Study
from tests.faults.folders import assert_reads_clean, assert_same_study
from tests.faults.operations import Died, How, Operations, Part
from tests.study.test_study import Silent, go, study

ASKED = (
    "dataset.train_size=100",
    "dataset.validation_size=50",
    "model.hidden=[4]",
    "training.epochs=2",
    "training.optimizer=adam",
    "training.learning_rate=0.01",
    "evaluation.inference=[mean,ensemble]",
)
NOT_YET = ("checkpoints of ended runs are left", "unlink s/inference.csv", "unlink s/monte_carlo")
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
    if complete:
        assert_same_study(ours.out, asked.out)
    assert go(ours, events).count("completed") == 6
    assert events.epochs <= EPOCHS + 1, "more was lost than the epoch in progress"
    assert_same_study(ours.out, asked.out)


def every_operation(asked: Study, folder: Path, ways: Sequence[tuple[How, Part]]) -> None:
    """Break a study off at every operation, in each of some ways in turn, until it passes."""
    wrong = []
    for at, (how, part) in enumerate(itertools.cycle(ways), start=1):
        out = folder / str(at)
        out.mkdir()
        operations = Operations(out, at, how, part)
        try:
            break_off(asked, out / "s", operations)
        except Exception as error:
            text = f"{at}, {how} {part} {operations.hit}: {type(error).__name__}: {error}"
            if not any(words in text for words in NOT_YET):
                wrong.append(text)
        if operations.hit is None:
            break
        shutil.rmtree(out)
    assert not wrong, "\n".join(wrong)
    assert at > 200, "that was not the whole of it"


def test_every_operation_fails_or_dies_once(asked: Study, tmp_path: Path) -> None:
    """A file takes six operations and there are five ways, so that each way meets each kind."""
    every_operation(asked, tmp_path, WAYS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_every_operation_in_every_way(asked: Study, tmp_path: Path, way: tuple[How, Part]) -> None:
    every_operation(asked, tmp_path, [way])
