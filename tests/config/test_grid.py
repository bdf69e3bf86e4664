"""Cells, the run without dropout beside them, and ids that follow the numbers only."""

from pathlib import Path

import pytest

from dropout_lab.config.grid import (
    baseline_of,
    run_id,
    runs_of,
    section_data,
    single_cell,
    sweep_cells,
)
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.schema import Config, get_value
from dropout_lab.config.sections.dropout import is_baseline, p_of_places
from dropout_lab.results import digest, read_manifest
from tests.conftest import make_config


def swept(*settings: str, **changes: str) -> Config:
    return load(None, Changes(settings=settings, sweep=True, **changes))


@pytest.mark.parametrize("path", sorted(Path("results/reference").glob("*/manifest.json")), ids=str)
def test_keys_that_came_later_leave_published_run_ids_alone(path: Path) -> None:
    manifest = read_manifest(path.parent)
    assert manifest is not None
    runs = manifest.list_runs()
    assert runs
    assert all(run_id(run.settings, run.seed) == name for name, run in runs.items())
    data = {run.settings.dataset for run in runs.values()}
    names = {digest(section_data("dataset", each))[:12] for each in data}
    assert names == manifest.data_digests.keys()  # the data are compared with theirs still


def test_a_later_key_counts_when_it_is_set() -> None:
    ids = {
        run_id(make_config(*settings), 0)
        for settings in ((), ("dropout.schedule=linear",), ("dropout.stop_last=1",))
    }
    assert len(ids) == 3


def test_all_combinations_are_run() -> None:
    cells = sweep_cells(swept("training.learning_rate=0.1,0.2", p="0.25,0.5"), baseline=False)
    assert [tuple(cell.values.values()) for cell in cells] == [
        (0.25, 0.1), (0.25, 0.2), (0.5, 0.1), (0.5, 0.2),
    ]  # fmt: skip


def test_a_run_without_dropout_stands_beside_each_other_setting() -> None:
    cells = sweep_cells(swept("training.learning_rate=0.1,0.2", p="0.25,0.5"))
    bare = [cell for cell in cells if is_baseline(cell.settings)]
    assert [cell.values["training.learning_rate"] for cell in bare] == [0.1, 0.2]
    assert len(cells) == 6


def test_no_second_run_without_dropout_where_there_is_one() -> None:
    cells = sweep_cells(swept(p="0,0.5"))
    assert [cell.values["dropout.p"] for cell in cells] == [0.0, 0.5]


def test_without_dropout_variant_placement_and_mask_are_one_cell() -> None:
    cells = sweep_cells(
        swept("dropout.variant=inverted,gaussian", "dropout.placement=input,hidden", p="0,0.5")
    )
    assert len(cells) == 1 + 4
    assert cells[0].values == {
        "dropout.p": 0.0, "dropout.variant": "none", "dropout.placement": None,
    }  # fmt: skip


def test_the_run_without_dropout_shows_p_where_nothing_else_would_tell() -> None:
    cells = sweep_cells(swept("model.hidden=[8],[9]", "dropout.p=0.5"))
    assert [(cell.values["model.hidden"], cell.values["dropout.p"]) for cell in cells] == [
        ((8,), 0.0), ((9,), 0.0), ((8,), 0.5), ((9,), 0.5),
    ]  # fmt: skip


def test_no_two_cells_show_the_same_values() -> None:
    """Input dropout alone is not the run without dropout, though p is 0 in both."""
    cells = sweep_cells(swept("dropout.input_p=0.2", p="0,0.5"))
    assert [(cell.values["dropout.p"], cell.values["dropout.input_p"]) for cell in cells] == [
        (0.0, 0.0), (0.0, 0.2), (0.5, 0.2),
    ]  # fmt: skip


def test_no_baseline_when_not_wanted() -> None:
    assert len(sweep_cells(swept(p="0.25,0.5"), baseline=False)) == 2


def test_train_has_the_one_cell_of_the_config() -> None:
    (cell,) = single_cell(load(None))
    assert cell.values == {}
    assert cell.settings.dropout.p == 0.5


def test_a_run_id_follows_what_can_change_the_numbers_and_nothing_else() -> None:
    config = make_config()
    renamed = config.model_copy(update={"name": "other", "about": "x", "seeds": 9})
    (one,), (other,) = single_cell(config), single_cell(renamed)
    assert run_id(one.settings, 0) == run_id(other.settings, 0)
    assert run_id(one.settings, 0) != run_id(one.settings, 1)
    ids = {run_id(one.settings, 0)}
    changes = ("dropout.p=0.25", "dataset.split_seed=1", "training.learning_rate=0.1",
               "regularization.l2=0.1", "evaluation.every=2", "model.activation=tanh")  # fmt: skip
    for change in changes:
        ids.add(run_id(single_cell(make_config(change))[0].settings, 0))
    assert len(ids) == 1 + len(changes)


def test_more_seeds_keep_the_ids_of_the_fewer() -> None:
    cells = sweep_cells(load(None))
    fewer = {run.run_id for run in runs_of(cells, (0, 1))}
    assert fewer < {run.run_id for run in runs_of(cells, (0, 1, 2))}


def test_the_p_of_each_place() -> None:
    assert p_of_places(make_config("dropout.p=0.4")) == {1: 0.4, 2: 0.4}
    assert p_of_places(make_config("dropout.placement=all", "dropout.p=[0.1,0.2,0.3]")) == {
        0: 0.1, 1: 0.2, 2: 0.3,
    }  # fmt: skip
    assert p_of_places(make_config("dropout.input_p=0.2")) == {0: 0.2, 1: 0.5, 2: 0.5}
    assert p_of_places(make_config("dropout.placement=all", "dropout.input_p=0.2")) == {
        0: 0.2, 1: 0.5, 2: 0.5,
    }  # fmt: skip
    assert p_of_places(make_config("dropout.placement=[2]", "dropout.p=[0.3]")) == {2: 0.3}
    assert p_of_places(make_config("dropout.variant=none")) == {}


def test_the_partner_without_dropout_keeps_everything_else() -> None:
    settings = make_config("dropout.placement=input", "training.learning_rate=0.2")
    bare = baseline_of(settings)
    assert is_baseline(bare)
    assert get_value(bare, "training.learning_rate") == 0.2
