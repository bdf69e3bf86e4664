"""What a process that was killed left in a study's folder, beside its results."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from dropout_lab import results
from dropout_lab.files import remove_temporaries, temporaries
from dropout_lab.folder.lock import is_alive, writer_of
from dropout_lab.folder.notices import Finding
from dropout_lab.results import counted


def leftovers(folder: Path, *, claimed: bool) -> Iterator[Finding]:
    """Look for temporary files and the note of a process that was killed.

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
        if place.is_dir() and (count := len(temporaries(place))):
            words = f"holds {counted(count, 'temporary file')} of a process that was killed"
            action = partial(remove_temporaries, place)
            yield Finding(place, words, "removed", action, damaged=False)
    writer = folder / results.WRITER
    if writer.exists() and not claimed:
        if is_alive(folder) is None and writer_of(folder):
            words = f"says that {writer_of(folder)} writes here; it is not on this machine"
            yield Finding(writer, words, damaged=False)
        else:
            words = "is of a process that was killed" if writer_of(folder) else "is no note"
            yield Finding(writer, words, "removed", with_the_claim, damaged=False)


def with_the_claim() -> None:
    """A note of a dead process goes when the folder is given back."""
