"""Plot the decision boundary of networks with two inputs, with and without dropout."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import Floats
from dropout_lab.analysis.tables import StudyTables, baseline_and_best, completed_rows
from dropout_lab.results import RUN_FOLDERS
from dropout_lab.results.boundary import BOUNDARY, Boundary, read_boundary

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#555555")
_PALE = 0.55  # how much of the white is in the colour of a region


def draw_boundary(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw the predicted classes over the two inputs, with and without dropout.

    Shows the first seed for which both cells have saved boundaries. A region has the mean of the
    classes' colours, weighted by the predicted probabilities; a line is where the predicted class
    changes. None without saved boundaries.
    """
    by_cell = [(cell, _read_by_seed(study, cell)) for cell in baseline_and_best(table)]
    by_cell = [(cell, own) for cell, own in by_cell if own]
    seeds = sorted(set.intersection(*(set(own) for _, own in by_cell))) if by_cell else []
    if not seeds:
        return None
    figure = style.new_figure(4.6 * len(by_cell) + 0.4, 4.9)
    panels = figure.subplots(1, len(by_cell), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (cell, own) in zip(panels, by_cell, strict=True):
        boundary, accuracy = own[seeds[0]]
        _draw(axes, boundary)
        name = style.wrapped(style.cell_name(cell, study.swept), 40)
        axes.set_title(f"{name}\ntest accuracy {100 * accuracy:.2f}%")
        axes.set_xlabel("first input (normalized)")
    panels[0].set_ylabel("second input (normalized)")
    style.heading(figure, f"{title}: decision boundary (seed {seeds[0]})")
    count = len(own[seeds[0]][0].points)
    style.footnote(
        figure,
        f"points: {count} training examples; line: the predicted class changes; where colors mix, "
        "the prediction is uncertain",
    )
    return figure


def _read_by_seed(study: StudyTables, cell: pd.Series) -> dict[int, tuple[Boundary, float]]:
    """Return the boundaries and the test accuracies of a cell's completed runs, by seed."""
    done = completed_rows(study, study.runs, cell)
    found = {}
    for seed, run_id, accuracy in zip(
        done["seed"], done["run_id"], done["test_accuracy"], strict=True
    ):
        try:
            boundary = read_boundary(study.path / RUN_FOLDERS / run_id / BOUNDARY)
        except ValueError:  # damaged; `doctor` reports it, and the study's command repairs it
            continue
        if boundary is not None:
            found[int(seed)] = (boundary, float(accuracy))
    return found


def _draw(axes: Axes, boundary: Boundary) -> None:
    probabilities = boundary.probabilities.astype(np.float64)
    classes = len(probabilities)
    colours = np.array([to_rgb(_COLOURS[index % len(_COLOURS)]) for index in range(classes)])
    left, right, bottom, top = boundary.extent
    axes.imshow(
        _mix(probabilities, colours), extent=(left, right, bottom, top), origin="lower",
        aspect="auto", interpolation="bilinear",
    )  # fmt: skip
    rows, columns = probabilities.shape[1:]
    first, second = np.linspace(left, right, columns), np.linspace(bottom, top, rows)
    predicted = probabilities.argmax(axis=0)
    for index in range(classes):
        inside = (predicted == index).astype(np.float64)
        if 0 < inside.mean() < 1:
            others = np.delete(probabilities, index, axis=0).max(axis=0)
            axes.contour(
                first, second, probabilities[index] - others, [0.0], colors="#222222",
                linewidths=1.2,
            )  # fmt: skip
        own = boundary.points[boundary.labels == index]
        axes.scatter(
            own[:, 0], own[:, 1], s=14, color=colours[index], edgecolors="white", linewidths=0.5,
            zorder=3,
        )  # fmt: skip
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _mix(probabilities: Floats, colours: Floats) -> Floats:
    """Return the colour of each point of the grid, ``(rows, columns, 3)``."""
    pale = _PALE + (1 - _PALE) * colours
    mixed: Floats = np.tensordot(probabilities, pale, axes=(0, 0))
    return mixed.clip(0, 1)
