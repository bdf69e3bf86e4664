"""Find studies below a folder."""

import hashlib
import shlex
from contextlib import suppress
from pathlib import Path

from dropout_lab.errors import DamageError, StorageError
from dropout_lab.files import read_file
from dropout_lab.results.names import MANIFEST, METRICS, REPORT, RUNS, TABLES
from dropout_lab.results.table import scan_table
from dropout_lab.results.text import command


def find_studies(path: Path, *, without_manifest: bool = False) -> list[Path]:
    """Return the folders of all studies at or below a folder, sorted.

    Args:
        path: A study's folder, or one of studies.
        without_manifest: Also those of which only the tables are left.

    Raises:
        StorageError: There is none.
    """
    if not path.is_dir():
        raise StorageError(f"{path} is not a folder; give that of a study, or of studies.")
    found = {manifest.parent for manifest in path.rglob(MANIFEST)}
    if without_manifest:
        tables = {table.parent for name in (METRICS, RUNS) for table in path.rglob(name)}
        found |= {folder for folder in tables - found if has_our_tables(folder)}
    if found:
        return sorted(found)
    if not without_manifest:
        lost = next(iter(find_studies(path, without_manifest=True)))
        raise DamageError(
            f"{lost} has the tables of a study, and its {MANIFEST} is not there. Run the command "
            "that made the study again: it makes the manifest anew, and trains no finished run "
            f"again. {command('doctor', lost)} says what else is damaged."
        )
    raise StorageError(
        f"{str(path)!r} holds no study that can be read; train one first, for instance: "
        f"{command('sweep', '--out', path / 'quickstart')}"
    )


def folder_for(study: Path, results: Path, out: Path | None) -> Path:
    """Return where the files made from a study go: its folder, or another with ``--out``.

    Args:
        study: The study's folder.
        results: That folder or one above, as it was given.
        out: What ``--out`` names; the folders of several studies stand there as they do below
            ``results``.

    Raises:
        StorageError: It is the folder of another study.
    """
    folder = study if out is None else out / study.relative_to(results)
    if (folder / MANIFEST).exists() and not folder.samefile(study):
        raise StorageError(f"{folder} is the folder of another study; give another with --out.")
    return folder


def has_our_tables(folder: Path) -> bool:
    """Return whether a folder has metrics.csv or runs.csv, or a backup of them.

    What cannot be read may be of a study: whoever reads it says why it cannot.
    """
    try:
        tables = any(scan_table(folder / name).header for name in (METRICS, RUNS))
    except StorageError:
        return True
    return tables or (folder / f"{MANIFEST}.damaged").is_file()


def old_report(path: Path) -> str:
    """Describe an outdated report of a study; empty if it is up to date.

    A report names the SHA-256 of the runs.csv that it was made from.
    """
    with suppress(OSError):  # there is no report, or it cannot be read
        page = read_file(path / REPORT)
        runs = hashlib.sha256(read_file(path / RUNS)).hexdigest()
        if runs.encode() not in page:
            return (
                f"{REPORT} and {TABLES}/ are older than the runs; update them with: "
                f"{shlex.join(['dropout-lab', 'report', str(path)])}"
            )
    return ""
