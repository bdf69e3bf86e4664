"""Plots of trained networks: learned features and histograms of activations."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import Floats
from dropout_lab.analysis.tables import StudyTables, baseline_and_best, completed_rows
from dropout_lab.datasets import Dataset
from dropout_lab.results import RUN_FOLDERS, counted
from dropout_lab.results.features import FEATURES, read_features

_IMAGES_PER_ROW = 10
_GAP = 2  # pixels between images
_SMALL, _BETWEEN_PANELS = 16, 0.2  # rows or columns of a small image; inches
_SCALE_PERCENTILE = 99  # of the absolute weights, the limit of the grey scale
_GREYS = 16  # more levels only make the file larger
_MAX_BINS = 10_000  # a table with more bins is damaged: there are about 100
_MAX_LAYERS = 4  # with histograms
_HISTOGRAMS = {"unit_mean": "mean activation of a unit", "activation": "activation"}
_WORDS = {"unit_mean": "units", "activation": "activations"}


def draw_features(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw incoming weights of units of the first hidden layer, with and without dropout.

    Shows the first seed for which both cells have saved features. None without saved features.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, Fig. 7.
    """
    shown = baseline_and_best(table)
    by_seed = [_features_by_seed(study, cell) for cell in shown]
    shown = [cell for cell, own in zip(shown, by_seed, strict=True) if own]
    by_seed = [own for own in by_seed if own]
    seeds = sorted(set.intersection(*map(set, by_seed))) if by_seed else []
    if not seeds:
        return None
    images = [own[seeds[0]] for own in by_seed]
    limit = (
        float(
            np.percentile(
                np.abs(np.concatenate([own.ravel() for own in images])), _SCALE_PERCENTILE
            )
        )
        or 1.0
    )
    rows = -(-max(map(len, images)) // _IMAGES_PER_ROW)
    figure = style.new_figure(5.0 * len(shown) + 1.0, 0.43 * rows + 1.3)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    layout = figure.get_layout_engine()
    if isinstance(layout, ConstrainedLayoutEngine) and max(images[0].shape[1:3]) <= _SMALL:
        layout.set(w_pad=_BETWEEN_PANELS)  # the gap between their images is wide
    for axes, cell, own in zip(panels, shown, images, strict=True):
        image = image_grid(axes, own, limit)
        axes.set_title(style.wrapped(style.cell_name(cell, study.swept), 44))
    bar = figure.colorbar(image, ax=panels, extend="both", shrink=0.8)
    colored = any(own.ndim == 4 for own in images)
    bar.set_label("weight from a color of a pixel" if colored else "weight from a pixel")
    style.heading(figure, f"{title}: features of the first hidden layer (seed {seeds[0]})")
    style.footnote(
        figure,
        f"{len(images[0])} of its units, drawn by the seed, the same place the same unit; "
        f"one scale, cut at ±{limit:.2g}, which {_SCALE_PERCENTILE}% of the weights are within",
    )
    return figure


def _features_by_seed(study: StudyTables, cell: pd.Series) -> dict[int, Floats]:
    """Return the saved features of a cell's completed runs, by seed."""
    done = completed_rows(study, study.runs, cell)
    images_by_seed = {}
    for seed, run_id in zip(done["seed"], done["run_id"], strict=True):
        dataset = study.runs_by_id[run_id].settings.dataset.describe()
        images = _read_images(study.path / RUN_FOLDERS / run_id / FEATURES, dataset)
        if images is not None:
            images_by_seed[int(seed)] = images
    return images_by_seed


def _read_images(path: Path, dataset: Dataset) -> Floats | None:
    try:
        read = read_features(path, dataset)
    except ValueError:  # damaged; `doctor` reports it, and the study's command repairs it
        return None
    return None if read is None else read[0].astype(np.float64)


def image_grid(axes: Axes, images: Floats, limit: float, wide: int = _IMAGES_PER_ROW) -> AxesImage:
    """Draw images in rows of ``wide`` images, with gaps.

    The grey scale is from -limit (black) to limit (white). In an image with colors, each color has
    this scale from none to full, so that weights of 0 are mid-grey.

    Args:
        axes: Where they are drawn.
        images: ``(units, rows, columns)``, or ``(units, rows, columns, 3)`` for red, green, blue.
        limit: The end of the scale; larger weights look the same.
        wide: Images in a row.
    """
    height, width = images.shape[1] + _GAP, images.shape[2] + _GAP
    rows = -(-len(images) // wide)
    colors = images.shape[3:]
    if colors:
        images = ((images / limit + 1) / 2).clip(0, 1)
    gap = 1.0 if colors else np.nan  # both are white
    field = np.full((rows * height - _GAP, wide * width - _GAP, *colors), gap)
    for index, image in enumerate(images):
        top, left = height * (index // wide), width * (index % wide)
        field[top : top + image.shape[0], left : left + image.shape[1]] = image
    axes.set_axis_off()
    greys = colormaps["gray"].resampled(_GREYS)
    # With colors, the scale serves only the color bar.
    return axes.imshow(field, cmap=greys, vmin=-limit, vmax=limit, interpolation="nearest")


def draw_activations(study: StudyTables, table: pd.DataFrame, title: str) -> Figure | None:
    """Draw histograms of activations: left, the means of units; right, all activations.

    Each hidden layer has a row. Cells with and without dropout share an axis; seeds are pooled.
    None without activations.csv.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, Fig. 8.
    """
    if study.activations.empty:
        return None
    parts = [
        (cell, rows)
        for cell in baseline_and_best(table)
        if len(rows := completed_rows(study, study.activations, cell))
    ]
    if not parts:
        return None
    all_layers = sorted({int(layer) for _, rows in parts for layer in rows["layer"]})
    layers = all_layers[:_MAX_LAYERS]
    figure = style.new_figure(12, 1.2 + 2.9 * len(layers))
    grid = figure.subplots(len(layers), len(_HISTOGRAMS), squeeze=False)
    for layer, panels in zip(layers, grid, strict=True):
        for axes, of in zip(panels, _HISTOGRAMS, strict=True):
            own = [
                (cell, rows[(rows["layer"] == layer) & (rows["of"] == of)]) for cell, rows in parts
            ]
            _histograms(axes, study, [(cell, rows) for cell, rows in own if len(rows)])
            axes.set_xlabel(f"{_HISTOGRAMS[of]}, layer {layer}")
            axes.set_ylabel(f"share of {_WORDS[of]} (%)")
    for axes in grid[:, 1]:
        axes.set_yscale("log")  # the peak at 0 would hide all other bins
    for axes in grid.flat:
        style.percent_axis(axes)
    seeds = [rows["seed"].nunique() for _, rows in parts]
    style.heading(figure, f"{title}: activations, dropout off ({style.n_seeds(seeds)})")
    rest = len(all_layers) - len(layers)
    more = f"; {counted(rest, 'more layer')} not shown" if rest else ""
    style.legend_right(grid[0, -1], grid[0, 0].get_legend_handles_labels())
    style.footnote(
        figure,
        "a mini-batch of test examples for each seed, all seeds together; above: the mean of all "
        f"± SD over seeds; right: logarithmic{more}",
    )
    return figure


def _histograms(
    axes: Axes, study: StudyTables, parts: list[tuple[pd.Series, pd.DataFrame]]
) -> None:
    """Draw the histograms of the cells, with the widest bins of any cell."""
    width = max(float((rows["high"] - rows["low"]).max()) for _, rows in parts)
    reach = max(float(rows[["low", "high"]].abs().max().max()) for _, rows in parts)
    if not reach < _MAX_BINS * width:
        return
    for cell, rows in parts:
        bins = np.floor(rows["low"] / width).astype(int)
        counts = rows["count"].groupby(bins).sum()
        bin_indices = np.arange(counts.index.min(), counts.index.max() + 1)
        shares = counts.reindex(bin_indices, fill_value=0).to_numpy(dtype=float) / counts.sum()
        totals = (rows["count"] * rows["mean"]).groupby(rows["seed"]).sum()
        means = totals / rows["count"].groupby(rows["seed"]).sum()
        spread = f" ± {means.std():.3f}" if len(means) > 1 else ""
        words = style.cell_name(cell, study.swept)
        label = style.wrapped(words, style.LEGEND_WIDTH)
        colour = style.cell_colour(cell, study.swept)
        text = f"mean {means.mean():.3f}{spread}".replace("-", "−")
        axes.set_title(
            text, loc="left" if cell["is_baseline"] else "right", color=colour, fontsize=10
        )
        edges = np.append(bin_indices, bin_indices[-1] + 1) * width
        axes.stairs(shares, edges, color=colour, fill=True, alpha=0.25)
        axes.stairs(shares, edges, color=colour, linewidth=1.4, label=label)
