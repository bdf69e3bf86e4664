"""A heat map of two settings, p and another: where dropout helps and where it does not."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dropout_lab.analysis import style
from dropout_lab.analysis.intervals import interval_words
from dropout_lab.analysis.tables import StudyTables

_ALL = {"dataset.train_size": "all"}  # what null means, where it is a value
_WORDS = {"dataset.train_size": "training examples"}
_SHOWN = 24  # values of an axis


def axis_beside_p(study: StudyTables, table: pd.DataFrame) -> str | None:
    """Return the key of numbers that was swept beside p alone; None if there is no such key."""
    others = [key for key in study.swept if key != "dropout.p"]
    if len(others) != 1 or "dropout.p" not in study.swept or others[0].startswith("dropout."):
        return None
    numbers = _numbers(table[others[0]], others[0])
    p = pd.to_numeric(table["dropout.p"], errors="coerce")
    if numbers.isna().any() or p.isna().any() or numbers.nunique() < 2:
        return None
    return others[0]


def _numbers(values: pd.Series, key: str) -> pd.Series:
    """Return the values of a key as numbers: infinite for all there are, nan for what is none."""
    numbers = pd.to_numeric(values, errors="coerce")
    return numbers.where(values.notna(), np.inf) if key in _ALL else numbers


def draw_heat_map(study: StudyTables, table: pd.DataFrame, key: str, title: str) -> Figure | None:
    """Draw the difference that dropout makes to the test accuracy, over p and another key.

    Each field has the mean difference to the runs without dropout of the same seeds and otherwise
    equal settings. None where there are no such pairs.

    Args:
        study: The study.
        table: Its cells.
        key: The other key; see :func:`axis_beside_p`.
        title: What the picture is of.
    """
    here = table[~table["bare"] & table["difference_mean"].notna()]
    others = _numbers(here[key], key)
    ps = pd.to_numeric(here["dropout.p"], errors="coerce")
    rows, columns = sorted(others.unique()), sorted(ps.unique())
    left_out = max(0, len(rows) - _SHOWN), max(0, len(columns) - _SHOWN)
    rows, columns = rows[:_SHOWN], columns[:_SHOWN]
    if not rows:
        return None
    field, halves = (np.full((len(rows), len(columns)), np.nan) for _ in range(2))
    for (_, cell), other, p in zip(here.iterrows(), others, ps, strict=True):
        if other in rows and p in columns:
            at = rows.index(other), columns.index(p)
            field[at], halves[at] = 100 * cell["difference_mean"], 100 * cell["difference_half"]
    figure = style.new_figure(max(6.4, 3.2 + 1.35 * len(columns)), 2.3 + 0.7 * len(rows))
    axes = figure.subplots()
    limit = float(np.nanmax(np.abs(field))) or 1.0
    image = axes.imshow(
        field, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto", origin="lower"
    )
    for (i, j), mean in np.ndenumerate(field):
        if np.isfinite(mean):
            _field(axes, j, i, mean, float(halves[i, j]), dark=abs(mean) > 0.65 * limit)
    axes.set_xticks(range(len(columns)), [f"{p:g}" for p in columns])
    words = [_ALL.get(key, "") if np.isinf(value) else f"{value:g}" for value in rows]
    axes.set_yticks(range(len(rows)), words)
    axes.set_xlabel("p, the chance of dropping")
    axes.set_ylabel(_WORDS.get(key, key.partition(".")[2].replace("_", " ")))
    axes.grid(visible=False)
    figure.colorbar(image, label="test accuracy, difference\n(percentage points)")
    style.heading(figure, f"{title}: test accuracy, difference from no dropout")
    pairs = f"mean over paired seeds ({style.n_seeds(here['pairs'])})"
    framed = bool((here["difference_mean"].abs() > here["difference_half"]).any())
    style.footnote(
        figure,
        interval_words(f"{pairs} ± half the 95% t interval", here["pairs"]),
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


def _field(axes: Axes, x: int, y: int, mean: float, half: float, *, dark: bool) -> None:
    """Write a difference into its field, and frame it where its interval does not hold 0."""
    spread = f"\n± {half:.2f}" if np.isfinite(half) else ""
    colour = "white" if dark else "black"
    text = f"{mean:+.2f}{spread}".replace("-", "−")
    axes.text(x, y, text, ha="center", va="center", color=colour)
    if np.isfinite(half) and abs(mean) > half:
        frame = Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, fill=False, edgecolor=colour, lw=1.6)
        axes.add_patch(frame)
