"""What is in the pictures of inference, Monte Carlo averages and diagnostics."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from dropout_lab.analysis import diagnostics as diagnostics_module
from dropout_lab.analysis import inference as inference_module
from dropout_lab.analysis import plots
from dropout_lab.analysis.diagnostics import draw_diagnostics
from dropout_lab.analysis.inference import draw_inference, draw_monte_carlo
from dropout_lab.analysis.paper_figure_plot import draw_figure
from dropout_lab.analysis.plots import plot_study
from dropout_lab.analysis.tables import StudyTables, half_width, read_study, summarize_cells
from dropout_lab.config.published import FigureSettings
from tests.analysis.test_plots import draw_all, words
from tests.study.test_run import go, study


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> StudyTables:
    """Two seeds at p = 0 and 0.5, measured in every way that they can be."""
    folder = tmp_path_factory.mktemp("measured") / "study"
    settings = (
        "evaluation.inference=[monte_carlo,geometric,ensemble]",
        "evaluation.samples=6",
        "evaluation.curve=4",
        "evaluation.diagnostics=[activations,co_adaptation,gradients,noise]",
    )
    go(study(folder, *settings, p="0,0.5", seeds="2"))
    return read_study(folder)


def drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def test_every_use_has_its_seeds_and_its_mean(measured: StudyTables) -> None:
    figure = drawn(draw_inference(measured, summarize_cells(measured), "t"))
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == [
        "no dropout: mean", "ensemble (2)",
        "p = 0.5: mean", "Monte Carlo (6)", "geometric mean (6)", "ensemble (2)",
    ]  # fmt: skip
    titles = [axes.get_xlabel() for axes in figure.axes]
    assert titles == [
        "test accuracy (%)", "test NLL (nats)", "test Brier score", "test ECE (15 bins)"
    ]  # fmt: skip
    monte_carlo = measured.inference[measured.inference["inference"] == "monte_carlo"]
    height = figure.axes[0].get_yticks()[3]
    for axes, column in zip(figure.axes, ("accuracy", "loss", "brier", "ece"), strict=True):
        points = {tuple(line.get_xdata()): line.get_ydata()[0] for line in axes.lines}
        values = monte_carlo[f"test_{column}"].to_numpy()
        assert points[tuple(values)] == pytest.approx(height - 0.3)
        assert points[(values.mean(),)] == height
    assert "in brackets: samples" in words(figure)
    assert "n = 2 seeds" in words(figure)


def test_the_curve_is_the_error_and_the_mean_rule_a_level(measured: StudyTables) -> None:
    figure = drawn(draw_monte_carlo(measured, summarize_cells(measured), "t"))
    error, loss = figure.axes
    rows = measured.monte_carlo.groupby("samples")
    np.testing.assert_allclose(error.lines[0].get_ydata(), 1 - rows["test_accuracy_mean"].mean())
    np.testing.assert_allclose(loss.lines[0].get_ydata(), rows["test_loss_mean"].mean())
    used = measured.inference[measured.inference["dropout.p"] == 0.5]
    mean = used[used["inference"] == "mean"]
    rule = next(line for line in error.lines if line.get_label() == "p = 0.5: mean rule")
    assert rule.get_ydata()[0] == pytest.approx(1 - mean["test_accuracy"].mean())
    ((low, high),) = (bar[:, 1] for bar in error.containers[1].lines[2][0].get_segments())
    level, half = (
        float(np.asarray(rule.get_ydata())[0]),
        half_width(mean["test_accuracy"].to_numpy()),
    )
    assert (low, high) == pytest.approx((max(level - half, 0), min(level + half, 1)))
    assert "p = 0.5: average of k" in words(figure)
    assert "± SD over 100 random choices" in words(figure)
    assert [tick for tick in error.get_xticks() if tick <= 4] == [1, 2]


def test_every_diagnostic_has_a_panel_with_a_curve_for_each_cell(measured: StudyTables) -> None:
    figure = drawn(draw_diagnostics(measured, summarize_cells(measured), "t"))
    shown = [axes for axes in figure.axes if axes.get_visible()]
    titles = [axes.get_title() for axes in shown]
    # 2 x 2 activations, 2 x 2 co-adaptation, 3 gradients, 3 x 2 noise, and the units removed
    assert len(titles) == len(set(titles)) == 4 + 4 + 3 + 6 + 1
    rank = shown[titles.index("effective rank, layer 2")]
    bare = measured.metrics[measured.metrics["dropout.p"] == 0.0]
    expected = bare.groupby("epoch")["effective_rank_2"].mean()
    np.testing.assert_allclose(rank.lines[0].get_ydata(), expected)
    assert len(rank.lines) == 2
    assert len(shown[titles.index("measured mean of the noise, layer 1")].lines) == 1
    removed = shown[-1]
    assert list(removed.lines[0].get_xdata()) == [0, 10, 25, 50, 75]
    runs = measured.runs[measured.runs["dropout.p"] == 0.0]
    at_half = removed.lines[0].get_ydata()[3]
    assert at_half == pytest.approx(runs["removed_50_test_accuracy"].mean())


def test_all_of_them_are_saved(measured: StudyTables) -> None:
    names = {path.name for path in plot_study(measured)}
    assert {"inference.png", "monte_carlo.png", "diagnostics.png", "diagnostics.svg"} <= names


def test_a_plain_study_has_none_of_them(tmp_path: Path) -> None:
    go(study(tmp_path / "s", p="0.5", seeds="1"))
    plain = read_study(tmp_path / "s")
    table = summarize_cells(plain)
    for draw in (draw_inference, draw_monte_carlo, draw_diagnostics):
        assert draw(plain, table, "t") is None
    assert set(plain.inference["inference"]) == {"mean"}


def test_an_older_study_without_the_files_is_drawn(tmp_path: Path) -> None:
    shutil.copytree("results/reference/mnist_placement", tmp_path / "s")
    tables = read_study(tmp_path / "s")
    assert tables.inference.empty
    assert draw_inference(tables, summarize_cells(tables), "t") is None
    assert draw_all(tables)


def test_studies_of_different_depth_leave_gaps(tmp_path: Path) -> None:
    """The shallower network has no second layer: its columns are empty there, and not drawn."""
    settings = ("evaluation.diagnostics=[activations]", "model.hidden=[16],[16,12]")
    go(study(tmp_path / "s", *settings, p="0.5", seeds="2"))
    metrics = pd.read_csv(tmp_path / "s" / "metrics.csv")
    deep = metrics["model.hidden"] == "[16, 12]"
    assert (metrics["mean_activation_2"].notna() == deep).all()
    assert draw_all(read_study(tmp_path / "s"))


def test_the_bars_are_t_intervals_over_seeds_and_the_bands_the_spread(
    measured: StudyTables,
) -> None:
    uses = drawn(draw_inference(measured, summarize_cells(measured), "t"))
    rows = measured.inference[measured.inference["inference"] == "geometric"]
    (bar,) = uses.axes[1].containers[4].lines[2]
    left, right = bar.get_segments()[0][:, 0]
    values = rows["test_loss"].to_numpy()
    assert (right - left) / 2 == pytest.approx(half_width(values))
    curve = drawn(draw_monte_carlo(measured, summarize_cells(measured), "t"))
    mean_over_seeds = measured.monte_carlo.groupby("samples")
    for axes, name in zip(curve.axes, ("accuracy", "loss"), strict=True):
        middle = axes.lines[0].get_ydata()
        spread = mean_over_seeds[f"test_{name}_sd"].mean()
        bars = [bar[:, 1] for bar in axes.containers[0].lines[2][0].get_segments()]
        np.testing.assert_allclose(bars, np.column_stack([middle - spread, middle + spread]))
    assert "n = 2 seeds" in words(curve)
    diagnosed = drawn(draw_diagnostics(measured, summarize_cells(measured), "t"))
    removed = next(axes for axes in diagnosed.axes if "units removed" in axes.get_title())
    runs = measured.runs[measured.runs["dropout.p"] == 0.0]
    at_75 = runs["removed_75_test_accuracy"].to_numpy()
    edges = removed.collections[0].get_paths()[0].vertices
    at_75_edges = edges[edges[:, 0] == 75, 1]
    assert np.ptp(at_75_edges) / 2 == pytest.approx(half_width(at_75))


@pytest.mark.parametrize("best", [0, 1])
def test_where_there_is_no_room_for_all_the_best_cells_are_shown(
    best: int, measured: StudyTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for one of two: the best on validation; of diagnostics the one without dropout."""
    for module in (inference_module, diagnostics_module):
        monkeypatch.setattr(module, "_MAX_CELLS", 1)
    monkeypatch.setattr(inference_module, "_MAX_CURVES", 1)
    table = summarize_cells(measured)
    table["validation_accuracy_mean"] = np.where(table.index == best, 0.9, 0.8)
    name = ("no dropout", "p = 0.5")[best]
    uses = drawn(draw_inference(measured, table, "t"))
    assert uses.axes[0].get_yticklabels()[0].get_text() == f"{name}: mean"
    assert "1 setting with lower validation accuracy not shown" in words(uses)
    sampled_too = measured.monte_carlo.assign(**{"dropout.p": 0.0})
    both = replace(measured, monte_carlo=pd.concat([measured.monte_carlo, sampled_too]))
    curve = drawn(draw_monte_carlo(both, table, "t"))
    labels = curve.axes[0].get_legend_handles_labels()[1]
    assert labels == [f"p = {best / 2:g}: average of k", f"p = {best / 2:g}: mean rule"]
    diagnosed = drawn(draw_diagnostics(measured, table, "t"))
    assert diagnosed.axes[0].get_legend_handles_labels()[1] == ["no dropout"]


FRAMES = ("metrics", "inference", "monte_carlo", "reliability", "activations")


def diverged_and_gone(study: StudyTables) -> tuple[StudyTables, StudyTables]:
    """Return a study one of whose runs diverged, with wild rows, and the study without that run."""
    lost = study.runs[~study.runs["is_baseline"]]["run_id"].iloc[-1]
    diverged: dict[str, pd.DataFrame] = {}
    gone: dict[str, pd.DataFrame] = {}
    for name in ("runs", *FRAMES):
        frame = getattr(study, name)
        own = frame["run_id"] == lost if len(frame) else pd.Series(dtype=bool)
        keep = ("run_id", "seed", "epoch", "layer", "bin", "dropout.p", "samples", "examples")
        numbers = [c for c in frame.select_dtypes("number").columns if c not in keep]
        diverged[name] = frame.astype(dict.fromkeys(numbers, float))
        diverged[name].loc[own, numbers] = 12_345.0
        gone[name] = frame[~own]
    diverged["runs"].loc[study.runs["run_id"] == lost, "status"] = "diverged"
    return replace(study, **diverged), replace(study, **gone)


def contents(figure: Figure) -> str:
    """Return the data of a figure's lines, bands, bars and images, and its words."""
    data: list[Any] = [words(figure)]
    for axes in figure.axes:
        data += [np.asarray(line.get_xydata()) for line in axes.lines]
        data += [path.vertices for drawn in axes.collections for path in drawn.get_paths()]
        data += [patch.get_path().vertices for patch in axes.patches]
        data += [np.asarray(image.get_array()) for image in axes.images]
    return repr([part.tolist() if isinstance(part, np.ndarray) else part for part in data])


def same_without(study: StudyTables, draw: Callable[..., Figure | None]) -> bool:
    """Whether a plot is that of the study in which a run that diverged never was."""
    one, other = (
        contents(drawn(draw(each, summarize_cells(each), "t"))) for each in diverged_and_gone(study)
    )
    return one == other


OF_NETWORKS = {
    "features",
    "boundary",
    "activations",
    "reliability",
    "learned_p",
}  # tested elsewhere
OF_CELLS = {"variants"}  # drawn from the table of cells, which has completed runs only


@pytest.mark.parametrize("kind", sorted(set(plots._DRAW_FUNCTIONS) - OF_NETWORKS - OF_CELLS))
def test_a_run_that_diverged_is_in_no_plot(kind: str, measured: StudyTables) -> None:
    assert same_without(measured, plots._DRAW_FUNCTIONS[kind])


def test_a_run_that_diverged_is_in_no_course(measured: StudyTables) -> None:
    figure = FigureSettings(x="epoch", y=("test_error", "train_error"))
    manifest = measured.manifest.model_copy(update={"figure": figure})
    assert same_without(replace(measured, manifest=manifest), draw_figure)


def test_what_did_not_complete_is_not_drawn_against_units_removed(measured: StudyTables) -> None:
    runs = measured.runs.copy()
    runs.loc[runs["dropout.p"] == 0.5, "status"] = ["completed", "interrupted"]
    figure = drawn(draw_diagnostics(replace(measured, runs=runs), summarize_cells(measured), "t"))
    removed = next(axes for axes in figure.axes if "units removed" in axes.get_title())
    done = runs[(runs["dropout.p"] == 0.5) & (runs["status"] == "completed")]
    ours = removed.lines[1].get_ydata()[3]
    assert ours == pytest.approx(done["removed_50_test_accuracy"].item())


def test_the_rise_of_the_loss_is_drawn_over_the_change_of_the_weights(tmp_path: Path) -> None:
    settings = (
        "evaluation.diagnostics=[weight_condensation,flatness]",
        "training.epochs=2",
    )
    go(study(tmp_path / "s", *settings, p="0,0.5", seeds="2"))
    read = read_study(tmp_path / "s")
    figure = draw_diagnostics(read, summarize_cells(read), "s")
    assert figure is not None
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == [
        "mean |cos| of weights, layer 1", "mean |cos| of weights, layer 2",
        "orientations per unit, layer 1", "orientations per unit, layer 2",
        "rise of the loss, weights moved",
    ]  # fmt: skip
    rows = {axes.get_subplotspec().rowspan.start for axes in shown}
    assert len(rows) == 2  # three panels, then two
    runs = read.completed[1]
    line = shown[-1].lines[1]
    assert list(line.get_xdata()) == [0, 10, 25, 50]
    assert line.get_ydata()[0] == 0
    assert line.get_ydata()[3] == pytest.approx(runs["loss_rise_50"].mean())
