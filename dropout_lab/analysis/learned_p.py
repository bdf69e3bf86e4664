"""The picture of learned rates: p over the epochs, place by place."""

import json

import pandas as pd
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.curves import curve
from dropout_lab.analysis.intervals import spread_words
from dropout_lab.analysis.notes import LOWER, not_shown
from dropout_lab.analysis.tables import StudyTables, completed_rows
from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.schema import p_of_places, places

_CELLS_SHOWN = 8
_COLUMNS = 3  # panels side by side


def draw_learned_p(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw p over the epochs where it is learned: a panel for each place, a curve for each cell.

    Of more than eight cells that learn their p, the best by validation are shown. None where no
    cell does.
    """
    order = table.sort_values("validation_accuracy_mean", ascending=False, kind="stable")
    learned = {index: _over_epochs(study, cell) for index, cell in order.iterrows()}
    # One that stays where it starts is shown where others of its variant do not.
    moving = {variant for variant, frame in learned.values() if _moves(frame)}
    every = {index: frame for index, (variant, frame) in learned.items() if variant in moving}
    if not every:
        return None
    shown = table.loc[order.index.intersection(list(every)[:_CELLS_SHOWN]).sort_values()]
    where = sorted({place for index in shown.index for place in every[index]["place"]})
    columns = min(_COLUMNS, len(where))
    rows = -(-len(where) // columns)
    figure = style.new_figure(3.7 * columns + 2.2, 3.1 * rows + 0.9)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for axes in grid[len(where) :]:
        axes.set_visible(False)
    kinds: dict[tuple[str, ...], str] = {}
    for index, cell in shown.iterrows():  # each panel has a line of each, for the one legend
        words = style.wrapped(style.cell_label(cell, study.swept, False), style.BESIDE)
        dashes = kinds.setdefault(style.kind_of(cell), style.dashes(len(kinds)))
        colour, frame = style.cell_colour(cell, study.swept), every[index]
        for axes, place in zip(grid, where, strict=False):
            own = frame[frame["place"] == place]
            if not curve(axes, own, "p", colour, dashes, label=words):
                axes.plot([], [], dashes, color=colour, label=words)
    for axes, place in zip(grid, where, strict=False):
        axes.set_title(f"hidden layer {place}" if place else "input")
        axes.tick_params(labelbottom=True)
        style.epoch_axis(axes)
        axes.set_ylim(-0.02, 1.02)
    for axes in grid[::columns]:
        axes.set_ylabel("p, the chance of dropping")
    style.legend_beside(grid[columns - 1], grid[0].get_legend_handles_labels())
    style.heading(figure, f"{title}: learned p ({style.n_seeds(shown['seeds'])})")
    rest = len(every) - len(shown)
    style.footnote(
        figure,
        "epoch 0: where p starts",
        "mean of p where units or weights have their own",
        spread_words(figure, shown["seeds"]),
        not_shown(rest, "setting", LOWER),
    )
    return figure


def _over_epochs(study: StudyTables, cell: pd.Series) -> tuple[str, pd.DataFrame]:
    """Return a cell's variant, and p by place and epoch if it learns something; else no rows."""
    name, points = "", []
    for run_id, rows in completed_rows(study, study.metrics, cell).groupby("run_id"):
        settings = study.known[str(run_id)].settings
        name = settings.dropout.variant
        variant = CATALOGUE.get(name)
        if variant is None or not variant.learned:
            break
        named = places(settings)
        start = p_of_places(settings)
        seed = study.known[str(run_id)].seed
        points += [(seed, place, 0, start[place]) for place in named]
        for epoch, text in zip(rows["epoch"], rows["p"], strict=True):
            ps = json.loads(str(text))
            ps = ps if isinstance(ps, list) else [ps] * len(named)
            points += [(seed, place, epoch, p) for place, p in zip(named, ps, strict=True)]
    return name, pd.DataFrame(points, columns=["seed", "place", "epoch", "p"])


def _moves(frame: pd.DataFrame) -> bool:
    return bool(frame.groupby("place")["p"].nunique().gt(1).any())
