"""Data of the user: npz, npy and tables are read, checked and normalized."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dropout_lab import data
from dropout_lab.config.grid import run_id, single_cell
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.sections.dataset import with_contents
from dropout_lab.data.scaling import fit_scaling
from dropout_lab.datasets.own import Reading, read_own
from dropout_lab.errors import ConfigError, DataError
from tests.data.broken import BROKEN, CSV, write_broken


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def save(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


def test_a_table_becomes_features_and_classes(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", CSV)
    found = read_own(Reading(path, "kind", 2, "mean"))
    assert found.class_names == ("cat", "dog")
    assert found.training.labels.tolist() == [0, 1, 1, 0]
    # height; color blue and red; weight, missing in the third row
    np.testing.assert_array_equal(
        found.training.x,
        np.array([[1.5, 0, 1, 10], [2, 1, 0, 20], [2.5, 0, 1, np.nan], [3, 1, 0, 40]], np.float32),
    )
    contents = {k: v for k, v in found.contents.items() if k != "sha256"}
    assert contents == {
        "shape": (4,), "classes": ("cat", "dog"), "train": 2, "test": 2, "dtype": "float32",
    }  # fmt: skip


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_and_parquet_hold_the_same_table(tmp_path: Path, separator: str) -> None:
    plain = read_own(Reading(write(tmp_path / "a.csv", CSV), "kind", 2, "mean"))
    other = write(tmp_path / "b.csv", "\ufeff" + CSV.replace(",", separator))
    assert read_own(Reading(other, "kind", 2, "mean")).sha256 == plain.sha256


def test_parquet_is_read_or_the_package_for_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    frame = pd.read_csv(write(tmp_path / "a.csv", CSV))
    try:
        frame.to_parquet(path)
    except ImportError:
        path.write_bytes(b"PAR1")
        with pytest.raises(DataError, match="pip install pyarrow"):
            read_own(Reading(str(path), "kind", 2, "mean"))
        return
    plain = read_own(Reading(str(tmp_path / "a.csv"), "kind", 2, "mean"))
    assert read_own(Reading(str(path), "kind", 2, "mean")).sha256 == plain.sha256


def test_a_folder_of_npy_and_an_npz_are_the_same_data(tmp_path: Path) -> None:
    arrays = {
        "x_train": np.arange(24, dtype=np.uint8).reshape(6, 2, 2),
        "y_train": np.array(["b", "a", "b", "a", "b", "a"]),
        "x_test": np.ones((2, 2, 2), np.uint8),
        "y_test": np.array(["a", "b"]),
    }
    (tmp_path / "d").mkdir()
    for name, array in arrays.items():
        np.save(tmp_path / "d" / f"{name}.npy", array)
    one = read_own(Reading(save(tmp_path / "a.npz", **arrays)))
    two = read_own(Reading(str(tmp_path / "d")))
    assert one.sha256 == two.sha256
    assert one.class_names == ("a", "b")
    assert one.contents["shape"] == (2, 2)
    assert one.contents["dtype"] == "uint8"
    assert one.test is not None
    assert one.test.labels.tolist() == [0, 1]


def test_a_feature_is_normalized_by_the_training_set_alone() -> None:
    nan = torch.nan
    x = torch.tensor([[0.0, 7.0, nan, nan], [2.0, 7.0, 1.0, nan], [4.0, 7.0, 3.0, nan]])
    unit, standard = fit_scaling(x, "unit"), fit_scaling(x, "standard")
    expected = torch.tensor([[0.0, 0.5, 1.0], [0.0] * 3, [0.5, 0.0, 1.0], [0.0] * 3])
    torch.testing.assert_close(unit(x).T, expected)
    root = 1.5**0.5  # 0, 2, 4 have the SD (8 / 3) ** 0.5
    torch.testing.assert_close(standard(x).T[0], torch.tensor([-root, 0.0, root]))
    torch.testing.assert_close(standard(x).T[2], torch.tensor([0.0, -1.0, 1.0]))
    later = torch.tensor([[6.0, 8.0, nan, 5.0]])
    torch.testing.assert_close(unit(later), torch.tensor([[1.5, 0.0, 0.5, 0.0]]))


def loaded(path: str, **changes: Any) -> data.Splits:
    settings = with_contents(
        load(None, Changes(settings=("dataset.name=arrays", f"dataset.path={path}",
                                     *(f"dataset.{k}={v}" for k, v in changes.items())))).dataset
    )  # fmt: skip
    return data.load(data_dir=Path(), say=print, **settings.model_dump())


def table(path: Path, rows: int = 600, seed: int = 0) -> str:
    """A table of three features and three classes."""
    draws = np.random.default_rng(seed)
    frame = pd.DataFrame(draws.normal(size=(rows, 3)), columns=["a", "b", "c"])
    frame["kind"] = np.arange(rows) % 3
    frame.to_csv(path, index=False)
    return str(path)


def test_splits_of_a_table(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv")
    splits = loaded(path, target="kind", test_size=150, validation_size=120, normalize="standard")
    assert (splits.shape, splits.classes) == ((3,), 3)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [330, 120, 150]
    assert splits.test.labels.bincount().tolist() == [50, 50, 50]
    x = splits.pixels(splits.train.images).double()
    torch.testing.assert_close(x.mean(0), torch.zeros(3).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(x.std(0, correction=0), torch.ones(3).double(), atol=1e-6, rtol=0)
    components = loaded(path, target="kind", test_size=150, validation_size=120, pca=2)
    centred = components.train.images.double()
    assert centred.shape == (330, 2)
    covariance = centred.T @ centred
    assert abs(covariance[0, 1]) < 1e-5 * covariance[0, 0]


def test_pixels_of_the_user_are_those_of_mnist(tmp_path: Path) -> None:
    """The same images under another name give the same numbers as the built-in data set."""
    training, test = data.load_packaged("mnist_5k")
    path = save(
        tmp_path / "m.npz",
        x_train=training.images.numpy().reshape(-1, 28, 28), y_train=training.labels.numpy(),
        x_test=test.images.numpy().reshape(-1, 28, 28), y_test=test.labels.numpy(),
    )  # fmt: skip
    ours = loaded(path, train_size=200)
    settings = load(None, Changes(settings=("dataset.train_size=200",))).dataset.model_dump()
    theirs = data.load(data_dir=Path(), say=print, **settings)
    assert ours.checksum == theirs.checksum
    assert (ours.shift, ours.scale, ours.shape) == (theirs.shift, theirs.scale, theirs.shape)


def config(path: str, *more: str) -> Any:
    settings = ("dataset.name=arrays", f"dataset.path={path}", "dataset.validation_size=90", *more)
    return load(None, Changes(settings=settings))


def test_a_run_is_named_by_the_data_and_not_by_their_place(tmp_path: Path) -> None:
    more = ("dataset.target=kind", "dataset.test_size=150")
    paths = [
        table(tmp_path / "a.csv"),
        table(tmp_path / "b.csv"),
        table(tmp_path / "c.csv", seed=1),
    ]
    ids = [run_id(single_cell(config(path, *more))[0].settings, 0) for path in paths]
    assert ids[0] == ids[1] != ids[2]


def test_a_relative_path_starts_at_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path / "t.csv")
    file = tmp_path / "study.yaml"
    keys = "target: kind, test_size: 150, validation_size: 90"
    file.write_text(f"dataset: {{name: arrays, path: t.csv, {keys}}}\n")
    monkeypatch.chdir("/")
    contents = load(file).dataset.contents
    assert contents is not None
    assert contents.train == 450
    file.write_text(
        f"dataset: {{name: arrays, {keys}}}\nsweep: {{grid: {{dataset.path: [t.csv]}}}}\n"
    )
    assert load(file, Changes(sweep=True)).sweep.grid["dataset.path"] == [str(tmp_path / "t.csv")]


def test_a_changed_file_is_told_from_the_one_that_was_checked(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv")
    settings = config(path, "dataset.target=kind", "dataset.test_size=150").dataset
    table(tmp_path / "t.csv", rows=630)
    with pytest.raises(DataError, match="has changed"):
        data.load(data_dir=Path(), say=print, **settings.model_dump())


def test_keys_that_do_not_go_together(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv")
    for settings, words in (
        (("dataset.name=arrays",), "needs dataset.path"),
        ((f"dataset.path={path}",), "it is for name arrays"),
        (("dataset.name=arrays", f"dataset.path={path}", "dataset.target=kind",
          "dataset.test_size=150", "dataset.validation_size=90", "evaluation.at_end=features"),
         "has shape \\(3,\\): leave it out"),
        (("dataset.name=arrays", f"dataset.path={path}", "dataset.target=kind",
          "dataset.test_size=150", "dataset.validation_size=1000"), "at most 447 can be held out"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=words):
            load(None, Changes(settings=settings))


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_refused_with_the_place_and_the_remedy(tmp_path: Path, kind: str) -> None:
    path, given = write_broken(tmp_path, kind)
    with pytest.raises(DataError, match=f"(?s){BROKEN[kind][2]}") as caught:
        read_own(Reading(str(path), **given))
    assert str(path) in str(caught.value)


def test_all_mistakes_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "a,b,kind\n1,,x\n2,5,\nk,6,y\n4,7,x\n")
    with pytest.raises(DataError) as caught:
        read_own(Reading(path, "kind", 2))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert all(f"row {row}, column {name}" in "\n".join(lines)
               for row, name in ((3, "a"), (1, "b"), (2, "kind")))  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.npz", "t/x.npy"])
def test_a_pipe_is_no_file(tmp_path: Path, name: str) -> None:
    """It would be waited for without end."""
    pipe = tmp_path / name
    pipe.parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)
    path = pipe if pipe.parent == tmp_path else pipe.parent
    with pytest.raises(DataError, match="cannot be read: It is a named pipe, not a file"):
        read_own(Reading(str(path), "kind" if name.endswith(("csv", "parquet")) else None, 2))


def test_test_labels_may_be_shorter_words_than_the_training_labels(tmp_path: Path) -> None:
    x = np.ones((4, 2))
    words = np.array(["mouse", "ox", "mouse", "ox"])
    path = save(tmp_path / "t.npz", x_train=x, y_train=words, x_test=x[:2], y_test=words[1::2])
    found = read_own(Reading(path))
    assert found.test is not None
    assert found.test.labels.tolist() == [1, 1]


def test_line_ends_blank_lines_and_empty_last_columns_change_nothing(tmp_path: Path) -> None:
    plain = read_own(Reading(write(tmp_path / "a.csv", CSV), "kind", 2, "mean"))
    for number, text in enumerate(
        (CSV.replace("\n", "\r\n"), CSV.replace("\n", "\r"), "\n \n" + CSV,
         CSV.replace("\n", ",\n").replace("kind,", "kind"))
    ):  # fmt: skip
        path = tmp_path / f"{number}.csv"
        path.write_bytes(text.encode())
        assert read_own(Reading(str(path), "kind", 2, "mean")).sha256 == plain.sha256, number


def test_a_path_with_a_nul_or_a_folder_called_a_table_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(DataError, match="is a folder, so it has no column 'kind'"):
        read_own(Reading(str(tmp_path / "t.csv"), "kind"))
    with pytest.raises(DataError, match="null byte"):
        read_own(Reading("a\0.npz"))
