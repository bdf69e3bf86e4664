"""Progress on stderr: live bars on a terminal, plain lines elsewhere, nothing when quiet."""

import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
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

from dropout_lab.cli.encoding import tell, wrapped
from dropout_lab.config.grid import Run
from dropout_lab.results import counted
from dropout_lab.study import Events
from dropout_lab.study.fleet_runner import QuietEvents
from dropout_lab.training import Epoch

_LINE_EVERY = 10.0  # seconds between plain lines


class StudyProgress(Events, Protocol):
    """Shows the events of a study while the context is open."""

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
    """Return the progress display that suits the terminal."""
    if quiet:
        return QuietProgress()
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()


class QuietProgress(QuietEvents):
    """Shows only warnings and problems."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def say(self, line: str) -> None:
        """Show nothing."""

    def show(self, line: str) -> None:
        """Show a line, also with --quiet."""
        tell(line)


@dataclass
class _TrainingFleet:
    """A fleet in training.

    Args:
        number: Its number among the fleets of the study.
        worker: Where, in a cluster.
        first: Epochs done when it began.
        began: When that was.
        last_line: When its last line was printed.
        done: Epochs done.
        accuracy: In words, when it was last measured.
        bar: On a terminal.
    """

    number: int
    worker: str
    first: int
    began: float
    last_line: float
    done: int
    accuracy: str = ""
    bar: TaskID | None = None


class _Fleets:
    """The fleets in training; in a cluster there are several at once."""

    def __init__(self) -> None:
        self.planned = 0
        self.going: dict[str, _TrainingFleet] = {}  # by the id of the first run
        self._numbers = itertools.count(1)
        self._free: list[int] = []  # numbers of fleets that were split

    def __getitem__(self, fleet: Sequence[Run]) -> _TrainingFleet:
        return self.going[fleet[0].run_id]

    def start(self, fleet: Sequence[Run], epochs_done: int, worker: str) -> _TrainingFleet:
        now = time.monotonic()
        before = self.going.get(fleet[0].run_id)  # it begins again: its worker is gone
        number = before.number if before else self._number()
        going = _TrainingFleet(number, worker, epochs_done, now, now, epochs_done)
        going.bar = before.bar if before else None
        self.going[fleet[0].run_id] = going
        return going

    def end(self, fleet: Sequence[Run]) -> _TrainingFleet | None:
        return self.going.pop(fleet[0].run_id, None)

    def split(self, fleet: Sequence[Run], parts: Sequence[Sequence[Run]]) -> _TrainingFleet | None:
        self.planned += len(parts) - 1
        going = self.end(fleet)
        if going is not None:
            self._free.append(going.number)
        return going

    def name(self, going: _TrainingFleet) -> str:
        place = f" on {going.worker}" if going.worker else ""
        return f"fleet {going.number}/{self.planned}{place}"

    def _number(self) -> int:
        return self._free.pop() if self._free else next(self._numbers)


class PlainProgress(QuietProgress):
    """A line at each fleet's begin and end, and every ten seconds in between."""

    def __init__(self) -> None:
        self.fleets = _Fleets()

    def say(self, line: str) -> None:
        """Show a line."""
        self.show(line)

    def planned(self, fleets: Sequence[Sequence[Run]], finished: int) -> None:
        """Show how many runs there are to train."""
        self.fleets.planned = len(fleets)
        before = f", {finished} finished before" if finished else ""
        runs = sum(map(len, fleets))
        self.say(f"{counted(runs, 'run')} to train in {counted(len(fleets), 'fleet')}{before}")

    def fleet_started(
        self, fleet: Sequence[Run], epochs_done: int, epochs: int, worker: str = ""
    ) -> None:
        """Show which fleet begins."""
        going = self.fleets.start(fleet, epochs_done, worker)
        after = f", resuming after epoch {epochs_done}" if epochs_done else ""
        self.say(f"{self.fleets.name(going)}: {fleet_label(fleet)}{after}")

    def fleet_ended(self, fleet: Sequence[Run], problems: Sequence[str]) -> None:
        """Count the fleet; show each problem."""
        self.fleets.end(fleet)
        super().fleet_ended(fleet, problems)

    def fleet_split(self, fleet: Sequence[Run], parts: Sequence[Sequence[Run]], why: str) -> None:
        """Show why a fleet was split, and into what."""
        self.fleets.split(fleet, parts)
        super().fleet_split(fleet, parts, why)

    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        """Show the fleet's epoch every few seconds."""
        going = self.fleets[fleet]
        going.accuracy = mean_accuracy(epoch) or going.accuracy
        now = time.monotonic()
        if now - going.last_line < _LINE_EVERY and epoch.number < epoch.of:
            return
        going.last_line = now
        left = (now - going.began) / (epoch.number - going.first) * (epoch.of - epoch.number)
        eta = f", {left:.0f} s left in this fleet" if epoch.number < epoch.of else ""
        which = f"{self.fleets.name(going)}: " if going.worker else "  "
        self.say(f"{which}epoch {epoch.number}/{epoch.of}{going.accuracy}{eta}")


class LiveProgress(QuietProgress):
    """A bar for the study with the time left, and one for each fleet with its accuracy."""

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
        self.fleets = _Fleets()
        self.total = 0
        self.before = 0  # epochs of runs, of the fleets that have ended
        self.done: dict[str, int] = {}  # and of those that are being trained

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
        self.progress.console.print(wrapped(line), highlight=False, soft_wrap=True)

    def planned(self, fleets: Sequence[Sequence[Run]], finished: int) -> None:
        """Begin the study's bar; its unit is the epoch of a run."""
        self.fleets.planned = len(fleets)
        self.total = sum(len(fleet) * _epochs_asked(fleet) for fleet in fleets)
        if fleets:
            self.study = self.progress.add_task("epochs x runs", total=self.total, accuracy="")
        if finished:
            self.say(f"{counted(finished, 'run')} finished before")

    def fleet_started(
        self, fleet: Sequence[Run], epochs_done: int, epochs: int, worker: str = ""
    ) -> None:
        """Begin a fleet's bar."""
        going = self.fleets.start(fleet, epochs_done, worker)
        label = f"fleet {going.number}/{self.fleets.planned}, {counted(len(fleet), 'run')}"
        label += f", {worker}" if worker else ""
        if going.bar is None:
            going.bar = self.progress.add_task(label, total=epochs, accuracy="")
            self.total += len(fleet) * (epochs - _epochs_asked(fleet))
        self.progress.update(going.bar, description=label, completed=epochs_done)
        self._count(fleet, epochs_done)

    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        """Move both bars."""
        going = self.fleets[fleet]
        accuracy = mean_accuracy(epoch)
        shown = {"accuracy": accuracy.removeprefix(", ")} if accuracy else {}
        if going.bar is not None:
            self.progress.update(going.bar, completed=epoch.number, **shown)  # type: ignore[arg-type]
        self._count(fleet, epoch.number)

    def fleet_ended(self, fleet: Sequence[Run], problems: Sequence[str]) -> None:
        """Remove the fleet's bar; show each problem."""
        self._take_away(self.fleets.end(fleet))
        self.before += self.done.pop(fleet[0].run_id, 0)
        super().fleet_ended(fleet, problems)

    def fleet_split(self, fleet: Sequence[Run], parts: Sequence[Sequence[Run]], why: str) -> None:
        """Remove the bar of a fleet that was split; show why."""
        self._take_away(self.fleets.split(fleet, parts))
        self.done.pop(fleet[0].run_id, None)
        super().fleet_split(fleet, parts, why)

    def _count(self, fleet: Sequence[Run], epochs: int) -> None:
        self.done[fleet[0].run_id] = len(fleet) * epochs
        if self.study is not None:
            completed = self.before + sum(self.done.values())
            self.progress.update(self.study, total=self.total, completed=completed)

    def _take_away(self, going: _TrainingFleet | None) -> None:
        if going is not None and going.bar is not None:
            self.progress.remove_task(going.bar)


def _epochs_asked(fleet: Sequence[Run]) -> int:
    """Return the epochs of a fleet; 1 if the config has updates and the data are not yet read."""
    return fleet[0].settings.training.epochs or 1


def mean_accuracy(epoch: Epoch) -> str:
    """Return the fleet's mean test accuracy after an epoch; empty if not measured."""
    values = [record.test_accuracy for record in epoch.records.values()]
    return f", test {sum(values) / len(values):.2%}" if values else ""


def fleet_label(fleet: Sequence[Run]) -> str:
    """Describe a fleet: its number of runs, and the values that differ."""
    values: dict[str, list[str]] = {}
    for run in fleet:
        for key, value in run.cell.values.items():
            texts = values.setdefault(key, [])
            if value is not None and str(value) not in texts:
                texts.append(str(value))
    words = "; ".join(f"{key} {', '.join(texts)}" for key, texts in values.items() if texts)
    return counted(len(fleet), "run") + (f" ({words})" if words else "")
