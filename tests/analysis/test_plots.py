"""What is in the pictures: the data of the artists, labels with units, n, and what the band is."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.comparisons import draw_by_p, draw_cells, draw_variants
from dropout_lab.analysis.curves import draw_curves, draw_gap
from dropout_lab.analysis.plots import draw_plots, plot_study
from dropout_lab.analysis.style import cell_label
from dropout_lab.analysis.tables import StudyTables, read_study, summarize_cells
from dropout_lab.layers import VARIANTS
from tests.analysis.test_tables import made_study


@pytest.fixture
def by_p(tmp_path: Path) -> StudyTables:
    accuracies = [0.90, 0.92, 0.93, 0.95, 0.91, 0.92]
    return read_study(made_study(tmp_path / "study", "dropout.p=0,0.25,0.5", accuracies=accuracies))


@pytest.fixture
def by_variant(tmp_path: Path) -> StudyTables:
    settings = (
        "dropout.variant=inverted,gaussian",
        "dropout.placement=input,hidden",
        "dropout.p=0.25,0.5",
    )
    accuracies = [0.9, 0.9, *(0.91 + 0.001 * i for i in range(16))]
    return read_study(made_study(tmp_path / "study", *settings, accuracies=accuracies))


def draw_all(study: StudyTables) -> set[str]:
    """Draw all plots once, as SVG, in half the time of saving both formats; return their names."""
    with np.errstate(all="ignore"):
        return {name for name, figure in draw_plots(study) if style.render(figure, "svg")}


def words(figure: Figure) -> str:
    texts = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return " | ".join(" ".join(text.split()) for text in texts)


def test_curves_stand_side_by_side_with_one_scale(by_p: StudyTables) -> None:
    figure = draw_curves(by_p, summarize_cells(by_p), "name")
    assert figure is not None
    top_left, top_right, *_ = figure.axes
    assert "no dropout (n = 2 seeds)" in top_left.get_title()
    assert "p = 0.25 (n = 2 seeds)" in top_right.get_title()  # the best on validation
    assert top_left.get_ylim() == top_right.get_ylim()
    test_curve = next(line for line in top_right.lines if line.get_label() == "test")
    np.testing.assert_allclose(test_curve.get_ydata(), [0.94, 0.94])
    assert {line.get_label() for line in top_left.lines} == {"train", "validation", "test"}
    for word in ("accuracy (%)", "loss (nats)", "epoch", "95% t interval", "name"):
        assert word in words(figure)


def test_the_gap_has_a_curve_for_each_cell_and_the_band_of_the_seeds(by_p: StudyTables) -> None:
    figure = draw_gap(by_p, summarize_cells(by_p), "name")
    assert figure is not None
    accuracy = figure.axes[0]
    curves = {line.get_label(): line.get_ydata() for line in accuracy.lines}
    np.testing.assert_allclose(curves["no dropout"], [0.08, 0.08])
    np.testing.assert_allclose(curves["p = 0.25"], [0.05, 0.05])
    (low, high) = accuracy.collections[0].get_paths()[0].get_extents().intervaly
    assert (high - low) / 2 == pytest.approx(12.7062 * 0.01, rel=1e-4)  # t(0.975, 1) * 0.01
    for word in ("percentage points", "loss gap (nats)", "n = 2 seeds"):
        assert word in words(figure)


def test_accuracy_and_gap_against_p(by_p: StudyTables) -> None:
    figure = draw_by_p(by_p, summarize_cells(by_p), "name")
    assert figure is not None
    line = next(line for line in figure.axes[0].lines if len(line.get_xdata()) == 3)
    np.testing.assert_allclose(line.get_xdata(), [0, 0.25, 0.5])
    np.testing.assert_allclose(line.get_ydata(), [0.91, 0.94, 0.915])
    for word in (
        "p, the probability of dropping",
        "test accuracy (%)",
        "dots: seeds",
        "n = 2 seeds",
    ):
        assert word in words(figure)


def test_there_is_no_picture_against_p_where_p_was_not_varied(tmp_path: Path) -> None:
    path = made_study(
        tmp_path / "s", "dropout.placement=input,hidden", "dropout.p=0.5", accuracies=[0.9] * 6
    )
    study = read_study(path)
    assert draw_by_p(study, summarize_cells(study), "name") is None


def test_variant_by_placement_shows_differences_at_the_p_chosen_on_validation(
    by_variant: StudyTables,
) -> None:
    figure = draw_variants(by_variant, summarize_cells(by_variant), "name")
    assert figure is not None
    field = figure.axes[0].images[0].get_array()
    # runs are in pairs of seeds; the last four of eight cells have p = 0.5, and the better values
    differences = {0.91 + 0.001 * (2 * cell + 0.5) - 0.9 for cell in (4, 5, 6, 7)}
    assert field is not None
    np.testing.assert_allclose(sorted(field.ravel()), sorted(100 * d for d in differences))
    for word in (
        "inverted",
        "gaussian",
        "input",
        "hidden",
        "p = 0.5",
        "percentage points",
        "paired seeds (n = 2 seeds)",
    ):
        assert word in words(figure)


def test_every_cell_is_listed_with_its_seeds(by_variant: StudyTables) -> None:
    table = summarize_cells(by_variant)
    figure = draw_cells(by_variant, table, "name")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == len(table) == 9
    assert "no dropout" in labels
    assert "gaussian, placement = input, p = 0.5" in labels


def test_a_p_has_one_colour_everywhere(by_p: StudyTables) -> None:
    table = summarize_cells(by_p)
    gap, against = draw_gap(by_p, table, ""), draw_by_p(by_p, table, "")
    assert gap is not None
    assert against is not None
    curve = next(line for line in gap.axes[0].lines if line.get_label() == "p = 0.25")
    assert curve.get_color() == style.p_colour(0.25)
    dots = [line for line in against.axes[0].lines if len(line.get_xdata()) == 2]
    colours = {style.WITHOUT, style.p_colour(0.25), style.p_colour(0.5)}
    assert {line.get_color() for line in dots} == colours


def test_pictures_are_saved_as_png_and_svg_and_the_same_again(by_p: StudyTables) -> None:
    files = plot_study(by_p)
    names = {path.name for path in files}
    assert names == {
        f"{kind}.{end}" for kind in ("curves", "gap", "by_p", "cells") for end in ("png", "svg")
    }
    before = {path: path.read_bytes() for path in files}
    for path in files:
        if path.suffix == ".png":
            assert matplotlib.image.imread(path).std() > 0.01  # there is something to see
    plot_study(by_p)
    assert {path: path.read_bytes() for path in files} == before


def test_settings_beside_dropout_have_their_own_pictures(tmp_path: Path) -> None:
    path = made_study(
        tmp_path / "s", "training.learning_rate=0.1,0.2", "dropout.p=0,0.5", accuracies=[0.9] * 8
    )
    names = draw_all(read_study(path))
    assert {"curves_1", "curves_2", "gap_1", "gap_2", "cells"} <= names


@pytest.mark.parametrize("name", ["<script>alert(1)</script> $x_{ %s \\frac", "a" * 300])
def test_any_name_can_be_drawn(name: str, by_p: StudyTables) -> None:
    by_p.manifest.name = name
    for file in plot_study(by_p):
        if file.suffix == ".svg":  # the name is text in it, and nothing else
            texts = "".join(ElementTree.parse(file).getroot().itertext())
            assert style.shorten(name, 60)[:39] in texts
            assert "script" not in {element.tag for element in ElementTree.parse(file).iter()}


def test_long_values_are_shortened_and_their_pictures_drawn(tmp_path: Path) -> None:
    """80 hidden layers as a swept value, and 80 values of p; without a warning of the layout."""
    deep = f"[{','.join(['16'] * 80)}]"
    settings = (f"model.hidden=[16],{deep}", "dropout.p=0,0.5", "training.learning_rate=0.1,0.2")
    path = made_study(tmp_path / ("a" * 100), *settings, accuracies=[0.9] * 16)
    assert draw_all(read_study(path))
    many = f"dropout.p=[{','.join(['0.5'] * 80)}],0.3"
    path = made_study(tmp_path / "p", f"model.hidden={deep}", many, accuracies=[0.9] * 6)
    assert draw_all(read_study(path))
    assert style.shorten("a" * 50 + "b" * 50, 11) == "aaaaa…bbbbb"


@pytest.mark.parametrize("lines", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_of_many_runs_as_many_lines_are_drawn_as_can_be_told_apart(
    lines: int, tmp_path: Path
) -> None:
    """Five values of p on each line, two seeds of each: the slow part has a thousand runs."""
    settings = (f"dropout.input_p=0:{(lines - 1) / 100}:0.01", "dropout.p=0.1,0.2,0.3,0.4,0.5")
    accuracies = [0.9 + 0.00005 * i for i in range(10 * lines + 2)]
    study = read_study(made_study(tmp_path / "s", *settings, accuracies=accuracies))
    figure = draw_by_p(study, summarize_cells(study), "name")
    assert figure is not None
    assert sum(not str(line.get_label()).startswith("_") for line in figure.axes[0].lines) == 12
    assert f"{lines - 12} lines with lower validation accuracy not shown" in words(figure)
    assert f"{5 * lines + 1 - 40} settings with lower test accuracy not shown" in words(
        draw_cells(study, summarize_cells(study), "name")
    )
    assert max(file.stat().st_size for file in plot_study(study)) < 2**20
    # Figures that pyplot does not know are let go of with the last word on them.
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


def test_what_is_not_finite_is_a_gap(by_p: StudyTables) -> None:
    last = by_p.metrics["epoch"] == 2
    by_p.metrics.loc[last, "test_loss"] = float("inf")
    by_p.metrics.loc[last, "loss_gap"] = float("nan")
    table = summarize_cells(by_p)
    curves, gap = draw_curves(by_p, table, ""), draw_gap(by_p, table, "")
    assert curves is not None
    assert gap is not None
    losses = next(line for line in curves.axes[2].lines if line.get_label() == "test")
    assert np.isfinite(np.asarray(losses.get_ydata(), float)).tolist() == [True, False]
    gaps = next(line for line in gap.axes[1].lines if line.get_label() == "p = 0.25")
    assert np.isfinite(np.asarray(gaps.get_ydata(), float)).tolist() == [True, False]
    assert plot_study(by_p)


def test_only_runs_without_dropout_are_drawn(tmp_path: Path) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0", accuracies=[0.9, 0.9])
    assert draw_all(read_study(path)) == {"curves", "gap"}


@pytest.mark.parametrize(("seeds", "epochs"), [(1, 1), (1, 3), (3, 1)])
def test_one_seed_or_one_epoch_is_drawn_without_a_warning(
    tmp_path: Path, seeds: int, epochs: int
) -> None:
    path = made_study(
        tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9] * 2 * seeds, seeds=seeds, epochs=epochs
    )
    assert draw_all(read_study(path))


def test_only_failed_runs_are_drawn_without_a_warning(tmp_path: Path) -> None:
    path = made_study(
        tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9] * 4, statuses=["diverged"] * 4
    )
    assert draw_all(read_study(path)) == {"cells"}


def test_points_are_joined_in_the_order_of_p(tmp_path: Path) -> None:
    """Whatever the order they were asked for in, or added to the study."""
    path = made_study(tmp_path / "s", "dropout.p=0.5,0,0.25", accuracies=[0.9] * 6)
    study = read_study(path)
    figure = draw_by_p(study, summarize_cells(study), "")
    assert figure is not None
    line = next(line for line in figure.axes[0].lines if len(line.get_xdata()) == 3)
    assert list(line.get_xdata()) == [0.0, 0.25, 0.5]


def test_lists_of_p_can_be_drawn(tmp_path: Path) -> None:
    settings = ("dropout.variant=inverted,gaussian", "dropout.placement=hidden,[1,2]")
    path = made_study(tmp_path / "s", *settings, "dropout.p=0.5,[0.2,0.5]", accuracies=[0.9] * 18)
    assert draw_all(read_study(path))


def test_without_validation_no_p_is_chosen(tmp_path: Path) -> None:
    settings = ("dropout.variant=inverted,gaussian", "dropout.placement=input,hidden")
    path = made_study(tmp_path / "s", *settings, "dropout.p=0.25,0.5", accuracies=[0.9] * 18)
    study = read_study(path)
    for frame in (study.runs, study.metrics):
        frame["validation_accuracy"] = float("nan")
    assert draw_variants(study, summarize_cells(study), "") is None


def test_a_study_without_a_record_lists_its_failed_runs(tmp_path: Path) -> None:
    path = made_study(
        tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9] * 4, statuses=["failed"] * 4
    )
    (path / "metrics.csv").write_text((path / "metrics.csv").read_text().splitlines()[0] + "\n")
    study = read_study(path)
    assert {file.name for file in plot_study(study)} == {"cells.png", "cells.svg"}
    assert "no dropout (2 not completed)" in words(draw_cells(study, summarize_cells(study), ""))


def test_a_key_without_meaning_is_no_part_of_a_label() -> None:
    cell = {"dropout.variant": "alpha", "dropout.share": None, "dropout.p": 0.5}
    assert style.cell_label(cell, tuple(cell), False) == "alpha, p = 0.5"


def test_every_variant_has_a_look_of_its_own() -> None:
    looks = {name: (style.variant_colour(name), style.variant_marker(name)) for name in VARIANTS}
    looks["none"] = ("", "")  # never drawn beside inverted: it is "no dropout"
    assert len(set(looks.values())) == len(VARIANTS)


def test_other_keys_of_dropout_share_the_pictures_with_no_dropout(tmp_path: Path) -> None:
    settings = ("dropout.schedule=constant,linear", "dropout.p=0,0.5")
    folder = made_study(
        tmp_path / "study", *settings, accuracies=[0.90, 0.92, 0.93, 0.95, 0.9, 0.9]
    )
    study = read_study(folder)
    figure = draw_by_p(study, summarize_cells(study), "name")
    assert figure is not None
    lines = [line for line in figure.axes[0].lines if "schedule" in str(line.get_label())]
    starts = [np.asarray(line.get_xydata())[0].tolist() for line in lines]
    assert starts == [[0.0, pytest.approx(0.91)]] * 2  # both begin without dropout
    ends = sorted(float(np.asarray(line.get_xdata())[-1]) for line in lines)
    assert ends[0] < 0.5 < ends[1]  # and stand beside each other at p
    assert {"by_p", "cells", "gap", "curves"} <= draw_all(study)


def test_cells_show_the_paired_difference_beside_the_accuracy(by_p: StudyTables) -> None:
    figure = draw_cells(by_p, summarize_cells(by_p), "name")
    accuracy, difference = figure.axes
    assert "paired by seed" in difference.get_xlabel()
    table = summarize_cells(by_p)
    drawn = sorted(float(container.lines[0].get_xdata()[0]) for container in difference.containers)
    assert drawn == pytest.approx(sorted(table["difference_mean"].dropna()))
    assert len(accuracy.containers) == len(difference.containers) + 1  # not that without dropout


def listed(folder: Path, runs: int, sweep: str) -> StudyTables:
    """Return a study of cells that a config lists."""
    file = folder / "c.yaml"
    file.write_text(f"name: t\nsweep:\n{sweep}")
    return read_study(made_study(folder / "s", accuracies=[0.9] * runs, file=file))


def test_listed_cells_have_pictures_where_they_compare_something(tmp_path: Path) -> None:
    """Two regularizers, one of them with dropout beside: the other has nothing to stand beside."""
    study = listed(
        tmp_path,
        6,
        "  cells:\n"
        "    - {label: L2, dropout.variant: none, regularization.l2: 0.001}\n"
        "    - {label: L1, dropout.variant: none, regularization.l1: 0.001}\n"
        "    - {label: Dropout + L2, regularization.l2: 0.001}\n",
    )
    drawn = {name: words(figure) for name, figure in draw_plots(study)}
    assert {"curves_1", "gap_1"} <= drawn.keys()
    assert "curves_2" not in drawn
    assert "no plots of their own: 1 combination (L1)" in drawn["curves_1"]
    assert "s, l2 = 0.001 |" in drawn["curves_1"]  # and nothing of l1, which is off
    assert "Dropout + L2" in drawn["curves_1"]


def test_listed_cells_that_nothing_stands_beside_are_in_one_picture(tmp_path: Path) -> None:
    study = listed(
        tmp_path,
        4,
        "  baseline: false\n  cells:\n"
        "    - {label: wide, dropout.p: 0.5, model.hidden: [64]}\n"
        "    - {label: wider, dropout.p: 0.75, model.hidden: [128]}\n",
    )
    drawn = {name: words(figure) for name, figure in draw_plots(study)}
    assert not [name for name in drawn if name.endswith("_1")]
    assert "| wide |" in drawn["gap"]
    assert "| wider |" in drawn["gap"]


def test_the_cell_added_without_dropout_has_the_name_of_its_network(tmp_path: Path) -> None:
    study = listed(tmp_path, 4, "  cells:\n    - {label: small net, model.hidden: [64]}\n")
    table = summarize_cells(study)
    labels = [
        cell_label(cell, study.swept, bool(cell["is_baseline"])) for _, cell in table.iterrows()
    ]
    assert labels == ["no dropout, small net", "small net, p = 0.5"]


def test_no_two_lines_look_alike() -> None:
    looks = style.distinct_styles([("#AA3377", "-")] * 5 + [("#000000", "-")] * 3)
    assert len(set(looks)) == 8
    assert looks[0] == ("#aa3377", "-")
    assert [dashes for _, dashes in looks] == ["-", "-", "-", "--", "--", "-", "-", "--"]


def test_a_legend_covers_neither_the_heading_nor_the_axes(by_p: StudyTables) -> None:
    with style.style():
        figure = draw_gap(
            by_p, summarize_cells(by_p), "a name that fills the line above the picture " * 2
        )
        assert figure is not None
        figure.draw_without_rendering()
    right = figure.axes[1]
    legend = right.get_legend()
    assert legend is not None
    box = legend.get_window_extent()
    assert not box.overlaps(figure._suptitle.get_window_extent())
    assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)
    assert box.x1 <= figure.bbox.x1


def test_one_epoch_is_a_whole_number_on_its_axis(tmp_path: Path) -> None:
    study = read_study(made_study(tmp_path / "s", accuracies=[0.9] * 8, epochs=1))
    figure = draw_gap(study, summarize_cells(study), "name")
    assert figure is not None
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_xlim()
    shown = [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high]
    assert shown == [1.0]
