"""The picture that a study is made for: rows, lines and courses, with the published values."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from dropout_lab import results
from dropout_lab.analysis.paper_figure_plot import draw_figure
from dropout_lab.analysis.published import compare_with_published
from dropout_lab.analysis.style import PUBLISHED, cell_label, p_colour, style
from dropout_lab.analysis.tables import StudyTables, read_study, summarize_cells
from dropout_lab.config.published import FigureSettings
from tests.analysis.test_tables import made_study

# Errors in per cent 6, 7, 8 at p = 0 and 4, 5, 6 at p = 0.5: t(0.975, 2) = 4.3027, s.d. 1,
# so the half width is 4.3027 / sqrt(3).
ACCURACIES = [0.94, 0.93, 0.92, 0.96, 0.95, 0.94]


def study_of(folder: Path, values: list[dict[str, Any]], **manifest: Any) -> StudyTables:
    """Return a study over p = 0 and 0.5 that carries published values."""
    path = made_study(
        folder / "s", "dataset.name=mnist", "dropout.p=0,0.5", accuracies=ACCURACIES, seeds=3
    )
    read = json.loads((path / results.MANIFEST).read_text())
    figure = manifest.pop("figure", None)
    read["published"] = {"citation": "Somebody 1999", "values": values} | manifest
    read["figure"] = figure
    (path / results.MANIFEST).write_text(json.dumps(read))
    return read_study(path)


def value(p: float, number: float, **rest: Any) -> dict[str, Any]:
    return {"label": f"p {p}", "cell": {"dropout.p": p}, "value": number, "seen": True} | rest


def test_ways_of_use_that_were_not_measured_are_not_trained(tmp_path: Path) -> None:
    study = study_of(tmp_path, [value(0.5, 1, inference="monte_carlo")])
    found = compare_with_published(study, summarize_cells(study))
    assert found is not None
    assert [row.verdict for row in found.rows] == ["not trained"]


def drawn(study: StudyTables) -> Figure:
    with style():
        figure = draw_figure(study, summarize_cells(study), "name")
    assert figure is not None
    figure.canvas.draw()
    return figure


def words(figure: Figure) -> str:
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " | ".join(" ".join(text.get_text().split()) for text in found)


def test_a_row_for_each_published_value_and_each_other_cell(tmp_path: Path) -> None:
    values = [value(0.5, 5.5), value(0.9, 2.7, seen=False)]
    figure = drawn(study_of(tmp_path, values, figure={"title": "Table 1"}))
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["p 0.5", "p 0.9", "no dropout"]
    diamonds = [line for line in axes.lines if line.get_markeredgecolor() == PUBLISHED]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in diamonds] == [(5.5, 2), (2.7, 1)]
    assert [line.get_marker() for line in diamonds] == ["D", "x"]
    for text in ("Table 1", "n = 3 seeds", "Somebody 1999", "unverified", "test error (%)"):
        assert text in words(figure)


@pytest.mark.parametrize(
    ("unit", "quantity", "number"),
    [("%", "test_error", 2.5), ("%", "test_accuracy", 97.5), ("fraction", "test_accuracy", 0.975)],
)
def test_published_accuracies_and_fractions_are_drawn_as_errors_in_per_cent(
    tmp_path: Path, unit: str, quantity: str, number: float
) -> None:
    values = [value(0.5, number, quantity=quantity)]
    rows = drawn(study_of(tmp_path / "rows", values, unit=unit, figure={"title": "Table 1"}))
    (diamond,) = [a for a in rows.axes[0].lines if a.get_markeredgecolor() == PUBLISHED]
    assert diamond.get_xdata()[0] == pytest.approx(2.5)
    assert "test error (%)" in words(rows)
    lines = drawn(study_of(tmp_path / "lines", values, unit=unit, figure={"x": "p"}))
    points = [tuple(np.asarray(line.get_xydata())[0]) for line in lines.axes[0].lines]
    assert any(point == pytest.approx((0.5, 2.5)) for point in points)


def test_published_curves_of_two_parts_are_not_joined(tmp_path: Path) -> None:
    values = [
        value(0.5, 99.5, quantity="train_accuracy", epoch=1),
        value(0.5, 6.0, epoch=1),
        value(0.5, 5.5),
    ]
    figure = {"x": "epoch", "y": ["test_error", "train_error"]}
    lines = drawn(study_of(tmp_path, values, figure=figure)).axes[0].lines
    diamonds = [line for line in lines if line.get_marker() == "D"]
    assert [len(line.get_xdata()) for line in diamonds] == [1, 2]
    assert diamonds[0].get_ydata()[0] == pytest.approx(0.5)
    np.testing.assert_allclose(diamonds[1].get_ydata(), [6.0, 5.5])


def test_a_published_training_accuracy_is_drawn_with_the_training_errors(tmp_path: Path) -> None:
    values = [value(0.5, 99.5, quantity="train_accuracy")]
    rows = drawn(study_of(tmp_path / "rows", values, figure={"title": "Table 1"}))
    assert "p 0.5 (training set)" in [label.get_text() for label in rows.axes[0].get_yticklabels()]
    assert rows.axes[0].get_xlabel() == "error (%)"
    for y, shown in ((["test_error"], False), (["test_error", "train_error"], True)):
        figure = {"x": "p", "y": y}
        lines = drawn(study_of(tmp_path / y[-1], values, figure=figure)).axes[0].lines
        firsts = [tuple(np.asarray(line.get_xydata())[0]) for line in lines]
        assert any(first == pytest.approx((0.5, 0.5)) for first in firsts) == shown


@pytest.mark.parametrize(("axis", "places"), [("keep", [0.5, 1.0]), ("p", [0.0, 0.5])])
def test_a_line_over_p_begins_without_dropout(
    tmp_path: Path, axis: str, places: list[float]
) -> None:
    figure = drawn(study_of(tmp_path, [value(0.9, 2.7)], figure={"x": axis}))
    (axes,) = figure.axes
    starts = [np.asarray(line.get_xydata())[0] for line in axes.lines]
    means = {round(float(x), 6): float(y) for x, y in starts}
    assert means[0.9 if axis == "p" else 0.1] == 2.7
    first = next(line for line in axes.lines if len(line.get_xdata()) == 2)
    np.testing.assert_allclose(first.get_xdata(), places)
    np.testing.assert_allclose(first.get_ydata(), [5, 7] if axis == "keep" else [7, 5])


def test_courses_over_the_updates(tmp_path: Path) -> None:
    figure = drawn(study_of(tmp_path, [], figure={"x": "updates", "y_max": 9}))
    (axes,) = figure.axes
    assert axes.get_ylim() == (0, 9)
    colours = {line.get_color() for line in axes.lines}
    assert colours == {"#000000", p_colour(0.5)}


def test_published_values_have_an_epoch_or_the_end(tmp_path: Path) -> None:
    """Two epochs were trained; the paper's curve goes on to epoch 40."""
    values = [value(0.5, 6.5, epoch=1), value(0.5, 3.0, epoch=40), value(0.0, 7.5)]
    study = study_of(tmp_path, values, figure={"x": "epoch", "log_x": True})
    (axes,) = drawn(study).axes
    assert axes.get_xscale() == "log"
    diamonds = {
        line.get_color(): np.asarray(line.get_xydata()).tolist()
        for line in axes.lines
        if line.get_marker() == "D"
    }
    assert diamonds == {p_colour(0.5): [[1, 6.5], [40, 3]], "#000000": [[2, 7.5]]}


def test_lines_that_the_axis_cuts_off_are_named(tmp_path: Path) -> None:
    """The mean errors are 7 % without dropout and 5 % with it."""
    study = study_of(tmp_path, [], figure={"x": "updates", "y_max": 6})
    note = " ".join(drawn(study).get_supxlabel().split())
    assert "in part above 6%, where the axis ends: no dropout" in note
    assert "p = 0.5" not in note
    study.manifest.figure = FigureSettings(x="updates", y_max=8)
    assert "above" not in drawn(study).get_supxlabel()


def test_nothing_is_drawn_where_nothing_is_asked(tmp_path: Path) -> None:
    study = study_of(tmp_path, [])
    assert draw_figure(study, summarize_cells(study), "name") is None


def test_a_label_stands_for_the_keys_it_names(tmp_path: Path) -> None:
    study = study_of(tmp_path, [])
    path = study.path / results.MANIFEST
    read = json.loads(path.read_text())
    read["labelled"] = ["dropout.p"]
    for entry in read["runs"].values():
        dropped = entry["settings"].get("dropout", {}).get("variant") != "none"
        entry["label"] = "strong" if dropped else "bare"
    path.write_text(json.dumps(read))
    table = summarize_cells(read_study(path.parent))
    labels = [
        cell_label(cell, ("dropout.p",), bool(cell["is_baseline"])) for _, cell in table.iterrows()
    ]
    assert labels == ["bare", "strong"]
    # Where only some of its keys are told, the label would say too much.
    assert cell_label(table.iloc[1], (), False) == "with dropout"


# Two settings of another key, each without dropout, then each at p = 0.5. Validation is 1 pp below.
FOUR = [0.90, 0.92, 0.80, 0.82, 0.94, 0.96, 0.70, 0.72]


def with_figure(path: Path, figure: dict[str, Any]) -> StudyTables:
    """Read a study, with the axes of its figure."""
    read = json.loads((path / results.MANIFEST).read_text())
    (path / results.MANIFEST).write_text(json.dumps(read | {"figure": figure}))
    return read_study(path)


def test_the_p_that_validation_chose_is_marked_on_each_line(tmp_path: Path) -> None:
    """The error is 5 at p = 0.5 without noise, and 19 at p = 0 with noise."""
    axes = ("dataset.label_noise=0.0,0.3", "dropout.p=0,0.5")
    path = made_study(tmp_path / "s", *axes, accuracies=FOUR)
    figure = drawn(with_figure(path, {"x": "p", "tuned": True}))
    rings = [line for line in figure.axes[0].lines if line.get_markersize() == 12]
    found = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in rings]
    np.testing.assert_allclose(found, [(0.5, 5), (0.0, 19)])
    assert "p chosen on validation" in words(figure)
    unmarked = drawn(with_figure(path, {"x": "p"}))
    assert "p chosen on validation" not in words(unmarked)


def test_the_p_that_validation_chose_is_a_line_over_the_widths(tmp_path: Path) -> None:
    path = made_study(tmp_path / "s", "model.hidden=[8],[16]", "dropout.p=0,0.5", accuracies=FOUR)
    figure = drawn(with_figure(path, {"x": "units", "tuned": True, "log_x": True}))
    (line,) = [
        each
        for each in figure.axes[0].lines
        if each.get_linewidth() == 2.4 and each.get_linestyle() == "-"
    ]
    assert list(line.get_xdata()) == [8, 16]
    assert list(line.get_ydata()) == pytest.approx([5, 19])
    at_half = next(each for each in figure.axes[0].lines if each.get_color() == p_colour(0.5))
    assert list(at_half.get_ydata()) == pytest.approx([5, 29])
