"""What is damaged in a study's folder, and its repair: nothing goes that is not kept beside."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.errors import StorageError
from dropout_lab.files import keep_beside, remove_file, replace_file
from dropout_lab.folder.checkpoint import checkpoints_in, damage_of, recorded_until
from dropout_lab.folder.compact import CompactRows
from dropout_lab.folder.completeness import (
    READERS,
    RowsByRun,
    RunRows,
    damage_of_kept,
    keeps_inferences,
    kept_files,
    lacking,
    missing_epochs,
    restored_end,
)
from dropout_lab.folder.consistency import contradicted, impossible, with_digits
from dropout_lab.folder.headers import header_of, record_columns
from dropout_lab.folder.leftovers import leftovers, with_the_claim
from dropout_lab.folder.lock import Claim, is_alive, refuse_links, writer_of
from dropout_lab.folder.notices import Finding
from dropout_lab.folder.weights import WEIGHTS, read_weights
from dropout_lab.results import DamagedManifestError, Manifest, Row, Table, counted, table_parts

_TABLES = (results.METRICS, results.RUNS, *results.AT_END, results.ENSEMBLES)
_SHOWN = 20  # faults of a table, before the rest is counted
_ROUNDS = 5  # mending a file may show what its damage hid
_AGAIN = "the command that made the study"


def examine(folder: Path) -> list[Finding]:
    """Return what is damaged in a study's folder. Nothing is written.

    Raises:
        StorageError: It cannot be read, or a newer dropout-lab wrote it.
    """
    try:
        refuse_links(folder)
    except StorageError as error:
        return [Finding(folder, error.plain.removesuffix("."))]
    found = list(_Patient(folder, set()).findings())
    if is_alive(folder):
        words = f"is being written by {writer_of(folder)}; what is found is of the moment"
        found.insert(0, Finding(folder, words, damaged=False))
    return found


def mend(folder: Path) -> tuple[list[Finding], list[Finding]]:
    """Mend what can be; return what was mended and what is left.

    Raises:
        StorageError: The folder is being written, or cannot be read or written.
    """
    before = examine(folder)
    if not any(finding.mend for finding in before):
        return [], before
    claim, kept = Claim(folder), set[Path]()
    claim.take()
    mended = [finding for finding in before if finding.mend is with_the_claim]
    try:
        for _ in range(_ROUNDS):
            found = [f for f in _Patient(folder, kept, claimed=True).findings() if f.mend]
            for action in dict.fromkeys(finding.mend for finding in found):
                if action is not None:
                    action()
            mended += found
            if not found:
                break
    finally:
        claim.give_back()
    return mended, examine(folder)


class _Patient:
    """One look at a folder.

    Args:
        folder: That of a study.
        kept: The files that were kept beside already; what is mended since is no damage.
        claimed: Whether this process has the right to write it, so that no one else does.
    """

    def __init__(self, folder: Path, kept: set[Path], *, claimed: bool = False) -> None:
        self.folder, self.kept, self.claimed = folder, kept, claimed
        self.manifest: Manifest | None = None
        self.runs: dict[str, Run] | None = None
        self.aside: set[str] = set()  # runs to be trained again

    def findings(self) -> Iterator[Finding]:
        yield from self._manifest()
        tables = self._tables()
        strange = self._strange_manifest(tables)
        if strange is not None:
            yield strange
            self.manifest = self.runs = None
            tables = self._tables()
        for table in tables.values():
            yield from self._table(table)
        if self.runs is not None and not any(table.unreadable for table in tables.values()):
            yield from self._runs(self.runs, tables)
        yield from self._run_folders()
        yield from self._plugins()
        yield from leftovers(self.folder, claimed=self.claimed)

    def _manifest(self) -> Iterator[Finding]:
        path = self.folder / results.MANIFEST
        try:
            self.manifest = results.read_manifest(self.folder)
        except DamagedManifestError as error:
            words = str(error).removeprefix(f"{path} ").partition(". Restore")[0]
            remedy = f"kept beside and taken away; {_AGAIN} makes it anew"
            yield Finding(path, words, remedy, self._away(path))
            return
        if self.manifest is None:
            yield Finding(path, "is not there", f"{_AGAIN} makes it anew")
        else:
            self.runs = results.runs_in(self.manifest)

    def _tables(self) -> dict[str, Table]:
        """Read the tables; rows of runs that the manifest does not list are faults."""
        known = dict.fromkeys(_TABLES, self.runs) | {results.ENSEMBLES: None}
        headers: dict[str, list[str]] = {}
        if self.manifest is not None and self.runs:
            columns, swept = record_columns(self.runs.values()), self.manifest["swept"]
            headers = {name: header_of(name, swept, columns) for name in _TABLES[:-1]}
        return {
            name: results.scan_table(self.folder / name, known[name], headers.get(name, ()))
            for name in _TABLES
        }

    def _strange_manifest(self, tables: Mapping[str, Table]) -> Finding | None:
        """Return that the manifest is of another study, if it lists none of the runs there are."""
        own = (tables[results.METRICS], tables[results.RUNS])
        strange = {fault.run_id for table in own for fault in table.faults} - {""}
        listed = self.runs is None or any(table.rows for table in own) or strange & set(self.runs)
        if listed or not strange:
            return None
        path = self.folder / results.MANIFEST
        words = f"lists none of the {counted(len(strange), 'run')} in the tables beside it"
        remedy = f"kept beside and taken away; {_AGAIN} makes it anew"
        return Finding(path, words, remedy, self._away(path))

    def _table(self, table: Table) -> Iterator[Finding]:
        path = table.path
        if table.foreign and not table.unreadable:
            remedy = "written with commas and decimal points again, the file as it is kept beside"
            yield Finding(path, table.foreign, remedy, self._rewrite(table))
        elif table.advice:
            yield Finding(path, f"{table.unreadable}; {table.advice}")
        elif table.unreadable and path.is_file() and os.access(path, os.R_OK):
            remedy = f"kept beside and taken away; {_AGAIN} trains what it needs again"
            yield Finding(path, table.unreadable, remedy, self._away(path))
        elif table.unreadable:
            yield Finding(path, table.unreadable)
        action = self._rewrite(table)
        remedy = "the sound rows written anew, the file as it is kept beside"
        for fault in [] if table.unreadable else table.faults[:_SHOWN]:
            yield Finding(path, str(fault), remedy, action)
        if len(table.faults) > _SHOWN and not table.unreadable:
            words = f"has {len(table.faults) - _SHOWN} more damaged rows"
            yield Finding(path, words, remedy, action)
        if table.foreign_columns:
            columns = ", ".join(table.foreign_columns)
            words = f"has columns of another program, which the next training drops: {columns}"
            yield Finding(path, words, damaged=False)

    def _runs(self, runs: Mapping[str, Run], tables: Mapping[str, Table]) -> Iterator[Finding]:
        """Look at each run's rows together."""
        metrics, ends = tables[results.METRICS].rows, tables[results.RUNS].rows
        parts = {name: CompactRows(tables[name].rows) for name in results.AT_END}
        rows = RowsByRun(CompactRows(metrics), parts, runs)
        end_of = {row["run_id"]: row for row in ends}
        again = f"its rows put aside, the files kept beside; {_AGAIN} trains it again"
        kept = keeps_inferences(self.manifest)
        absent: Counter[str] = Counter()
        for run_id, run in runs.items():
            own, end = rows[run_id], end_of.get(run_id)
            folder = self.folder / results.RUN_FOLDERS / run_id
            words = self._judge(run, end, own)
            if end is None or end["status"] not in ("completed", "diverged"):
                yield from self._checkpoints(run, own)
            if words:
                self.aside.add(run_id)
                yield Finding(folder.parent.parent, f"run {run_id}: {words}", again, self.put_aside)
            elif end is None and restored_end(run, own, folder, kept=kept):
                words = f"has no row of run {run_id}, whose records are whole"
                yield Finding(self.folder / results.RUNS, words, f"{_AGAIN} makes it again")
            if end is not None and end["status"] == "completed":
                absent.update(n for n in kept_files(run.settings) if not (folder / n).exists())
        yield from self._digits(runs, end_of, rows)
        for name, count in absent.items():
            words = f"{name} of {counted(count, 'run')} is not there; the tables stay"
            yield Finding(self.folder / results.RUN_FOLDERS, words, damaged=False)

    def _digits(
        self, runs: Mapping[str, Run], ends: Mapping[str, Row], rows: RowsByRun
    ) -> Iterator[Finding]:
        """Look for numbers that another program rounded."""
        restored, words = with_digits(runs, ends, lambda run_id: rows[run_id].metrics)
        name, _, words = words.partition(" ")
        path = self.folder / name

        def restore() -> None:
            table = results.scan_table(path, runs)
            table.rows = [restored.get(row["run_id"], row) for row in table.rows]
            self._rewrite(table)()

        if restored:
            remedy = f"taken from {results.METRICS} again, the file as it is kept beside"
            yield Finding(path, words, remedy, restore)
        elif words:
            yield Finding(path, words, damaged=False)

    def _judge(self, run: Run, end: Mapping[str, str] | None, rows: RunRows) -> str:
        """Return in words why a run must be trained again; empty if it need not."""
        folder = self.folder / results.RUN_FOLDERS / run.run_id
        words = impossible(run, rows.metrics)
        if end is not None and end["status"] == "completed":
            words = words or lacking(
                run, dict(end), rows, folder, kept=keeps_inferences(self.manifest)
            )
            words = words or contradicted(run, dict(end), rows.metrics)
        return words

    def _checkpoints(self, run: Run, rows: RunRows) -> Iterator[Finding]:
        """Look for the records that a checkpoint goes on from."""
        for path in checkpoints_in(self.folder / results.RUN_FOLDERS / run.run_id).values():
            missing = missing_epochs(run.settings, rows.metrics, recorded_until(path))
            if missing:
                words = f"goes on from a record of epoch {missing[0]}, which is lost"
                remedy = f"kept beside and taken away; {_AGAIN} goes on without it"
                yield Finding(path, words, remedy, self._away(path))

    def _run_folders(self) -> Iterator[Finding]:
        parent = self.folder / results.RUN_FOLDERS
        for folder in sorted(parent.iterdir()) if parent.is_dir() else []:
            if self.runs is not None and folder.name not in self.runs:
                yield Finding(folder, "is of no run of this study; left alone", damaged=False)
                continue
            damaged = {path: damage_of(path) for path in checkpoints_in(folder).values()}
            for name, read in (*READERS.items(), (WEIGHTS, read_weights)):
                damaged[folder / name] = damage_of_kept(read, folder / name)
            for path, words in damaged.items():
                if words:
                    remedy = f"kept beside and taken away; {_AGAIN} goes on without it"
                    yield Finding(path, words, remedy, self._away(path))

    def _plugins(self) -> Iterator[Finding]:
        recorded = {} if self.manifest is None else self.manifest.get("plugins", {})
        for name, entry in recorded.items():
            path = self.folder / results.PLUGINS / f"{name}.py"
            if not name.isidentifier() or not path.exists():
                continue
            if hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
                words = f"has another SHA-256 than {results.MANIFEST} says"
                remedy = f"kept beside and taken away; {_AGAIN}, with --plugin, writes it again"
                yield Finding(path, words, remedy, self._away(path))

    def put_aside(self) -> None:
        """Take the rows of the runs to be trained again out of the tables, and their checkpoints.

        Each file that changes is kept beside.
        """
        for name in _TABLES[:-1]:
            table = results.scan_table(self.folder / name)
            rest = [row for row in table.rows if row["run_id"] not in self.aside]
            if len(rest) < len(table.rows):
                self._keep(table.path)
                replace_file(table.path, table_parts(table.header, rest))
        for run_id in sorted(self.aside):
            folder = self.folder / results.RUN_FOLDERS / run_id
            for path in checkpoints_in(folder).values():
                self._away(path)()

    def _rewrite(self, table: Table) -> Callable[[], None]:
        def rewrite() -> None:
            self._keep(table.path)
            replace_file(table.path, table_parts(table.header, table.rows))

        return rewrite

    def _away(self, path: Path) -> Callable[[], None]:
        def away() -> None:
            if path.exists():
                self._keep(path)
                remove_file(path)

        return away

    def _keep(self, path: Path) -> None:
        if path not in self.kept:
            keep_beside(path)
            self.kept.add(path)
