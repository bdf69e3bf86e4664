"""Draw the figures of a study as inline SVG with a text description."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.plots import draw_plots
from dropout_lab.analysis.tables import StudyTables

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_MAX_CHARACTERS = 6_000_000  # of all figures on a page
_REFERENCE = re.compile(r"url\(#")


@dataclass(frozen=True)
class InlineFigure:
    """A figure on a page.

    Args:
        name: The name of the plot's files.
        heading: The heading.
        description: A description of panels, axes and series, and the footnote, as sentences.
        svg: The SVG element; empty if the page would become too large.
    """

    name: str
    heading: str
    description: tuple[str, ...]
    svg: Markup


def inline_figures(study: StudyTables, margin: float | None = None) -> Iterator[InlineFigure]:
    """Draw the plots of a study for a page, up to its maximum size.

    Args:
        study: The study.
        margin: The margin of equivalence, as a fraction; by default, the config's.
    """
    remaining = _MAX_CHARACTERS
    for name, figure in draw_plots(study, margin):
        drawn = inline_figure(name, figure, style.render(figure, "svg"))
        fits = len(drawn.svg) <= remaining
        remaining -= len(drawn.svg) if fits else 0
        yield drawn if fits else replace(drawn, svg=Markup(""))


def inline_figure(name: str, figure: Figure, file: bytes) -> InlineFigure:
    """Return a figure for a page.

    Args:
        name: The name of the plot's files.
        figure: The figure.
        file: The figure as an SVG file.
    """
    heading, description = " ".join(figure.get_suptitle().split()), _describe_figure(figure)
    svg = _to_inline_svg(file, name, heading, description)
    return InlineFigure(name, heading, description, svg)


def _to_inline_svg(file: bytes, name: str, heading: str, description: tuple[str, ...]) -> Markup:
    """Convert an SVG file to an element of a page.

    Adds the name of the plot to every id, since ids are unique on a page. Removes elements that
    only files need, and adds a title and a description. Escapes all texts.
    """
    root = ElementTree.fromstring(file)
    prefix = f"picture-{name}"
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style", f"{_SVG}title"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        link = element.attrib.pop(_LINK, None)
        if link is not None:
            element.set("href", f"#{prefix}-{link[1:]}" if link.startswith("#") else link)
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{prefix}-{value}")
            elif "url(#" in value:
                element.set(key, _REFERENCE.sub(f"url(#{prefix}-", value))
    for key in ("width", "height"):
        points = float(root.attrib[key].removesuffix("pt"))
        root.set(key, f"{points * 4 / 3:.0f}")
    root.attrib.pop("version", None)
    texts = {"title": heading, "desc": " ".join(description)}
    for position, (tag, text) in enumerate(texts.items()):
        element = ElementTree.Element(tag, {"id": f"{prefix}-{tag}"})
        element.text = text
        root.insert(position, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}-title {prefix}-desc")
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _describe_figure(figure: Figure) -> tuple[str, ...]:
    """Describe a figure in sentences, for readers who cannot see it."""
    shown = [axes for axes in figure.axes if axes.get_visible() and axes.axison]
    panels = [text for axes in shown if (text := _describe_axes(axes))]
    legends = [
        *figure.legends,
        *(legend for axes in shown if (legend := axes.get_legend()) is not None),
    ]
    entries = dict.fromkeys(text.get_text() for legend in legends for text in legend.get_texts())
    sentences = [f"{len(panels)} panels." if len(panels) > 1 else "", *panels]
    sentences.append(f"Series: {'; '.join(entries)}." if entries else "")
    note = figure.get_supxlabel()
    sentences.append(f"{note}." if note else "")
    return tuple(" ".join(text.split()) for text in sentences if text)


def _describe_axes(axes: Axes) -> str:
    title, across, up = axes.get_title(), axes.get_xlabel(), axes.get_ylabel()
    parts = [f"across: {across}" if across else "", f"up: {up}" if up else ""]
    labels = ", ".join(part for part in parts if part)
    texts = [text for text in (title, labels) if text]
    return f"{': '.join(texts)}." if texts else ""
