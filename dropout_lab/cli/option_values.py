"""Parse the values of options: folders, numbers, memory sizes."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import typer

_SIZE = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([KMGTkmgt])(?:i?[Bb])?\s*")
_WHOLE = re.compile(r"[-+]?[0-9]{1,4000}")
_LARGEST_SIZE = 2**60


def folder(text: str) -> Path:
    """Return the folder of an option without looking at it."""
    if not text:
        raise typer.BadParameter("it is empty; name a folder, or leave it out.")
    return Path(text)


def whole_number(*, least: int | None = None, most: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers within a range."""
    wanted = "a whole number" if least is None else f"a whole number of at least {least}"
    wanted += "" if most is None else f" and at most {most}"

    def read(text: str) -> int:
        number = int(text) if _WHOLE.fullmatch(text) else None
        low = number is not None and least is not None and number < least
        if number is None or low or (most is not None and number > most):
            raise typer.BadParameter(f"{text!r} is not {wanted}.")
        return number

    return read


def percentage_points(text: str) -> float:
    """Return a difference in percentage points: above 0, up to 100."""
    with suppress(ValueError):
        if 0 < (points := float(text)) <= 100:
            return points
    raise typer.BadParameter(
        f"{text!r} is no difference in percentage points; give a number above 0, up to 100: 0.1."
    )


def memory_size(text: str) -> int:
    """Return the bytes of a size such as 8G, 1.5 GB or 500M, in powers of 1,024."""
    found = _SIZE.fullmatch(text)
    amount = int(float(found[1]) * 1024 ** ("KMGT".index(found[2].upper()) + 1)) if found else 0
    if not 0 < amount <= _LARGEST_SIZE:
        raise typer.BadParameter(
            f"{text!r} is no size; write a number above 0 and K, M, G or T: 8G, 1.5G, 500M."
        )
    return amount
