"""Common style of all plots: colours, markers, labels, headings, footnotes, saving."""

import io
import re
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import colormaps, rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dropout_lab.catalogue import BUILT_IN, CATALOGUE
from dropout_lab.catalogue.phrases import BLUE, GREEN, ORANGE, PURPLE
from dropout_lab.files import open_file, replace_file

PUBLISHED = "#777777"  # colour of published values
WITHOUT = BUILT_IN["none"].colour  # colour of baselines
BARS = "bars: 95% t interval of the mean over seeds"
INFERENCE_NAMES = {
    "mean": "mean",
    "monte_carlo": "Monte Carlo",
    "geometric": "geometric mean",
    "moment_matching": "moment matching",
    "ensemble": "ensemble",
}
_INFERENCE_STYLES = {
    "mean": (WITHOUT, "o"),
    "monte_carlo": (BLUE, "s"),
    "geometric": (GREEN, "^"),
    "moment_matching": (PURPLE, "D"),
    "ensemble": (ORANGE, "*"),
}
_OTHER_STYLE = ("#888888", "o")
_PLUGIN_COLOURS = ("#332288", "#882255", "#888888")
_PLUGIN_MARKERS = ("H", ">", "8")
_DASHES = ("-", "--", "-.", ":")
_SHADES = (0.0, -0.45, 0.45)  # to distinguish lines with the same colour
_MAX_LABEL, _MAX_VALUE = 80, 40  # characters
LEGEND_WIDTH = 36  # characters per line of a legend or of a tick label
_FOOTNOTE_DENSITY = 14  # characters per inch
_MARK, _MARK_WITHIN = "dropout-lab", 1024  # the mark is within the first bytes of each file
_LABEL_FIRST = {"dropout.variant": 0, "dropout.placement": 1, "dropout.p": 2}
_TOGETHER = re.compile(r" (?==)|(?<==) |(?<=\d) (?=seed)")  # spaces to keep together when wrapping
_RC_PARAMS: Any = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "legend.fontsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "lines.linewidth": 1.8,
    "text.parse_math": False,  # do not parse dollar signs in names
    "svg.fonttype": "none",  # save text as text
    "svg.hashsalt": "dropout-lab",  # makes files reproducible
}


def p_colour(p: object) -> str:
    """Return the colour of a p, from dark to light on a perceptual scale.

    Black is reserved for networks without dropout; p = 0 at one place is not enough for that.
    """
    try:
        value = float(str(p))
    except ValueError:  # a list, one p for each place
        value = 0.5
    return to_hex(colormaps["plasma"](0.12 + 0.76 * value))


def variant_colour(variant: object) -> str:
    """Return the colour of a variant."""
    return variant_look(variant)[0]


def variant_marker(variant: object) -> str:
    """Return the marker of a variant."""
    return variant_look(variant)[1]


def variant_look(variant: object) -> tuple[str, str]:
    """Return the colour and the marker of a variant; for plugins, by the order of their names."""
    name = str(variant)
    if name in BUILT_IN:
        return BUILT_IN[name].colour, BUILT_IN[name].marker
    index = sorted({name, *CATALOGUE} - BUILT_IN.keys()).index(name)
    colours, markers = len(_PLUGIN_COLOURS), len(_PLUGIN_MARKERS)
    return _PLUGIN_COLOURS[index % colours], _PLUGIN_MARKERS[(index + index // colours) % markers]


def inference_look(inference: str) -> tuple[str, str]:
    """Return the colour and the marker of an inference method."""
    return _INFERENCE_STYLES.get(inference, _OTHER_STYLE)


def cell_colour(cell: pd.Series, swept: tuple[str, ...]) -> str:
    """Return the colour of a cell: by its p if p was swept, else by its variant."""
    if cell["is_baseline"]:
        return WITHOUT
    if "dropout.p" in swept:
        return p_colour(cell["dropout.p"])
    return variant_colour(cell.get("dropout.variant", "inverted"))


def cell_label(
    values: Mapping[str, Any] | pd.Series, swept: tuple[str, ...], is_baseline: bool
) -> str:
    """Return the name of a cell: ``no dropout``, ``gaussian, p = 0.5, placement = input``."""
    parts = []
    label = values.get("label")
    if label is not None and label.keys <= set(swept):
        parts.append(label.text)
        swept = tuple(key for key in swept if key not in label.keys)
        is_baseline = is_baseline and not any(key.startswith("dropout.") for key in label.keys)
    for key in sorted(swept, key=lambda key: _LABEL_FIRST.get(key, len(_LABEL_FIRST))):
        value = values[key]
        if key.startswith("dropout.") and (is_baseline or value is None or value != value):
            continue  # the key has no effect on this cell
        name = key.partition(".")[2].replace("_", " ")
        text = value_text(value)
        parts.append(text if key == "dropout.variant" else f"{name} = {text}")
    words = shorten(", ".join(parts), _MAX_LABEL)
    if is_baseline:
        return "no dropout" + (f", {words}" if words else "")
    return words or "with dropout"


def cell_name(cell: pd.Series, swept: Sequence[str]) -> str:
    """Return the name of a row of the table of cells; see :func:`cell_label`."""
    return cell_label(cell, tuple(swept), bool(cell["is_baseline"]))


def value_text(value: object) -> str:
    """Format a swept value; ``none`` for null."""
    if value is None or value != value:  # nan
        return "none"
    return f"{value:g}" if isinstance(value, float) else shorten(str(value), _MAX_VALUE)


def heading(figure: Figure, text: str) -> None:
    """Set the heading of a figure, wrapped to its width."""
    figure.suptitle(wrapped(text, int(9.5 * figure.get_figwidth())))


def wrapped(text: str, width: int) -> str:
    """Wrap a text into lines of at most ``width`` characters.

    Does not break ``p = 0.5`` and ``n = 3 seeds``.
    """
    lines = textwrap.wrap(_TOGETHER.sub("\xa0", text), width)
    return "\n".join(lines).replace("\xa0", " ")


def shorten(text: str, max_length: int) -> str:
    """Replace the middle of a text by an ellipsis if the text is too long."""
    if len(text) <= max_length:
        return text
    end = max_length // 2
    return f"{text[: max_length - end - 1]}…{text[-end:]}"


def new_figure(width: float, height: float) -> Figure:
    """Create an empty figure with constrained layout; sizes are in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@contextmanager
def style(fonts: Sequence[str] = ()) -> Iterator[None]:
    """Use our style for plots inside a ``with`` block, independent of the user's matplotlibrc.

    Args:
        fonts: Fonts for characters that the default font does not have.
    """
    with rc_context():
        rcdefaults()
        rcParams.update(_RC_PARAMS)
        rcParams["font.family"] = ["sans-serif", *fonts]
        yield


def footnote(figure: Figure, *notes: str) -> None:
    """Set the footnote of a figure from the nonempty notes."""
    text = "; ".join(note for note in notes if note)
    width = int(_FOOTNOTE_DENSITY * figure.get_figwidth())
    lines = [wrapped(line, width) for line in text.split("\n")]
    figure.supxlabel("\n".join(lines), fontsize=9, color="#444444")


def add_notes(figure: Figure, notes: Sequence[str]) -> None:
    """Append notes to the footnote of a figure, on a new line."""
    if notes:
        above = figure.get_supxlabel()
        footnote(figure, "\n".join([above, "; ".join(notes)] if above else ["; ".join(notes)]))


def epoch_axis(axes: Axes) -> None:
    """Label the x axis with integer epochs. Call after drawing the curves."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    low, high = axes.dataLim.intervalx
    if 0 <= high - low < 1:  # one epoch
        middle = round((low + high) / 2)
        axes.set_xlim(middle - 0.5, middle + 0.5)


def percent_axis(axes: Axes, which: str = "y") -> None:
    """Show fractions as percentages on an axis."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(lambda value, _: f"{100 * value:.4g}".replace("-", "−"))


def dropout_kind(cell: pd.Series) -> tuple[str, ...]:
    """Return the values of a cell's swept dropout keys except p, which determine its line style."""
    keys = [key for key in cell.index if key.startswith("dropout.") and key != "dropout.p"]
    return tuple(value_text(cell[key]) for key in keys)


def line_style(index: int) -> str:
    """Return the line style of the index-th kind of cell in a plot."""
    return _DASHES[index % len(_DASHES)]


def distinct_styles(styles: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Make pairs of colour and line style distinct, by darker or lighter colours first."""
    distinct: list[tuple[str, str]] = []
    for colour, dashes in styles:
        lines = list(dict.fromkeys([dashes, *_DASHES]))
        options = [(_shade(colour, step), line) for line in lines for step in _SHADES]
        distinct.append(next((each for each in options if each not in distinct), (colour, dashes)))
    return distinct


def _shade(colour: str, step: float) -> str:
    """Return a colour moved towards white (``step`` > 0) or towards black (``step`` < 0)."""
    fraction, end = abs(step), float(step > 0)
    red, green, blue = (value + fraction * (end - value) for value in to_rgb(colour))
    return to_hex((red, green, blue))


def legend_right(axes: Axes, entries: tuple[list[Any], list[Any]]) -> None:
    """Put a legend to the right of the axes, so that it does not cover them."""
    axes.legend(*entries, loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)


def n_seeds(counts: Iterable[int]) -> str:
    """Return the number of seeds in a plot: ``n = 3 seeds``, ``n = 2 to 3 seeds``.

    Ignores cells without completed runs, which are not drawn.
    """
    values = sorted({int(count) for count in counts} - {0})
    if not values:
        return "no completed run"
    span = str(values[-1]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
    return f"n = {span} seed" if values == [1] else f"n = {span} seeds"


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Save a figure as PNG and SVG; return both paths."""
    paths = []
    for suffix in ("png", "svg"):
        replace_file(folder / f"{name}.{suffix}", render(figure, suffix))
        paths.append(folder / f"{name}.{suffix}")
    return paths


def render(figure: Figure, suffix: str) -> bytes:
    """Return the contents of a PNG or SVG file; equal figures give equal files."""
    buffer = io.BytesIO()
    metadata = {"png": {"Software": _MARK}, "svg": {"Date": None, "Creator": _MARK}}[suffix]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # reported once, in a note
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.execute(figure)  # one layout for both formats
            figure.set_layout_engine(None)  # else savefig draws twice
        figure.savefig(buffer, format=suffix, dpi=160, metadata=metadata)
    return buffer.getvalue()


def is_own_plot(path: Path) -> bool:
    """Return whether :func:`save` created a file."""
    if path.is_symlink() or not path.is_file():
        return False
    with open_file(path) as file:
        return _MARK.encode() in file.read(_MARK_WITHIN)
