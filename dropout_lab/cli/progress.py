"""Progress on stderr: live bars on a terminal, plain lines elsewhere, nothing when quiet."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dropout_lab.config.grid import Run
from dropout_lab.results import counted
from dropout_lab.study import Events
from dropout_lab.training import Epoch

_LINE_EVERY = 10.0  # seconds between plain lines


class StudyProgress(Events, Protocol):
    """The events of a study, shown while the context is open."""

    def say(self, line: str) -> None:
        """Show a line."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def new_progress(*, quiet: bool) -> StudyProgress:
    """Return what suits the terminal."""
    if quiet:
        return QuietProgress()
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()


class QuietProgress:
    """Shows nothing but problems."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def say(self, line: str) -> None:
        """Show nothing."""

    def planned(self, fleets: Sequence[Sequence[Run]], finished: int) -> None:
        """Show nothing."""

    def fleet_started(self, fleet: Sequence[Run], epochs_done: int, epochs: int) -> None:
        """Show nothing."""

    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        """Show nothing."""

    def warned(self, text: str) -> None:
        """Show it."""
        self.show(f"warning: {text}")

    def fleet_ended(self, fleet: Sequence[Run], problems: Sequence[str]) -> None:
        """Show each problem."""
        for problem in problems:
            self.show(problem)

    def fleet_split(self, fleet: Sequence[Run], parts: Sequence[Sequence[Run]], why: str) -> None:
        """Show why, and what is tried now."""
        sizes = [len(part) for part in parts]
        how = f"in fleets of {' and '.join(map(str, sizes))}" if max(sizes) > 1 else "one by one"
        self.show(
            f"{counted(len(fleet), 'run')} cannot go on as one fleet: {why}. They go on {how}."
        )

    def show(self, line: str) -> None:
        """Show a line that is told even when quiet."""
        print(line, file=sys.stderr, flush=True)  # noqa: T201


class PlainProgress(QuietProgress):
    """A line at each fleet's begin and end, and every ten seconds in between."""

    def __init__(self) -> None:
        self.fleets = self.ended = 0
        self.last_line = 0.0
        self.accuracy = ""

    def say(self, line: str) -> None:
        """Show a line."""
        self.show(line)

    def planned(self, fleets: Sequence[Sequence[Run]], finished: int) -> None:
        """Show what is to be done."""
        self.fleets = len(fleets)
        before = f", {finished} finished before" if finished else ""
        runs = sum(map(len, fleets))
        self.say(f"{counted(runs, 'run')} to train in {counted(self.fleets, 'fleet')}{before}")

    def fleet_started(self, fleet: Sequence[Run], epochs_done: int, epochs: int) -> None:
        """Show which fleet begins."""
        self.began, self.first = time.monotonic(), epochs_done
        self.last_line = self.began
        resumed = f", going on after epoch {epochs_done}" if epochs_done else ""
        self.say(f"fleet {self.ended + 1}/{self.fleets}: {fleet_label(fleet)}{resumed}")

    def fleet_ended(self, fleet: Sequence[Run], problems: Sequence[str]) -> None:
        """Count the fleet; show each problem."""
        self.ended += 1
        super().fleet_ended(fleet, problems)

    def fleet_split(self, fleet: Sequence[Run], parts: Sequence[Sequence[Run]], why: str) -> None:
        """Show why, and what is tried now."""
        self.fleets += len(parts) - 1
        super().fleet_split(fleet, parts, why)

    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        """Show how far the fleet is, now and then."""
        self.accuracy = mean_accuracy(epoch) or self.accuracy
        now = time.monotonic()
        if now - self.last_line < _LINE_EVERY and epoch.number < epoch.of:
            return
        self.last_line = now
        left = (now - self.began) / (epoch.number - self.first) * (epoch.of - epoch.number)
        eta = f", {left:.0f} s left in this fleet" if epoch.number < epoch.of else ""
        self.say(f"  epoch {epoch.number}/{epoch.of}{self.accuracy}{eta}")


class LiveProgress(QuietProgress):
    """A bar for the study with the time left, and one for the fleet with its accuracy."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[accuracy]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, markup=False),
            transient=True,
        )
        self.study: TaskID | None = None
        self.fleet: TaskID | None = None
        self.fleets = self.ended = self.total = 0
        self.before = self.done = 0  # epochs of runs: of the fleets that have ended; of this one

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def say(self, line: str) -> None:
        """Show a line."""
        self.show(line)

    def show(self, line: str) -> None:
        """Show a line above the bars."""
        self.progress.console.print(line, highlight=False, soft_wrap=True)

    def planned(self, fleets: Sequence[Sequence[Run]], finished: int) -> None:
        """Begin the study's bar; its unit is the epoch of a run."""
        self.fleets = len(fleets)
        self.total = sum(len(fleet) * _epochs_asked(fleet) for fleet in fleets)
        if fleets:
            self.study = self.progress.add_task("epochs x runs", total=self.total, accuracy="")
        if finished:
            self.say(f"{counted(finished, 'run')} finished before")

    def fleet_started(self, fleet: Sequence[Run], epochs_done: int, epochs: int) -> None:
        """Begin a fleet's bar."""
        label = f"fleet {self.ended + 1}/{self.fleets}, {counted(len(fleet), 'run')}"
        self.fleet = self.progress.add_task(label, total=epochs, completed=epochs_done, accuracy="")
        self.total += len(fleet) * (epochs - _epochs_asked(fleet))
        self._count(fleet, epochs_done)

    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        """Move both bars."""
        if self.fleet is not None:
            accuracy = mean_accuracy(epoch)
            shown = {"accuracy": accuracy.removeprefix(", ")} if accuracy else {}
            self.progress.update(self.fleet, completed=epoch.number, **shown)  # type: ignore[arg-type]
        self._count(fleet, epoch.number)

    def fleet_ended(self, fleet: Sequence[Run], problems: Sequence[str]) -> None:
        """Take the fleet's bar away; show each problem."""
        self._take_away()
        self.before += self.done
        self.ended += 1
        super().fleet_ended(fleet, problems)

    def fleet_split(self, fleet: Sequence[Run], parts: Sequence[Sequence[Run]], why: str) -> None:
        """Take the fleet's bar away, for those of its parts; show why."""
        self._take_away()
        self.fleets += len(parts) - 1
        super().fleet_split(fleet, parts, why)

    def _count(self, fleet: Sequence[Run], epochs: int) -> None:
        self.done = len(fleet) * epochs
        if self.study is not None:
            self.progress.update(self.study, total=self.total, completed=self.before + self.done)

    def _take_away(self) -> None:
        if self.fleet is not None:
            self.progress.remove_task(self.fleet)
            self.fleet = None


def _epochs_asked(fleet: Sequence[Run]) -> int:
    """Return the epochs of a fleet; 1 where updates were asked for and the data not yet read."""
    return fleet[0].settings.training.epochs or 1


def mean_accuracy(epoch: Epoch) -> str:
    """Return the fleet's mean test accuracy after an epoch; nothing if it was not measured."""
    values = [record.test_accuracy for record in epoch.records.values()]
    return f", test {sum(values) / len(values):.2%}" if values else ""


def fleet_label(fleet: Sequence[Run]) -> str:
    """Return a fleet in words: how many runs, and the values they differ in."""
    values: dict[str, list[str]] = {}
    for run in fleet:
        for key, value in run.cell.values.items():
            texts = values.setdefault(key, [])
            if value is not None and str(value) not in texts:
                texts.append(str(value))
    words = "; ".join(f"{key} {', '.join(texts)}" for key, texts in values.items() if texts)
    return counted(len(fleet), "run") + (f" ({words})" if words else "")
