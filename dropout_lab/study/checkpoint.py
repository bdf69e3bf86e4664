"""What one run needs to resume, on disk: tensors and plain numbers, with their SHA-256."""

import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from dropout_lab.files import make_folder, remove_temporaries, replace_file
from dropout_lab.training.fleet import RunCheckpoint

_NAME = re.compile(r"checkpoint_(\d+)\.pt")
_DIGEST_BYTES = hashlib.sha256().digest_size


def save_checkpoints(folders: Sequence[Path], checkpoints: Sequence[RunCheckpoint]) -> None:
    """Write the checkpoint of each run of a fleet; drop the older ones when all are written.

    Raises:
        StorageError: One cannot be written; the older ones are still there.
    """
    for folder, checkpoint in zip(folders, checkpoints, strict=True):
        make_folder(folder)
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        content = buffer.getvalue()
        name = f"checkpoint_{checkpoint['epoch']:06d}.pt"
        replace_file(folder / name, hashlib.sha256(content).digest() + content)
    drop_checkpoints(folders, before=checkpoints[0]["epoch"])


def load_checkpoints(folders: Sequence[Path], device: torch.device) -> list[RunCheckpoint] | None:
    """Return the newest checkpoints that all runs of a fleet have whole; None without any.

    Args:
        folders: Those of the runs of a fleet.
        device: Where the tensors are wanted, wherever they were saved from.
    """
    epochs = set.intersection(*(set(_epochs(folder)) for folder in folders))
    for epoch in sorted(epochs, reverse=True):
        loaded = [_read(_epochs(folder)[epoch], device) for folder in folders]
        if all(checkpoint is not None for checkpoint in loaded):
            return [checkpoint for checkpoint in loaded if checkpoint is not None]
    return None


def drop_checkpoints(folders: Sequence[Path], before: int | None = None) -> None:
    """Remove the checkpoints of runs, all or those of earlier epochs, and what was half written."""
    for folder in folders:
        remove_temporaries(folder)
        for epoch, path in _epochs(folder).items():
            if before is None or epoch < before:
                path.unlink(missing_ok=True)


def _epochs(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        return {}
    matches = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in matches if match}


def _read(path: Path, device: torch.device) -> RunCheckpoint | None:
    """Return a checkpoint, or None if its bytes are not those that were written."""
    content = path.read_bytes()
    digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        return None
    checkpoint: RunCheckpoint = torch.load(io.BytesIO(body), map_location=device, weights_only=True)
    return checkpoint


def checkpoints_in(folder: Path) -> dict[int, Path]:
    """Return a run's checkpoints by their epoch."""
    return _epochs(folder)


def damage_of(path: Path) -> str:
    """Return what is wrong with a checkpoint; empty if it is sound."""
    try:
        return "" if _read(path, torch.device("cpu")) is not None else "has another SHA-256"
    except Exception as error:  # whatever the bytes make of the reader
        return f"cannot be loaded: {type(error).__name__}"
