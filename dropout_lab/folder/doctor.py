"""Find and repair damage in a study's folder; back up every file first."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.errors import StorageError
from dropout_lab.files import backup_file, remove_file, replace_file, sha256_of
from dropout_lab.folder.checkpoint import damage_of, recorded_until
from dropout_lab.folder.completeness import (
    READERS,
    RowsByRun,
    checkpoints_in,
    damage_of_run_file,
    missing_epochs,
)
from dropout_lab.folder.consistency import restore_digits
from dropout_lab.folder.digests import rows_digest
from dropout_lab.folder.headers import header_of, record_columns
from dropout_lab.folder.judge import (
    ENDED,
    READING_ORDER,
    Judgement,
    judge_tables,
    lost_ensembles,
    rows_of,
    strange_runs,
    unbound,
)
from dropout_lab.folder.leftovers import leftovers, removed_with_the_lock
from dropout_lab.folder.lock import FolderLock, describe_writer, is_alive, refuse_links
from dropout_lab.folder.notices import Finding
from dropout_lab.results import DamagedManifestError, Manifest, Row, Table, counted, table_parts

_TABLES = (results.METRICS, results.RUNS, *results.ADDED, results.ENSEMBLES)
_SHOWN = 20  # faults of a table, before the rest is counted
_ROUNDS = 5  # mending a file may show what its damage hid
_AGAIN = "the command that made the study"


def examine(folder: Path) -> list[Finding]:
    """Return the damage in a study's folder. Nothing is written.

    Raises:
        StorageError: It cannot be read, or a newer dropout-lab wrote it.
    """
    try:
        refuse_links(folder)
    except StorageError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return [Finding(folder, error.plain.removesuffix("."))]
    found = list(_Patient(folder, set()).findings())
    if is_alive(folder):
        words = f"is being written by {describe_writer(folder)}; what is found is of the moment"
        found.insert(0, Finding(folder, words, damaged=False))
    return found


def repair(folder: Path) -> tuple[list[Finding], list[Finding]]:
    """Repair what can be repaired; return the repaired and the remaining damage.

    Raises:
        StorageError: The folder is being written, or cannot be read or written.
    """
    before = examine(folder)
    if not any(finding.repair for finding in before):
        return [], before
    lock, kept = FolderLock(folder), set[Path]()
    lock.acquire()
    repaired = [finding for finding in before if finding.repair is removed_with_the_lock]
    try:
        for _ in range(_ROUNDS):
            found = [f for f in _Patient(folder, kept, claimed=True).findings() if f.repair]
            for action in dict.fromkeys(finding.repair for finding in found):
                if action is not None:
                    action()
            repaired += found
            if not found:
                break
    finally:
        lock.release()
    return repaired, examine(folder)


class _Patient:
    """One examination of a folder.

    Args:
        folder: That of a study.
        kept: The files that are backed up already; damage repaired since then is not reported.
        claimed: Whether this process has the right to write it, so that no one else does.
    """

    def __init__(self, folder: Path, kept: set[Path], *, claimed: bool = False) -> None:
        self.folder, self.kept, self.claimed = folder, kept, claimed
        self.manifest: Manifest | None = None
        self.runs: dict[str, Run] | None = None
        self.to_retrain: set[str] = set()  # runs to retrain
        self.lost_averages: set[str] = set()  # the digests of rows of ensembles.csv

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
            remedy = f"backed up and removed; {_AGAIN} rebuilds it"
            yield Finding(path, words, remedy, self._away(path))
            return
        if self.manifest is None:
            yield Finding(path, "is not there", f"{_AGAIN} rebuilds it")
        else:
            self.runs = self.manifest.list_runs()

    def _tables(self) -> dict[str, Table]:
        """Read the tables; report rows of runs that the manifest does not list."""
        known = dict.fromkeys(_TABLES, self.runs) | {results.ENSEMBLES: None}
        headers: dict[str, list[str]] = {}
        if self.manifest is not None and self.runs:
            columns, swept = record_columns(self.runs.values()), self.manifest.swept
            headers = {name: header_of(name, swept, columns) for name in _TABLES[:-1]}
        return {
            name: results.scan_table(self.folder / name, known[name], headers.get(name, ()))
            for name in READING_ORDER
        }

    def _strange_manifest(self, tables: Mapping[str, Table]) -> Finding | None:
        """Report a manifest of another study: one that lists none of the runs in the tables."""
        strange = strange_runs(self.runs, tables)
        if not strange:
            return None
        path = self.folder / results.MANIFEST
        words = f"lists none of the {counted(len(strange), 'run')} in its tables"
        remedy = f"backed up and removed; {_AGAIN} rebuilds it"
        return Finding(path, words, remedy, self._away(path))

    def _table(self, table: Table) -> Iterator[Finding]:
        path = table.path
        if table.foreign and not table.unreadable:
            remedy = "rewritten with commas and decimal points; the original is backed up"
            yield Finding(path, table.foreign, remedy, self._rewrite(table), damaged=table.headless)
        elif table.advice:
            yield Finding(path, f"{table.unreadable}; {table.advice}")
        elif table.unreadable and path.is_file():
            remedy = f"backed up and removed; {_AGAIN} retrains its runs"
            yield Finding(path, table.unreadable, remedy, self._away(path))
        elif table.unreadable:
            yield Finding(path, table.unreadable)
        action = self._rewrite(table)
        remedy = "the intact rows are rewritten; the original is backed up"
        for fault in [] if table.unreadable else table.faults[:_SHOWN]:
            yield Finding(path, str(fault), remedy, action, damaged=fault in table.damage)
        if len(table.faults) > _SHOWN and not table.unreadable:
            words = f"has {len(table.faults) - _SHOWN} more damaged rows"
            yield Finding(path, words, remedy, action, damaged=bool(table.damage))
        if table.foreign_columns:
            columns = ", ".join(table.foreign_columns)
            words = f"has columns of another program, which the next training drops: {columns}"
            yield Finding(path, words, damaged=False)

    def _runs(self, runs: Mapping[str, Run], tables: Mapping[str, Table]) -> Iterator[Finding]:
        """Report what the judge finds in the rows and files of the runs."""
        rows = rows_of(runs, tables)
        ends = {row["run_id"]: row for row in tables[results.RUNS].rows}
        found = judge_tables(self.folder, self.manifest, runs, tables)
        again = f"its rows are removed, its files backed up; {_AGAIN} retrains it"
        for run_id, run in runs.items():
            if run_id not in ends or ends[run_id]["status"] not in ENDED:
                yield from self._checkpoints(run, rows[run_id].metrics)
            if run_id in found.again:
                self.to_retrain.add(run_id)
                words = f"run {run_id}: {found.again[run_id]}"
                yield Finding(self.folder, words, again, self.remove_rows)
            elif run_id in found.ends:
                words = f"has no row of run {run_id}, whose records are complete"
                remedy, lost = f"{_AGAIN} rebuilds it", run_id in found.lost
                yield Finding(self.folder / results.RUNS, words, remedy, damaged=lost)
        for path, words in found.files.items():
            remedy = f"backed up and removed; {_AGAIN} works without it"
            yield Finding(path, words, remedy, self._away(path))
        if found.ensembles:
            self.lost_averages = found.ensembles
            remedy = f"its other rows are removed, the file is backed up; {_AGAIN} rebuilds it"
            path = self.folder / results.ENSEMBLES
            yield Finding(path, lost_ensembles(found), remedy, self.remove_averages)
        digits = list(self._digits(runs, ends, rows))
        yield from digits
        yield from self._notes(found, {finding.path.name for finding in digits})

    def _notes(self, found: Judgement, told: set[str]) -> Iterator[Finding]:
        """Report what cannot be checked or is absent and is no damage."""
        for name, count in found.absent.items():
            words = f"{name} of {counted(count, 'run')} is not there; the tables stay"
            yield Finding(self.folder / results.RUN_FOLDERS, words, damaged=False)
        if found.unbound:
            yield Finding(self.folder / results.DIGESTS, unbound(found), damaged=False)
        for name in sorted(found.rounded - told):
            words = "has numbers that another program rounded; their SHA-256 cannot be checked"
            yield Finding(self.folder / name, words, damaged=False)

    def _digits(
        self, runs: Mapping[str, Run], ends: Mapping[str, Row], rows: RowsByRun
    ) -> Iterator[Finding]:
        """Find numbers that another program rounded."""
        restored, words = restore_digits(runs, ends, lambda run_id: rows[run_id].metrics)
        name, _, words = words.partition(" ")
        path = self.folder / name

        def restore() -> None:
            self._unbind(restored)
            table = results.scan_table(path, runs)
            table.rows = [restored.get(row["run_id"], row) for row in table.rows]
            self._rewrite(table)()

        if restored:
            remedy = f"restored from {results.METRICS}; the original is backed up"
            yield Finding(path, words, remedy, restore)
        elif words:
            yield Finding(path, words, damaged=False)

    def _checkpoints(self, run: Run, records: Sequence[Row]) -> Iterator[Finding]:
        """Check that a checkpoint's records exist."""
        for path in checkpoints_in(self.folder / results.RUN_FOLDERS / run.run_id).values():
            missing = missing_epochs(run.settings, records, recorded_until(path))
            if missing:
                words = f"continues from a row of epoch {missing[0]}, which is lost"
                remedy = f"backed up and removed; {_AGAIN} works without it"
                yield Finding(path, words, remedy, self._away(path))

    def _run_folders(self) -> Iterator[Finding]:
        parent = self.folder / results.RUN_FOLDERS
        for folder in sorted(parent.iterdir()) if parent.is_dir() else []:
            if self.runs is not None and folder.name not in self.runs:
                yield Finding(folder, "is of no run of this study; left alone", damaged=False)
                continue
            damaged = {path: damage_of(path) for path in checkpoints_in(folder).values()}
            if self.runs is None:  # else the judge looks at them
                damaged |= {folder / name: damage_of_run_file(folder / name) for name in READERS}
            for path, words in damaged.items():
                if words:
                    remedy = f"backed up and removed; {_AGAIN} works without it"
                    yield Finding(path, words, remedy, self._away(path))

    def _plugins(self) -> Iterator[Finding]:
        recorded = {} if self.manifest is None else self.manifest.plugins
        for name, entry in recorded.items():
            path = self.folder / results.PLUGINS / f"{name}.py"
            if not name.isidentifier() or not path.exists():
                continue
            if sha256_of(path) != entry.sha256:
                words = f"has another SHA-256 than {results.MANIFEST} says"
                remedy = f"backed up and removed; {_AGAIN}, with --plugin, rewrites it"
                yield Finding(path, words, remedy, self._away(path))

    def _unbind(self, run_ids: Collection[str]) -> None:
        """Remove the digests of rows of runs.csv; the rows may differ in the columns of times."""
        digests = results.scan_table(self.folder / results.DIGESTS)
        kept = [r for r in digests.rows if r["file"] != results.RUNS or r["run_id"] not in run_ids]
        if len(kept) < len(digests.rows):
            replace_file(digests.path, table_parts(digests.header, kept))

    def remove_averages(self) -> None:
        """Remove damaged rows of ensembles.csv and their digests."""
        lost = self.lost_averages
        digests = results.scan_table(self.folder / results.DIGESTS)
        known = {row["sha256"] for row in digests.rows if row["file"] == results.ENSEMBLES} - lost
        digests.rows = [row for row in digests.rows if row["sha256"] not in lost]
        self._rewrite(digests)()
        table = results.scan_table(self.folder / results.ENSEMBLES)
        table.rows = [
            row for row in table.rows if rows_digest(results.ENSEMBLES, "", [row]) in known
        ]
        if table.header:
            self._rewrite(table)()

    def remove_rows(self) -> None:
        """Remove the rows and checkpoints of the runs that must be retrained.

        Each file that changes is backed up.
        """
        for name in _TABLES[:-1]:
            table = results.scan_table(self.folder / name)
            rest = [row for row in table.rows if row["run_id"] not in self.to_retrain]
            if len(rest) < len(table.rows):
                self._keep(table.path)
                replace_file(table.path, table_parts(table.header, rest))
        for run_id in sorted(self.to_retrain):
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
            backup_file(path)
            self.kept.add(path)
