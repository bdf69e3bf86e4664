"""Text that is safe to show: in a terminal, in a plot, in a table and in a page.

Names, labels and messages come from configs, results folders and other programs. Some characters
in them are commands to a terminal, reverse the order of the text after them, or have no place in
XML. Everything read from a results folder passes through :func:`one_line`, and everything printed
passes through :func:`printable`.
"""

import json
import re
import shlex

# Control characters but the newline, line and paragraph separators, what changes the direction of
# the text after it, halves of characters, and what is no character at all.
_UNPRINTABLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
_BREAKS = re.compile("[\t-\r\x1c-\x1e\x85\u2028\u2029]")

_LONGEST_SHOWN = 60  # characters of a value that a message repeats


def printable(text: str) -> str:
    r"""Replace unprintable characters by their code, such as ``\x1b``. Newlines stay.

    A tab becomes a space, so that a mark in the line below stays in its place.
    """
    return _UNPRINTABLE.sub(_spelled, text)


def command(*words: object) -> str:
    """Return a command of this program, quoted for a shell."""
    return shlex.join(["dropout-lab", *map(str, words)])


def counted(count: int, noun: str) -> str:
    """Return a number of things in words: 1 run, 2 runs."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def shown(value: object) -> str:
    """Return a value as the user wrote it, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def one_line(text: str) -> str:
    """Return a text in one line, with a space for each line break and the rest printable."""
    return printable(_BREAKS.sub(" ", text)).strip()


def unprintable(text: str) -> str:
    """Return the first character that cannot be shown, spelled out; empty if there is none."""
    found = _UNPRINTABLE.search(text.replace("\t", " "))
    return ascii(found[0])[1:-1] if found else ""


def _spelled(found: re.Match[str]) -> str:
    return " " if found[0] == "\t" else ascii(found[0])[1:-1]
