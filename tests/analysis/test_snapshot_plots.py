"""What is in the pictures of trained networks, of learned rates, and of p beside another key."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from dropout_lab.analysis.heat_map import draw_heat_map, second_axis
from dropout_lab.analysis.learned_p import draw_learned_p
from dropout_lab.analysis.plots import draw_plots
from dropout_lab.analysis.reliability import draw_reliability
from dropout_lab.analysis.snapshot_plots import draw_activations, draw_features
from dropout_lab.analysis.tables import StudyTables, half_width, read_study, summarize_cells
from dropout_lab.results import RUN_FOLDERS
from dropout_lab.results.features import FEATURES, read_features
from tests.analysis.test_inference_pictures import same_without
from tests.analysis.test_plots import draw_all, words
from tests.study.test_run import go, study

KEPT = "evaluation.at_end=[features,histograms,reliability]"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> StudyTables:
    """Two seeds at p = 0 and 0.5, with all that is drawn of a trained network."""
    folder = tmp_path_factory.mktemp("kept") / "study"
    settings = (KEPT, "evaluation.inference=monte_carlo", "evaluation.samples=6")
    go(study(folder, *settings, p="0,0.5", seeds="2"))
    return read_study(folder)


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> StudyTables:
    """Three seeds at two p and two data set sizes."""
    folder = tmp_path_factory.mktemp("sizes") / "study"
    go(study(folder, "dataset.train_size=100,300", "dropout.p=0.2,0.6", seeds="3"))
    return read_study(folder)


def drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def test_features_stand_side_by_side_in_one_scale(kept: StudyTables) -> None:
    figure = drawn(draw_features(kept, summarize_cells(kept), "t"))
    without, dropped = (axes.images[0] for axes in figure.axes[:2])
    assert without.get_clim() == dropped.get_clim()
    assert without.get_clim()[0] == -without.get_clim()[1]
    titles = [axes.get_title() for axes in figure.axes[:2]]
    assert titles == ["no dropout", "p = 0.5"]
    for image, p in ((without, 0.0), (dropped, 0.5)):
        runs = kept.runs[(kept.runs["dropout.p"] == p) & (kept.runs["seed"] == 0)]
        path = kept.path / RUN_FOLDERS / runs["run_id"].iloc[0] / FEATURES
        read = read_features(path)
        assert read is not None
        field = np.ma.filled(image.get_array(), np.nan)
        assert field.shape == (2 * 30 - 2, 10 * 30 - 2)  # 16 units: ten, and six below
        np.testing.assert_array_equal(field[:28, 30:58], read[0][1])
        np.testing.assert_array_equal(field[30:, :28], read[0][10])
        assert np.isnan(field[30:, 6 * 30 :]).all()
    assert "seed 0" in words(figure)
    assert "16 of its units" in words(figure)


@pytest.mark.parametrize("draw", [draw_reliability, draw_activations, draw_features])
def test_a_run_that_diverged_is_in_no_plot_of_networks(
    draw: Callable[..., Figure | None], kept: StudyTables
) -> None:
    assert same_without(kept, draw)


def test_a_lost_file_of_features_leaves_the_next_seed(kept: StudyTables, tmp_path: Path) -> None:
    shutil.copytree(kept.path, tmp_path / "s")
    runs = kept.runs[kept.runs["seed"] == 0]["run_id"]
    (tmp_path / "s" / RUN_FOLDERS / runs.iloc[0] / FEATURES).unlink()
    tables = read_study(tmp_path / "s")
    assert "seed 1" in words(drawn(draw_features(tables, summarize_cells(tables), "t")))
    shutil.rmtree(tmp_path / "s" / RUN_FOLDERS)
    assert draw_features(tables, summarize_cells(tables), "t") is None


def test_histograms_show_every_unit_and_the_exact_means(kept: StudyTables) -> None:
    figure = drawn(draw_activations(kept, summarize_cells(kept), "t"))
    assert len(figure.axes) == 4  # two hidden layers
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == [
        "mean activation of a unit, layer 1", "activation, layer 1",
        "mean activation of a unit, layer 2", "activation, layer 2",
    ]  # fmt: skip
    for axes in figure.axes:
        widths = set()
        for patch in axes.patches:
            values, edges, _ = patch.get_data()
            assert values.sum() == pytest.approx(1)
            widths |= set(np.diff(edges))
        assert len(widths) == 1  # one axis for both cells
    rows = kept.activations[kept.activations["dropout.p"] == 0.5]
    own = rows[(rows["layer"] == 2) & (rows["of"] == "activation")]
    means = [(r["count"] * r["mean"]).sum() / r["count"].sum() for _, r in own.groupby("seed")]
    shown = figure.axes[3].get_title(loc="right")
    assert shown == f"mean {np.mean(means):.3f} ± {np.std(means, ddof=1):.3f}"
    legend = figure.axes[1].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["no dropout", "p = 0.5"]
    assert figure.axes[3].get_yscale() == "log"
    assert "n = 2 seeds" in words(figure)


def test_reliability_is_accuracy_against_confidence_and_the_error_that_the_scores_have(
    kept: StudyTables,
) -> None:
    figure = drawn(draw_reliability(kept, summarize_cells(kept), "t"))
    without, dropped, counts, _ = figure.axes
    texts = [text.get_text() for text in dropped.get_legend().get_texts()]
    scores = kept.inference[kept.inference["dropout.p"] == 0.5]
    for text, name in zip(texts, ("mean", "monte_carlo"), strict=True):
        ece = scores[scores["inference"] == name]["test_ece"].to_numpy()
        assert text.endswith(f"ECE {100 * ece.mean():.2f} ± {100 * half_width(ece):.2f}%")
    assert [text.get_text().partition(":")[0] for text in without.get_legend().get_texts()] == [
        "mean"
    ]
    rows = kept.reliability[(kept.reliability["dropout.p"] == 0.0)]
    fullest = rows.groupby("bin")["examples"].sum().idxmax()
    own = rows[rows["bin"] == fullest]
    x = (own["confidence"] * own["examples"]).sum() / own["examples"].sum()
    y = (own["accuracy"] * own["examples"]).sum() / own["examples"].sum()
    line = next(line for line in without.lines if str(line.get_label()).startswith("mean"))
    points = np.column_stack(line.get_data())
    assert np.isclose(points, (x, y)).all(axis=1).any()
    values, edges, _ = counts.patches[0].get_data()
    assert values.sum() == pytest.approx(1_000)
    assert len(edges) == 16


def test_a_heat_map_has_each_difference_and_frames_what_its_interval_tells(
    sizes: StudyTables,
) -> None:
    table = summarize_cells(sizes)
    key = second_axis(sizes, table)
    assert key == "dataset.train_size"
    figure = drawn(draw_heat_map(sizes, table, key, "t"))
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.2", "0.6"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["100", "300"]
    field = np.asarray(axes.images[0].get_array())
    told = 0
    for _, cell in table[~table["is_baseline"]].iterrows():
        at = [100, 300].index(cell["dataset.train_size"]), [0.2, 0.6].index(cell["dropout.p"])
        assert field[at] == pytest.approx(100 * cell["difference_mean"])
        text = axes.texts[2 * at[0] + at[1]].get_text()
        mean, half = 100 * cell["difference_mean"], 100 * cell["difference_half"]
        assert text == f"{mean:+.2f}\n± {half:.2f}".replace("-", "−")
        told += abs(mean) > half
    assert len(axes.patches) == told
    assert "n = 3 seeds" in words(figure)
    assert "train_size_by_p" in [name for name, _ in draw_plots(sizes)]


def test_all_the_data_there_are_is_the_last_row(tmp_path: Path) -> None:
    go(study(tmp_path / "s", "dataset.train_size=100,null", "dropout.p=0.5", seeds="1"))
    tables = read_study(tmp_path / "s")
    table = summarize_cells(tables)
    figure = drawn(draw_heat_map(tables, table, str(second_axis(tables, table)), "t"))
    rows = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert rows == ["100", "all"]
    assert "±" not in figure.axes[0].texts[0].get_text()  # of one pair there is no interval


def test_only_one_key_of_numbers_beside_p_makes_a_heat_map(
    kept: StudyTables, tmp_path: Path
) -> None:
    assert second_axis(kept, summarize_cells(kept)) is None
    go(study(tmp_path / "s", "training.optimizer=sgd,adam", "dropout.p=0.5", seeds="1"))
    tables = read_study(tmp_path / "s")
    assert second_axis(tables, summarize_cells(tables)) is None


def test_learned_p_starts_where_it_was_set_and_has_a_panel_for_each_place(
    tmp_path: Path,
) -> None:
    settings = ("dropout.variant=concrete", "dropout.placement=all", "training.learning_rate=0.2")
    go(study(tmp_path / "s", *settings, "dropout.p=0.2,0.5", seeds="2"))
    tables = read_study(tmp_path / "s")
    figure = drawn(draw_learned_p(tables, summarize_cells(tables), "t"))
    assert [axes.get_title() for axes in figure.axes] == [
        "input", "hidden layer 1", "hidden layer 2"
    ]  # fmt: skip
    assert same_without(tables, draw_learned_p)
    rows = tables.metrics[tables.metrics["dropout.p"] == 0.5]
    last = rows[rows["epoch"] == 3]["p"]
    for place, axes in enumerate(figure.axes):
        ends = {line.get_label(): line.get_ydata() for line in axes.lines}
        assert ends["p = 0.5"][0] == 0.5
        assert ends["p = 0.2"][0] == 0.2
        assert ends["p = 0.5"][3] == pytest.approx(np.mean([json.loads(p)[place] for p in last]))


def test_what_was_not_kept_or_learned_is_not_drawn(sizes: StudyTables) -> None:
    table = summarize_cells(sizes)
    for draw in (draw_features, draw_activations, draw_reliability, draw_learned_p):
        assert draw(sizes, table, "t") is None


def test_a_single_seed_without_a_baseline_is_drawn(tmp_path: Path) -> None:
    settings = (KEPT, "evaluation.inference=monte_carlo", "evaluation.curve=3")
    go(study(tmp_path / "s", *settings, "evaluation.samples=3", sweep=False, seeds="1"))
    names = draw_all(read_study(tmp_path / "s"))
    assert {"features", "activations", "reliability", "monte_carlo"} <= names


def test_studies_from_before_these_tables_are_drawn(kept: StudyTables, tmp_path: Path) -> None:
    empty = pd.DataFrame()
    tables = replace(kept, path=tmp_path / "s", activations=empty, reliability=empty)
    assert draw_activations(tables, summarize_cells(tables), "t") is None
    assert isinstance(tables.reliability, pd.DataFrame)
    assert draw_all(tables)
