"""The lock of a study's folder, and what the folder may contain."""

import json
import os
import shlex
import socket
import stat
import sys
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from dropout_lab import results
from dropout_lab.errors import StorageError, TakenFolderError
from dropout_lab.files import (
    ELSEWHERE,
    is_temporary,
    make_folder,
    open_file,
    read_error,
    remove_empty_folder,
    remove_file,
    replace_file,
    write_error,
)
from dropout_lab.results import one_line

_FILES = (
    results.MANIFEST, results.METRICS, results.RUNS, *results.ADDED, results.ENSEMBLES,
    results.REPORT, results.LOCK, results.WRITER,
)  # fmt: skip
_FOLDERS = (results.RUN_FOLDERS, results.PLOTS, results.PLUGINS, results.TABLES)
_LONGEST_NOTE = 100_000


class FolderLock:
    """A lock that ends with its process, and a note that names its holder.

    Args:
        folder: The folder. It is made if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(folder / results.LOCK, timeout=0)
        self._created: list[Path] = []

    def acquire(self) -> None:
        """Acquire the lock and write the note.

        Raises:
            StorageError: Another process has it, or nothing can be written there.
        """
        paths = (self.folder, *self.folder.parents)
        self._created = [path for path in paths if not path.exists()]
        make_folder(self.folder)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a file system without locks, see below
                self._lock.acquire()
        except Timeout:
            raise StorageError(self._held(), ELSEWHERE) from None
        except OSError as error:
            raise write_error(self.folder, error) from error
        except NotImplementedError as error:
            raise StorageError(
                f"{self.folder} cannot be written: its file system has no locks. Copy the study to "
                "another disk.",
                ELSEWHERE,
            ) from error
        try:
            replace_file(self.folder / results.WRITER, json.dumps(_note(), indent=1) + "\n")
        except BaseException:
            self._release()
            raise

    def release(self, *, unused: bool = False) -> None:
        """Remove the note and release the lock; remove a new folder that was ``unused``."""
        with suppress(StorageError):  # a note that stays harms nobody, and the work is done
            remove_file(self.folder / results.WRITER)
            if unused:
                remove_file(self.folder / results.LOCK)
        self._release()
        for folder in self._created if unused else ():
            remove_empty_folder(folder)

    def _release(self) -> None:
        with suppress(OSError):
            self._lock.release()

    def _held(self) -> str:
        who = describe_writer(self.folder) if is_alive(self.folder) is not False else ""
        advice = "wait for it to end."
        if isinstance(self._lock, SoftFileLock):  # without locks, a file stands for one
            advice += f" If no program works there, remove {self.folder / results.LOCK}."
        return f"{self.folder} is being written by {who or 'another dropout-lab'}; {advice}"


def describe_writer(folder: Path) -> str:
    """Describe the process that holds a folder; empty if none does."""
    note = _read_note(folder)
    if note is None:
        return ""
    command = f" ({note['command']})" if note["command"] else ""
    since = f", since {note['started']}" if note["started"] else ""
    return f"process {note['process']} on {note['host']}{command}{since}"


def is_alive(folder: Path) -> bool | None:
    """Return whether the holder is alive; None if this machine cannot know."""
    note = _read_note(folder)
    if note is None or note["host"] != socket.gethostname() or os.name == "nt":
        return None
    try:
        os.kill(int(note["process"]), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's process
        return None
    return True


def refuse_links(folder: Path) -> None:
    """Raise if a link or another kind of file replaces one of our files.

    The folder itself may be reached through a symbolic link, as when results lie on another disk;
    through one inside it nothing is written or removed.

    Raises:
        StorageError: There is such a thing.
        OSError: It cannot be told.
    """
    run_folders = folder / results.RUN_FOLDERS
    try:
        runs = [] if run_folders.is_symlink() else sorted(run_folders.glob("*"))
        for path in (*(folder / name for name in (*_FILES, *_FOLDERS)), *runs):
            mode = _mode(path)  # once, since another process may be making it
            if stat.S_ISLNK(mode):
                raise StorageError(
                    f"{path} is a symbolic link, and nothing is written through one; put the file "
                    "or folder itself there.",
                    ELSEWHERE,
                )
            ours = stat.S_ISDIR(mode) if path.name in _FOLDERS else stat.S_ISREG(mode)
            if path.parent == folder and mode and not ours:
                kind = "folder" if path.name in _FOLDERS else "file"
                raise StorageError(f"{path} is no {kind}; move it away.", ELSEWHERE)
    except OSError as error:
        raise read_error(Path(error.filename or folder), error) from error


def folder_exists(path: Path) -> bool:
    """Return whether a folder exists; raise if the path is a file.

    Raises:
        StorageError: Something else is, or it cannot be told.
    """
    try:
        there = path.exists()
        if path.is_symlink() and not there:
            raise StorageError(f"{path} is a symbolic link to nothing; give a folder as --out.")
    except OSError as error:
        raise StorageError(f"{path} cannot be used: {error.strerror}.") from error
    if there and not path.is_dir():
        raise StorageError(f"{path} is a file; give a folder with --out.")
    return there


def refuse_foreign(folder: Path) -> None:
    """Raise if a folder without a manifest contains other files than a study's.

    That is what a killed first start leaves, or the tables of a study that lost its manifest.

    Raises:
        StorageError: It holds something else, or cannot be read.
    """
    try:
        entries = list(folder.iterdir())
    except OSError as error:
        raise read_error(folder, error) from error
    names = {entry.name for entry in entries if not is_temporary(entry)}
    if results.MANIFEST in names:  # another process has just begun the study
        return
    foreign = names - {results.LOCK, results.WRITER}
    if foreign and not results.has_our_tables(folder):
        raise TakenFolderError(
            f"{folder} has files in it and is not the folder of a study; nothing is written there.",
            "Give another folder with --out.",
        )


def _mode(path: Path) -> int:
    """Return the file type bits of a path; 0 if it does not exist."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _note() -> dict[str, object]:
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "command": one_line(shlex.join(["dropout-lab", *sys.argv[1:]])),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _read_note(folder: Path) -> dict[str, str] | None:
    """Return the holder's note as printable texts; None if it is unreadable."""
    try:
        with open_file(folder / results.WRITER) as file:
            note = json.loads(file.read(_LONGEST_NOTE))
        if type(note["process"]) is not int or note["process"] < 1:
            return None
        texts = {key: note[key] for key in ("process", "host", "command", "started")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return {key: one_line(str(value))[:100] for key, value in texts.items()}
