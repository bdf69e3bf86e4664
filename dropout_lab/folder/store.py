"""Where the training of a fleet saves its results."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dropout_lab.files import make_folder, remove_empty_folder, remove_file, replace_file
from dropout_lab.folder.checkpoint import drop_checkpoints, save_checkpoints, save_contents
from dropout_lab.folder.study_folder import RunEnd, StudyFolder
from dropout_lab.training import Record
from dropout_lab.training.fleet import Fleet

LOG = "log.txt"


class Store(Protocol):
    """Receives a fleet's results: the folder itself, or on a worker a recorder.

    Attributes:
        path: That of the study's folder.
    """

    path: Path

    def append(self, records: Mapping[str, Record]) -> None:
        """Append an epoch's records, by run id."""

    def keep_checkpoints(self, fleet: Fleet) -> None:
        """Save a checkpoint of each run of a fleet."""

    def add_rows(self, name: str, rows: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Append rows, by run id, to a table of final measurements."""

    def keep_file(self, run_id: str, name: str, content: bytes | str) -> None:
        """Save a file of a run: its weights, predictions or log."""

    def set_status(self, ends: Iterable[RunEnd]) -> None:
        """Save how runs ended."""

    def clear(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints of completed runs and the logs of resolved failures."""


class FolderStore:
    """Saves results in the study's folder.

    Args:
        folder: That of the study.
    """

    def __init__(self, folder: StudyFolder) -> None:
        self.path = folder.path
        self._folder = folder
        self.append = folder.append
        self.add_rows = folder.add_rows
        self.set_status = folder.set_status

    def keep_checkpoints(self, fleet: Fleet) -> None:
        """Save checkpoints and remove all but the last two."""
        folders = [self._folder.run_folder(run) for run in fleet.runs]
        save_checkpoints(folders, fleet.checkpoint())

    def keep_contents(self, run_ids: Sequence[str], epoch: int, contents: Iterable[bytes]) -> None:
        """Save checkpoints that another process serialized."""
        save_contents([self._folder.folder_of(run_id) for run_id in run_ids], epoch, contents)

    def keep_file(self, run_id: str, name: str, content: bytes | str) -> None:
        """Save a file in the folder of a run."""
        folder = self._folder.folder_of(run_id)
        make_folder(folder)
        replace_file(folder / name, content)

    def clear(self, run_ids: Sequence[str]) -> None:
        """Remove checkpoints and logs."""
        clear([self._folder.folder_of(run_id) for run_id in run_ids])


def clear(folders: Sequence[Path]) -> None:
    """Remove what completed runs needed to resume, and the logs of failures that were retried."""
    drop_checkpoints(folders)
    for folder in folders:
        remove_file(folder / LOG)
        remove_empty_folder(folder)  # it stays if weights or predictions are in it
