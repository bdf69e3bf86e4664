"""Where the studies are, below a folder."""

import hashlib
import shlex
from contextlib import suppress
from pathlib import Path

from dropout_lab.errors import StorageError
from dropout_lab.results.names import MANIFEST, METRICS, REPORT, RUNS, TABLES
from dropout_lab.results.table import scan_table


def find_studies(path: Path, *, without_manifest: bool = False) -> list[Path]:
    """Return the folders of the studies at or below a folder, in order of name.

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
    if not found:
        raise StorageError(
            f"{str(path)!r} holds no study that can be read; train one first, for instance: "
            f"dropout-lab sweep --out {path / 'quickstart'}"
        )
    return sorted(found)


def has_our_tables(folder: Path) -> bool:
    """Whether metrics.csv or runs.csv of a study stand in a folder, damaged or not."""
    return any(scan_table(folder / name).header for name in (METRICS, RUNS))


def old_report(path: Path) -> str:
    """Say that a study's report is of other runs than the study has now; empty where it is not.

    A report names the SHA-256 of the runs.csv that it was made from.
    """
    with suppress(OSError):  # there is no report, or it cannot be read
        page = (path / REPORT).read_bytes()
        runs = hashlib.sha256((path / RUNS).read_bytes()).hexdigest()
        if runs.encode() not in page:
            return (
                f"{REPORT} and {TABLES}/ are older than the runs; update them with: "
                f"{shlex.join(['dropout-lab', 'report', str(path)])}"
            )
    return ""
