"""A CSV table as read, with its faults in words."""

from collections.abc import MutableSequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dropout_lab.results import columns
from dropout_lab.results.packed import PackedRows
from dropout_lab.results.text import Row

_TOLD = 5  # faults in sentences, before the rest is counted


@dataclass(frozen=True)
class Fault:
    """A fault of a table.

    Args:
        line: Of the file, the header's is 1.
        run_id: The run whose row it is; empty where that cannot be told.
        words: What is wrong, as the rest of a sentence about the line.
        kind: ``torn``: the last row, cut short, as a kill leaves it where rows are added at the
            end; ``left out``: a row that is not believed; ``unlisted``: a row of a run that is not
            of the study, as a kill leaves it where a setting is removed; ``noted``: nothing is left
            out but what is there twice. Only ``left out`` is damage.
        odd: Whether another program may have written it so.
    """

    line: int
    run_id: str
    words: str
    kind: Literal["torn", "left out", "unlisted", "noted"] = "left out"
    odd: bool = False

    def __str__(self) -> str:
        run = f" (run {self.run_id})" if self.run_id else ""
        return f"line {self.line}{run} {self.words}"


@dataclass
class Table:
    """The readable rows of a CSV file, and its faults.

    Args:
        path: The file.
        header: Its columns; empty if the file is missing or has no header of ours.
        rows: Its whole rows, each run's epochs in order, each once.
        faults: What is wrong, in the order of the file.
        unreadable: Why it is not the table that was written; empty if it is.
        advice: What to do about a table that is unreadable though its numbers are there.
        foreign: How another program wrote it, where it was read nevertheless.
        headless: Whether its header is lost, and was known.
    """

    path: Path
    header: list[str] = field(default_factory=list)
    rows: MutableSequence[Row] = field(default_factory=PackedRows)
    faults: list[Fault] = field(default_factory=list)
    unreadable: str = ""
    advice: str = ""
    foreign: str = ""
    headless: bool = False

    @property
    def damage(self) -> list[Fault]:
        """The faults that neither a kill nor another program explains."""
        return [fault for fault in self.faults if fault.kind == "left out"]

    @property
    def damaged_runs(self) -> set[str]:
        """The runs that lost a row."""
        return {fault.run_id for fault in self.damage} - {""}

    @property
    def sentences(self) -> list[str]:
        """The faults in a few lines, without a torn last row, which a kill leaves."""
        told = [f"{self.path} {self.foreign}."] if self.foreign else []
        told += [f"{self.path}: {fault}." for fault in self.faults if fault.kind != "torn"]
        rest = len(told) - _TOLD
        more = [f"{self.path}: {rest} more damaged rows."] if rest > 0 else []
        return told[:_TOLD] + more

    @property
    def left_out(self) -> int:
        """The number of omitted rows, without a torn last row."""
        return sum(fault.kind in ("left out", "unlisted") or fault.odd for fault in self.faults)

    @property
    def foreign_columns(self) -> list[str]:
        """The columns that another program added."""
        return [name for name in self.header if not columns.is_ours(name)]
