"""Damaged folders: report, plot, sweep and doctor say the same of each."""

import errno
import io
import math
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dropout_lab import results
from dropout_lab.results import METRICS
from tests.faults.conftest import SMALL
from tests.faults.damage import DAMAGED, SOUND
from tests.faults.folders import tables_of
from tests.folder.test_study_folder import content

ASKED = [
    *(word for text in SMALL for word in ("--set", text)),
    "--set", "evaluation.inference=[mean,monte_carlo,ensemble]", "--set", "evaluation.samples=3",
    "--set", "evaluation.curve=3", "--set", "evaluation.at_end=[reliability,histograms,features]",
    "--set", "evaluation.diagnostics=[activations,gradients]",
    "--p", "0,0.5", "--seeds", "2", "--epochs", "2", "--save-models", "--quiet",
]  # fmt: skip
# What is drawn does not matter here, only what is read before.
pytestmark = pytest.mark.usefixtures("one_plot")
KINDS = {**DAMAGED, **SOUND}
_RUN_ID = re.compile(r"\brun ([0-9a-f]{12})\b")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study with every table and every file that a run can keep."""
    return tmp_path_factory.mktemp("whole") / "s"


def prepared(whole: Path, out: Path, run) -> Path:
    """Return a copy of the study; train it first where that was not done."""
    if not whole.exists():
        assert run("sweep", *ASKED, "--out", str(whole)).status == 0
    shutil.copytree(whole, out)
    return out


def says_the_same(out: Path, run, kind: str) -> int:
    """Ask every command about a folder; return their common exit status."""
    told = {
        "doctor": run("doctor", str(out)),
        "report": run("report", str(out), "--json", "--out", f"{out}-made"),
        "plot": run("plot", str(out), "--json", "--out", f"{out}-made"),
        "sweep": run("sweep", *ASKED, "--out", str(out), "--dry-run"),
    }
    statuses = {name: result.status for name, result in told.items()}
    shown = "\n".join(f"{name}: {result.out}{result.err}" for name, result in told.items())
    assert len(set(statuses.values())) == 1, f"{kind}: {statuses}\n{shown}"
    assert "Traceback" not in shown, f"{kind}: {shown}"
    status = int(statuses["doctor"])
    if status:
        found = {name: set(_RUN_ID.findall(r.out + r.err)) for name, r in told.items()}
        assert found["report"] == found["plot"] <= found["doctor"], f"{kind}: {shown}"
        assert "dropout-lab doctor" in told["report"].err, f"{kind}: {shown}"
    return status


def repaired(out: Path, whole: Path, run, kind: str) -> None:
    """The same command repairs what it is, with or without --fix before it."""
    run("doctor", "--fix", str(out))
    result = run("sweep", *ASKED, "--out", str(out))
    run("doctor", "--fix", str(out))  # what only the manifest could tell
    result = run("sweep", *ASKED, "--out", str(out))
    assert result.status == 0, f"{kind}: {result.err}"
    assert run("doctor", str(out)).status == 0, kind
    if kind != "rounded":
        ours, theirs = tables_of(out), tables_of(whole)
        for name in (METRICS, results.INFERENCE, results.ENSEMBLES):
            assert alike(ours[name], theirs[name]), f"{kind}: {name}"


def alike(rows: list[list[str]], others: list[list[str]]) -> bool:
    """Whether rows are equal but for their order and rounding.

    A run that is retrained in a smaller fleet rounds otherwise: by 2e-9 at most in 14 folders.
    """
    pairs = zip(sorted(rows), sorted(others), strict=True)
    return all(_close(a, b) for row, other in pairs for a, b in zip(row, other, strict=True))


def _close(a: str, b: str) -> bool:
    try:
        return a == b or math.isclose(float(a), float(b), rel_tol=1e-6, abs_tol=1e-8)
    except ValueError:
        return False


@pytest.mark.parametrize(
    "kind",
    [
        "a bit flipped in weights.pt", "a digit changed in metrics.csv",
        "a digit changed in runs.csv", "a digit changed in inference.csv",
        "a digit changed in activations.csv", "a digit changed in ensembles.csv",
        "a diagnostics column removed from metrics.csv", "a row removed from runs.csv",
        "run ids swapped in all tables", "manifest: the seed of a run", "every file empty",
        "saved again by pandas", "digests deleted", "a torn row",
    ],
)  # fmt: skip
def test_every_command_says_the_same(kind: str, whole: Path, tmp_path: Path, run) -> None:
    out = prepared(whole, tmp_path / "s", run)
    KINDS[kind](out, np.random.default_rng(0))
    assert says_the_same(out, run, kind) == (kind in DAMAGED)


@pytest.mark.parametrize("name", ["metrics.csv", "digests.csv", "manifest.json", "weights.pt"])
def test_a_file_that_cannot_be_read_is_no_damage(
    name: str, whole: Path, tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command names it and the error, ends with status 4, and changes nothing."""
    out = prepared(whole, tmp_path / "s", run)
    refused = sorted(out.rglob(name))[0]
    true = io.open

    def refuse(file: object, *arguments: object, **more: object) -> object:
        if str(file) == str(refused):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
        return true(file, *arguments, **more)  # type: ignore[call-overload]

    before = content(out)
    commands = [[name, str(out)] for name in ("doctor", "report", "plot")]
    sweep = ["sweep", *ASKED, "--out", str(out)]
    for command in (*commands, ["doctor", "--fix", str(out)], [*sweep, "--dry-run"], sweep):
        with monkeypatch.context() as patch:
            patch.setattr(io, "open", refuse)
            result = run(*command)
        assert result.status == 4, command
        assert f"{refused} cannot be read: Permission denied" in result.err, command
        assert content(out) == before, command


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_of_200_damaged_folders_every_command_says_the_same(
    whole: Path, tmp_path: Path, run
) -> None:
    """Each kind again and again; every fourth folder is repaired besides."""
    found: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    wrong = []
    kinds = [*DAMAGED, *SOUND]
    for number in range(max(200, 2 * len(kinds))):
        kind = kinds[number % len(kinds)]
        out = prepared(whole, tmp_path / str(number), run)
        KINDS[kind](out, np.random.default_rng(number))
        tried[kind] += 1
        try:
            status = says_the_same(out, run, kind)
            found[kind] += bool(status)
            if bool(status) != (kind in DAMAGED):
                wrong.append(f"{number}, {kind}: {status}")
            if number % 4 == 0:
                repaired(out, whole, run, kind)
        except AssertionError as error:
            wrong.append(f"{number}: {error}")
        shutil.rmtree(out)
    for kind in tried:
        print(f"{kind:55} {found[kind]} of {tried[kind]}")  # noqa: T201
    assert not wrong, "\n".join(wrong)
