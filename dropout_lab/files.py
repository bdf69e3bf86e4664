"""Durable file operations: atomic replace, append, delete; each ends with an fsync.

Every call but a removal ends with its effect on the disk, so that what was written in an order
stays in that order when the power fails; what was removed may be there again.
"""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path

from dropout_lab.errors import StorageError

_TEMPORARY = ".tmp"
_DAMAGED = ".damaged"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
# No link is followed: whatever a file of a study was replaced by, nothing outside is written.
_AT_THE_END = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)

# What to do about each reason why the system does not write.
_ADVICE = {
    errno.ENOSPC: "Free space on that disk",
    errno.EDQUOT: "Your quota is used up: remove files of yours there, or have it raised",
    errno.EFBIG: "A limit on the size of files is reached: raise it, see ulimit -f",
    errno.EACCES: "Get the right to write there: ls -ld shows who has it",
    errno.EPERM: "Get the right to write there: ls -ld shows who has it, lsattr what is locked",
    errno.EROFS: "Have that file system mounted for writing",
    errno.EIO: "The disk reports an error: check it, and save what is on it",
    errno.ENAMETOOLONG: "Choose a shorter path",
    errno.ENOTDIR: "A file has the name of a folder there: move it away",
    errno.EEXIST: "A file has the name of a folder there: move it away",
    errno.EISDIR: "A folder has the name of a file there: move it away",
    errno.ELOOP: "A symbolic link is in its place: put the file itself there",
    errno.ENOENT: "The folder or file was removed meanwhile, or cannot be made there",
    errno.EMFILE: "Too many files are open: raise the limit, see ulimit -n",
    errno.ENOLCK: "The file system has no locks left: end other programs there",
}
_TO_READ = "Get the right to read it: ls -l shows who has it"
ELSEWHERE = "Or give another folder with --out."

_NO_FILES = {
    stat.S_IFIFO: "It is a named pipe, not a file",
    stat.S_IFSOCK: "It is a socket, not a file",
    stat.S_IFCHR: "It is a device, not a file",
    stat.S_IFBLK: "It is a device, not a file",
}


def open_file(path: Path) -> BufferedReader:
    """Open a file for reading. Every read of a user's or a study's file goes through here.

    Raises:
        OSError: The system does not open it, or it is a pipe, a socket or a device, for whose
            content the program might wait for ever.
    """
    if reason := _NO_FILES.get(stat.S_IFMT(os.stat(path).st_mode)):
        raise OSError(errno.EINVAL, reason, str(path))
    return path.open("rb")


def read_file(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: As of :func:`open_file`.
    """
    with open_file(path) as file:
        return file.read()


def write_error(path: Path, error: OSError, what: str = "written") -> StorageError:
    """Return the error for a refused write, with the reason and a remedy."""
    advice = _ADVICE.get(error.errno or 0, "Remove the cause")
    return StorageError(
        f"{path} cannot be {what}: {error.strerror}. {advice}. Then run the same command again.",
        ELSEWHERE,
    )


@contextmanager
def reading() -> Iterator[None]:
    """Convert errors of the system in reading a path to :class:`StorageError`.

    Raises:
        StorageError: There is one; it is named.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:  # of an output, or of a connection
            raise
        raise read_error(Path(error.filename), error) from error


def read_error(path: Path, error: OSError) -> StorageError:
    """Return the error for a refused read."""
    denied = error.errno in (errno.EACCES, errno.EPERM)
    advice = _TO_READ if denied else _ADVICE.get(error.errno or 0, "Remove the cause")
    return StorageError(f"{path} cannot be read: {error.strerror}. {advice}.")


def read_optional_file(path: Path) -> bytes | None:
    """Return the content of a file; None if there is no such file.

    Raises:
        StorageError: The system refuses to read it.
    """
    try:
        return read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise read_error(path, error) from error


def sha256_of(path: Path) -> str | None:
    """Return the SHA-256 of a file; None if there is no such file.

    Raises:
        StorageError: The system refuses to read it.
    """
    content = read_optional_file(path)
    return None if content is None else hashlib.sha256(content).hexdigest()


def replace_file(path: Path, content: str | bytes | Iterable[str]) -> None:
    """Replace the content of ``path`` atomically and durably.

    The content goes to a temporary file in the same folder, is forced to the disk, and takes the
    old file's place in one step. A large one may be given in parts.

    Raises:
        StorageError: The folder cannot be written; the old file is untouched.
    """
    with _reported(path):
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_TEMPORARY}")
        handle = os.open(temporary, _NEW, 0o666)
        try:
            try:
                for part in [content] if isinstance(content, str | bytes) else content:
                    _write(handle, _bytes(part))
                os.fsync(handle)
            finally:
                os.close(handle)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        _keep_entries(path.parent)


def append_text(path: Path, text: str) -> None:
    """Append ``text`` to an existing file durably.

    Raises:
        StorageError: The file is missing or cannot be written; it is as it was, unless the disk
            refuses that too.
    """
    with _reported(path):
        handle = os.open(path, _AT_THE_END)
        try:
            before = os.fstat(handle).st_size
            try:
                _write(handle, _bytes(text))
                os.fsync(handle)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(handle, before)
                raise
        finally:
            os.close(handle)


def make_folder(path: Path) -> None:
    """Make a folder and its parents if they do not exist.

    Raises:
        StorageError: Something else stands at that path, or it may not be written.
    """
    with _reported(path):
        missing = [folder for folder in (path, *path.parents) if not folder.is_dir()]
        for folder in reversed(missing):  # each name is kept only with the folder it stands in
            folder.mkdir(exist_ok=True)
            _keep_entries(folder.parent)


def remove_file(path: Path) -> None:
    """Remove a file if it exists.

    Raises:
        StorageError: It may not be removed.
    """
    with _reported(path), suppress(FileNotFoundError):
        os.unlink(path)


def remove_empty_folder(path: Path) -> None:
    """Remove a folder if it is empty."""
    with suppress(OSError):
        os.rmdir(path)


def backup_file(path: Path) -> Path:
    """Copy a damaged file to a new name next to it before its repair; return the copy's path.

    A copy, not a new name for the old: at no moment is the file itself gone. What was kept before
    is not kept again.

    Raises:
        StorageError: It cannot be read, or the copy cannot be written.
    """
    with _reported(path, "backed up"):
        content = read_file(path)
        beside, number = path.with_name(path.name + _DAMAGED), 1
        while os.path.lexists(beside):
            if beside.is_file() and read_file(beside) == content:
                return beside
            number += 1
            beside = path.with_name(f"{path.name}{_DAMAGED}{number}")
    replace_file(beside, content)
    return beside


def is_temporary(path: Path) -> bool:
    """Return whether a file is a temporary file of :func:`replace_file`."""
    return path.name.startswith(".") and path.name.endswith(_TEMPORARY)


def find_temporary_files(folder: Path) -> list[Path]:
    """Return the temporary files that a killed process left in a folder."""
    return sorted(filter(is_temporary, folder.glob(".*")))


def remove_temporary_files(folder: Path) -> None:
    """Remove the temporary files in a folder.

    Raises:
        StorageError: One may not be removed.
    """
    for path in find_temporary_files(folder):
        remove_file(path)


def _bytes(content: str | bytes) -> bytes:
    # What has no UTF-8, such as half a character in somebody's error message, is spelled out.
    return content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content


def _write(handle: int, data: bytes) -> None:
    """Write all of ``data``, in several pieces if needed."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _keep_entries(folder: Path) -> None:
    """Flush the entries of ``folder`` to disk, so that a rename is durable."""
    if os.name == "nt":  # which has no handle of a folder, and keeps the names itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _reported(path: Path, what: str = "written") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise write_error(path, error, what) from error
