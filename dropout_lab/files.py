"""The only two ways a results folder is written: replace a file whole, append to it and keep it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dropout_lab.errors import StorageError

_TEMPORARY = ".tmp"


def replace_file(path: Path, content: str | bytes) -> None:
    """Give ``path`` a new content, whole or not at all, even if the power fails.

    The content goes to a temporary file in the same folder, is forced to the disk, and takes the
    old file's place in one step.

    Raises:
        StorageError: The folder cannot be written; the old file is untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    with _reported(path):
        handle, temporary = tempfile.mkstemp(_TEMPORARY, f".{path.name}.", path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)  # mkstemp keeps a file private; results are to be shared
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        _keep_entries(path.parent)


def remove_temporaries(folder: Path) -> None:
    """Remove what a process killed in :func:`replace_file` left in a folder."""
    for path in folder.glob(f".*{_TEMPORARY}"):
        path.unlink(missing_ok=True)


def append_text(path: Path, text: str) -> None:
    """Add ``text`` at the end of an existing file and force it to the disk.

    Raises:
        StorageError: The file is missing or cannot be written.
    """
    with _reported(path), open(path, "r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def make_folder(path: Path) -> None:
    """Make a folder and its parents; one that is there already is fine.

    Raises:
        StorageError: Something else stands at that path, or it may not be written.
    """
    with _reported(path):
        path.mkdir(parents=True, exist_ok=True)


def _keep_entries(folder: Path) -> None:
    """Force the names in ``folder`` to the disk: a renamed file is kept only with its entry."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}. "
            "Free the disk or give another folder with --out; the same command then goes on."
        ) from error
