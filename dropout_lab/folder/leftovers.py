"""Files that a killed process left in a study's folder."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from dropout_lab import results
from dropout_lab.files import find_temporary_files, remove_temporary_files
from dropout_lab.folder.lock import describe_writer, is_alive
from dropout_lab.folder.notices import Finding
from dropout_lab.results import counted


def leftovers(folder: Path, *, claimed: bool) -> Iterator[Finding]:
    """Find temporary files and the note of a killed process.

    Args:
        folder: That of a study.
        claimed: Whether this process has the right to write it, so that no one else does.
    """
    if is_alive(folder) and not claimed:
        return  # they are in use
    run_folders = folder / results.RUN_FOLDERS
    runs = sorted(run_folders.iterdir()) if run_folders.is_dir() else []
    names = (results.PLUGINS, results.PLOTS, results.TABLES)
    ours = (folder / name for name in names)
    for place in (folder, *ours, *runs):
        if place.is_dir() and (count := len(find_temporary_files(place))):
            words = f"holds {counted(count, 'temporary file')} of a process that was killed"
            action = partial(remove_temporary_files, place)
            yield Finding(place, words, "removed", action, damaged=False)
    writer = folder / results.WRITER
    if writer.exists() and not claimed:
        if is_alive(folder) is None and describe_writer(folder):
            words = f"says that {describe_writer(folder)} writes here; it is not on this machine"
            yield Finding(writer, words, damaged=False)
        else:
            words = "is of a process that was killed" if describe_writer(folder) else "is no note"
            yield Finding(writer, words, "removed", removed_with_the_lock, damaged=False)


def removed_with_the_lock() -> None:
    """Remove the note of a dead process: releasing the lock does it."""
