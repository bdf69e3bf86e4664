"""Checkpoints of single runs: tensors and numbers with their SHA-256.

The newest checkpoint and the one before it are kept, so that a damaged file costs an epoch, not
the run. Nothing is ever unpickled: only tensors, numbers, texts and their containers are read.
"""

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch

from dropout_lab.files import (
    backup_file,
    make_folder,
    read_optional_file,
    remove_file,
    remove_temporary_files,
    replace_file,
)
from dropout_lab.folder.completeness import checkpoints_in
from dropout_lab.training.fleet import RunCheckpoint

FORMAT = 1
GENERATIONS = 2
_DIGEST_BYTES = hashlib.sha256().digest_size
_KEYS = {"epoch", "updates", "seconds", "diverged", "parameters", "optimizer"}


class DamagedCheckpointError(Exception):
    """Raised for a checkpoint that is damaged or belongs to another run."""


def save_checkpoints(folders: Sequence[Path], checkpoints: Sequence[RunCheckpoint]) -> None:
    """Write a checkpoint for each run of a fleet, then remove all but the last two.

    Args:
        folders: Those of the runs, each named by its run's id.
        checkpoints: What the fleet gave.

    Raises:
        StorageError: One cannot be written; the older ones are still there.
    """
    pairs = zip(folders, checkpoints, strict=True)
    contents = (content_of(checkpoint, folder.name) for folder, checkpoint in pairs)
    save_contents(folders, checkpoints[0]["epoch"], contents)


def save_contents(folders: Sequence[Path], epoch: int, contents: Iterable[bytes]) -> None:
    """Write the serialized checkpoints of an epoch, then remove all but the last two."""
    for folder, content in zip(folders, contents, strict=True):
        make_folder(folder)
        replace_file(folder / f"checkpoint_{epoch:06d}.pt", content)
    drop_checkpoints(folders, keep=GENERATIONS)


def content_of(checkpoint: RunCheckpoint, run_id: str) -> bytes:
    """Serialize a run's checkpoint: its SHA-256, then its bytes."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "run_id": run_id, **checkpoint}, buffer)
    content = buffer.getvalue()
    return hashlib.sha256(content).digest() + content


def usable_checkpoints(
    folders: Sequence[Path],
    warn: Callable[[str], None],
    has_records: Callable[[int, int], bool] = lambda run, epoch: True,
) -> tuple[list[Path], list[int]]:
    """Return the newest checkpoints from which all runs of a fleet can resume; else none.

    A damaged checkpoint is backed up under another name. This, and lost records, cause a warning.

    Args:
        folders: Those of the runs of a fleet.
        warn: Takes a sentence for each that cannot be used.
        has_records: Whether a run, by its index, has all records up to an epoch.

    Returns:
        Their files, or, where there are none that all have, the indices of runs that have lost
        theirs: a kill leaves the newest ones of a fleet an epoch apart at most, or, where they are
        fetched from a worker, those before them.
    """
    usable = []
    for run, folder in enumerate(folders):
        epochs = set()
        for epoch, path in checkpoints_in(folder).items():
            try:
                recorded = _recorded(_read(path))
            except DamagedCheckpointError as error:
                kept = backup_file(path)
                remove_file(path)
                warn(f"{path} {error}; it is kept as {kept.name} and not used.")
                continue
            if has_records(run, recorded):
                epochs.add(epoch)
            else:
                warn(f"{path} is not used: a record from before it is lost.")
        usable.append(epochs)
    common = set.intersection(*usable)
    if common:
        return [checkpoints_in(folder)[max(common)] for folder in folders], []
    newest = [max(epochs, default=0) for epochs in usable]
    return [], [run for run, epoch in enumerate(newest) if epoch < max(newest) - 1]


def drop_checkpoints(folders: Sequence[Path], keep: int = 0) -> None:
    """Remove all checkpoints of runs except the newest ``keep``, and partial files."""
    for folder in folders:
        remove_temporary_files(folder)
        paths = checkpoints_in(folder)
        for epoch in sorted(paths)[: len(paths) - keep]:
            remove_file(paths[epoch])


def drop_later_checkpoints(folders: Sequence[Path], epoch: int) -> None:
    """Remove checkpoints of later epochs than a fleet has reached; training writes them again.

    They would be taken for the newest, and the ones made from now on for the oldest.
    """
    for folder in folders:
        for later, path in checkpoints_in(folder).items():
            if later > epoch:
                remove_file(path)


def recorded_until(path: Path) -> int:
    """Return the last epoch with a record in a checkpoint's run; 0 if the checkpoint is damaged."""
    try:
        return _recorded(_read(path))
    except DamagedCheckpointError:
        return 0


def damage_of(path: Path) -> str:
    """Describe the damage of a checkpoint as the end of a sentence; empty if it is intact."""
    try:
        _read(path)
    except DamagedCheckpointError as error:
        return str(error)
    return ""


def _recorded(checkpoint: RunCheckpoint) -> int:
    """Return the last epoch with a record; a run may have ended early."""
    stopped = checkpoint.get("early_stopping", {}).get("stopped", 0)
    return int(checkpoint["diverged"] or stopped or checkpoint["epoch"])


def _read(path: Path) -> RunCheckpoint:
    """Read a checkpoint file.

    Raises:
        DamagedCheckpointError: It is not what was written, or not of this run and epoch.
        StorageError: The system refuses to read it.
    """
    content = read_optional_file(path)
    if content is None:
        raise DamagedCheckpointError("cannot be read: it is not there")
    checkpoint = read_content(content, path.parent.name)
    if checkpoint["epoch"] != epoch_of(path):
        raise DamagedCheckpointError("is not of the epoch its name says")
    return checkpoint


def epoch_of(path: Path) -> int:
    """Return the epoch in a checkpoint's file name."""
    return int(path.stem.rpartition("_")[2])


def read_content(content: bytes, run_id: str, device: torch.device | None = None) -> RunCheckpoint:
    """Deserialize a checkpoint with its tensors on a device; by default the CPU.

    Raises:
        DamagedCheckpointError: It is not what was written, or not of this run.
    """
    digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise DamagedCheckpointError("is not what was written: its SHA-256 is another")
    try:
        checkpoint: RunCheckpoint = torch.load(io.BytesIO(body), "cpu", weights_only=True)
        written = checkpoint.get("format", FORMAT)
        own, complete = checkpoint.get("run_id", run_id), checkpoint.keys() >= _KEYS
    except MemoryError:
        raise
    except Exception as error:  # whatever a file that only looks like one makes of the reader
        raise DamagedCheckpointError("holds more than tensors and numbers, or less") from error
    if written != FORMAT:
        raise DamagedCheckpointError(f"has format {written}; this dropout-lab reads {FORMAT}")
    if own != run_id:
        raise DamagedCheckpointError(f"is of another run, {own}")
    if not complete:
        raise DamagedCheckpointError("is not complete")
    if device is not None and device.type != "cpu":
        # only now: what a device has no room for is not damaged
        checkpoint = torch.load(io.BytesIO(body), device, weights_only=True)
    return checkpoint
