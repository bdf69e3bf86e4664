"""One fleet from wherever it stands to its end, every epoch on disk before the next begins."""

import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from dropout_lab.config.grid import Run
from dropout_lab.config.sizes import length, steps_of_epoch
from dropout_lab.data import Splits
from dropout_lab.errors import DropoutLabError, InterruptedStudyError
from dropout_lab.files import make_folder, remove_empty_folder, remove_file, replace_file
from dropout_lab.study import failures
from dropout_lab.study.checkpoint import (
    drop_checkpoints,
    drop_later_checkpoints,
    load_checkpoints,
    save_checkpoints,
)
from dropout_lab.study.folder import RunEnd, StudyFolder
from dropout_lab.study.predictions import keep_inferences
from dropout_lab.study.signals import StopRequest
from dropout_lab.study.weights import save_weights
from dropout_lab.training import Epoch, Fleet, train

LOG = "log.txt"


class Events(Protocol):
    """What a study tells while it runs; the terminal's progress is one."""

    def planned(self, fleets: Sequence[Sequence[Run]], finished: int) -> None:
        """Fleets are to be trained; so many of the runs asked for were finished before."""

    def warned(self, text: str) -> None:
        """Something is not as it should be, and the study goes on."""

    def fleet_started(self, fleet: Sequence[Run], epochs_done: int, epochs: int) -> None:
        """A fleet begins, or goes on after some epochs."""

    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        """A fleet has done an epoch, and it is on disk."""

    def fleet_ended(self, fleet: Sequence[Run], problems: Sequence[str]) -> None:
        """A fleet is done; a sentence for each run that diverged or failed."""

    def fleet_split(self, fleet: Sequence[Run], parts: Sequence[Sequence[Run]], why: str) -> None:
        """A fleet could not go on as one, and is tried again in parts."""


def train_fleet(
    runs: Sequence[Run],
    splits: Splits,
    folder: StudyFolder,
    device: torch.device,
    events: Events,
    stop: StopRequest,
    *,
    save_models: bool,
) -> list[tuple[Run, ...]]:
    """Train the runs of a fleet and keep their records, checkpoints and statuses.

    An exception in the training of one run is this run's failure, kept in its log. In that of
    several it may be the fault of one, or of too little memory for all of them: then nothing is
    decided yet, and the fleet is to be tried again in parts, each from its checkpoints.

    Returns:
        The parts; none if these runs are done.

    Raises:
        StorageError: The folder cannot be written.
        InterruptedStudyError: A stop was requested; the epoch in progress was finished and kept.
    """
    folders = [folder.run_folder(run) for run in runs]
    last_epoch, _ = length(runs[0].settings, len(splits.train))
    fleet: Fleet | None = None
    try:
        fleet = Fleet(runs, device)
        parts = _resume(fleet, folder, events)
        if parts:
            return parts
        tell(events.fleet_started, runs, fleet.epoch, last_epoch)
        for epoch in train(fleet, splits):
            folder.append({runs[i].run_id: record for i, record in epoch.records.items()})
            if epoch.number < epoch.of:
                save_checkpoints(folders, fleet.checkpoint())
            tell(events.epoch_ended, runs, epoch)
            if stop.signal_number is not None and epoch.number < epoch.of:
                folder.set_status(_ends(fleet, splits, "interrupted"))
                done = f"after epoch {epoch.number} of {epoch.of}"
                raise interrupted(done, folder.path, stop.signal_number)
        if fleet.going or fleet.stopped:
            keep_inferences(fleet, splits, folder)
        if save_models:
            for index, run_folder in enumerate(folders):
                save_weights(run_folder, fleet.model, index)
    except DropoutLabError:
        raise
    except (Exception, SystemExit) as error:  # SystemExit: a variant of one's own may call exit()
        parts = failures.parts(runs, error)
        if parts:
            tell(events.fleet_split, runs, parts, failures.sentence(error))
            return parts
        problem = _fail(runs[0], folder, error, epochs=0 if fleet is None else fleet.epoch)
        tell(events.fleet_ended, runs, [problem])
        return []
    ends = _ends(fleet, splits, "completed")
    folder.set_status(ends)
    _clear(folders)
    problems = [f"run {e.run.run_id}: {e.message}" for e in ends if e.status != "completed"]
    tell(events.fleet_ended, runs, problems)
    return []


def interrupted(done: str, path: Path, signal_number: int) -> InterruptedStudyError:
    """Return what to raise where a study stops on request."""
    return InterruptedStudyError(
        f"Stopped {done}; everything so far is in {path}. The same command goes on from there.",
        signal_number,
    )


def tell(event: Callable[..., None], *arguments: object) -> None:
    """Tell of an event; a terminal that has gone away is no failure of a run."""
    with suppress(OSError):
        event(*arguments)


def _resume(fleet: Fleet, folder: StudyFolder, events: Events) -> list[tuple[Run, ...]]:
    """Bring a new fleet, and what the folder says of it, to where its checkpoints stand.

    Returns:
        Where some runs have lost their checkpoints, or records from before them, and others have
        not: these and those, to be trained apart. Otherwise none.
    """
    folders = [folder.run_folder(run) for run in fleet.runs]
    checkpoints, lost = load_checkpoints(
        folders,
        fleet.device,
        partial(tell, events.warned),
        lambda run, epoch: not folder.lacks_records(fleet.runs[run], epoch),
    )
    if lost:
        rest = tuple(run for index, run in enumerate(fleet.runs) if index not in lost)
        parts = [rest, tuple(fleet.runs[index] for index in lost)]
        why = f"the checkpoints of {len(lost)} are lost"
        tell(events.fleet_split, fleet.runs, parts, why)
        return parts
    if checkpoints:
        fleet.restore(checkpoints)
    drop_later_checkpoints(folders, fleet.epoch)
    folder.forget_after(fleet.runs, fleet.epoch)
    return []


def _clear(folders: Sequence[Path]) -> None:
    """Take away what finished runs needed to resume, and the logs of failures now mended."""
    drop_checkpoints(folders)
    for folder in folders:
        remove_file(folder / LOG)
        remove_empty_folder(folder)  # it stays if weights or predictions are in it


def _ends(fleet: Fleet, splits: Splits, going: str) -> list[RunEnd]:
    """Return how each run stands; ``going`` is the status of those that have not diverged."""
    examples, batch_size = len(splits.train), fleet.settings.training.batch_size
    steps = steps_of_epoch(fleet.settings, examples)
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


def _fail(run: Run, folder: StudyFolder, error: BaseException, epochs: int) -> str:
    """Keep the traceback in the run's log and mark it failed; return a sentence that says so."""
    log = folder.run_folder(run) / LOG
    make_folder(log.parent)
    replace_file(log, "".join(traceback.format_exception(error)))
    message = failures.sentence(error)
    folder.set_status([RunEnd(run, "failed", message, epochs)])
    return f"run {run.run_id} failed: {message}; see {log}"
