"""What the section dataset refuses, with the reason, and which of its keys are in a run id."""

from dataclasses import replace

import pytest

from dropout_lab.config.grid import run_id, section_data, single_cell
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.dataset import DatasetSettings
from dropout_lab.config.sizes import count_inputs
from dropout_lab.errors import ConfigError
from dropout_lab.study import pack
from dropout_lab.study.machine import Machine
from dropout_lab.study.memory import data_bytes, matrices, need
from tests.conftest import make_runs

FIRST = ["dataset.name=mnist", "dataset.train_size=1000", "dataset.subset=first"]


def loaded(*settings: str):
    return load(None, Changes(settings=settings))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["dataset.subset=last", "dataset.train_size=99"], "one of stratified, first or null"),
        (["dataset.subset=first"], "nothing here reads it; it is for train_size above 0."),
        (
            ["dataset.subset=first", "dataset.train_size=99"],
            "dataset.subset is first, but mnist_5k is sorted by class",
        ),
        (["dataset.pca=0"], "dataset.pca is 0; allowed: a positive whole number or null"),
        (["dataset.pca=785"], "give at most 784, or null for the features."),
        (
            ["dataset.pca=100", "dataset.train_size=100", "training.batch_size=10"],
            "dataset.pca is 100; an example has 784 features, and 100 training examples have at "
            "most 99 principal components: give at most 99, or null",
        ),
        (
            ["dataset.pca=20", "evaluation.at_end=features"],
            "dataset.pca is 20, but evaluation.at_end names features, which are drawn as images",
        ),
    ],
)
def test_what_does_not_fit_is_refused(settings: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(*settings)
    assert words in " ".join(caught.value.mistakes)


def test_what_fits_is_taken() -> None:
    assert loaded(*FIRST).dataset.subset == "first"
    assert count_inputs(loaded("dataset.pca=784")) == 784
    assert count_inputs(loaded("dataset.pca=70", "evaluation.at_end=histograms")) == 70
    assert count_inputs(loaded()) == 784


def test_a_later_key_is_in_a_run_id_and_a_digest_of_data_only_where_it_is_set() -> None:
    """The id of the defaults is the one they had before any of these keys was there."""
    sized = ["dataset.name=mnist", "dataset.train_size=1000"]
    settings = [[], ["dataset.pca=7"], sized, FIRST]
    ids = [run_id(single_cell(loaded(*each))[0].settings, 0) for each in settings]
    assert ids[0] == "6240211838dc"
    assert len(set(ids)) == 4
    (same,) = single_cell(loaded(*sized, "dataset.subset=stratified"))
    assert run_id(same.settings, 0) == ids[2]
    before = {"name", "train_size", "validation_size", "label_noise", "normalize", "split_seed"}
    assert section_data("dataset", DatasetSettings()).keys() == before
    assert section_data("dataset", DatasetSettings(pca=7)).keys() == before | {"pca"}


def test_the_memory_is_that_of_the_smaller_network() -> None:
    few, pixels = loaded("dataset.pca=70"), loaded()
    assert matrices(few) == [70 * 512, 512 * 512, 512 * 10]
    assert need([few]).each < need([pixels]).each
    assert need([few]).once < need([pixels]).once


def test_the_memory_has_the_data() -> None:
    """3,072 numbers of 4 bytes and a label of 8 for each of 200,000 rows: 2.46 GB.

    An evaluation has 10,000 training examples of its own. Pixels take a byte, components four.
    """
    contents = {
        "sha256": "0" * 64, "shape": [3072], "classes": ["a", "b"], "train": 190_000,
        "test": 10_000, "dtype": "float32",
    }  # fmt: skip
    own = Settings.model_validate(
        {"dataset": {"name": "arrays", "path": "x", "contents": contents}}
    )
    row = 3072 * 4 + 8
    assert data_bytes(own) == 200_000 * row + 10_000 * row
    with_data = need([own])
    assert with_data.once > 2_400_000_000
    assert with_data.of(1) > 2_400_000_000
    pixels = replaced(own, contents | {"dtype": "uint8"})
    assert data_bytes(pixels) == 210_000 * (3072 + 8)
    assert with_data.once - need([pixels]).once == 210_000 * 3072 * 3
    fewer = replaced(own, contents, train_size=5_000)  # and 1,000 for validation
    assert data_bytes(fewer) == (5_000 + 1_000 + 10_000 + 5_000) * row
    components = replaced(pixels, contents | {"dtype": "uint8"}, pca=7)
    assert data_bytes(components) == 210_000 * (7 * 4 + 8)


def replaced(settings: Settings, contents: dict[str, object], **changes: object) -> Settings:
    """Return settings with other data."""
    dataset = {"name": "arrays", "path": "x", "contents": contents, **changes}
    return settings.model_copy(update={"dataset": DatasetSettings.model_validate(dataset)})


def test_a_run_that_does_not_fit_because_of_its_data_is_told_so() -> None:
    contents = {
        "sha256": "0" * 64, "shape": [3072], "classes": ["a", "b"], "train": 190_000,
        "test": 10_000, "dtype": "float32",
    }  # fmt: skip
    runs = make_runs("model.hidden=[16]")
    settings = replaced(runs[0].settings, contents)
    large = [replace(run, cell=replace(run.cell, settings=settings)) for run in runs]
    with pytest.raises(ConfigError) as caught:
        pack(large, Machine(2, 2**25, 2**31))
    (words,) = caught.value.mistakes
    assert "3072-16-2" in words
    assert "of which the data take 2.4 GB, and a fleet may take 2.0 GB" in words
    assert "or training.batch_size, dataset.train_size smaller" in words
    with pytest.raises(ConfigError) as caught:
        pack(runs, Machine(2, 2**25, 2**20))
    assert "of which the data" not in caught.value.mistakes[0]
