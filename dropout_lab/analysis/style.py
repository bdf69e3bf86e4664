"""How the pictures look: one colour for a p, one marker for a variant, the same in all of them."""

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

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.files import open_file, replace_file

PUBLISHED = "#777777"  # a paper's numbers
WITHOUT = "#000000"  # without dropout, everywhere
BARS = "bars: 95% t interval of the mean over seeds"
# Paul Tol's bright scheme and two more of his: told apart with any kind of colour vision.
# A family of variants shares a colour, its members differ by marker.
_BLUE, _CYAN, _RED, _GREEN, _YELLOW = "#4477AA", "#66CCEE", "#EE6677", "#228833", "#CCBB44"
_PURPLE, _TEAL, _ORANGE = "#AA3377", "#44AA99", "#EE7733"
_VARIANT_LOOKS = {
    "none": (WITHOUT, "o"),
    "inverted": (_BLUE, "o"),
    "standard": (_CYAN, "s"),
    "unscaled": (_RED, "X"),
    "gaussian": (_GREEN, "^"),
    "uniform": (_GREEN, "v"),
    "alpha": (_RED, "P"),
    "standout": (_CYAN, "*"),
    "concrete": (_YELLOW, "o"),
    "variational_a": (_YELLOW, "^"),
    "variational_a2": (_YELLOW, "v"),
    "variational_b": (_YELLOW, "D"),
    "sparse_variational": (_YELLOW, "X"),
    "multinomial": (_TEAL, "h"),
    "evolutional": (_TEAL, "p"),
    "shakeout": (_PURPLE, "P"),
    "targeted_unit": (_ORANGE, "s"),
    "targeted_weight": (_ORANGE, "D"),
    "fast": (_GREEN, "<"),
    "batchwise": (_BLUE, "p"),
    "dropconnect": (_PURPLE, "D"),
    "gaussian_dropconnect": (_PURPLE, "d"),
}
INFERENCES = {
    "mean": "mean",
    "monte_carlo": "Monte Carlo",
    "geometric": "geometric mean",
    "moment_matching": "moment matching",
    "ensemble": "ensemble",
}
_INFERENCE_LOOKS = {
    "mean": (WITHOUT, "o"),
    "monte_carlo": (_BLUE, "s"),
    "geometric": (_GREEN, "^"),
    "moment_matching": (_PURPLE, "D"),
    "ensemble": (_ORANGE, "*"),
}
_OTHER_LOOK = ("#888888", "o")
_OWN_COLOURS = ("#332288", "#882255", "#888888")  # of variants that are not built in
_OWN_MARKERS = ("H", ">", "8")
_DASHES = ("-", "--", "-.", ":")
_SHADES = (0.0, -0.45, 0.45)  # of a colour that several lines share
_LONGEST_LABEL, _LONGEST_VALUE = 80, 40  # characters
BESIDE = 36  # characters of a line of a legend, or of a label of an axis
_NOTE = 14  # characters of a footnote in an inch
_MARK, _HEAD = "dropout-lab", 1024  # written into the first bytes of every file
_LABEL_FIRST = {"dropout.variant": 0, "dropout.placement": 1, "dropout.p": 2}
_TOGETHER = re.compile(r" (?==)|(?<==) |(?<=\d) (?=seed)")  # spaces at which no line is broken
_SETTINGS: Any = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "legend.fontsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "lines.linewidth": 1.8,
    "text.parse_math": False,  # a name with a dollar sign is a name
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "dropout-lab",  # the same picture is the same file
}


def p_colour(p: object) -> str:
    """Return the colour of a p, from dark to light along a perceptual scale.

    Black is for networks without any dropout, which a p of 0 alone does not make.
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
    """Return the colour and the marker of a variant; of one of a plugin, by the order of names."""
    name = str(variant)
    if name in _VARIANT_LOOKS:
        return _VARIANT_LOOKS[name]
    index = sorted({name, *CATALOGUE} - _VARIANT_LOOKS.keys()).index(name)
    colours, markers = len(_OWN_COLOURS), len(_OWN_MARKERS)
    return _OWN_COLOURS[index % colours], _OWN_MARKERS[(index + index // colours) % markers]


def inference_look(inference: str) -> tuple[str, str]:
    """Return the colour and the marker of a way to use the network."""
    return _INFERENCE_LOOKS.get(inference, _OTHER_LOOK)


def cell_colour(cell: pd.Series, swept: tuple[str, ...]) -> str:
    """Return the colour of a cell: by its p where p was swept, else by its variant."""
    if cell["bare"]:
        return WITHOUT
    if "dropout.p" in swept:
        return p_colour(cell["dropout.p"])
    return variant_colour(cell.get("dropout.variant", "inverted"))


def cell_label(values: Mapping[str, Any] | pd.Series, swept: tuple[str, ...], bare: bool) -> str:
    """Return a cell in words: ``without dropout``, ``gaussian, p = 0.5, placement = input``."""
    parts = []
    label = values.get("label")
    if label is not None and label.keys <= set(swept):
        parts.append(label.text)
        swept = tuple(key for key in swept if key not in label.keys)
        bare = bare and not any(key.startswith("dropout.") for key in label.keys)
    for key in sorted(swept, key=lambda key: _LABEL_FIRST.get(key, len(_LABEL_FIRST))):
        value = values[key]
        if key.startswith("dropout.") and (bare or value is None or value != value):
            continue  # it has no meaning here
        name = key.partition(".")[2].replace("_", " ")
        text = value_text(value)
        parts.append(text if key == "dropout.variant" else f"{name} = {text}")
    words = shortened(", ".join(parts), _LONGEST_LABEL)
    if bare:
        return "without dropout" + (f", {words}" if words else "")
    return words or "with dropout"


def value_text(value: object) -> str:
    """Return a swept value in words; ``none`` where it is null."""
    if value is None or value != value:  # nan
        return "none"
    return f"{value:g}" if isinstance(value, float) else shortened(str(value), _LONGEST_VALUE)


def heading(figure: Figure, text: str) -> None:
    """Write what the picture shows above it."""
    figure.suptitle(wrapped(text, int(9.5 * figure.get_figwidth())))


def wrapped(text: str, width: int) -> str:
    """Return a text in lines of at most so many characters.

    ``p = 0.5`` and ``n = 3 seeds`` stay on one line.
    """
    lines = textwrap.wrap(_TOGETHER.sub("\xa0", text), width)
    return "\n".join(lines).replace("\xa0", " ")


def shortened(text: str, longest: int) -> str:
    """Return a text with its middle left out where it is too long for a picture."""
    if len(text) <= longest:
        return text
    end = longest // 2
    return f"{text[: longest - end - 1]}…{text[-end:]}"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches, laid out without overlaps."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@contextmanager
def style(fonts: Sequence[str] = ()) -> Iterator[None]:
    """The context in which pictures are drawn and saved, whatever the user's matplotlibrc says.

    Args:
        fonts: Fonts for the characters that the first font does not have.
    """
    with rc_context():
        rcdefaults()
        rcParams.update(_SETTINGS)
        rcParams["font.family"] = ["sans-serif", *fonts]
        yield


def footnote(figure: Figure, *notes: str) -> None:
    """Write what the reader must know below the picture: notes that are not empty."""
    text = "; ".join(note for note in notes if note)
    width = int(_NOTE * figure.get_figwidth())
    lines = [wrapped(line, width) for line in text.split("\n")]
    figure.supxlabel("\n".join(lines), fontsize=9, color="#444444")


def add_notes(figure: Figure, notes: Sequence[str]) -> None:
    """Write further notes below the picture, on lines of their own."""
    if notes:
        above = figure.get_supxlabel()
        footnote(figure, "\n".join([above, "; ".join(notes)] if above else ["; ".join(notes)]))


def epoch_axis(axes: Axes) -> None:
    """Label the x axis with whole epochs. Call after the curves are drawn."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    low, high = axes.dataLim.intervalx
    if 0 <= high - low < 1:  # one epoch
        middle = round((low + high) / 2)
        axes.set_xlim(middle - 0.5, middle + 0.5)


def percent_axis(axes: Axes, which: str = "y") -> None:
    """Show fractions as per cent along an axis."""
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(lambda value, _: f"{100 * value:.4g}".replace("-", "−"))


def kind_of(cell: pd.Series) -> tuple[str, ...]:
    """Return what is swept of a cell's dropout beside p; cells of a kind share their dashes."""
    keys = [key for key in cell.index if key.startswith("dropout.") and key != "dropout.p"]
    return tuple(value_text(cell[key]) for key in keys)


def dashes(index: int) -> str:
    """Return the dashes of the index-th kind of cell in a picture."""
    return _DASHES[index % len(_DASHES)]


def told_apart(looks: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return colours and dashes with none given twice: one that is taken is darker or lighter."""
    given: list[tuple[str, str]] = []
    for colour, own in looks:
        lines = list(dict.fromkeys([own, *_DASHES]))
        options = [(_shade(colour, step), line) for line in lines for step in _SHADES]
        given.append(next((look for look in options if look not in given), (colour, own)))
    return given


def _shade(colour: str, step: float) -> str:
    """Return a colour nearer to black, by a share below 0, or to white."""
    share, end = abs(step), float(step > 0)
    red, green, blue = (value + share * (end - value) for value in to_rgb(colour))
    return to_hex((red, green, blue))


def legend_beside(axes: Axes, entries: tuple[list[Any], list[Any]]) -> None:
    """Put a legend right of axes, where it covers neither them nor the heading."""
    axes.legend(*entries, loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)


def n_seeds(counts: Iterable[int]) -> str:
    """Return how many seeds a picture shows: ``n = 3 seeds``, ``n = 2 to 3 seeds``.

    Cells without a completed run are not drawn, and not counted.
    """
    values = sorted({int(count) for count in counts} - {0})
    if not values:
        return "no completed run"
    span = str(values[-1]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
    return f"n = {span} seed" if values == [1] else f"n = {span} seeds"


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Save a picture as PNG and SVG; return both paths."""
    paths = []
    for suffix in ("png", "svg"):
        replace_file(folder / f"{name}.{suffix}", drawn(figure, suffix))
        paths.append(folder / f"{name}.{suffix}")
    return paths


def drawn(figure: Figure, suffix: str) -> bytes:
    """Return a picture as a file of a format, the same for the same picture."""
    buffer = io.BytesIO()
    metadata = {"png": {"Software": _MARK}, "svg": {"Date": None, "Creator": _MARK}}[suffix]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # said in a note, once
        figure.savefig(buffer, format=suffix, dpi=160, metadata=metadata)
    return buffer.getvalue()


def is_drawn(path: Path) -> bool:
    """Whether a file is a picture that :func:`save` made."""
    if path.is_symlink() or not path.is_file():
        return False
    with open_file(path) as file:
        return _MARK.encode() in file.read(_HEAD)
