"""Collect the mistakes of a config with their places, to report all of them at once."""

import re

from dropout_lab.config.document import Document, KeyPath


class Mistakes:
    """The mistakes found so far, with their keys."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.found: dict[str, tuple[int, KeyPath]] = {}

    def add(self, key: str, message: str, *, path: KeyPath | None = None) -> None:
        """Add a mistake of a dotted key. ``path`` is where it is, if that differs from the key."""
        path = tuple(key.split(".")) if path is None else path
        text = f"{self.document.place(path)}: {message}"
        self.found.setdefault(text, (len(self.found), path))

    @property
    def sections(self) -> set[str]:
        """The sections with a mistake in them."""
        return {path[0] for _, path in self.found.values() if path}

    def __bool__(self) -> bool:
        return bool(self.found or self.document.mistakes)

    def in_order(self) -> list[str]:
        """Return the messages in the order of the file."""
        everything = [*self.document.mistakes, *self.found]
        return sorted(everything, key=self._line)

    def _line(self, mistake: str) -> int:
        """Return the line of the file in a message; 0 for the command line."""
        number = re.match(r":([0-9]{1,9}):", mistake.removeprefix(self.document.source))
        return int(number[1]) if number else 0
