"""Make standard output and error work in any locale, and with a closed terminal or pipe."""

import codecs
import io
import os
import re
import sys
import textwrap
from contextlib import suppress

from dropout_lab.printable import printable

# Not named ascii: typer takes an output of that encoding for a mistake, and writes UTF-8 instead.
_PLAIN = "dropout_lab_plain"
_COMMAND = re.compile(r"(.*: | *)(dropout-lab (?:(?!\. ).)*)")  # at the end of a message
_IN_ASCII = {"±": "+/-", "−": "-", "–": "-", "…": "...", "×": "x"}  # the very signs
_OUTPUTS = ("stdout", "stderr")
# Numbers that Rich and Typer take from the environment unchecked: a width of 0 prints nothing.
_SIZES = ("COLUMNS", "LINES", "TERMINAL_WIDTH")
_LEAST_SIZE, _LARGEST_SIZE = 20, 1_000


def prepare() -> None:
    """Make both outputs accept any text: as UTF-8 if possible, else as plain ASCII.

    One that the shell has closed (``>&-``) leads nowhere from here on.
    """
    _bound_sizes()
    codecs.register(_plain_codec)
    codecs.register_error(_PLAIN, _in_ascii)
    for name in ("stdin", *_OUTPUTS):
        stream = getattr(sys, name)
        if stream is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif name in _OUTPUTS and isinstance(stream, io.TextIOWrapper):
            plain = not is_utf8(stream)
            stream.reconfigure(encoding=_PLAIN if plain else None, errors=_PLAIN)


def tell(text: str) -> None:
    """Print a message on stderr, wrapped between words on a terminal."""
    print(wrapped(text), file=sys.stderr, flush=True)  # noqa: T201


def say(text: str) -> None:
    """Print a result on stdout."""
    print(printable(text), flush=True)  # noqa: T201


def wrapped(text: str) -> str:
    """Return a message as stderr shows it, wrapped between words on a terminal."""
    text = printable(text)
    if not sys.stderr.isatty():
        return text
    width = int(os.environ.get("COLUMNS") or 0)
    with suppress(OSError):
        width = width or os.get_terminal_size(sys.stderr.fileno()).columns
    return "\n".join(line for each in text.split("\n") for line in _lines(each, width or 80))


def _lines(line: str, width: int) -> list[str]:
    """Wrap a line between words and keep its indentation. Long words are not cut.

    A command at the end of the line is not broken either: it has a line of its own.
    """
    if len(line) > width and (found := _COMMAND.fullmatch(line)):
        return [*_lines(found[1].rstrip(), width), f"  {found[2]}"] if found[1].strip() else [line]
    indent = line[: len(line) - len(line.lstrip())]
    parts = textwrap.wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return parts if len(line) > width else [line]


def finish() -> None:
    """Flush both outputs; if that fails, stop the interpreter from trying again."""
    for name in _OUTPUTS:
        try:
            getattr(sys, name).flush()
        except OSError:
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), getattr(sys, name).fileno())


def is_utf8(stream: object) -> bool:
    """Whether an output's encoding is UTF-8."""
    return codecs.lookup(getattr(stream, "encoding", None) or "ascii").name == "utf-8"


def as_shown(text: str, stream: object) -> str:
    """Return a text as an output will show it, to measure its width."""
    text = printable(text)
    return text if is_utf8(stream) else "".join(_IN_ASCII.get(c, c) for c in text)


def _bound_sizes() -> None:
    """Bound the terminal size in COLUMNS and LINES; remove invalid sizes."""
    for name in _SIZES:
        text = os.environ.get(name, "").strip()
        if not (text.isascii() and text.isdecimal() and text.strip("0")):
            os.environ.pop(name, None)  # the terminal's own size, or 80 columns
        else:
            number = int(text) if len(text) <= len(str(_LARGEST_SIZE)) else _LARGEST_SIZE
            os.environ[name] = str(min(max(number, _LEAST_SIZE), _LARGEST_SIZE))


def _plain_codec(name: str) -> codecs.CodecInfo | None:
    if name != _PLAIN:
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        name=_PLAIN,
        encode=ascii_.encode,
        decode=ascii_.decode,
        incrementalencoder=ascii_.incrementalencoder,
        incrementaldecoder=ascii_.incrementaldecoder,
    )


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks with ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(c, ascii(c)[1:-1]) for c in lacking), error.end
