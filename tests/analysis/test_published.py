"""A paper's numbers beside ours: which cell they are of, the verdict by hand, and the picture."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from dropout_lab import results
from dropout_lab.analysis.figure import draw_figure
from dropout_lab.analysis.published import Beside, beside
from dropout_lab.analysis.style import PUBLISHED, cell_label, p_colour, style
from dropout_lab.analysis.tables import StudyTables, cells, read_study
from tests.analysis.test_tables import made_study

# Errors in per cent 6, 7, 8 at p = 0 and 4, 5, 6 at p = 0.5: t(0.975, 2) = 4.3027, s.d. 1,
# so the half width is 4.3027 / sqrt(3) = 2.4841.
ACCURACIES = [0.94, 0.93, 0.92, 0.96, 0.95, 0.94]
HALF = 2.4841


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


def rows(study: StudyTables) -> tuple[Beside, ...]:
    found = beside(study, cells(study))
    assert found is not None
    return found.rows


def value(p: float, number: float, **rest: Any) -> dict[str, Any]:
    return {"label": f"p {p}", "cell": {"dropout.p": p}, "value": number, "seen": True} | rest


@pytest.mark.parametrize(
    ("number", "verdict"),
    [(5.0, "within our interval"), (7.48, "within our interval"), (7.49, "better"),
     (2.52, "within our interval"), (2.51, "worse")],
)  # fmt: skip
def test_the_verdict_by_hand(tmp_path: Path, number: float, verdict: str) -> None:
    (row,) = rows(study_of(tmp_path, [value(0.5, number)]))
    assert row.n == 3
    assert row.ours == pytest.approx(5.0)
    assert [row.low, row.high] == pytest.approx([5 - HALF, 5 + HALF], abs=1e-4)
    assert row.difference == pytest.approx(5.0 - number)
    assert row.verdict == verdict
    assert row.reasons == ()


def test_an_accuracy_is_better_where_it_is_higher(tmp_path: Path) -> None:
    numbers = [
        value(0.5, 0.97, quantity="test_accuracy"), value(0.5, 0.999, quantity="test_accuracy"),
        value(0.5, 0.9, quantity="test_accuracy"),
    ]  # fmt: skip
    found = rows(study_of(tmp_path, numbers, unit="fraction"))
    assert [row.verdict for row in found] == ["within our interval", "worse", "better"]
    assert found[0].ours == pytest.approx(0.95)


def test_the_run_without_dropout_is_found_however_it_is_named(tmp_path: Path) -> None:
    named = [value(0.0, 7.0), value(0.0, 7.0, cell={"dropout.variant": "none"})]
    assert [row.ours for row in rows(study_of(tmp_path, named))] == [pytest.approx(7.0)] * 2


def test_what_was_not_trained_is_said(tmp_path: Path) -> None:
    named = [value(0.9, 2.7), value(0, 1.0, cell="a label"), value(0.5, 1, inference="monte_carlo")]
    found = rows(study_of(tmp_path, named))
    assert {row.verdict for row in found} == {"not trained"}
    assert all(np.isnan(row.ours) and row.n == 0 for row in found)


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        ({"dataset": "mnist_5k"}, "data: mnist instead of mnist_5k"),
        ({"training_examples": 600}, "500 training examples instead of 600"),
        ({"updates": 100}, "16 updates instead of 100"),
        ({"training_examples": 550, "updates": 17}, ""),  # near enough
    ],
)
def test_what_makes_it_incomparable_is_said(
    tmp_path: Path, theirs: dict[str, Any], reason: str
) -> None:
    (row,) = rows(study_of(tmp_path, [value(0.5, 5.0)], **theirs))
    assert row.verdict == ("not comparable" if reason else "within our interval")
    assert row.reasons == ((reason,) if reason else ())


def test_one_run_has_no_verdict(tmp_path: Path) -> None:
    path = made_study(
        tmp_path / "s", "dataset.name=mnist", "dropout.p=0,0.5", accuracies=[0.9, 0.95], seeds=1
    )
    read = json.loads((path / results.MANIFEST).read_text())
    read["published"] = {"citation": "S", "values": [value(0.5, 5.0)]}
    (path / results.MANIFEST).write_text(json.dumps(read))
    (row,) = rows(read_study(path))
    assert (row.verdict, row.reasons) == ("not comparable", ("one run has no interval",))


def drawn(study: StudyTables) -> Figure:
    with style():
        figure = draw_figure(study, cells(study), "name")
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
    assert labels == ["p 0.5", "p 0.9", "without dropout"]
    diamonds = [line for line in axes.lines if line.get_markeredgecolor() == PUBLISHED]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in diamonds] == [(5.5, 2), (2.7, 1)]
    assert [line.get_marker() for line in diamonds] == ["D", "x"]
    for text in ("Table 1", "n = 3 seeds", "Somebody 1999", "unverified", "test error (%)"):
        assert text in words(figure)


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


def test_nothing_is_drawn_where_nothing_is_asked(tmp_path: Path) -> None:
    study = study_of(tmp_path, [])
    assert draw_figure(study, cells(study), "name") is None


def test_a_label_stands_for_the_keys_it_names(tmp_path: Path) -> None:
    study = study_of(tmp_path, [])
    path = study.path / results.MANIFEST
    read = json.loads(path.read_text())
    read["labelled"] = ["dropout.p"]
    for entry in read["runs"].values():
        dropped = entry["settings"].get("dropout", {}).get("variant") != "none"
        entry["label"] = "strong" if dropped else "bare"
    path.write_text(json.dumps(read))
    table = cells(read_study(path.parent))
    labels = [cell_label(cell, ("dropout.p",), bool(cell["bare"])) for _, cell in table.iterrows()]
    assert labels == ["bare", "strong"]
    # Where only some of its keys are told, the label would say too much.
    assert cell_label(table.iloc[1], (), False) == "with dropout"
