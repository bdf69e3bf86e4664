"""Train one fleet from its last checkpoint to its end. Save each epoch before the next."""

import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.config.sizes import training_length, updates_per_epoch
from dropout_lab.data import Splits
from dropout_lab.errors import DropoutLabError
from dropout_lab.folder.checkpoint import (
    drop_later_checkpoints,
    epoch_of,
    read_content,
    usable_checkpoints,
)
from dropout_lab.folder.store import LOG, Store
from dropout_lab.folder.study_folder import RunEnd, StudyFolder
from dropout_lab.folder.weights import WEIGHTS
from dropout_lab.printable import counted
from dropout_lab.study import failures
from dropout_lab.study.final_measurements import keep_inferences
from dropout_lab.study.weights import weights_bytes
from dropout_lab.training import Epoch, Fleet, train
from dropout_lab.training.fleet import RunCheckpoint


class Events(Protocol):
    """Receives the events of a running study, such as the terminal's progress display."""

    def planned(self, fleets: Sequence[Sequence[Run]], finished: int) -> None:
        """Called with the fleets to train and the number of requested runs completed before."""

    def warned(self, text: str) -> None:
        """Called with a warning."""

    def fleet_started(
        self, fleet: Sequence[Run], epochs_done: int, epochs: int, worker: str = ""
    ) -> None:
        """Called when a fleet starts or resumes, on a worker of a cluster or in this process."""

    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        """Called after each epoch of a fleet, when it is on disk."""

    def fleet_ended(self, fleet: Sequence[Run], problems: Sequence[str]) -> None:
        """Called at the end of a fleet, with a sentence for each run that diverged or failed."""

    def fleet_split(self, fleet: Sequence[Run], parts: Sequence[Sequence[Run]], why: str) -> None:
        """Called when a fleet is split and its parts are retried."""


class QuietEvents:
    """Prints warnings and problems on stderr, and nothing else."""

    def show(self, line: str) -> None:
        """Print a line."""
        sys.stderr.write(f"{line}\n")

    def planned(self, fleets: Sequence[Sequence[Run]], finished: int) -> None:
        """Print nothing."""

    def fleet_started(
        self, fleet: Sequence[Run], epochs_done: int, epochs: int, worker: str = ""
    ) -> None:
        """Print nothing."""

    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        """Print nothing."""

    def warned(self, text: str) -> None:
        """Print the warning."""
        self.show(f"warning: {text}")

    def fleet_ended(self, fleet: Sequence[Run], problems: Sequence[str]) -> None:
        """Print each problem."""
        for problem in problems:
            self.show(problem)

    def fleet_split(self, fleet: Sequence[Run], parts: Sequence[Sequence[Run]], why: str) -> None:
        """Print why a fleet was split, and how."""
        sizes = [len(part) for part in parts]
        how = f"in fleets of {' and '.join(map(str, sizes))}" if max(sizes) > 1 else "one by one"
        self.show(
            f"{counted(len(fleet), 'run')} cannot continue as one fleet: {why}. "
            f"They continue {how}."
        )


@dataclass(frozen=True)
class FleetEnd:
    """How the training of a fleet ended.

    Args:
        parts: The smaller fleets in which to retry its runs.
        stopped: Where it was stopped on request, such as "epoch 3 of 20".
    """

    parts: Sequence[tuple[Run, ...]] = ()
    stopped: str = ""


def resumed(
    runs: Sequence[Run], folder: StudyFolder, store: Store, events: Events
) -> list[Path] | FleetEnd:
    """Return the checkpoints that a fleet resumes from. Remove later rows and checkpoints.

    Returns:
        The files of its checkpoints; none if it starts. Or a :class:`FleetEnd`: if only some runs
        have lost checkpoints or earlier rows, the fleet is split into these and the others. If the
        memory is too small to read a checkpoint, the fleet fails as in training.
    """
    folders = [folder.run_folder(run) for run in runs]
    try:
        paths, lost = usable_checkpoints(
            folders,
            partial(tell, events.warned),
            lambda run, epoch: not folder.lacks_records(runs[run], epoch),
        )
    except MemoryError as error:
        return _failed(runs, error, store, events)
    if lost:
        rest = tuple(run for index, run in enumerate(runs) if index not in lost)
        parts = [rest, tuple(runs[index] for index in lost)]
        tell(events.fleet_split, runs, parts, f"the checkpoints of {len(lost)} are lost")
        return FleetEnd(parts)
    epoch = epoch_of(paths[0]) if paths else 0
    drop_later_checkpoints(folders, epoch)
    folder.truncate_after(runs, epoch)
    return paths


def train_fleet(
    runs: Sequence[Run],
    splits: Splits,
    checkpoints: Iterable[bytes],
    store: Store,
    device: torch.device,
    events: Events,
    stop: Callable[[], bool],
    *,
    save_models: bool,
) -> FleetEnd:
    """Train a fleet. Give its rows, checkpoints and statuses to a store.

    If the training of a single run raises an exception, the run fails, and its log has the
    traceback. If a larger fleet raises one, the fleet is split, and its parts are retried: the
    cause may be one of its runs, or too little memory.

    Args:
        runs: The runs of the fleet.
        splits: The data, on the device.
        checkpoints: The contents of the checkpoint files to resume from; none to start.
        store: Receives rows, files and statuses.
        device: The device to train on.
        events: Receives the progress.
        stop: Asked after each epoch, which is saved, whether to stop.
        save_models: Whether to save the weights.

    Raises:
        StorageError: The store cannot be written.
    """
    try:
        fleet = Fleet(runs, device)
        if read := _read(checkpoints, runs, device):
            fleet.restore(read)
        stopped = _train(fleet, splits, store, events, stop)
        if stopped:
            return FleetEnd(stopped=stopped)
        if fleet.active_runs or fleet.stopped:
            keep_inferences(fleet, splits, store)
        if save_models:
            for index, run in enumerate(runs):
                content = weights_bytes(fleet.model, index, run.run_id)
                store.keep_file(run.run_id, WEIGHTS, content)
    except DropoutLabError:
        raise
    except (Exception, SystemExit) as error:  # SystemExit: a variant of one's own may call exit()
        return _failed(runs, error, store, events)
    ends = _ends(fleet, splits, "completed")
    store.set_status(ends)
    store.clear([run.run_id for run in runs])
    problems = [f"run {e.run.run_id}: {e.message}" for e in ends if e.status != "completed"]
    tell(events.fleet_ended, runs, problems)
    return FleetEnd()


def _train(
    fleet: Fleet, splits: Splits, store: Store, events: Events, stop: Callable[[], bool]
) -> str:
    """Train a fleet; return the epoch at which it was stopped, or an empty text at its end."""
    last_epoch, _ = training_length(fleet.settings, len(splits.train))
    tell(events.fleet_started, fleet.runs, fleet.epoch, last_epoch)
    for epoch in train(fleet, splits):
        store.append({fleet.runs[i].run_id: record for i, record in epoch.records.items()})
        if epoch.number < epoch.of:
            store.keep_checkpoints(fleet)
        tell(events.epoch_ended, fleet.runs, epoch)
        if stop() and epoch.number < epoch.of:
            store.set_status(_ends(fleet, splits, "interrupted"))
            return f"epoch {epoch.number} of {epoch.of}"
    return ""


def _failed(runs: Sequence[Run], error: BaseException, store: Store, events: Events) -> FleetEnd:
    """Return the parts in which to retry a failed fleet; record the failure of a single run."""
    parts = failures.parts(runs, error)
    if parts:
        tell(events.fleet_split, runs, parts, failures.sentence(error))
    else:
        log = "".join(traceback.format_exception(error))
        fail(runs, store, events, failures.sentence(error), log)
    return FleetEnd(parts)


def fail(runs: Sequence[Run], store: Store, events: Events, why: str, log: str) -> None:
    """Mark runs as failed and write their logs."""
    problems = []
    for run in runs:
        store.keep_file(run.run_id, LOG, log)
        path = store.path / results.RUN_FOLDERS / run.run_id / LOG
        problems.append(f"run {run.run_id} failed: {why}; see {path}")
    store.set_status([RunEnd(run, "failed", why) for run in runs])
    tell(events.fleet_ended, runs, problems)


def _read(
    contents: Iterable[bytes], runs: Sequence[Run], device: torch.device
) -> list[RunCheckpoint]:
    pairs = zip(contents, runs, strict=False)  # none, or one for each
    return [read_content(content, run.run_id, device) for content, run in pairs]


def tell(event: Callable[..., None], *arguments: object) -> None:
    """Report an event. Ignore a closed terminal."""
    with suppress(OSError):
        event(*arguments)


def _ends(fleet: Fleet, splits: Splits, going: str) -> list[RunEnd]:
    """Return the status of each run; ``going`` is the status of runs that have not diverged."""
    examples, batch_size = len(splits.train), fleet.settings.training.batch_size
    steps = updates_per_epoch(fleet.settings, examples)
    ends = []
    for index, run in enumerate(fleet.runs):
        diverged, stopped = fleet.diverged.get(index), fleet.stopped.get(index)
        epochs = diverged or stopped or fleet.epoch
        updates = min(fleet.updates, epochs * steps)
        whole, rest = divmod(updates, steps)
        ends.append(
            RunEnd(
                run=run,
                status="diverged" if diverged else going,
                message=f"the loss is not finite in epoch {diverged}"
                if diverged
                else fleet.broken.get(index, ""),
                epochs=epochs,
                updates=updates,
                examples=whole * examples + rest * batch_size,
                seconds=fleet.seconds / len(fleet.runs) * updates / max(fleet.updates, 1),
            )
        )
    return ends
