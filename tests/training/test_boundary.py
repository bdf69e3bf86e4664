"""The decision boundary of networks with two inputs: measured, saved, checked and drawn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dropout_lab.analysis.boundary_plot import draw_boundary
from dropout_lab.analysis.tables import read_study, summarize_cells
from dropout_lab.errors import ConfigError
from dropout_lab.folder.doctor import examine
from dropout_lab.results.boundary import BOUNDARY, Boundary, read_boundary
from dropout_lab.training import Fleet
from dropout_lab.training.boundary import SIDE, boundaries
from tests.conftest import make_runs
from tests.data.test_own import loaded
from tests.study.test_run import go, study

POINTS = np.random.default_rng(0).normal(size=(300, 2))
LABELS = (POINTS[:, 0] * POINTS[:, 1] > 0).astype(int)
SIZES = ("dataset.name=arrays", "dataset.test_size=100", "dataset.validation_size=50",
         "dataset.train_size=null", "training.batch_size=30")  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> str:
    np.savez(tmp_path / "xor.npz", x=POINTS, y=LABELS)
    return str(tmp_path / "xor.npz")


def test_the_grid_has_the_probabilities_of_the_network(file: str) -> None:
    splits = loaded(file, test_size=100, validation_size=50, normalize="standard")
    runs = make_runs(*SIZES, f"dataset.path={file}", "dropout.p=0.5", seeds=(0, 1))
    model = Fleet(runs, torch.device("cpu")).model
    for run, boundary in enumerate(boundaries(model, splits)):
        left, right, bottom, top = boundary.extent
        every = torch.cat([splits.train.images, splits.test.images])
        low, high = every.amin(0), every.amax(0)
        assert left == pytest.approx(float(low[0] - 0.1 * (high[0] - low[0])), rel=1e-5)
        assert top == pytest.approx(float(high[1] + 0.1 * (high[1] - low[1])), rel=1e-5)
        row, column = 7, 90  # the second input chooses the row, the first the column
        x = torch.tensor([
            left + (right - left) * column / (SIDE - 1), bottom + (top - bottom) * row / (SIDE - 1),
        ])  # fmt: skip
        expected = model.eval()(x.float().view(1, 1, 2))[run, 0].softmax(0)
        measured = boundary.probabilities[:, row, column].astype(np.float64)
        np.testing.assert_allclose(measured, expected.detach().numpy(), atol=1e-3)
        np.testing.assert_array_equal(boundary.points, splits.train.images.numpy())
        np.testing.assert_array_equal(boundary.labels, splits.train.labels.numpy())


@pytest.mark.parametrize("setting", ["dataset.pca=2", "dataset.pca=null"])
def test_it_is_saved_judged_and_drawn(tmp_path: Path, file: str, setting: str) -> None:
    path = [f"dataset.path={file}", *SIZES] if setting.endswith("null") else []
    out = tmp_path / "s"
    go(study(out, *path, setting, "evaluation.at_end=boundary", p="0.5", seeds="2"))
    tables = read_study(out)
    figure = draw_boundary(tables, summarize_cells(tables), "t")
    assert figure is not None
    runs = tables.runs
    shown = runs[runs["seed"] == 0].sort_values("dropout.p")["test_accuracy"]
    titles = [axes.get_title().splitlines()[-1] for axes in figure.axes]
    assert titles == [f"test accuracy {100 * value:.2f}%" for value in shown]
    diverged = runs.assign(status=runs["status"].where(runs["seed"] > 0, "diverged"))
    other = draw_boundary(replace(tables, runs=diverged), summarize_cells(tables), "t")
    assert other is not None
    assert "seed 1" in other.get_suptitle()
    assert "seed 0" in figure.get_suptitle()
    damaged = out / "runs" / runs["run_id"][0] / BOUNDARY
    sound = read_boundary(damaged)
    damaged.write_bytes(b"torn")
    assert [finding for finding in examine(out) if finding.damaged]
    go(study(out, *path, setting, "evaluation.at_end=boundary", p="0.5", seeds="2"))
    repaired = read_boundary(damaged)
    assert sound is not None
    assert repaired is not None
    np.testing.assert_allclose(repaired.probabilities, sound.probabilities, atol=2e-3)


RUN = "0123456789ab"
SOUND = Boundary(
    np.full((2, 3, 3), 0.5, np.float16), np.array([0.0, 1.0, 0.0, 1.0]),
    np.zeros((4, 2), np.float32), np.array([0, 1, 1, 0]),
)  # fmt: skip
CHANGES: dict[str, Callable[[Boundary], Boundary]] = {
    "another shape": lambda b: replace(b, probabilities=b.probabilities[0]),
    "another extent": lambda b: replace(b, extent=b.extent[:3]),
    "other points": lambda b: replace(b, points=b.points[:2]),
    "nan": lambda b: replace(b, extent=b.extent * np.nan),
    "no probability": lambda b: replace(b, probabilities=b.probabilities * 3),
    "no class": lambda b: replace(b, labels=b.labels + 1),
    "text": lambda b: replace(b, labels=b.labels.astype(str)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_content_is_no_boundary(tmp_path: Path, change: str) -> None:
    path = tmp_path / RUN / BOUNDARY
    path.parent.mkdir()
    path.write_bytes(SOUND.to_bytes(RUN))
    read = read_boundary(path)
    assert read is not None
    np.testing.assert_array_equal(read.points, SOUND.points)
    path.write_bytes(CHANGES[change](SOUND).to_bytes(RUN))
    with pytest.raises(ValueError, match=r"does not hold a boundary|holds"):
        read_boundary(path)


def test_more_inputs_are_refused(file: str) -> None:
    with pytest.raises(ConfigError, match="the network has 784: leave it out, or write"):
        make_runs("evaluation.at_end=boundary")
    splits = loaded(file, test_size=100, validation_size=50)
    model = Fleet(make_runs(), torch.device("cpu")).model
    wide = replace(splits, train=replace(splits.train, images=torch.zeros(150, 784)),
                   test=replace(splits.test, images=torch.zeros(100, 784)))  # fmt: skip
    with pytest.raises(ValueError, match="784 inputs, not 2"):
        boundaries(model, wide)
