"""One fleet from wherever it stands to its end, every epoch on disk before the next begins."""

import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import torch

from dropout_lab.config.grid import Run
from dropout_lab.config.sizes import length, steps_of_epoch
from dropout_lab.data import Splits
from dropout_lab.errors import DropoutLabError, InterruptedStudyError
from dropout_lab.files import make_folder, replace_file
from dropout_lab.study.checkpoint import drop_checkpoints, load_checkpoints, save_checkpoints
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

    def fleet_started(self, fleet: Sequence[Run], epochs_done: int, epochs: int) -> None:
        """A fleet begins, or goes on after some epochs."""

    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        """A fleet has done an epoch, and it is on disk."""

    def fleet_ended(self, fleet: Sequence[Run], problems: Sequence[str]) -> None:
        """A fleet is done; a sentence for each run that diverged or failed."""


def train_fleet(
    runs: Sequence[Run],
    splits: Splits,
    folder: StudyFolder,
    device: torch.device,
    events: Events,
    stop: StopRequest,
    *,
    save_models: bool,
) -> None:
    """Train the runs of a fleet and keep their records, checkpoints and statuses.

    An exception in the training is these runs' failure, kept in their logs; the study goes on.

    Raises:
        StorageError: The folder cannot be written.
        InterruptedStudyError: A stop was requested; the epoch in progress was finished and kept.
    """
    folders = [folder.run_folder(run) for run in runs]
    last_epoch, _ = length(runs[0].settings, len(splits.train))
    fleet: Fleet | None = None
    try:
        fleet = Fleet(runs, device)
        checkpoints = load_checkpoints(folders, device)
        if checkpoints is not None:
            fleet.restore(checkpoints)
        folder.forget_after(runs, fleet.epoch)
        _tell(events.fleet_started, runs, fleet.epoch, last_epoch)
        for epoch in train(fleet, splits):
            folder.append({runs[i].run_id: record for i, record in epoch.records.items()})
            if epoch.number < epoch.of:
                save_checkpoints(folders, fleet.checkpoint())
            _tell(events.epoch_ended, runs, epoch)
            if stop.signal_number is not None and epoch.number < epoch.of:
                folder.set_status(_ends(fleet, splits, "interrupted"))
                raise InterruptedStudyError(
                    f"Stopped after epoch {epoch.number} of {epoch.of}; everything so far is in "
                    f"{folder.path}. The same command goes on from there.",
                    stop.signal_number,
                )
        if fleet.going or fleet.stopped:
            keep_inferences(fleet, splits, folder)
        if save_models:
            for index, run_folder in enumerate(folders):
                save_weights(run_folder, fleet.model, index)
    except DropoutLabError:
        raise
    except Exception as error:  # a failure of these runs, whatever it is, is not the study's
        problem = _fail(runs, folder, error, epochs=0 if fleet is None else fleet.epoch)
        _tell(events.fleet_ended, runs, [problem])
        return
    ends = _ends(fleet, splits, "completed")
    folder.set_status(ends)
    _clear(folders)
    problems = [f"run {e.run.run_id}: {e.message}" for e in ends if e.status != "completed"]
    _tell(events.fleet_ended, runs, problems)


def _clear(folders: Sequence[Path]) -> None:
    """Take away what finished runs needed to resume, and the logs of failures now mended."""
    drop_checkpoints(folders)
    for folder in folders:
        (folder / LOG).unlink(missing_ok=True)
        with suppress(OSError):  # it stays if weights or predictions are in it
            folder.rmdir()


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


def _tell(event: Callable[..., None], *arguments: object) -> None:
    """Tell of an event; a terminal that has gone away is no failure of a run."""
    with suppress(OSError):
        event(*arguments)


def _fail(runs: Sequence[Run], folder: StudyFolder, error: Exception, epochs: int) -> str:
    """Keep the traceback in the runs' logs and mark them failed; return a sentence that says so."""
    trace = "".join(traceback.format_exception(error))
    for run in runs:
        make_folder(folder.run_folder(run))
        replace_file(folder.run_folder(run) / LOG, trace)
    message = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    folder.set_status([RunEnd(run, "failed", message, epochs) for run in runs])
    return f"{len(runs)} runs failed: {message}; see {folder.run_folder(runs[0]) / LOG}"
