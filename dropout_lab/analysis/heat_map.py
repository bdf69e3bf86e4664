"""Heat map of the effect of dropout over p and a second numeric setting."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import describe_interval
from dropout_lab.analysis.tables import StudyTables

_NULL_LABELS = {"dataset.train_size": "all"}  # keys with a meaningful null
_AXIS_LABELS = {"dataset.train_size": "training examples"}
_MAX_VALUES = 24  # of an axis


def second_axis(study: StudyTables, table: pd.DataFrame) -> str | None:
    """Return the numeric key that was swept together with p; None if there is not exactly one."""
    others = [key for key in study.swept if key != "dropout.p"]
    if len(others) != 1 or "dropout.p" not in study.swept or others[0].startswith("dropout."):
        return None
    numbers = _numbers(table[others[0]], others[0])
    p = pd.to_numeric(table["dropout.p"], errors="coerce")
    if numbers.isna().any() or p.isna().any() or numbers.nunique() < 2:
        return None
    return others[0]


def _numbers(values: pd.Series, key: str) -> pd.Series:
    """Return the values of a key as numbers: inf for a meaningful null, nan for non-numbers."""
    numbers = pd.to_numeric(values, errors="coerce")
    return numbers.where(values.notna(), np.inf) if key in _NULL_LABELS else numbers


def draw_heat_map(study: StudyTables, table: pd.DataFrame, key: str, title: str) -> Figure | None:
    """Draw the difference in test accuracy between dropout and baseline, over p and another key.

    Each tile shows the mean paired difference from the baseline with otherwise equal settings. None
    if there are no pairs.

    Args:
        study: The study.
        table: The cells of the study.
        key: The other key; see :func:`second_axis`.
        title: The title of the plot.
    """
    cells = table[~table["is_baseline"] & table["difference_mean"].notna()]
    others = _numbers(cells[key], key)
    ps = pd.to_numeric(cells["dropout.p"], errors="coerce")
    rows, columns = sorted(others.unique()), sorted(ps.unique())
    left_out = max(0, len(rows) - _MAX_VALUES), max(0, len(columns) - _MAX_VALUES)
    rows, columns = rows[:_MAX_VALUES], columns[:_MAX_VALUES]
    if not rows:
        return None
    grid, half_widths = (np.full((len(rows), len(columns)), np.nan) for _ in range(2))
    for (_, cell), other, p in zip(cells.iterrows(), others, ps, strict=True):
        if other in rows and p in columns:
            tile = rows.index(other), columns.index(p)
            grid[tile], half_widths[tile] = (
                100 * cell["difference_mean"],
                100 * cell["difference_half"],
            )
    figure = style.new_figure(max(6.4, 3.2 + 1.35 * len(columns)), 2.3 + 0.7 * len(rows))
    axes = figure.subplots()
    limit = float(np.nanmax(np.abs(grid))) or 1.0
    image = axes.imshow(grid, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto", origin="lower")
    for (i, j), mean in np.ndenumerate(grid):
        if np.isfinite(mean):
            _draw_tile(axes, j, i, mean, float(half_widths[i, j]), dark=abs(mean) > 0.65 * limit)
    axes.set_xticks(range(len(columns)), [f"{p:g}" for p in columns])
    words = [_NULL_LABELS.get(key, "") if np.isinf(value) else f"{value:g}" for value in rows]
    axes.set_yticks(range(len(rows)), words)
    axes.set_xlabel("p, the probability of dropping")
    axes.set_ylabel(_AXIS_LABELS.get(key, key.partition(".")[2].replace("_", " ")))
    axes.grid(visible=False)
    figure.colorbar(image, label="test accuracy, difference\n(percentage points)")
    style.heading(figure, f"{title}: test accuracy, difference from no dropout")
    pairs = f"mean over paired seeds ({style.n_seeds(cells['pairs'])})"
    framed = bool((cells["difference_mean"].abs() > cells["difference_half"]).any())
    style.footnote(
        figure,
        describe_interval(f"{pairs} ± half the 95% t interval", cells["pairs"]),
        "framed: the interval excludes 0 (each by itself, no correction for their number)" * framed,
        *(
            f"{words} above {end:g} not shown ({count})"
            for words, end, count in (
                (axes.get_ylabel(), rows[-1], left_out[0]),
                ("p", columns[-1], left_out[1]),
            )
            if count
        ),
    )
    return figure


def _draw_tile(axes: Axes, x: int, y: int, mean: float, half: float, *, dark: bool) -> None:
    """Write a difference into its tile, and frame the tile if the interval excludes 0."""
    spread = f"\n± {half:.2f}" if np.isfinite(half) else ""
    colour = "white" if dark else "black"
    text = f"{mean:+.2f}{spread}".replace("-", "−")
    axes.text(x, y, text, ha="center", va="center", color=colour)
    if np.isfinite(half) and abs(mean) > half:
        frame = Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, fill=False, edgecolor=colour, lw=1.6)
        axes.add_patch(frame)
