"""The Python API trains, loads, compares and plots what the commands do."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import pandas as pd
import pytest

import dropout_lab as dl
from dropout_lab.errors import ConfigError, StorageError
from tests.cli.conftest import run as run

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"
SMALL: dict[str, Any] = {
    "hidden": [16], "train_size": 200, "train_examples": 200, "epochs": 2, "seeds": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dl.Study:
    folder = tmp_path_factory.mktemp("api") / "s"
    return dl.sweep({"name": "s"}, p=[0, 0.5], out=folder, **SMALL)


@pytest.mark.usefixtures("one_plot")
def test_a_sweep_has_the_tables_of_the_command(study: dl.Study, run, tmp_path: Path) -> None:
    sets = [
        "model.hidden=[16]", "dataset.train_size=200", "evaluation.train_examples=200", "name=s",
    ]  # fmt: skip
    words = [word for text in sets for word in ("--set", text)]
    size = ["--epochs", "2", "--seeds", "2"]
    assert run("sweep", "--p", "0,0.5", *size, "--out", str(tmp_path / "c"), *words).status == 0
    theirs = dl.load(tmp_path / "c")
    for ours, other in ((study.runs, theirs.runs), (study.metrics, theirs.metrics)):
        times = [name for name in ours if "second" in name]
        pd.testing.assert_frame_equal(ours.drop(columns=times), other.drop(columns=times))


def test_the_same_call_trains_nothing_again(study: dl.Study) -> None:
    again = dl.sweep({"name": "s"}, p=(0, 0.5), out=study.path, **SMALL)
    pd.testing.assert_frame_equal(study.runs, again.runs)


def test_cells_and_comparisons_are_tables(study: dl.Study) -> None:
    accuracy = study.runs.groupby("dropout.p")["test_accuracy"].mean()
    cells = study.cells.set_index("dropout.p")["test_accuracy_mean"]
    assert np.allclose(accuracy, cells[accuracy.index])
    compared = study.compare()
    assert compared["pairs"].tolist() == [0, 2]
    difference = compared["difference_mean"].iloc[1]
    assert difference == pytest.approx(accuracy[0.5] - accuracy[0.0])
    assert study.compare(p=0.5)["difference_mean"].iloc[0] == pytest.approx(-difference)


def test_plots_and_report(study: dl.Study, tmp_path: Path) -> None:
    assert {"curves", "gap", "cells"} <= study.plots.keys()
    assert isinstance(study.plot("gap"), matplotlib.figure.Figure)
    with pytest.raises(ValueError, match="no plot 'gaps'; this study has curves"):
        study.plot("gaps")
    page = study.report(tmp_path)
    assert page == tmp_path / "report.html"
    assert all(sentence for sentence in study.conclusions)


def test_a_study_shows_itself_in_a_notebook(study: dl.Study) -> None:
    assert repr(study).endswith("2 settings, 4 completed runs)")
    assert study._repr_html_().count("<tr>") == len(study.cells)


def test_train_trains_the_config_s_own_setting(tmp_path: Path) -> None:
    study = dl.train(None, p=0.25, out=tmp_path / "t", **SMALL)
    assert set(study.metrics["p"]) == {0.25}
    assert len(study.runs) == 2


def test_a_grid_sweeps_further_keys(tmp_path: Path) -> None:
    grid = {"variant": ["inverted", "gaussian"]}
    study = dl.sweep(None, p=[0.5], grid=grid, out=tmp_path / "g", **{**SMALL, "epochs": 1})
    variants = study.runs["dropout.variant"]
    assert set(variants) == {"none", "inverted", "gaussian"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"epoch": 3}, r"did you mean training\.epochs\?"),
        ({"noise": 1}, "noise is not a setting"),
        ({"epochs": -1}, "training.epochs is -1"),
        ({"p": [0.5, 1.5]}, "1.5"),
    ],
)
def test_a_mistake_names_the_key(arguments: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        dl.sweep(None, out=tmp_path / "x", **arguments)
    assert not (tmp_path / "x").exists()


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        dl.load(tmp_path)


def test_the_import_loads_nothing_heavy() -> None:
    code = (
        "import sys, dropout_lab; "
        "print([name for name in ('torch', 'pandas', 'matplotlib', 'pydantic') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_notebooks_run(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_variants: Callable[[], None]
) -> None:
    """Run the code cells of a notebook in order, in an empty folder, with small networks."""
    cells = json.loads(path.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for true, small in ((r"\bepochs=\d+", "epochs=2"), (r"\bhidden=\[128\]", "hidden=[16]")):
        code, count = re.subn(true, small, code)
        assert count == 1
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert list(tmp_path.glob("results/*/runs.csv"))
