"""Find studies below a folder."""

import hashlib
from contextlib import suppress
from pathlib import Path

from dropout_lab.errors import DamageError, StorageError
from dropout_lab.files import read_file
from dropout_lab.printable import command
from dropout_lab.results.names import MANIFEST, METRICS, REPORT, RUNS, TABLES
from dropout_lab.results.table import scan_table

_RESULTS = Path("results")  # where studies are unless --out says otherwise


def find_studies(path: Path, *, without_manifest: bool = False, asking: str = "plot") -> list[Path]:
    """Return the folders of all studies at or below a folder, sorted.

    Args:
        path: A study's folder, or one of studies.
        without_manifest: Also those of which only the tables are left.
        asking: The command that asks, for the message.

    Raises:
        StorageError: There is none.
    """
    if not path.is_dir():
        raise StorageError(f"{str(path)!r} is not a folder. {_instead(path, asking)}")
    found = {manifest.parent for manifest in path.rglob(MANIFEST)}
    if without_manifest:
        tables = {table.parent for name in (METRICS, RUNS) for table in path.rglob(name)}
        found |= {folder for folder in tables - found if has_our_tables(folder)}
    if found:
        return sorted(found)
    if not without_manifest:
        lost = next(iter(find_studies(path, without_manifest=True, asking=asking)))
        raise DamageError(
            f"{lost} has the tables of a study, and its {MANIFEST} is not there. Run the command "
            "that made the study again: it writes the manifest again and does not retrain "
            f"completed runs. {command('doctor', lost)} says what else is damaged."
        )
    raise StorageError(f"{str(path)!r} holds no study. {_instead(path, asking)}")


def _instead(path: Path, asking: str) -> str:
    """Return what to type instead of a path at which there is no study."""
    if path.is_file() and path.suffix in (".yaml", ".yml"):
        return f"To train this config: {command('sweep', path)}"
    for parent in path.parents:
        if (parent / MANIFEST).is_file():
            return f"It is part of the study {parent}: {command(asking, parent)}"
    if path != _RESULTS and next(_RESULTS.rglob(MANIFEST), None) is not None:
        return f"Studies are in {_RESULTS}: {command(asking, _RESULTS)}"
    return f"Train a study first: {command('sweep', 'quickstart')}"


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
                f"{command('report', path)}"
            )
    return ""
