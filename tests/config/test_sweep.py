"""Cells that are no product, sizes of a study, published values: what a paper's config needs."""

import json
from pathlib import Path
from typing import Any

import pytest

from dropout_lab.config.grid import labelled_keys, run_id, runs_of, sweep_cells
from dropout_lab.config.load import list_sizes, load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.schema import Config
from dropout_lab.config.sections.dropout import is_baseline
from dropout_lab.errors import ConfigError
from dropout_lab.folder.manifest import (
    add_runs,
    join_study,
    label_runs,
    new_manifest,
    record_config,
)
from dropout_lab.results import Manifest

TEXT = """\
name: paper
dropout: {p: 0.5, input_p: 0.2}
training: {epochs: 9}
sizes:
  quick:
    training: {epochs: 2}
    seeds: 2
    published: {departures: [fewer epochs]}
  full:
    dataset: {name: mnist}
    sweep:
      cells:
        - {label: only, regularization.l2: 0.5}
sweep:
  cells:
    - {label: L2, dropout.variant: none, regularization.l2: 0.001}
    - {label: both, regularization.l2: 0.001}
    - {regularization.max_norm: 2}
published:
  citation: Somebody 1999, table 1
  values:
    - {label: L2, cell: L2, value: 1.5, seen: true}
    - {label: bound, cell: {regularization.max_norm: 2}, value: 1.25, seen: false}
figure: {title: A table}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "paper.yaml"
    file.write_text(TEXT)
    return file


def loaded(path: Path, *settings: str, **changes: Any) -> Config:
    return load(path, Changes(settings=settings, sweep=True, **changes))


def mistakes(path: Path, old: str, new: str, *settings: str, **changes: Any) -> str:
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        loaded(path, *settings, **changes)
    return "\n".join(caught.value.mistakes)


def test_listed_cells_are_run_with_the_missing_ones_without_dropout(path: Path) -> None:
    cells = sweep_cells(loaded(path))
    told = [(cell.label, is_baseline(cell.settings)) for cell in cells]
    assert told == [("L2", True), ("", True), ("both", False), ("", False)]
    # "both" without dropout is L2, which is listed; the bound without dropout is added.
    assert cells[1].settings.regularization.max_norm == 2
    ids = {run_id(cell.settings, 0) for cell in cells}
    assert len(ids) == 4


def test_a_cell_is_the_setting_that_an_axis_of_the_same_value_makes(path: Path) -> None:
    plain = load(
        None, Changes(("regularization.l2=0.001", "dropout.input_p=0.2"), 2, p="0.5", sweep=True)
    )
    listed = {c.label: c.settings for c in sweep_cells(loaded(path))}
    assert run_id(listed["both"], 3) == run_id(sweep_cells(plain)[-1].settings, 3)


def test_each_cell_meets_every_combination_of_the_grid(path: Path) -> None:
    cells = sweep_cells(loaded(path, "training.learning_rate=0.1,0.2"), baseline=False)
    told = [(cell.label, cell.values["training.learning_rate"]) for cell in cells]
    assert told == [(label, rate) for label in ("L2", "both", "") for rate in (0.1, 0.2)]
    assert labelled_keys(loaded(path)) == [
        "dropout.variant", "regularization.l2", "regularization.max_norm",
    ]  # fmt: skip


def test_without_a_grid_the_default_one_is_not_run(path: Path) -> None:
    assert loaded(path).sweep.grid == {}
    path.write_text("sweep: {baseline: false, grid: {dropout.p: [0.5]}}\n")
    assert len(sweep_cells(loaded(path))) == 1
    assert len(sweep_cells(loaded(path), baseline=True)) == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("{regularization.max_norm: 2}\npub", "{label: x}\npub", "a cell is"),
        ("label: both, regularization.l2: 0.001", "label: both, regularization.l2: no", "l2 is"),
        ("{regularization.max_norm: 2}\npub", "{regularization.maxnorm: 2}\npub", "did you mean"),
        ("label: both, ", "label: [1], ", "label of a cell is [1]"),
        ("label: both, ", 'label: "a\\nb", ', "give a line of text"),
        ("label: both, ", "label: both, evaluation.at_end: features, ", "at_end=[a,b]'."),
        ("sweep:\n  cells:\n    - {label: L2", "sweep:\n  baseline: 2\n  cells:\n    - {label: L2",
         ": sweep.baseline is wrong: Input should be a valid boolean" ),
        ("label: both, ", "label: both, dropout.variant: none, ", "listed twice"),
        ("label: both, ", "label: both, evaluation.samples: 9, ", "is no axis"),
        ("  cells:\n    - {label: L2", "  cells: 3\n  x:\n    - {label: L2", "sweep.cells is 3"),
        ("sweep:\n  cells:\n    - {label: L2",
         "sweep:\n  grid: {regularization.l2: [0]}\n  cells:\n    - {label: L2",
         "is an axis of sweep.grid and a key of this cell"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_listed_cell_is_told(
    path: Path, old: str, new: str, told: str
) -> None:
    assert told in mistakes(path, old, new)


def test_options_do_not_change_what_cells_set(path: Path) -> None:
    assert "change it there" in mistakes(path, "", "", "regularization.l2=1")
    assert "--set regularization.l2=1" in mistakes(path, "", "", "regularization.l2=1")
    own = ("{regularization.max_norm: 2}\npub", "{training.updates: 9}\npub")
    told = "--epochs 4: the cells of the sweep set training.updates; change it there."
    assert told in mistakes(path, *own, epochs=4)
    assert loaded(path).training.epochs == 2  # those of the size
    assert loaded(path, p="0.25,0.5").sweep.grid == {"dropout.p": [0.25, 0.5]}


def test_a_size_changes_what_it_names_and_the_name(path: Path) -> None:
    quick, full = loaded(path), loaded(path, "size=full")
    assert (quick.name, full.name) == ("paper_quick", "paper_full")
    assert (quick.training.epochs, full.training.epochs) == (2, 9)
    assert (quick.seeds, full.seeds) == (2, 3)
    assert full.dropout == quick.dropout
    assert [cell["label"] for cell in full.sweep.cells] == ["only"]
    assert quick.published is not None
    assert quick.published.departures == ("fewer epochs",)
    assert quick.published.citation == "Somebody 1999, table 1"
    assert list_sizes(path) == ["quick", "full"]
    assert loaded(path, "size=full", "training.epochs=4").training.epochs == 4
    assert loaded(path, "name=mine").name == "mine"


@pytest.mark.parametrize(
    ("old", "new", "settings", "told"),
    [
        ("", "", ("size=huge",), '--set size=huge: size is "huge"; known here: quick, full.'),
        ("name: paper", "name: paper\nsize: big", (), '2: size is "big"; known here: quick, full.'),
        ("name: paper", "name: paper\nsize: [full]", (), '2: size is ["full"]; known here: quick'),
        ("    seeds: 2", "    size: full", (), "7: size is no setting that a size can change"),
        ("    seeds: 2", "    sizes: {}", (), "7: sizes is no setting that a size can change"),
        ("name: paper", "name: null", (), "1: name is null"),
        ("  quick:", "  a b:", (), 'the size "a b"'),
        ("training: {epochs: 2}", "training: {epoch: 2}", (), "6: training.epoch is not a setting"),
        ("epochs: 2}", "epochs: 0}", (), "6: training.epochs is 0"),
    ],
)
def test_what_is_wrong_with_a_size_is_told_with_its_line(
    path: Path, old: str, new: str, settings: tuple[str, ...], told: str
) -> None:
    assert told in mistakes(path, old, new, *settings)


def test_a_size_may_be_a_number(path: Path) -> None:
    path.write_text(TEXT.replace("  quick:", "  1:").replace("name: paper", "name: paper\nsize: 1"))
    assert loaded(path).name == "paper_1"


def test_a_size_without_sizes_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match='size is "quick"'):
        load(None, Changes(("size=quick",)))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("value: 1.5, seen: true", "value: 1.5", "published.values.0.seen is wrong"),
        ("citation:", "cite:", "published.cite is wrong"),
        ("cell: {regularization.max_norm: 2}", "cell: {regularization.maxnorm: 2}", "did you mean"),
        ("title: A table", "x: width", "figure.x is wrong"),
        ("title: A table", "y: test_error", "figure.y is wrong: Input should be a valid list"),
        ("title: A table", "by: [modle.hidden]", "did you mean model.hidden?"),
        ("cell: L2", "cell: 3", "published.values.0.cell is wrong"),
    ],
)
def test_what_is_wrong_with_published_values_is_told(
    path: Path, old: str, new: str, told: str
) -> None:
    assert told in mistakes(path, old, new)


def test_the_manifest_keeps_labels_and_published_values(path: Path) -> None:
    config = loaded(path)
    cells = sweep_cells(config)
    runs = runs_of(cells, (0,))
    manifest = new_manifest(config)
    record_config(manifest, config)
    join_study(manifest, config, cells, Path("x"))
    add_runs(manifest, [tuple(runs)])
    label_runs(manifest, runs)
    read = Manifest.model_validate(json.loads(json.dumps(manifest.to_json()))).list_runs()
    assert [run.cell.label for run in read.values()] == ["L2", "", "both", ""]
    assert manifest.published is not None
    assert manifest.published.values[1].cell == {"regularization.max_norm": 2.0}
    assert {run.settings for run in read.values()} == {cell.settings for cell in cells}


def test_a_label_that_is_given_to_another_setting_leaves_the_first(path: Path) -> None:
    """Else an extended study has two rows of one name."""
    text = "sweep: {{grid: {{model.hidden: [[{}]]}}, cells: [{{label: A, dropout.p: {}}}]}}\n"
    manifest: Manifest | None = None
    for hidden, p in ((8, 0.1), (9, 0.1), (8, 0.5)):
        path.write_text(text.format(hidden, p))
        config = loaded(path)
        runs = runs_of(sweep_cells(config, baseline=False), (0,))
        manifest = manifest or new_manifest(config)
        record_config(manifest, config)
        join_study(manifest, config, [run.cell for run in runs], Path("x"))
        add_runs(manifest, [tuple(runs)])
        label_runs(manifest, runs)
        if p == 0.1:  # another combination of the grid keeps the label
            assert {entry.label for entry in manifest.runs.values()} == {"A"}
    assert manifest is not None
    assert [entry.label for entry in manifest.runs.values()] == ["", "", "A"]


PAPERS = sorted(Path("configs/papers").glob("*.yaml"))


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_every_paper_is_right_in_every_size(path: Path) -> None:
    assert path.read_text().startswith("# ")
    for size in list_sizes(path):
        config = loaded(path, *(() if size is None else (f"size={size}",)))
        cells = sweep_cells(config)
        assert cells
        assert config.published is not None
        assert config.published.departures
        if size == "full":
            labels = {cell.label for cell in cells}
            named = {v.cell for v in config.published.values if isinstance(v.cell, str)}
            assert named <= labels
    assert list_sizes(path) == ["quick", "full"]


def test_a_range_that_leaves_what_is_allowed_is_told_once(path: Path) -> None:
    found = mistakes(path, "sweep:\n  cells:", "sweep:\n  grid: {dropout.p: '0:9:1'}\n  cells:")
    assert found.count("dropout.p is ") == 1


def test_the_values_of_a_cell_are_as_the_settings_hold_them(path: Path) -> None:
    path.write_text("sweep: {cells: [{model.hidden: [16, 12], training.learning_rate: 1e-1}]}\n")
    (cell,) = loaded(path).sweep.cells
    assert cell == {"label": "", "model.hidden": (16, 12), "training.learning_rate": 0.1}


def test_the_grid_of_a_size_takes_the_place_of_the_grid(path: Path) -> None:
    path.write_text(
        "sizes: {quick: {sweep: {grid: {training.learning_rate: [0.1, 0.2]}}}}\n"
        "sweep: {baseline: false, grid: {dropout.p: [0.25, 0.5]}}\n"
    )
    asked = loaded(path).sweep
    assert asked.grid == {"training.learning_rate": [0.1, 0.2]}
    assert not asked.baseline


def test_a_wrong_cell_of_a_size_is_told_with_its_line(path: Path) -> None:
    told = mistakes(
        path, "label: only, regularization.l2: 0.5", "regularization.l2: no", "size=full"
    )
    assert f"{path}:13: regularization.l2 is" in told


def test_the_option_chooses_another_size_than_the_file(path: Path) -> None:
    path.write_text(f"size: full\n{TEXT}")
    assert loaded(path).name == "paper_full"
    assert loaded(path, "size=quick").name == "paper_quick"


def test_of_cells_that_come_to_one_setting_the_first_name_stays(path: Path) -> None:
    none = "dropout.variant: none, dropout.p"
    path.write_text(f"sweep: {{cells: [{{label: a, {none}: 0.5}}, {{{none}: 0.25}}]}}\n")
    assert [cell.label for cell in sweep_cells(loaded(path))] == ["a"]
