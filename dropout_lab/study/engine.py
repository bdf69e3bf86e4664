"""One fleet from wherever it stands to its end, every epoch on disk before the next begins."""

import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import torch

from dropout_lab.config.grid import Run
from dropout_lab.data import Splits
from dropout_lab.errors import DropoutLabError, InterruptedStudyError
from dropout_lab.files import make_folder, replace_file
from dropout_lab.study.checkpoint import drop_checkpoints, load_checkpoints, save_checkpoints
from dropout_lab.study.folder import StudyFolder
from dropout_lab.study.signals import StopRequest
from dropout_lab.study.weights import save_weights
from dropout_lab.training import Epoch, Fleet, train
from dropout_lab.training.loop import length

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
    examples = len(splits.train)
    folders = [folder.run_folder(run) for run in runs]
    try:
        fleet = Fleet(runs, device)
        checkpoints = load_checkpoints(folders)
        if checkpoints is not None:
            fleet.restore(checkpoints)
        folder.forget_after(runs, fleet.epoch)
        events.fleet_started(runs, fleet.epoch, length(fleet.settings, examples)[0])
        for epoch in train(fleet, splits):
            folder.append({runs[i].run_id: record for i, record in epoch.records.items()})
            if epoch.number < epoch.of:
                save_checkpoints(folders, fleet.checkpoint())
            events.epoch_ended(runs, epoch)
            if stop.signal_number is not None and epoch.number < epoch.of:
                folder.set_status(_statuses(fleet, "interrupted"), examples)
                raise InterruptedStudyError(
                    f"Stopped after epoch {epoch.number} of {epoch.of}; everything so far is in "
                    f"{folder.path}. The same command goes on from there.",
                    stop.signal_number,
                )
        if save_models:
            for index, run_folder in enumerate(folders):
                save_weights(run_folder, fleet.model, index)
    except DropoutLabError:
        raise
    except Exception as error:  # a failure of these runs, whatever it is, is not the study's
        _keep_logs(folders, traceback.format_exc())
        message = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        folder.set_status([(run, "failed", message, 0) for run in runs], examples)
        events.fleet_ended(runs, [f"{len(runs)} runs failed: {message}; see {folders[0] / LOG}"])
        return
    folder.set_status(_statuses(fleet, "completed"), examples)
    drop_checkpoints(folders)
    for run_folder in folders:
        (run_folder / LOG).unlink(missing_ok=True)  # that of an earlier failure, now mended
        with suppress(OSError):  # it stays if weights are in it
            run_folder.rmdir()
    events.fleet_ended(runs, [f"run {runs[i].run_id}: {m}" for i, m in fleet.diverged.items()])


def _statuses(fleet: Fleet, going: str) -> list[tuple[Run, str, str, int]]:
    """Return each run with its status and message; ``going`` is that of those not diverged."""
    return [
        (
            run,
            "diverged" if index in fleet.diverged else going,
            fleet.diverged.get(index, ""),
            fleet.epoch,
        )
        for index, run in enumerate(fleet.runs)
    ]


def _keep_logs(folders: Sequence[Path], text: str) -> None:
    for run_folder in folders:
        make_folder(run_folder)
        replace_file(run_folder / LOG, text)
