"""Plot learned p against epochs, one panel for each place."""

import json

import pandas as pd
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.curves import draw_curve
from dropout_lab.analysis.intervals import describe_figure_intervals
from dropout_lab.analysis.notes import LOWER_VALIDATION, describe_not_shown
from dropout_lab.analysis.tables import StudyTables, completed_rows
from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.sections.dropout import p_of_places, places

_MAX_CELLS = 8
_COLUMNS = 3  # panels in a row


def draw_learned_p(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw learned p against epochs: a panel for each place, a curve for each cell.

    Shows at most eight cells with learned p, the best by validation. None without such cells.
    """
    order = table.sort_values("validation_accuracy_mean", ascending=False, kind="stable")
    p_by_cell = {index: _p_over_epochs(study, cell) for index, cell in order.iterrows()}
    # Show a cell with constant p only if p changes in another cell of its variant.
    changing = {variant for variant, frame in p_by_cell.values() if _changes(frame)}
    p_of_cells = {
        index: frame for index, (variant, frame) in p_by_cell.items() if variant in changing
    }
    if not p_of_cells:
        return None
    shown = table.loc[order.index.intersection(list(p_of_cells)[:_MAX_CELLS]).sort_values()]
    shown_places = sorted({place for index in shown.index for place in p_of_cells[index]["place"]})
    columns = min(_COLUMNS, len(shown_places))
    rows = -(-len(shown_places) // columns)
    figure = style.new_figure(3.7 * columns + 2.2, 3.1 * rows + 0.9)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for axes in grid[len(shown_places) :]:
        axes.set_visible(False)
    kinds: dict[tuple[str, ...], str] = {}
    for index, cell in shown.iterrows():  # each panel has all lines, for the common legend
        words = style.wrapped(style.cell_label(cell, study.swept, False), style.LEGEND_WIDTH)
        dashes = kinds.setdefault(style.dropout_kind(cell), style.line_style(len(kinds)))
        colour, frame = style.cell_colour(cell, study.swept), p_of_cells[index]
        for axes, place in zip(grid, shown_places, strict=False):
            own = frame[frame["place"] == place]
            if not draw_curve(axes, own, "p", colour, dashes, label=words):
                axes.plot([], [], dashes, color=colour, label=words)
    for axes, place in zip(grid, shown_places, strict=False):
        axes.set_title(f"hidden layer {place}" if place else "input")
        axes.tick_params(labelbottom=True)
        style.epoch_axis(axes)
        axes.set_ylim(-0.02, 1.02)
    for axes in grid[::columns]:
        axes.set_ylabel("p, the probability of dropping")
    style.legend_right(grid[columns - 1], grid[0].get_legend_handles_labels())
    style.heading(figure, f"{title}: learned p ({style.n_seeds(shown['seeds'])})")
    left_out = len(p_of_cells) - len(shown)
    style.footnote(
        figure,
        "epoch 0: where p starts",
        "mean of p where units or weights have their own",
        describe_figure_intervals(figure, shown["seeds"]),
        describe_not_shown(left_out, "setting", LOWER_VALIDATION),
    )
    return figure


def _p_over_epochs(study: StudyTables, cell: pd.Series) -> tuple[str, pd.DataFrame]:
    """Return a cell's variant, and its p by seed, place and epoch; no rows if it learns nothing."""
    name, points = "", []
    for run_id, rows in completed_rows(study, study.metrics, cell).groupby("run_id"):
        settings = study.runs_by_id[str(run_id)].settings
        name = settings.dropout.variant
        variant = CATALOGUE.get(name)
        if variant is None or not variant.learned:
            break
        cell_places = places(settings)
        start = p_of_places(settings)
        seed = study.runs_by_id[str(run_id)].seed
        points += [(seed, place, 0, start[place]) for place in cell_places]
        for epoch, text in zip(rows["epoch"], rows["p"], strict=True):
            ps = json.loads(str(text))
            ps = ps if isinstance(ps, list) else [ps] * len(cell_places)
            points += [(seed, place, epoch, p) for place, p in zip(cell_places, ps, strict=True)]
    return name, pd.DataFrame(points, columns=["seed", "place", "epoch", "p"])


def _changes(frame: pd.DataFrame) -> bool:
    return bool(frame.groupby("place")["p"].nunique().gt(1).any())
