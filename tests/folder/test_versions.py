"""Runs of different versions: recorded for each run, said before training and of the study."""

import json
from pathlib import Path
from typing import Any

import pytest

from dropout_lab import results
from dropout_lab.folder import manifest as manifests
from dropout_lab.results import (
    DamagedManifestError,
    Manifest,
    RunEntry,
    Session,
    newer_session,
    version_mix,
)
from tests.conftest import make_config
from tests.study.test_run import Silent, StopsAfter, go, study


def session(torch: str, numpy: str = "2.3.0") -> Session:
    return Session(dropout_lab="0.1.0", packages={"torch": torch, "numpy": numpy})


def with_runs(*sessions: Session, runs: list[list[int] | None]) -> Manifest:
    manifest = manifests.new_manifest(make_config())
    manifest.sessions = list(sessions)
    manifest.runs = {
        f"{i:012x}": RunEntry(seed=i, settings={}, sessions=own or []) for i, own in enumerate(runs)
    }
    return manifest


BLAME = " Differences between runs of different versions can come from the versions."


def test_a_study_of_one_version_has_nothing_to_say() -> None:
    manifest = with_runs(session("2.14.1"), session("2.14.1"), runs=[[0], [1], [0, 1], None])
    assert version_mix(manifest) == newer_session(manifest) == ""
    assert version_mix(with_runs(runs=[])) == newer_session(with_runs(runs=[])) == ""


def test_runs_of_two_versions_are_counted() -> None:
    manifest = with_runs(session("2.14.1"), session("2.15.0"), runs=[[0], [0], [1], [0, 1]])
    assert version_mix(manifest) == (
        "Not all runs were trained with the same versions: 2 runs with torch 2.14.1; "
        "1 run with torch 2.15.0; 1 run with torch 2.14.1, then torch 2.15.0." + BLAME
    )
    assert version_mix(manifest, ["000000000000", "000000000001"]) == ""
    assert "1 run with torch 2.14.1; 1 run with torch 2.15.0." in version_mix(
        manifest, ["000000000000", "000000000002"]
    )


def test_runs_of_an_older_manifest_may_be_of_any_session() -> None:
    manifest = with_runs(session("2.14.1", "2.2.0"), session("2.14.1"), runs=[None, [1]])
    assert version_mix(manifest) == (
        "Not all runs were trained with the same versions: 1 run with numpy 2.3.0; "
        "1 run with numpy 2.2.0 or numpy 2.3.0, which was not recorded." + BLAME
    )
    assert newer_session(manifest).startswith(
        "This study was begun with numpy 2.2.0; you run numpy 2.3.0."
    )


def test_what_was_begun_and_never_trained_is_not_compared() -> None:
    manifest = with_runs(session("2.14.1"), session("2.15.0"), runs=[[1], [1]])
    assert version_mix(manifest) == newer_session(manifest) == ""


def test_each_run_says_which_sessions_trained_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(seeds: str) -> Any:
        return study(tmp_path / "s", p="0.5", seeds=seeds, fleet_size=1)

    with pytest.raises(KeyboardInterrupt):
        go(of("1"), StopsAfter(2))
    same = Silent()
    go(of("2"), same)
    monkeypatch.setattr(manifests, "version", lambda package: f"{package}-next")
    events = Silent()
    go(of("3"), events)
    manifest = results.read_manifest(tmp_path / "s")
    assert manifest is not None
    told = [entry.sessions for entry in manifest.runs.values()]
    # A run without dropout, and one with it, for each seed: one was begun before the first stop.
    assert sorted(told) == [[0, 1], [1], [1], [1], [2], [2]]
    assert not any("begun with" in text for text in same.warnings)
    (words,) = [text for text in events.warnings if "This study was begun with torch" in text]
    assert "you run torch torch-next, numpy numpy-next" in words
    assert "4 runs with torch" in version_mix(manifest)
    again = Silent()
    go(of("3"), again)
    assert again.warnings == []  # nothing is trained


def test_a_session_that_is_not_there_is_a_damaged_manifest(tmp_path: Path) -> None:
    go(study(tmp_path / "s", p="0.5", seeds="1"))
    path = tmp_path / "s" / results.MANIFEST
    manifest = json.loads(path.read_text())
    next(iter(manifest["runs"].values()))["sessions"] = [1]
    path.write_text(json.dumps(manifest))
    with pytest.raises(DamagedManifestError, match="is of a session that is not there"):
        results.read_manifest(tmp_path / "s")
    for entry in manifest["runs"].values():
        del entry["sessions"]
    path.write_text(json.dumps(manifest))
    read = results.read_manifest(tmp_path / "s")
    assert read is not None
    assert read.to_json() == manifest
