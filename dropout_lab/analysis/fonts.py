"""Fonts for every script: installed fonts that have the characters which the first font lacks."""

import unicodedata
from contextlib import suppress
from functools import cache

from matplotlib import font_manager
from matplotlib.font_manager import FontEntry

_FIRST = "DejaVu Sans"  # comes with matplotlib, and is in all plots
_BOXES = ("Last Resort", ".LastResort", "Adobe Blank")  # have a box for every character
_UNSEEN = {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"}  # categories of characters without a shape
_VARIATIONS = range(0xFE00, 0xFE10)  # ask for another shape of the character before


def fonts_for(text: str) -> tuple[tuple[str, ...], str]:
    """Return further fonts that a text needs, and the characters that no installed font has."""
    shown = {
        character
        for character in text
        if not character.isascii()
        and unicodedata.category(character) not in _UNSEEN
        and ord(character) not in _VARIATIONS
    }
    return _found(frozenset(shown))


@cache
def _found(characters: frozenset[str]) -> tuple[tuple[str, ...], str]:
    missing = characters - _in_font(font_manager.findfont(_FIRST), characters)
    chosen, left = _chosen(missing)
    if left:
        _add_new_fonts()
        chosen, left = _chosen(missing)
    return chosen, "".join(sorted(left))


def _chosen(missing: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the fonts that together have most of the missing characters, and what is left."""
    names: list[str] = []
    entries = _entries() if missing else []
    while missing:
        name, found = _best(entries, missing)
        if not found:
            break
        names.append(name)
        missing -= found
    return tuple(names), missing


def _entries() -> list[FontEntry]:
    """Return the installed fonts, upright ones of normal weight and without serifs first."""

    def rank(entry: FontEntry) -> tuple[bool, int, bool, str]:
        weight = entry.weight if isinstance(entry.weight, int) else 400
        return entry.style != "normal", abs(weight - 400), "Sans" not in entry.name, entry.name

    every = font_manager.fontManager.ttflist
    return sorted((entry for entry in every if not entry.name.startswith(_BOXES)), key=rank)


def _best(entries: list[FontEntry], missing: frozenset[str]) -> tuple[str, frozenset[str]]:
    """Return the font that has most of the missing characters, and those that it has."""
    best: tuple[str, frozenset[str]] = "", frozenset()
    for entry in entries:
        found = _in_font(entry.fname, missing)
        if len(found) > len(best[1]):
            best = entry.name, found
        if len(best[1]) == len(missing):
            break
    return best


def _in_font(path: str, characters: frozenset[str]) -> frozenset[str]:
    """Return those of some characters that a font file has."""
    try:
        font = font_manager.get_font(path)
        return frozenset(c for c in characters if font.get_char_index(ord(c)))
    except (OSError, RuntimeError):  # moved, or of a kind that matplotlib cannot draw
        return frozenset()


def _add_new_fonts() -> None:
    """Add the fonts that were installed after matplotlib wrote its list of fonts."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            with suppress(Exception):  # whatever is wrong with one font, the others serve
                font_manager.fontManager.addfont(path)
