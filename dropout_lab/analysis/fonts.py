"""Find installed fonts for characters that the default font does not have."""

import unicodedata
from contextlib import suppress
from functools import cache

from matplotlib import font_manager
from matplotlib.font_manager import FontEntry

_DEFAULT_FONT = "DejaVu Sans"  # comes with matplotlib
_PLACEHOLDER_FONTS = ("Last Resort", ".LastResort", "Adobe Blank")  # a box for every character
_INVISIBLE = {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"}  # Unicode categories without a glyph
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)  # change the glyph of the preceding character


def fonts_for(text: str) -> tuple[tuple[str, ...], str]:
    """Return additional fonts for a text, and the characters that no installed font has."""
    visible = {
        character
        for character in text
        if not character.isascii()
        and unicodedata.category(character) not in _INVISIBLE
        and ord(character) not in _VARIATION_SELECTORS
    }
    return _fonts_for_characters(frozenset(visible))


@cache
def _fonts_for_characters(characters: frozenset[str]) -> tuple[tuple[str, ...], str]:
    missing = characters - _characters_in_font(font_manager.findfont(_DEFAULT_FONT), characters)
    chosen, unavailable = _choose_fonts(missing)
    if unavailable:
        _add_new_fonts()
        chosen, unavailable = _choose_fonts(missing)
    return chosen, "".join(sorted(unavailable))


def _choose_fonts(missing: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Choose fonts for the missing characters; return them and the characters in no font."""
    names: list[str] = []
    entries = _installed_fonts() if missing else []
    while missing:
        name, found = _best_font(entries, missing)
        if not found:
            break
        names.append(name)
        missing -= found
    return tuple(names), missing


def _installed_fonts() -> list[FontEntry]:
    """Return the installed fonts; upright sans-serif fonts of normal weight come first."""

    def rank(entry: FontEntry) -> tuple[bool, int, bool, str]:
        weight = entry.weight if isinstance(entry.weight, int) else 400
        return entry.style != "normal", abs(weight - 400), "Sans" not in entry.name, entry.name

    fonts = font_manager.fontManager.ttflist
    usable = (entry for entry in fonts if not entry.name.startswith(_PLACEHOLDER_FONTS))
    return sorted(usable, key=rank)


def _best_font(entries: list[FontEntry], missing: frozenset[str]) -> tuple[str, frozenset[str]]:
    """Return the font with the most missing characters, and these characters."""
    best: tuple[str, frozenset[str]] = "", frozenset()
    for entry in entries:
        found = _characters_in_font(entry.fname, missing)
        if len(found) > len(best[1]):
            best = entry.name, found
        if len(best[1]) == len(missing):
            break
    return best


def _characters_in_font(path: str, characters: frozenset[str]) -> frozenset[str]:
    """Return the characters that a font file has."""
    try:
        font = font_manager.get_font(path)
        return frozenset(c for c in characters if font.get_char_index(ord(c)))
    except (OSError, RuntimeError):  # the file was moved, or matplotlib does not support it
        return frozenset()


def _add_new_fonts() -> None:
    """Add fonts that were installed after matplotlib cached its list of fonts."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:
            with suppress(Exception):  # ignore any problem with one font
                font_manager.fontManager.addfont(path)
