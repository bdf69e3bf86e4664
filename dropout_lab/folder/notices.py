"""Sentences for the user about a study's folder."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dropout_lab.results import Table

_SHOWN = 5  # of a kind, before the rest is counted


class Findings(list[str]):
    """Sentences for the user, each once."""

    def add(self, sentence: str) -> None:
        """Add a sentence unless it is there already."""
        if sentence not in self:
            self.append(sentence)

    def add_all(self, sentences: Iterable[str]) -> None:
        """Add several sentences."""
        for sentence in sentences:
            self.add(sentence)

    def add_some(self, sentences: Sequence[str], rest: str) -> None:
        """Add the first sentences of a kind and the number of the others, followed by ``rest``."""
        for sentence in sentences[:_SHOWN]:
            self.add(sentence)
        if len(sentences) > _SHOWN:
            self.add(f"{len(sentences) - _SHOWN} more {rest}")

    def of_table(self, table: Table) -> bool:
        """Add the damage of a table; return whether repairing it loses anything."""
        for sentence in table.sentences:
            self.add(sentence)
        if table.foreign_columns:
            columns = ", ".join(table.foreign_columns)
            self.add(f"{table.path} has columns of another program, which it loses: {columns}.")
        return bool(table.sentences or table.foreign_columns)


@dataclass(frozen=True)
class Finding:
    """A difference between a folder and what was written.

    Args:
        path: The file, or the folder.
        words: What is wrong.
        remedy: What is done about it; empty where nothing can be.
        repair: Does it; none where the remedy is the study's own command, or there is none.
        damaged: Whether it is damage; otherwise it is only told.
    """

    path: Path
    words: str
    remedy: str = ""
    repair: Callable[[], None] | None = None
    damaged: bool = True

    @property
    def hopeless(self) -> bool:
        """Whether neither ``--fix`` nor the study's own command can repair it."""
        return self.damaged and not self.remedy
