"""What the tests of faults ask of a study's folder: does it read clean, and is it all there?"""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from dropout_lab import results
from dropout_lab.analysis.tables import read_study
from dropout_lab.errors import StorageError
from dropout_lab.folder.doctor import examine
from dropout_lab.results import METRICS

TABLES = (METRICS, results.RUNS, *results.AT_END, results.ENSEMBLES)
ADDED_TO = (METRICS, *results.ADDED)  # a kill may leave their last row torn
ARRAYS = {
    "predictions.npz": {"log_probabilities", "labels", "run_id"},
    "features.npz": {"images", "units", "run_id"},
}
TIMES = ("seconds", "examples_per_second")  # the columns that no two studies share


def tables_of(folder: Path) -> dict[str, list[list[str]]]:
    """Return every table of a study, as its text has it, but for the columns of times."""
    tables = {}
    for name in TABLES:
        if (folder / name).exists():
            header, *rows = csv.reader((folder / name).read_text().splitlines())
            tables[name] = [
                [cell for column, cell in zip(header, row, strict=False) if column not in TIMES]
                for row in (header, *rows)  # the last of them may be torn
            ]
    return tables


def files_of(folder: Path) -> list[str]:
    """Return the files of a study but for its lock, which stays when a process has ended."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    return sorted(str(path) for path in paths if path.name != ".lock")


def manifest_of(folder: Path) -> dict[str, Any]:
    """Return a study's manifest without the sessions, of which a broken-off study has more."""
    manifest: dict[str, Any] = json.loads((folder / results.MANIFEST).read_text())
    del manifest["sessions"]
    for entry in manifest["runs"].values():
        del entry["sessions"]
    return manifest


def assert_same_study(ours: Path, undisturbed: Path) -> None:
    """The tables are the same but for times, so is what was asked, and nothing is left over."""
    assert tables_of(ours) == tables_of(undisturbed)
    assert manifest_of(ours) == manifest_of(undisturbed)
    left = set(files_of(ours)) - set(files_of(undisturbed))
    assert not left
    assert set(files_of(undisturbed)) <= set(files_of(ours))


def assert_reads_clean(folder: Path) -> None:
    """Every file is whole under its name, but for a last row, and no command calls it damaged."""
    if not folder.exists():
        return
    manifest = results.read_manifest(folder)
    for name in (*TABLES, results.DIGESTS):
        table = results.read_table(folder / name)
        assert table.header or not (folder / name).exists(), f"{name} is empty"
        damage = [fault for fault in table.faults if fault.kind != "torn" or name not in ADDED_TO]
        assert not damage, f"{name}: {damage[0]}"
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                assert set(arrays) == ARRAYS[path.name]
        assert path.is_dir() or path.stat().st_size or path.name.startswith("."), path
    if manifest:
        assert not [finding for finding in examine(folder) if finding.damaged]
    expected = "no finished run yet" if manifest else "is not the folder of a study"
    try:
        read_study(folder)
    except StorageError as error:
        if expected not in str(error):
            raise
