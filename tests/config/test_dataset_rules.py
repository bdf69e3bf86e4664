"""What the section dataset refuses, with the reason, and which of its keys are in a run id."""

import pytest

from dropout_lab.config.grid import run_id, section_data, single_cell
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.sections.dataset import DatasetSettings
from dropout_lab.config.sizes import count_inputs
from dropout_lab.errors import ConfigError
from dropout_lab.study.memory import matrices, need

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
