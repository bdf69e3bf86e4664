"""A data set of 5 x 4 pixels and 7 classes passes through everything that depends on its shape."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from dropout_lab import data
from dropout_lab.analysis.mcnemar import compare_predictions
from dropout_lab.analysis.snapshot_plots import draw_features, image_grid
from dropout_lab.analysis.tables import read_study, summarize_cells
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.data import Splits
from dropout_lab.datasets import DATASETS, Dataset
from dropout_lab.errors import ConfigError, DataError
from dropout_lab.folder.completeness import FEATURES, PREDICTIONS, damage_of_run_file
from dropout_lab.folder.doctor import examine
from dropout_lab.report.provenance import overview
from dropout_lab.results import RUNS
from dropout_lab.results.features import features_bytes, read_features
from dropout_lab.results.predictions import read_predictions
from dropout_lab.study.memory import matrices
from tests.conftest import make_config
from tests.study.test_run import go, study

SMALL = ("dataset.validation_size=35", "dataset.train_size=140", "dataset.name=bars")
TABLE = np.random.default_rng(0).integers(0, 256, (280, 21), dtype=np.uint8)
TABLE[:, 20] = np.arange(280) % 7
TABLE[np.arange(280), TABLE[:, 20]] = 255  # the class is the place of a white pixel


@pytest.fixture(autouse=True)
def bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A data set of 280 images, written as a CSV file."""
    file = tmp_path / "bars.csv"
    np.savetxt(file, TABLE, fmt="%d", delimiter=",")
    dataset = Dataset(
        "bars", (5, 4), classes=7, train=210, test=70, source="package", path=f"tests/{file}"
    )
    monkeypatch.setitem(DATASETS, "bars", dataset)
    return dataset


def loaded(**changes: object) -> Splits:
    settings = {"train_size": None, "validation_size": 35, "label_noise": 0.0, **changes}
    return data.load("bars", Path(), lambda line: None, normalize="unit", split_seed=0, **settings)


def test_it_is_drawn_class_by_class_and_mislabelled_within_its_classes() -> None:
    parts, noisy = loaded(), loaded(label_noise=1.0)
    assert (parts.shape, parts.classes) == ((5, 4), 7)
    counts = [part.labels.bincount().tolist() for part in (parts.train, parts.validation)]
    assert counts == [[25] * 7, [5] * 7]
    assert parts.test.labels.bincount().tolist() == [10] * 7
    assert (noisy.train.labels != parts.train.labels).all()
    assert set(noisy.train.labels.tolist()) == set(range(7))
    images = torch.cat([part.images for part in (parts.train, parts.validation, parts.test)])
    assert sorted(map(bytes, images.numpy())) == sorted(map(bytes, TABLE[:, :20]))


def test_a_table_that_is_not_its_own_is_refused(tmp_path: Path) -> None:
    for table in (TABLE[1:], TABLE[:, 1:], np.where(TABLE == 6, 7, TABLE)):
        np.savetxt(tmp_path / "bars.csv", table, fmt="%d", delimiter=",")
        with pytest.raises(DataError, match="is not the table of 280 images that tests ships"):
            loaded()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("dataset.pca=21", "an example has 20 features"),
        ("dataset.validation_size=6", "at least 7"),
        ("dataset.validation_size=204", "at most 203 can be held out"),
        ("dataset.train_size=176", "give 7 to 175"),
    ],
)
def test_the_rules_take_its_numbers(setting: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, Changes(settings=("dataset.validation_size=35", "dataset.name=bars", setting)))
    assert words in " ".join(caught.value.mistakes)


def test_the_memory_is_that_of_its_layers() -> None:
    settings = make_config(*SMALL, "model.hidden=[16,12]")
    assert matrices(settings) == [20 * 16, 16 * 12, 12 * 7]


def test_a_study_measures_keeps_and_draws_it(tmp_path: Path, bars: Dataset) -> None:
    out = tmp_path / "s"
    settings = (
        "evaluation.at_end=[features,histograms,reliability,predictions]",
        "evaluation.inference=[monte_carlo,ensemble]", "evaluation.samples=2",
        "evaluation.diagnostics=[activations,co_adaptation,gradients,noise]",
    )  # fmt: skip
    go(study(out, *SMALL, *settings, p="0.2", seeds="2"))
    runs = pd.read_csv(out / RUNS)
    assert set(runs["status"]) == {"completed"}
    assert not [finding for finding in examine(out) if finding.damaged]
    for run_id, errors in zip(runs["run_id"], runs["test_errors"], strict=True):
        folder = out / "runs" / run_id
        predicted = read_predictions(folder / PREDICTIONS, bars)
        assert predicted is not None
        assert predicted[0].shape == (70, 7)
        assert (predicted[0].argmax(axis=1) != predicted[1]).sum() == errors
        kept = read_features(folder / FEATURES, bars)
        assert kept is not None
        assert kept[0].shape == (16, 5, 4)
    tables = read_study(out)
    assert overview(tables)["Network"] == "20-16-12-7"
    assert compare_predictions(tables, *runs["run_id"][:2]).examples == 70
    figure = draw_features(tables, summarize_cells(tables), "t")
    assert figure is not None
    image = figure.axes[0].images[0].get_array()
    assert image.shape == (2 * 7 - 2, 10 * 6 - 2)  # two rows of ten images of 5 x 4, with gaps
    np.testing.assert_array_equal(image[:5, 6:10], _features(out, tables.runs)[1])


@pytest.fixture
def flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A data set of 280 images of 5 x 4 pixels with colors."""
    table = np.random.default_rng(1).integers(0, 256, (280, 61), dtype=np.uint8)
    table[:, 60] = np.arange(280) % 7
    table[np.arange(280), 3 * table[:, 60]] = 255  # the class is the place of a red pixel
    np.savetxt(tmp_path / "flags.csv", table, fmt="%d", delimiter=",")
    dataset = Dataset(
        "flags", (5, 4, 3), classes=7, train=210, test=70, source="package",
        path=f"tests/{tmp_path / 'flags.csv'}",
    )  # fmt: skip
    monkeypatch.setitem(DATASETS, "flags", dataset)
    return dataset


def test_features_of_images_with_colors_are_kept_and_drawn(tmp_path: Path, flags: Dataset) -> None:
    out = tmp_path / "s"
    settings = ("dataset.train_size=140", "dataset.validation_size=35", "dataset.name=flags")
    go(study(out, *settings, "evaluation.at_end=features", p="0.2", seeds="2"))
    tables = read_study(out)
    assert overview(tables)["Network"] == "60-16-12-7"
    assert not [finding for finding in examine(out) if finding.damaged]
    kept = read_features(out / "runs" / tables.runs["run_id"].iloc[0] / FEATURES, flags)
    assert kept is not None
    assert kept[0].shape == (16, 5, 4, 3)
    figure = draw_features(tables, summarize_cells(tables), "t")
    assert figure is not None
    drawn = figure.axes[0].images[0]
    field, limit = np.asarray(drawn.get_array()), drawn.get_clim()[1]
    assert field.shape == (2 * 7 - 2, 10 * 6 - 2, 3)
    weights = _features(out, tables.runs).astype(float)
    expected = ((weights[1] / limit + 1) / 2).clip(0, 1)
    np.testing.assert_allclose(field[:5, 6:10], expected)
    assert (field[5:7] == 1).all()  # the gap between two rows is white
    assert figure.axes[-1].get_ylabel() == "weight from a color of a pixel"
    layout = figure.get_layout_engine()
    assert layout is not None
    assert layout.get()["w_pad"] == 0.2  # the panels are farther apart than the images


def test_a_color_of_weight_0_is_mid_grey() -> None:
    """By hand: -limit is 0, 0 is one half, limit and more are 1."""
    images = np.zeros((1, 1, 2, 3))
    images[0, 0, 1] = [-2.0, 2.0, 5.0]
    field = image_grid(Figure().subplots(), images, 2.0, wide=1).get_array()
    np.testing.assert_array_equal(field, [[[0.5, 0.5, 0.5], [0.0, 1.0, 1.0]]])


@pytest.mark.parametrize("shape", [(5, 4, 2), (20,), (4, 5, 3)])
def test_features_of_what_is_no_image_or_another_are_damage(
    tmp_path: Path, flags: Dataset, shape: tuple[int, ...]
) -> None:
    path = tmp_path / "0123456789ab" / FEATURES
    path.parent.mkdir()
    images = np.ones((3, *shape), np.float16)
    path.write_bytes(features_bytes(images, np.arange(3), path.parent.name))
    assert damage_of_run_file(path, flags) == "does not hold features"


def _features(out: Path, runs: pd.DataFrame) -> np.ndarray:
    """The features of the first run without dropout."""
    (run_id,) = runs["run_id"][runs["is_baseline"] & (runs["seed"] == 0)]
    kept = read_features(out / "runs" / run_id / FEATURES)
    assert kept is not None
    return kept[0]


def test_it_is_compared_with_a_data_set_of_another_shape(tmp_path: Path, bars: Dataset) -> None:
    settings = (
        "dataset.train_size=140",
        "dataset.validation_size=35",
        "dataset.name=mnist_5k,bars",
    )
    go(study(tmp_path / "s", *settings, "evaluation.at_end=features", p="0.2", seeds="1"))
    tables = read_study(tmp_path / "s")
    assert set(tables.runs["status"]) == {"completed"}
    assert overview(tables)["Network"] == "varied"
    assert draw_features(tables, summarize_cells(tables), "t") is not None


def test_features_of_another_shape_are_damage(tmp_path: Path, bars: Dataset) -> None:
    path = tmp_path / "0123456789ab" / FEATURES
    path.parent.mkdir()
    path.write_bytes(features_bytes(np.ones((3, 5, 4), np.float16), np.arange(3), path.parent.name))
    assert not damage_of_run_file(path, bars)
    assert damage_of_run_file(path, DATASETS["mnist"]) == "does not hold features"
