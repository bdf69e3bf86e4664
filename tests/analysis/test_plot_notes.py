"""What the plots of studies at their edges show, and what they say of what they do not show."""

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from dropout_lab import results
from dropout_lab.analysis import comparisons, fonts, heat_map, paper_table_plot, plots, style
from dropout_lab.analysis import paper_figure_plot as figure_module
from dropout_lab.analysis.comparisons import draw_by_p, draw_cells
from dropout_lab.analysis.curves import draw_curves, draw_gap
from dropout_lab.analysis.intervals import bar_lengths, describe_interval
from dropout_lab.analysis.plots import draw_plots, plot_notes, plot_study
from dropout_lab.analysis.style import WITHOUT
from dropout_lab.analysis.tables import StudyTables, baseline_and_best, read_study, summarize_cells
from dropout_lab.config.published import FigureSettings
from dropout_lab.report.report import build_report
from tests.analysis.test_paper_figure_plot import study_of, value
from tests.analysis.test_plots import words
from tests.analysis.test_tables import made_study

# STIXGeneral, which comes with matplotlib, has the first of these; no font has the second.
ELSEWHERE, NOWHERE = "ℊ", "\ue8ff"


def made(folder: Path, *settings: str, n: int, **rest: object) -> StudyTables:
    step = 0.001 if n < 100 else 0.0004
    accuracies = [0.9 + step * i for i in range(n)]
    return read_study(made_study(folder / "s", *settings, accuracies=accuracies, **rest))


def drawn(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def all_words(study: StudyTables) -> dict[str, str]:
    return {name: words(figure) for name, figure in draw_plots(study)}


def without_rows_of(study: StudyTables, *run_ids: str) -> StudyTables:
    """Return the study as it is read where runs have begun and have no result."""
    runs = study.runs
    runs.loc[runs["run_id"].isin(run_ids), "status"] = "missing"
    metrics = study.metrics[~study.metrics["run_id"].isin(run_ids)]
    return replace(study, runs=runs, metrics=metrics)


def test_runs_that_did_not_complete_are_counted_below_every_plot(tmp_path: Path) -> None:
    statuses = ["completed"] * 6
    statuses[3], statuses[5] = "diverged", "interrupted"
    study = made(tmp_path, "dropout.p=0,0.2", n=6, seeds=3, statuses=statuses)
    runs = study.runs.set_index(["dropout.p", "seed"])["status"]
    place = {status: runs[runs == status].index[0] for status in ("diverged", "interrupted")}

    def name(status: str) -> str:
        p, seed = place[status]
        return f"({'p = 0.2' if p else 'no dropout'}, seed {seed})"

    found = all_words(study)
    assert {"curves", "gap", "by_p", "cells"} == found.keys()
    for text in found.values():
        assert f"1 run diverged {name('diverged')}: not drawn" in text
        assert f"1 run broke off {name('interrupted')}: not drawn" in text
        assert "incomplete: 1 of 6 runs is missing" in text
    assert f"1 run diverged {name('diverged')}: not drawn" in plot_notes(study)


def test_of_many_lost_runs_the_first_cells_and_seeds_are_named(tmp_path: Path) -> None:
    study = made(tmp_path, "dropout.p=0,0.1", n=14, seeds=7, statuses=["failed"] * 14)
    told = "14 runs failed (no dropout, seeds 0, 1, 2 and 4 more; "
    assert told in " ".join(plot_notes(study))
    assert "no completed run: no dropout; p = 0.1" in plot_notes(study)
    assert "no completed run" in words(draw_cells(study, summarize_cells(study), ""))
    assert all_words(study).keys() == {"cells"}


def test_a_setting_without_a_completed_run_is_named_and_not_drawn(tmp_path: Path) -> None:
    whole = made(tmp_path, "dropout.p=0,0.2,0.5", n=6)
    lost = whole.runs[whole.runs["dropout.p"] != 0.2]["run_id"]
    study = without_rows_of(whole, *lost)
    assert [cell["dropout.p"] for cell in baseline_and_best(summarize_cells(study))] == [0.2]
    found = all_words(study)
    assert found.keys() == {"curves", "gap", "cells"}  # one p is nothing to draw over p
    for text in found.values():
        assert "incomplete: 4 of 6 runs are missing" in text
        assert "no completed run: no dropout; p = 0.5" in text
    assert "p = 0.2 (n = 2 seeds)" in found["curves"]
    assert "p = 0.5 (2 missing)" in found["cells"]


def test_means_end_where_the_first_seed_stopped(tmp_path: Path) -> None:
    study = made(tmp_path, "dropout.p=0,0.5", n=6, seeds=3, epochs=4)
    longest = study.runs[(study.runs["dropout.p"] == 0.5)]["run_id"].tolist()[-1]
    early = (study.metrics["run_id"] != longest) & (study.metrics["epoch"] > 3)
    short = study.metrics[~early].copy()
    short.loc[(short["run_id"] == longest) & (short["epoch"] == 4), "test_accuracy"] = 0.5
    runs = study.runs.assign(epochs=3.0)
    runs.loc[runs["run_id"] == longest, "epochs"] = 4.0
    study = replace(study, metrics=short, runs=runs)
    figure = drawn(draw_curves(study, summarize_cells(study), "t"))
    test = [line for line in figure.axes[1].lines if line.get_linestyle() == "-"]
    mean = next(line for line in test if line.get_label() == "test")
    assert list(mean.get_xdata()) == [1, 2, 3]
    (after,) = (line for line in test if line is not mean)
    assert list(after.get_xdata()) == [3, 4]
    assert list(after.get_ydata())[-1] == 0.5
    told = "seeds stopped after 3 to 4 epochs: means end where the first seed of a setting stopped"
    found = all_words(study)
    assert told in found["curves"]
    assert told in found["gap"]
    assert told not in found["by_p"]
    whole = replace(study, runs=study.runs.assign(epochs=4.0))
    assert told not in all_words(whole)["gap"]


def test_curves_say_that_they_start_outside_the_axes(tmp_path: Path) -> None:
    study = made(tmp_path, "dropout.p=0,0.5", n=4, epochs=10)
    assert "outside" not in all_words(study)["curves"]
    study.metrics.loc[study.metrics["epoch"] == 1, "test_loss"] = 50.0
    assert "early values lie outside the axes" in all_words(study)["curves"]


def test_n_is_of_what_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = ["completed"] * 5 + ["failed"]
    study = made(tmp_path, "dropout.p=0,0.5", n=6, seeds=3, statuses=statuses)
    assert "(n = 2 to 3 seeds)" in words(draw_cells(study, summarize_cells(study), "t"))
    best = summarize_cells(study).sort_values("test_accuracy_mean").iloc[-1]
    monkeypatch.setattr(comparisons, "_MAX_CELLS", 1)
    told = f"(n = {best['seeds']} seeds)"
    assert told in words(draw_cells(study, summarize_cells(study), "t"))


def test_a_mean_has_all_seeds_or_is_a_gap(tmp_path: Path) -> None:
    study = made(tmp_path, "dropout.p=0,0.5", n=4, epochs=3)
    one = (study.metrics["seed"] == 0) & (study.metrics["epoch"] == 2)
    study.metrics.loc[one, "loss_gap"] = float("inf")
    figure = drawn(draw_gap(study, summarize_cells(study), "t"))
    for line in figure.axes[1].lines[:2]:
        assert np.isfinite(np.asarray(line.get_ydata(), float)).tolist() == [True, False, True]


def test_the_combination_that_validation_chose_is_drawn_and_the_others_named(
    tmp_path: Path,
) -> None:
    study = made(
        tmp_path, "training.learning_rate=0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8", "dropout.p=0,0.5", n=32
    )
    best = study.runs["training.learning_rate"] == 0.8
    study.runs.loc[best & ~study.runs["is_baseline"], "validation_accuracy"] = 0.99
    found = all_words(study)
    numbers = [int(name[4:]) for name in found if name.startswith("gap_")]
    assert numbers == [1, 2, 3, 4, 5, 8]
    told = "no plots of their own: 2 combinations (learning rate = 0.6; learning rate = 0.7)"
    assert all(told in text for name, text in found.items() if name[-1].isdigit())
    assert told not in found["cells"]
    assert plot_notes(study) == [told]


def test_plots_of_an_older_shape_are_removed_and_a_users_own_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "_DRAW_FUNCTIONS", {"gap": draw_gap})
    settings = ("training.learning_rate=0.1,0.2", "dropout.p=0,0.5")
    old = made(tmp_path / "old", *settings, n=8)
    folder = old.path / results.PLOTS
    plot_study(old)
    own = [folder / "notes.txt", folder / "gap_3.png", folder / "gap_1 - copy.png"]
    own[0].write_text("dropout-lab")
    own[1].write_bytes(b"\x89PNG of another program")
    own[2].write_bytes((folder / "gap_1.png").read_bytes())
    new = made(tmp_path / "new", "dropout.p=0,0.5", n=4)
    files = plot_study(replace(new, path=old.path))
    assert {path.name for path in folder.iterdir()} == {path.name for path in [*files, *own]}
    assert "gap_1.png" not in {path.name for path in folder.iterdir()}


def test_a_report_of_other_runs_is_named_as_old(tmp_path: Path) -> None:
    path = made(tmp_path, "dropout.p=0,0.5", n=4).path
    assert results.old_report(path) == ""
    build_report(path).write()
    assert results.old_report(path) == ""
    with (path / results.RUNS).open("a") as file:
        file.write("\n")
    told = results.old_report(path)
    assert told.startswith("report.html and tables/ are older than the runs; update them with: ")
    assert told.endswith(f"dropout-lab report {path}")


def test_one_epoch_has_a_marker_for_each_part(tmp_path: Path) -> None:
    study = made(tmp_path, "dropout.p=0,0.5", n=4, epochs=1)
    figure = drawn(draw_curves(study, summarize_cells(study), "t"))
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    parts = [lines[part] for part in ("train", "validation", "test")]
    assert len({line.get_marker() for line in parts}) == 3
    assert len({float(line.get_xdata()[0]) for line in parts}) == 3
    gap = drawn(draw_gap(study, summarize_cells(study), "t"))
    lines = {line.get_label(): float(line.get_xdata()[0]) for line in gap.axes[0].lines}
    assert lines["no dropout"] < 1 < lines["p = 0.5"]


def test_one_epoch_has_room_for_its_bars(tmp_path: Path) -> None:
    study = read_study(
        made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.4, 0.6, 0.4, 0.6], epochs=1)
    )
    figure = drawn(draw_curves(study, summarize_cells(study), "t"))
    low, high = figure.axes[0].get_ylim()
    assert low < 0
    assert high > 1
    assert "outside" not in words(figure)


def test_words_that_belong_together_stay_on_one_line() -> None:
    text = "no dropout, learning rate = 0.01 (n = 2 seeds)"
    lines = style.wrapped(text, 26).split("\n")
    assert lines == ["no dropout, learning", "rate = 0.01 (n = 2 seeds)"]


def test_one_seed_has_no_interval_in_any_plot(tmp_path: Path) -> None:
    for text in all_words(made(tmp_path, "dropout.p=0,0.5", n=2, seeds=1)).values():
        assert "95% t interval" not in text
        assert "dots: seeds" not in text
        assert "one seed: no interval" in text
    assert (
        describe_interval("bars: x", [2, 1]) == "bars: x; a setting with one seed has no interval"
    )
    assert describe_interval("bars: x", [3, 0]) == "bars: x"
    assert describe_interval("bars: x", [0]) == ""


def test_only_networks_without_any_dropout_are_black(tmp_path: Path) -> None:
    """At p = 0 the input layer still drops: a point of its own colour, beside the baseline."""
    study = made(tmp_path, "dropout.input_p=0.2", "dropout.p=0,0.5", n=6)
    table = summarize_cells(study)
    assert table["is_baseline"].sum() == 1
    figure = drawn(draw_by_p(study, table, "t"))
    line = next(line for line in figure.axes[0].lines if len(line.get_xdata()) == 2)
    axes = figure.axes[0]
    at_zero = table[~table["is_baseline"] & (table["dropout.p"] == 0)]["test_accuracy_mean"].item()
    points = [one for one in axes.lines if list(one.get_ydata()) == [pytest.approx(at_zero)]]
    assert points
    assert WITHOUT not in {one.get_color() for one in points}
    bare = table[table["is_baseline"]]["test_accuracy_mean"].item()
    black = [one for one in axes.lines if one.get_label() == "no dropout"]
    assert [list(one.get_ydata()) for one in black] == [[pytest.approx(bare)]]
    assert {one.get_marker() for one in black}.isdisjoint({one.get_marker() for one in points})
    assert "at p = 0: no dropout" not in words(figure)
    assert style.cell_colour(table[table["dropout.p"] == 0].iloc[-1], study.swept) != WITHOUT
    assert list(line.get_xdata()) != [0, 0]


def test_a_figure_over_p_draws_the_baseline_apart_where_the_input_layer_drops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "_DRAW_FUNCTIONS", {})
    study = made(tmp_path, "dropout.input_p=0.2", "dropout.p=0,0.5", n=6)
    study.manifest.figure = FigureSettings(x="p")
    (figure,) = (figure for name, figure in draw_plots(study) if name == "figure")
    lines = {
        str(container.get_label()): np.asarray(container.lines[0].get_xdata())
        for container in figure.axes[0].containers
    }
    assert sorted(len(x) for x in lines.values()) == [1, 2]
    assert list(lines["no dropout"]) == [0]


def test_one_p_beside_the_baseline_at_the_same_place_is_nothing_to_draw(tmp_path: Path) -> None:
    study = made(tmp_path, "dropout.input_p=0.2", "dropout.p=0", n=4)
    assert len(summarize_cells(study)) == 2
    assert draw_by_p(study, summarize_cells(study), "t") is None


def test_many_values_of_p_have_a_band_instead_of_bars(tmp_path: Path) -> None:
    study = made(tmp_path, "dropout.p=0.01:0.99:0.01", n=200)
    figure = drawn(draw_by_p(study, summarize_cells(study), "t"))
    for axes in figure.axes:
        assert not [bar for drawn_ in axes.containers for bar in drawn_.lines[2]]
        assert len(axes.collections) == 1
    assert "band: 95% t interval" in words(figure)
    few = drawn(draw_by_p(study, summarize_cells(study).iloc[:5], "t"))
    assert [bar for drawn_ in few.axes[0].containers for bar in drawn_.lines[2]]


def test_intervals_end_at_what_can_be(tmp_path: Path) -> None:
    study = read_study(
        made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.01, 0.03, 0.97, 0.99], epochs=3)
    )
    table = summarize_cells(study)
    assert (table["test_accuracy_mean"] + 12.7 * table["test_accuracy_sd"] / 2**0.5 > 1).any()
    listed = draw_cells(study, table, "t").axes[0]
    ends = [bar.get_segments()[0][:, 0] for c in listed.containers for bar in c.lines[2]]
    assert min(map(min, ends)) == 0
    assert max(map(max, ends)) == 1
    over = drawn(draw_by_p(study, table, "t")).axes[0]
    ends = [bar.get_segments()[0][:, 1] for c in over.containers for bar in c.lines[2]]
    assert (np.min(ends), np.max(ends)) == (0, 1)
    curves = drawn(draw_curves(study, table, "t")).axes[:2]
    edges = np.concatenate(
        [
            np.asarray(band.get_paths()[0].vertices)[:, 1]
            for axes in curves
            for band in axes.collections
        ]
    )
    assert (edges.min(), edges.max()) == (0, 1)


@pytest.mark.parametrize(
    ("column", "mean", "half", "reach"),
    [
        ("test_loss", 0.1, 0.3, (0.1, 0.3)),
        ("loss_gap", 0.1, 0.3, (0.3, 0.3)),
        ("accuracy_gap", -0.9, 0.3, (pytest.approx(0.1), 0.3)),
        ("error", 99, 3, (3, 1)),
        ("removed_50_test_accuracy", 0.9, 0.3, (0.3, pytest.approx(0.1))),
        ("effective_rank_1", 0.1, 0.3, (0.1, 0.3)),
        ("test_accuracy", 0.5, float("nan"), (pytest.approx(np.nan, nan_ok=True),) * 2),
    ],
)
def test_each_measure_has_its_limits(
    column: str, mean: float, half: float, reach: tuple[float, float]
) -> None:
    assert tuple(bar_lengths(mean, half, column)) == reach


def test_moved_training_labels_are_said_and_no_overfitting_gap(tmp_path: Path) -> None:
    study = made(tmp_path, "dataset.label_noise=0.4", "dropout.p=0,0.5", n=4)
    found = all_words(study)
    for name in ("curves", "gap", "by_p"):
        told = "training labels include 40% moved ones; test labels are true"
        assert told in found[name]
    assert "overfitting" not in " ".join(found.values())
    assert "moved ones" not in found["cells"]
    clean = all_words(made(tmp_path / "clean", "dropout.p=0,0.5", n=4))
    assert "overfitting gap" in clean["gap"]
    assert "moved ones" not in " ".join(clean.values())


def test_a_font_that_has_the_characters_is_used(tmp_path: Path) -> None:
    study = made(tmp_path, "dropout.p=0,0.5", n=4)
    study.manifest.name = f"study {ELSEWHERE}"
    chosen, missing = fonts.fonts_for(f"abc é {ELSEWHERE}")
    assert len(chosen) == 1
    assert missing == ""
    assert plot_notes(study) == []
    pngs = []
    for more in (chosen, ()):
        with style.style(more):
            pngs.append(
                style.render(draw_cells(study, summarize_cells(study), f"{ELSEWHERE}"), "png")
            )
    assert pngs[0] != pngs[1]
    assert f"study {ELSEWHERE}" in all_words(study)["gap"]


def test_a_character_that_no_font_has_is_one_plain_note_and_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "_DRAW_FUNCTIONS", {})
    study = made(tmp_path, "dropout.p=0,0.5", n=4)
    study.manifest.name = f"study {NOWHERE}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = plot_study(study)
    (note,) = plot_notes(study)
    assert note.startswith(f"no installed font has the characters {NOWHERE}: plots show boxes")
    assert note.endswith(f"dropout-lab plot {study.path}")
    svg = next(path for path in files if path.name == "cells.svg")
    assert NOWHERE in svg.read_text(encoding="utf-8")


def test_what_has_no_shape_needs_no_font() -> None:
    assert fonts.fonts_for("a\u200d\ufe0f\u00a0\u202eb") == ((), "")


def test_every_limit_of_a_plot_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "_DRAW_FUNCTIONS", {})
    published = study_of(tmp_path, [value(0.5, 5.5), value(0.9, 2.7)], figure={"title": "Table"})
    monkeypatch.setattr(paper_table_plot, "_MAX_ROWS", 1)
    assert "2 rows not shown" in all_words(published)["figure"]
    study = made(tmp_path / "h", "training.learning_rate=0.1,0.2", "dropout.p=0.2,0.5", n=12)
    monkeypatch.setattr(heat_map, "_MAX_VALUES", 1)
    found = all_words(study)["learning_rate_by_p"]
    assert "learning rate above 0.1 not shown (1)" in found
    assert "p above 0.2 not shown (1)" in found
    manifest = json.loads((study.path / results.MANIFEST).read_text())
    manifest["figure"] = {"x": "p"}
    (study.path / results.MANIFEST).write_text(json.dumps(manifest))
    monkeypatch.setattr(figure_module, "_MAX_LINES", 1)
    assert "1 line not shown" in all_words(read_study(study.path))["figure"]


def test_many_points_of_a_figure_have_a_band(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "_DRAW_FUNCTIONS", {})
    monkeypatch.setattr(figure_module, "_MAX_ERROR_BARS", 1)
    study = study_of(tmp_path, [], figure={"x": "p"})
    assert "band: 95% t interval" in all_words(study)["figure"]
    monkeypatch.setattr(figure_module, "_MAX_ERROR_BARS", 2)
    assert "bars: 95% t interval" in all_words(study)["figure"]


def test_pandas_frames_are_left_as_they_were(tmp_path: Path) -> None:
    study = made(tmp_path, "dropout.p=0,0.5", n=4)
    before = study.metrics.copy(), study.runs.copy()
    list(draw_plots(study))
    for frame, copy in zip((study.metrics, study.runs), before, strict=True):
        pd.testing.assert_frame_equal(frame, copy)


def test_one_epoch_has_bars_and_several_have_a_band(tmp_path: Path) -> None:
    for epochs, told in ((1, "bars: 95% t interval"), (2, "band: 95% t interval")):
        study = made(tmp_path / str(epochs), "dropout.p=0,0.5", n=4, epochs=epochs)
        found = all_words(study)
        assert told in found["curves"]
        assert told in found["gap"]
