"""Whatever a results folder holds, each command answers in its own words, and in plain text."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dropout_lab import results
from tests.faults.mutations import UNPRINTABLE, mutate
from tests.study.test_study import go, study

SIZE = (
    "dataset.train_size=500", "dataset.validation_size=200", "model.hidden=[16]",
    "training.batch_size=64", "training.epochs=3", "evaluation.inference=[monte_carlo,ensemble]",
    "evaluation.samples=3", "evaluation.curve=2", "evaluation.diagnostics=[noise]",
    "evaluation.at_end=[reliability,histograms,features]",
)  # fmt: skip
CELLS = """
about: two cells with names
sweep: {cells: [{label: half, dropout.p: 0.5}, {label: none of it, dropout.p: 0.0}]}
published:
  citation: A paper
  departures: [another size]
  values: [{label: a row, cell: half, value: 1.5, seen: true}]
figure: {x: p}
"""
_SWEEP = (
    "sweep", "--config", "c.yaml", "--out", "s", "--dry-run", "--seeds", "2",
    *(word for text in SIZE for word in ("--set", text)),
)  # fmt: skip
COMMANDS = (("report", "s"), _SWEEP, ("doctor", "s"), ("doctor", "s", "--fix"))
_RAW = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with every file that there is."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "c.yaml").write_text(CELLS)
    go(study(folder / "s", *SIZE, file=folder / "c.yaml", seeds="2", save_models=True))
    return folder


def assert_plain(*texts: str) -> None:
    for text in texts:
        assert not _RAW.search(text), ascii(_RAW.search(text))


def assert_sound_outputs(folder: Path) -> None:
    """The page, the tables and the plots hold plain text, and the plots are XML."""
    page = folder / results.REPORT
    if page.is_file():
        text = page.read_text()
        assert_plain(text)
        HTMLParser().feed(text)
        for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
            ElementTree.fromstring(svg)
    for path in (folder / results.TABLES).glob("cells.*"):
        assert_plain(path.read_text())
    for path in (folder / results.PLOTS).glob("*.svg"):
        ElementTree.parse(path)


def judge(run, folder: Path, words: str, *commands: tuple[str, ...]) -> None:
    for command in commands or COMMANDS:
        try:
            told = run(*command)
            assert told.status in (0, 1, 2, 3, 4)
            assert "Traceback" not in told.err
            assert_plain(told.out, told.err)
            assert_sound_outputs(folder)
        except Exception as error:
            raise AssertionError(f"{words}; {command[0]}: {error!r}") from error


def test_the_sound_study_is_taken_by_every_command(sound: Path, tmp_path: Path, run) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    for command in (*COMMANDS, ("plot", "s")):
        assert (run(*command).status, command) == (0, command)
    assert_sound_outputs(tmp_path / "s")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(300))
def test_no_change_of_a_file_makes_a_traceback(
    sound: Path, tmp_path: Path, run, own_variants, seed: int
) -> None:
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    words = mutate(tmp_path / "s", seed)
    judge(run, tmp_path / "s", words)
