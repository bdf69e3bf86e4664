"""The pictures of a study as SVG that stands in a page, each with its words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.plots import pictures
from dropout_lab.analysis.tables import StudyTables

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_LARGEST = 6_000_000  # characters of all pictures of a page
_OWN_NAME = re.compile(r"url\(#")


@dataclass(frozen=True)
class Picture:
    """A picture in a page.

    Args:
        name: That of its files.
        heading: What it shows.
        words: Its panels, axes, series and footnote in words.
        svg: The picture; empty where the page would be too large with it.
    """

    name: str
    heading: str
    words: tuple[str, ...]
    svg: Markup


def inline_pictures(study: StudyTables) -> Iterator[Picture]:
    """Draw a study's pictures for a page, as many as let it be opened at once."""
    room = _LARGEST
    for name, figure in pictures(study):
        heading, words = " ".join(figure.get_suptitle().split()), _words(figure)
        svg = _inline(style.drawn(figure, "svg"), name, heading, words)
        fits = len(svg) <= room
        room -= len(svg) if fits else 0
        yield Picture(name, heading, words, svg if fits else Markup(""))


def _inline(file: bytes, name: str, heading: str, words: tuple[str, ...]) -> Markup:
    """Return an SVG file as an element of a page.

    Every id gets the picture's name before it, since in a page they share one space; what is only
    for files goes, and a title and a description come. The text in it is escaped as it is written.
    """
    root = ElementTree.fromstring(file)
    own = f"picture-{name}"
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style", f"{_SVG}title"):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        link = element.attrib.pop(_LINK, None)
        if link is not None:
            element.set("href", f"#{own}-{link[1:]}" if link.startswith("#") else link)
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{own}-{value}")
            elif "url(#" in value:
                element.set(key, _OWN_NAME.sub(f"url(#{own}-", value))
    for key in ("width", "height"):
        points = float(root.attrib[key].removesuffix("pt"))
        root.set(key, f"{points * 4 / 3:.0f}")
    root.attrib.pop("version", None)
    told = {"title": heading, "desc": " ".join(words)}
    for place, (tag, text) in enumerate(told.items()):
        element = ElementTree.Element(tag, {"id": f"{own}-{tag}"})
        element.text = text
        root.insert(place, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{own}-title {own}-desc")
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _words(figure: Figure) -> tuple[str, ...]:
    """Return what stands in a picture, as sentences for those who do not see it."""
    shown = [axes for axes in figure.axes if axes.get_visible() and axes.axison]
    panels = [said for axes in shown if (said := _panel(axes))]
    legends = [
        *figure.legends,
        *(legend for axes in shown if (legend := axes.get_legend()) is not None),
    ]
    entries = dict.fromkeys(text.get_text() for legend in legends for text in legend.get_texts())
    words = [f"{len(panels)} panels." if len(panels) > 1 else "", *panels]
    words.append(f"Series: {'; '.join(entries)}." if entries else "")
    note = figure.get_supxlabel()
    words.append(f"{note}." if note else "")
    return tuple(" ".join(text.split()) for text in words if text)


def _panel(axes: Axes) -> str:
    title, across, up = axes.get_title(), axes.get_xlabel(), axes.get_ylabel()
    parts = [f"across: {across}" if across else "", f"up: {up}" if up else ""]
    said = ", ".join(part for part in parts if part)
    return f"{title}: {said}." if title and said else f"{title or said}." if title or said else ""
