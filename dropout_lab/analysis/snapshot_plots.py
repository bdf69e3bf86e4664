"""Pictures of trained networks: the features they learned, and how active their units are."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from dropout_lab.analysis import style
from dropout_lab.analysis.tables import StudyTables, completed_rows, with_and_without
from dropout_lab.results import RUN_FOLDERS, counted
from dropout_lab.results.features import FEATURES, read_features

Floats = np.ndarray[Any, np.dtype[np.float64]]
_WIDE = 10  # images side by side
_GAP = 2  # pixels between them
_SHOWN = 99  # % of the weights that the grey scale holds
_GREYS = 16  # more would only make the file larger
_LAYERS = 4  # of which the histograms are shown
_OF = {"unit_mean": "mean activation of a unit", "activation": "activation"}
_WORDS = {"unit_mean": "units", "activation": "activations"}


def draw_features(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw the incoming weights of units of the first hidden layer, with and without dropout.

    The first seed of which both cells have them is shown. None where none were kept.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, Fig. 7.
    """
    shown = with_and_without(table)
    by_seed = [_features(study, cell) for cell in shown]
    shown = [cell for cell, own in zip(shown, by_seed, strict=True) if own]
    by_seed = [own for own in by_seed if own]
    seeds = sorted(set.intersection(*map(set, by_seed))) if by_seed else []
    if not seeds:
        return None
    images = [own[seeds[0]] for own in by_seed]
    limit = float(np.percentile(np.abs(np.concatenate(images)), _SHOWN)) or 1.0
    rows = -(-max(map(len, images)) // _WIDE)
    figure = style.new_figure(5.0 * len(shown) + 1.0, 0.43 * rows + 1.3)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, cell, own in zip(panels, shown, images, strict=True):
        image = image_grid(axes, own, limit)
        axes.set_title(style.wrapped(style.cell_label(cell, study.swept, bool(cell["bare"])), 44))
    bar = figure.colorbar(image, ax=panels, extend="both", shrink=0.8)
    bar.set_label("weight from a pixel")
    style.heading(figure, f"{title}: features of the first hidden layer (seed {seeds[0]})")
    style.footnote(
        figure,
        f"{len(images[0])} of its units, drawn by the seed, the same place the same unit; "
        f"one scale, cut at ±{limit:.2g}, which {_SHOWN}% of the weights are within",
    )
    return figure


def _features(study: StudyTables, cell: pd.Series) -> dict[int, Floats]:
    """Return the images that a cell's completed runs kept, by seed."""
    done = completed_rows(study, study.runs, cell)
    kept = {}
    for seed, run_id in zip(done["seed"], done["run_id"], strict=True):
        images = _read(study.path / RUN_FOLDERS / run_id / FEATURES)
        if images is not None:
            kept[int(seed)] = images
    return kept


def _read(path: Path) -> Floats | None:
    try:
        read = read_features(path)
    except ValueError:  # damaged; doctor tells of it, and the study's command makes it again
        return None
    return None if read is None else read[0].astype(np.float64)


def image_grid(axes: Axes, images: Floats, limit: float, wide: int = _WIDE) -> AxesImage:
    """Draw images ``(units, 28, 28)`` side by side, so many in a row, a gap between them.

    The grey scale reaches from -limit, black, to limit, white.
    """
    side = images.shape[1] + _GAP
    rows = -(-len(images) // wide)
    field = np.full((rows * side - _GAP, wide * side - _GAP), np.nan)
    for index, image in enumerate(images):
        top, left = side * (index // wide), side * (index % wide)
        field[top : top + image.shape[0], left : left + image.shape[1]] = image
    axes.set_axis_off()
    greys = colormaps["gray"].resampled(_GREYS)
    return axes.imshow(field, cmap=greys, vmin=-limit, vmax=limit, interpolation="nearest")


def draw_activations(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw histograms of the hidden units, left of their means and right of all activations.

    A row for each hidden layer; with and without dropout on one axis, all seeds together. None
    where they were not kept.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, Fig. 8.
    """
    if study.activations.empty:
        return None
    parts = [
        (cell, rows)
        for cell in with_and_without(table)
        if len(rows := completed_rows(study, study.activations, cell))
    ]
    if not parts:
        return None
    every = sorted({int(layer) for _, rows in parts for layer in rows["layer"]})
    layers = every[:_LAYERS]
    figure = style.new_figure(12, 1.2 + 2.9 * len(layers))
    grid = figure.subplots(len(layers), len(_OF), squeeze=False)
    for layer, panels in zip(layers, grid, strict=True):
        for axes, of in zip(panels, _OF, strict=True):
            own = [
                (cell, rows[(rows["layer"] == layer) & (rows["of"] == of)]) for cell, rows in parts
            ]
            _histograms(axes, study, [(cell, rows) for cell, rows in own if len(rows)])
            axes.set_xlabel(f"{_OF[of]}, layer {layer}")
            axes.set_ylabel(f"share of {_WORDS[of]} (%)")
    for axes in grid[:, 1]:
        axes.set_yscale("log")  # the peak at 0 would hide the rest
    for axes in grid.flat:
        style.percent_axis(axes)
    seeds = [rows["seed"].nunique() for _, rows in parts]
    style.heading(figure, f"{title}: activations, dropout off ({style.n_seeds(seeds)})")
    rest = len(every) - len(layers)
    more = f"; {counted(rest, 'more layer')} not shown" if rest else ""
    style.legend_beside(grid[0, -1], grid[0, 0].get_legend_handles_labels())
    style.footnote(
        figure,
        "a mini-batch of test examples for each seed, all seeds together; above: the mean of all "
        f"± SD over seeds; right: logarithmic{more}",
    )
    return figure


def _histograms(
    axes: Axes, study: StudyTables, parts: list[tuple[pd.Series, pd.DataFrame]]
) -> None:
    """Draw the histograms of some cells with the bins of the coarsest."""
    width = max(float((rows["high"] - rows["low"]).max()) for _, rows in parts)
    for cell, rows in parts:
        bins = np.floor(rows["low"] / width).astype(int)
        counts = rows["count"].groupby(bins).sum()
        places = np.arange(counts.index.min(), counts.index.max() + 1)
        shares = counts.reindex(places, fill_value=0).to_numpy(dtype=float) / counts.sum()
        totals = (rows["count"] * rows["mean"]).groupby(rows["seed"]).sum()
        means = totals / rows["count"].groupby(rows["seed"]).sum()
        spread = f" ± {means.std():.3f}" if len(means) > 1 else ""
        words = style.cell_label(cell, study.swept, bool(cell["bare"]))
        label = style.wrapped(words, style.BESIDE)
        colour = style.cell_colour(cell, study.swept)
        text = f"mean {means.mean():.3f}{spread}".replace("-", "−")
        axes.set_title(text, loc="left" if cell["bare"] else "right", color=colour, fontsize=10)
        edges = np.append(places, places[-1] + 1) * width
        axes.stairs(shares, edges, color=colour, fill=True, alpha=0.25)
        axes.stairs(shares, edges, color=colour, linewidth=1.4, label=label)
