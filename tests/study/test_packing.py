"""How runs are packed in a study: within a budget of memory, told in the manifest, resumable."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dropout_lab import results
from dropout_lab.cli import option_values
from dropout_lab.errors import ConfigError
from dropout_lab.results import RUNS
from dropout_lab.study import preview
from dropout_lab.study import spec as request
from dropout_lab.study.machine import Machine, this_machine
from dropout_lab.study.packing import need_of
from tests.study.test_run import Silent, StopsAfter, assert_same_results, go, study

ASKED = {"p": "0.5", "seeds": "4"}  # eight runs with those without dropout, in two fleets


def packing(out: Path) -> list[int]:
    fleets = json.loads((out / results.MANIFEST).read_text())["fleets"]
    return [len(fleet) for fleet in fleets]


def memory_for(out: Path, runs: int) -> int:
    """Return the budget in which so many runs of the study are trained together."""
    return need_of(study(out, **ASKED).runs).of(runs)


def test_runs_that_fit_alone_and_not_together_are_packed_smaller(tmp_path: Path) -> None:
    memory = memory_for(tmp_path, 2)
    go(study(tmp_path / "s", **ASKED, memory=memory))
    assert packing(tmp_path / "s") == [2, 2, 2, 2]


def test_a_run_that_does_not_fit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    small = study(tmp_path / "s", **ASKED, memory=2**20)
    for refused in (go, preview):
        with pytest.raises(ConfigError, match="a fleet may take 1 MB"):
            refused(small)
    assert not list(tmp_path.iterdir())


def test_a_study_that_is_there_is_left_as_it_is_by_a_refusal(tmp_path: Path) -> None:
    go(study(tmp_path / "s", p="0.5", seeds="1"))
    before = {path: path.read_bytes() for path in (tmp_path / "s").glob("*.*")}
    with pytest.raises(ConfigError):
        go(study(tmp_path / "s", p="0.5", seeds="2", memory=2**20))
    assert {path: path.read_bytes() for path in (tmp_path / "s").glob("*.*")} == before


def test_what_is_finished_needs_no_memory(tmp_path: Path) -> None:
    go(study(tmp_path / "s", p="0.5", seeds="1"))
    assert go(study(tmp_path / "s", p="0.5", seeds="1", memory=2**20)).trained == 0


def test_the_manifest_says_by_what_the_runs_were_packed(tmp_path: Path) -> None:
    memory = memory_for(tmp_path, 3)
    asked = study(tmp_path / "s", **ASKED, memory=memory)
    go(asked)
    manifest = json.loads((tmp_path / "s" / results.MANIFEST).read_text())
    (session,) = manifest["sessions"]
    machine = this_machine(asked.device)
    packed = session["packing"]
    assert packed["memory_bytes"] == memory
    assert (packed["threads"], packed["cache_bytes"]) == (machine.threads, machine.cache)
    assert packed["fleet_size"] is None
    assert [program["runs"] for program in packed["programs"]] == [4, 4]
    assert all(program["most_that_fit"] >= 3 for program in packed["programs"])
    assert max(program["most_that_fit"] for program in packed["programs"]) >= 3
    for program in packed["programs"]:
        assert program["bytes_once"] + 3 * program["bytes_each"] <= memory


def test_two_calls_on_a_machine_pack_alike(tmp_path: Path) -> None:
    fleets = [preview(study(tmp_path / "s", **ASKED)).fleets for _ in range(2)]
    assert fleets[0] == fleets[1]


@pytest.fixture
def on_a_small_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let this be a machine with memory for fleets of two, and one thread."""
    small = Machine(threads=1, cache=2**15, memory=memory_for(tmp_path, 2))
    monkeypatch.setattr(request, "this_machine", lambda device, memory: small)


def test_a_begun_study_goes_on_on_a_smaller_machine(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """What does not fit there is split; the numbers agree to rounding."""
    go(study(tmp_path / "undisturbed", **ASKED))
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", **ASKED), StopsAfter(1))
    assert packing(tmp_path / "s") == [4, 4]
    request.getfixturevalue("on_a_small_machine")
    events = Silent()
    outcome = go(study(tmp_path / "s", **ASKED), events)
    assert outcome.count("completed") == 8
    assert packing(tmp_path / "s") == [2, 2, 2, 2]
    assert events.epochs == 2 * 2 + 2 * 3  # the begun fleet's parts go on after its first epoch
    runs, undisturbed = (
        pd.read_csv(tmp_path / name / RUNS).set_index("run_id").sort_index()
        for name in ("s", "undisturbed")
    )
    assert (runs["test_loss"] - undisturbed["test_loss"]).abs().max() < 1e-4


def test_what_fits_goes_on_as_it_was_packed_on_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packing of the manifest holds, so the bits do."""
    go(study(tmp_path / "undisturbed", **ASKED, fleet_size=2))
    with pytest.raises(KeyboardInterrupt):
        go(study(tmp_path / "s", **ASKED, fleet_size=2), StopsAfter(1))
    other = Machine(threads=7, cache=2**30, memory=2**50)
    monkeypatch.setattr(request, "this_machine", lambda device, memory: other)
    go(study(tmp_path / "s", **ASKED))
    assert packing(tmp_path / "s") == [2, 2, 2, 2]
    assert_same_results(tmp_path / "s", tmp_path / "undisturbed")
    sessions = json.loads((tmp_path / "s" / results.MANIFEST).read_text())["sessions"]
    assert [session["packing"]["fleet_size"] for session in sessions] == [2, None]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8G", 8 * 2**30), ("500M", 500 * 2**20), ("1.5g", 3 * 2**29), ("2 GB", 2**31),
        ("1GiB", 2**30), ("64k", 2**16), ("1T", 2**40),
    ],
)  # fmt: skip
def test_a_size_is_a_number_and_a_letter(text: str, size: int) -> None:
    assert option_values.memory_size(text) == size
