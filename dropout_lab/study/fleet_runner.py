"""One fleet from wherever it stands to its end, every epoch kept before the next begins."""

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
    """What a study tells while it runs; the terminal's progress is one."""

    def planned(self, fleets: Sequence[Sequence[Run]], finished: int) -> None:
        """Fleets are to be trained; so many of the runs asked for were finished before."""

    def warned(self, text: str) -> None:
        """Something is not as it should be, and the study goes on."""

    def fleet_started(
        self, fleet: Sequence[Run], epochs_done: int, epochs: int, worker: str = ""
    ) -> None:
        """A fleet begins, or goes on after some epochs; on a worker of a cluster, or here."""

    def epoch_ended(self, fleet: Sequence[Run], epoch: Epoch) -> None:
        """A fleet has done an epoch, and it is on disk."""

    def fleet_ended(self, fleet: Sequence[Run], problems: Sequence[str]) -> None:
        """A fleet is done; a sentence for each run that diverged or failed."""

    def fleet_split(self, fleet: Sequence[Run], parts: Sequence[Sequence[Run]], why: str) -> None:
        """A fleet could not go on as one, and is tried again in parts."""


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
            f"{counted(len(fleet), 'run')} cannot go on as one fleet: {why}. They go on {how}."
        )


@dataclass(frozen=True)
class FleetEnd:
    """How far a fleet has come.

    Args:
        parts: The smaller fleets in which its runs are to be tried again.
        stopped: Where it was stopped on request, with its checkpoints kept: "epoch 3 of 20".
    """

    parts: Sequence[tuple[Run, ...]] = ()
    stopped: str = ""


def resumed(
    runs: Sequence[Run], folder: StudyFolder, store: Store, events: Events
) -> list[Path] | FleetEnd:
    """Return what a fleet goes on from, and bring what the folder says of it to there.

    Returns:
        The files of its checkpoints, none where it begins. Or its end for now: where some runs have
        lost their checkpoints, or records from before them, and others have not, these and those
        are its parts; where the memory is too short to read one, it ends as in training.
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
    """Train the runs of a fleet; give their records, checkpoints and statuses to a store.

    An exception in the training of one run is its failure, kept in its log. In that of several it
    may be the fault of one, or of too little memory: they are to be tried again in parts.

    Args:
        runs: Those of the fleet.
        splits: The data, on the device.
        checkpoints: The contents of the files that the runs go on from; none where they begin.
        store: Takes what comes out.
        device: Where the training happens.
        events: Told of the progress.
        stop: Whether to stop; asked after each epoch, which is kept.
        save_models: Whether the weights are kept.

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
    """Train a fleet to its end; or until it is stopped, and return where that was."""
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
    """Return the parts in which to try a failed fleet again; keep the failure of a single run."""
    parts = failures.parts(runs, error)
    if parts:
        tell(events.fleet_split, runs, parts, failures.sentence(error))
    else:
        log = "".join(traceback.format_exception(error))
        fail(runs, store, events, failures.sentence(error), log)
    return FleetEnd(parts)


def fail(runs: Sequence[Run], store: Store, events: Events, why: str, log: str) -> None:
    """Mark runs as failed, and keep in the log of each what is known of it."""
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
    """Tell of an event; a terminal that has gone away is no failure of a run."""
    with suppress(OSError):
        event(*arguments)


def _ends(fleet: Fleet, splits: Splits, going: str) -> list[RunEnd]:
    """Return how each run stands; ``going`` is the status of those that have not diverged."""
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
