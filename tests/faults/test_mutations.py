"""Whatever a results folder holds, each command answers in its own words, and in plain text."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dropout_lab import results
from dropout_lab.analysis import style
from dropout_lab.printable import unprintable
from tests.faults.mutations import UNPRINTABLE, mutate
from tests.faults.rights import as_a_user
from tests.study.test_run import go, study

SIZE = (
    "dataset.train_size=500", "dataset.validation_size=200", "model.hidden=[16]",
    "training.batch_size=64", "training.epochs=3", "evaluation.inference=[monte_carlo,ensemble]",
    "evaluation.samples=3", "evaluation.curve=2", "evaluation.diagnostics=[noise]",
    "evaluation.at_end=[reliability,histograms,features]",
)  # fmt: skip
CONFIG = """
about: two cells with names
sweep: {cells: [{label: half, dropout.p: 0.5}, {label: none of it, dropout.p: 0.0}]}
published:
  citation: A paper
  departures: [another size]
  values: [{label: a row, cell: half, value: 1.5, seen: true}]
figure: {x: p}
"""
REPORT, PLOT, DOCTOR, FIX = (
    ("report", "s"),
    ("plot", "s"),
    ("doctor", "s"),
    ("doctor", "s", "--fix"),
)
SWEEP = (
    "sweep", "--config", "c.yaml", "--out", "s", "--dry-run", "--seeds", "2",
    *(word for text in SIZE for word in ("--set", text)),
)  # fmt: skip
CAMPAIGN = 300


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with every file that there is, and its config."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "c.yaml").write_text(CONFIG)
    asked = study(folder / "s", *SIZE, file=folder / "c.yaml", seeds="2", save_models=True)
    go(asked)
    return folder


@pytest.fixture
def out(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    return tmp_path / "s"


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes the time of a picture, which is to write it."""
    empty = b'<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt"></svg>'
    monkeypatch.setattr(style, "render", lambda figure, suffix: empty)


def texts_of(folder: Path) -> Iterator[str]:
    """Yield what was made of a study: its page, its tables, its plots."""
    if (folder / results.REPORT).is_file():
        page = (folder / results.REPORT).read_text()
        HTMLParser().feed(page)
        for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
            ElementTree.fromstring(svg)
        yield page
    for path in (folder / results.TABLES).glob("cells.*"):
        yield path.read_text()
    for path in (folder / results.PLOTS).glob("*.svg"):
        ElementTree.parse(path)


def judge(run, folder: Path, *commands: tuple[str, ...]) -> None:
    for command in commands:
        told = run(*command)
        assert told.status in (0, 1, 2, 3, 4)
        assert "Traceback" not in told.err
        for text in (told.out, told.err, *texts_of(folder)):
            assert "\t" not in text
            assert not unprintable(text)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(CAMPAIGN))
def test_a_changed_file_is_answered_in_words(out: Path, run, own_variants, seed: int) -> None:
    print(mutate(out, seed))  # noqa: T201  # shown of a test that fails
    judge(run, out, REPORT, SWEEP, DOCTOR, FIX, *([PLOT] if seed % 10 == 0 else []))


@pytest.mark.parametrize("seed", [33, 122])
def test_some_changed_files_are_answered_in_words(
    out: Path, run, own_variants, sketched: None, seed: int
) -> None:
    """Both once ended in a traceback."""
    mutate(out, seed)
    judge(run, out, REPORT, SWEEP, DOCTOR, FIX)


def test_the_study_that_is_changed_was_sound(out: Path, run, sketched: None) -> None:
    for command in (REPORT, SWEEP, DOCTOR, FIX):
        assert (command, run(*command).status) == (command, 0)


def test_what_a_terminal_obeys_is_shown_and_breaks_nothing(out: Path, run) -> None:
    evil = " ".join(UNPRINTABLE)
    manifest = json.loads((out / results.MANIFEST).read_text())
    manifest |= {"name": evil, "about": evil}
    manifest["published"] |= {"citation": evil, "departures": [evil]}
    manifest["published"]["values"][0]["label"] = f"=cmd|'/c calc'!A1 {evil}"
    for entry in manifest["runs"].values():
        entry["label"] = f"={entry['label']} {evil}"
    manifest["sessions"][0] |= {"command": evil, "machine": {evil: evil}}
    (out / results.MANIFEST).write_text(json.dumps(manifest))
    runs = (out / results.RUNS).read_text()
    (out / results.RUNS).write_text(runs.replace(",\n", ",\u202ea message\x9b\n"))
    (out / results.DIGESTS).unlink()  # as of a study that was written before there were digests
    (out / "runs" / "\x1b[31m").mkdir()
    judge(run, out, REPORT, SWEEP, DOCTOR)
    page = (out / results.REPORT).read_text()
    assert page.count(r"\x1b[31mred") > 3
    assert r"\u202eabc" in page
    rows = list(csv.reader((out / results.TABLES / "cells.csv").read_text().splitlines()))
    assert {row[0][:2] for row in rows[1:]} == {"'="}


@pytest.mark.parametrize(
    ("name", "mode"),
    [("runs", 0o444), ("runs/*", 0), ("tables", 0)],
)
def test_a_folder_that_may_not_be_read_is_named(
    out: Path, run, sketched: None, name: str, mode: int
) -> None:
    (out / results.TABLES).mkdir()
    (folder,) = sorted(out.glob(name))[:1]
    folder.chmod(mode)
    with as_a_user():
        for command in (REPORT, SWEEP, DOCTOR, FIX) if name != "tables" else (REPORT, DOCTOR):
            told = run(*command)
            if name == "tables" and command != REPORT:
                assert told.status == 0
                continue
            assert (command, told.status) == (command, 4)
            assert f"s/{folder.relative_to(out)}" in told.err
            assert "Permission denied" in told.err
    folder.chmod(0o755)
    assert run(*DOCTOR).status == 0
