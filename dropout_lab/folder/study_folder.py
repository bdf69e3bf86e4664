"""A study's results folder, written in an order that loses nothing.

README.md in this folder has the order of writes. Rows that are damaged are left out and their runs
retrained; a file with such rows is backed up before it is rewritten.
"""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.errors import StorageError
from dropout_lab.files import (
    append_text,
    backup_file,
    make_folder,
    remove_file,
    remove_temporary_files,
    replace_file,
)
from dropout_lab.folder.compact import CompactRows
from dropout_lab.folder.completeness import RowsByRun, has_inference_table, missing_epochs
from dropout_lab.folder.consistency import restore_digits
from dropout_lab.folder.digests import digest_row, digest_rows, ensemble_digests, expected
from dropout_lab.folder.ensembles import new_ensembles
from dropout_lab.folder.headers import header_of, record_columns
from dropout_lab.folder.judge import ENDED, READING_ORDER, Judgement, judge
from dropout_lab.folder.lock import (
    FolderLock,
    folder_exists,
    refuse_foreign,
    refuse_links,
)
from dropout_lab.folder.notices import Findings
from dropout_lab.folder.run_summary import RunEnd, metric_columns, summary
from dropout_lab.plugins import Plugin
from dropout_lab.results import Manifest, Row, TableText, cell_text, counted, table_parts
from dropout_lab.training import Record

__all__ = ["RunEnd", "StudyFolder"]


class StudyFolder:
    """The folder of one study, locked against a second writer while it is open.

    Args:
        path: ``results/<name>``, or wherever ``--out`` says.
        asked: The runs asked for: rows of theirs are ours, even if a manifest that was put back to
            an earlier state does not list them.

    Attributes:
        findings: What was damaged and what was done about it, in sentences.
        finished: The ids of the runs that need no training, as the folder was read: diverged or
            completed, and on disk as they were written.
        damages: What is damaged, each in a sentence: some of the findings.

    Raises:
        StorageError: Something else stands there, another process writes it, or it is damaged.
    """

    def __init__(self, path: Path, asked: Iterable[Run] = ()) -> None:
        self.path = path
        self._asked = {run.run_id: run for run in asked}
        there = folder_exists(path)
        self._lock = FolderLock(path)
        self.findings = Findings()
        self.finished: set[str] = set()
        self.damages: list[str] = []
        self._judged = Judgement()
        self._known: dict[str, Run] = {}
        self._metrics = CompactRows()  # by run; of each in the order of the file
        self._runs_text: TableText | None = None
        self._runs: dict[str, Row] = {}
        self._tables = {name: CompactRows() for name in results.ADDED}
        self._ensembles: list[Row] = []
        self._lossy: set[str] = set()  # files with more than a torn row that have no backup
        self._distrusted: set[str] = set()  # runs of which a row was damaged
        self.manifest = results.read_manifest(path) if there else None
        if self.manifest is None and there:
            refuse_foreign(path)

    def __enter__(self) -> "StudyFolder":
        refuse_links(self.path)
        self._lock.acquire()
        try:
            remove_temporary_files(self.path)  # those of a process that was killed while writing
            self.read()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release(unused=self.manifest is None)

    def read(self) -> None:
        """Read the manifest and the tables."""
        self.manifest = results.read_manifest(self.path)
        self._lossy, self._distrusted, self.damages = set(), set(), []
        known = None if self.manifest is None else {**self._asked, **self.manifest.list_runs()}
        taken = {name: self._load_rows(name, known) for name in READING_ORDER}
        self._metrics = CompactRows(taken[results.METRICS])
        self._runs = {row["run_id"]: row for row in taken[results.RUNS]}
        self._tables = {name: CompactRows(taken[name]) for name in results.ADDED}
        self._ensembles = list(taken[results.ENSEMBLES])
        for run_id in self._distrusted:  # what is left of it may look complete
            self._runs.pop(run_id, None)
        if known is not None:
            self.judge_runs(known)

    def judge_runs(self, runs: Mapping[str, Run]) -> None:
        """Judge which runs are complete, once their settings are known.

        Reading does so for the runs of the manifest. Where that is lost, a study calls it with
        the runs that its new manifest lists. A run that has all its records and no row in runs.csv
        has its row again.

        Raises:
            StorageError: The manifest is lost, and the tables hold runs that are none of these.
        """
        self._known = dict(runs)
        ids = self._metrics.keys() | self._runs.keys()
        strange = sorted(ids - runs.keys())
        if strange and self.manifest is None:
            raise StorageError(
                f"{self.path} has no {results.MANIFEST}, and its tables hold "
                f"{counted(len(strange), 'run')} not asked for here, such as {strange[0]}; "
                "nothing is written. Give the command that made them, with all its values and "
                "seeds, or another folder with --out."
            )
        if ids and self.manifest is None:
            self.damages.append(f"{self.path / results.MANIFEST} was lost; it is made again.")
            self.findings.add(self.damages[-1])
        rows = RowsByRun(self._metrics, self._tables, self._known)
        found = self._judged = judge(
            self.path, self.manifest, runs, self._runs, rows, self._ensembles, self._distrusted
        )
        self._lossy |= found.changed
        self.damages += [f"{words}." for words in found.sentences(self.path)]
        self._restore_ends()
        again = found.again
        self.finished = {
            run_id
            for run_id, row in self._runs.items()
            if row["status"] in ENDED and run_id in runs and run_id not in again
        }
        told = [f"run {i}: {words}; it will be retrained." for i, words in again.items()]
        self.findings.add_some(told, "runs are damaged and will be retrained.")

    @property
    def statuses(self) -> dict[str, str]:
        """The status of each run that has one."""
        return {run_id: row["status"] for run_id, row in self._runs.items()}

    def lacks_records(self, run: Run, epoch: int) -> bool:
        """Return whether a record up to an epoch is missing. A checkpoint is then useless."""
        if run.run_id in self._judged.untrue:
            return True
        return bool(missing_epochs(run.settings, self._metrics.get(run.run_id, []), epoch))

    def run_folder(self, run: Run) -> Path:
        """Return the folder of a run's checkpoints, log and weights."""
        return self.folder_of(run.run_id)

    def folder_of(self, run_id: str) -> Path:
        """Return the folder of the run with an id."""
        return self.path / results.RUN_FOLDERS / run_id

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest."""
        self.manifest = manifest
        replace_file(self.path / results.MANIFEST, json.dumps(manifest.to_json(), indent=1) + "\n")

    def save_plugins(self, plugins: Mapping[str, Plugin]) -> None:
        """Save the source of plugins, by the names of their variants."""
        for name, plugin in plugins.items():
            make_folder(self.path / results.PLUGINS)
            replace_file(self.path / results.PLUGINS / f"{name}.py", plugin.text)

    def rewrite(self, runs: Mapping[str, Run], swept: Sequence[str]) -> None:
        """Rewrite the CSV files with the columns of ``swept`` and the rows of known runs.

        The rows are in the order of the runs, whatever the order they were trained in. A file
        that loses more than a torn row is backed up first.
        """
        self._swept = list(swept)
        self._known = dict(runs)
        self._columns = record_columns(runs.values())
        ids = {name: list(rows) for name, rows in self._tables.items()}
        ids |= {results.METRICS: list(self._metrics), results.RUNS: list(self._runs)}
        self._lossy |= {name for name, every in ids.items() if not runs.keys() >= set(every)}
        self._back_up_files()
        for name in sorted(n for n in self._lossy if (self.path / n).exists()):
            beside = backup_file(self.path / name)
            self.findings.add(f"the original {self.path / name} is backed up as {beside.name}.")
        self._lossy.clear()
        before, self._metrics = self._metrics, CompactRows()
        for run_id in runs:
            if run_id in before:
                own = sorted(before.pop(run_id), key=lambda row: int(row["epoch"]))
                self._metrics[run_id] = own
        for table in self._tables.values():
            for run_id in table.keys() - runs.keys():
                del table[run_id]
        self._runs = {run_id: row for run_id, row in self._runs.items() if run_id in runs}
        header = self._header_of(results.METRICS)
        rows = itertools.chain.from_iterable(self._metrics.values())
        replace_file(
            self.path / results.METRICS,
            table_parts(header, map(self._full_row, rows)),
        )
        self._runs_text = None  # the columns may be others
        for row in self._digests_of(i for i in self._runs if i in self.finished):
            self._tables[results.DIGESTS].add(row)
        for name in results.ADDED:
            self._write_table(name)
        self._write_runs()

    def truncate_after(self, runs: Iterable[Run], epoch: int) -> None:
        """Remove the rows of runs after an epoch, and their rows of runs.csv."""
        ids = {run.run_id for run in runs}
        before = {run_id: self._metrics[run_id] for run_id in ids & self._metrics.keys()}
        kept = {i: [r for r in rows if int(r["epoch"]) <= epoch] for i, rows in before.items()}
        bound = self._tables[results.DIGESTS].keys()
        self._judged.untrue -= ids
        if kept != before or ids & (self._runs.keys() | bound):
            self._metrics.update(kept)
            self._runs = {run_id: row for run_id, row in self._runs.items() if run_id not in ids}
            for rows in self._tables.values():
                for run_id in ids & rows.keys():
                    del rows[run_id]
            self.rewrite(self._known, self._swept)

    def append(self, records: Mapping[str, Record]) -> None:
        """Append records, by run id, to metrics.csv."""
        header = self._header_of(results.METRICS)
        lines = []
        for run_id, record in records.items():
            row = {column: cell_text(value) for column, value in record.columns().items()}
            self._metrics.add({"run_id": run_id, **row})
            lines.append(results.fields(header, {**row, **self._key_columns(run_id)}))
        if lines:
            append_text(self.path / results.METRICS, results.csv_text(lines))

    def add_rows(self, name: str, rows: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Append rows, by run id, to a table of final measurements."""
        table = self._tables[name]
        new: list[Row] = []
        for run_id, own in rows.items():
            texts = [{key: cell_text(value) for key, value in row.items()} for row in own]
            new += [{"run_id": run_id, **row} for row in texts]
        replaced = table.keys() & rows.keys()
        for run_id in replaced:
            del table[run_id]
        if replaced:
            self._write_table(name)
        self._add(name, new)

    def write_ensembles(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rewrite ensembles.csv with a row for each cell.

        While it is replaced, digests.csv says nothing of it.
        """
        base = self.manifest.settings if self.manifest else {}
        path = self.path / results.ENSEMBLES
        digests = self._tables[results.DIGESTS]
        before = {row["run_id"]: row["sha256"] for row in ensemble_digests(digests)}
        believed = set(before.values()) if self._judged.ensembles else None
        table = new_ensembles(path, rows, self._swept, self._known.values(), base, believed)
        if before == table.digests:
            self.findings.add_all(table.write())
            return
        for run_id in before:
            self._unbind(run_id, results.ENSEMBLES)
        if before:
            self._write_table(results.DIGESTS)
        self.findings.add_all(table.write())
        new = [digest_row(i, results.ENSEMBLES, digest) for i, digest in table.digests.items()]
        self._add(results.DIGESTS, new)

    def set_status(self, ends: Iterable[RunEnd]) -> None:
        """Write the rows of runs in runs.csv, then the digests of the runs that ended."""
        ended = []
        for end in ends:
            run_id = end.run.run_id
            rows = self._metrics.get(run_id, [])
            self._runs[run_id] = summary(end, rows, metric_columns(self._columns))
            if end.status in ENDED:
                ended.append(run_id)
        self._write_runs()
        if ended:
            self._add(results.DIGESTS, self._digests_of(ended))

    def _load_rows(self, name: str, known: Mapping[str, Run] | None) -> Sequence[Row]:
        """Return the intact rows of a table; note the others."""
        table = results.read_table(self.path / name, known)
        self.damages += [f"{table.path}: {fault}." for fault in table.damage]
        if name == results.ENSEMBLES:  # which tells of its damage when it is written
            return table.rows
        if self.findings.of_table(table):
            self._lossy.add(name)
        if name != results.RUNS:  # whose rows can be made again from the others
            self._distrusted |= table.damaged_runs
        return table.rows

    def _restore_ends(self) -> None:
        """Rebuild lost rows and lost digits of runs.csv."""
        ends = self._judged.ends
        self._runs |= ends
        if ends:
            self.findings.add(
                f"{self.path / results.RUNS} had lost {counted(len(ends), 'run')}; made again "
                f"from {results.METRICS}."
            )
        if ends and not has_inference_table(self.manifest):
            self.findings.add(
                f"{self.path / results.INFERENCE} has no rows of them, and gets none."
            )
        sound = {i: row for i, row in self._runs.items() if i not in self._judged.again}
        restored, words = restore_digits(
            self._known, sound, lambda run_id: self._metrics.get(run_id, [])
        )
        self._runs |= restored
        for run_id in (*ends, *restored):  # they may differ in the columns of times
            self._unbind(run_id, results.RUNS)
        if words:
            taken = f"; taken from {results.METRICS} again" if restored else ""
            self.findings.add(f"{self.path / words}{taken}.")
        if restored:
            self._lossy.add(results.RUNS)

    def _back_up_files(self) -> None:
        """Rename damaged files of runs."""
        for path, words in self._judged.files.items():
            kept = backup_file(path)
            remove_file(path)
            self.findings.add(f"{path} {words}; it is kept as {kept.name} and not used.")
        self._judged.files.clear()

    def _digests_of(self, run_ids: Iterable[str]) -> list[Row]:
        """Return the missing rows of digests.csv for runs that ended."""
        rows = RowsByRun(self._metrics, self._tables, self._known)
        new = []
        for run_id in run_ids:
            there = expected(self._tables[results.DIGESTS].get(run_id, []))
            if not {results.METRICS, results.RUNS} <= there.keys():
                end, place = self._runs[run_id], self.folder_of(run_id)
                new += digest_rows(run_id, end, rows[run_id], place, there)
        return new

    def _unbind(self, run_id: str, name: str) -> None:
        """Remove the digest of a run's rows in a table."""
        digests = self._tables[results.DIGESTS]
        if run_id in digests:
            digests[run_id] = [row for row in digests[run_id] if row["file"] != name]

    def _add(self, name: str, rows: Sequence[Row]) -> None:
        """Append rows to a table of final measurements."""
        table = self._tables[name]
        begun = bool(table)
        for row in rows:
            table.add(row)
        if not begun:
            self._write_table(name)
        elif rows:
            header = self._header_of(name)
            lines = [results.fields(header, self._full_row(row)) for row in rows]
            append_text(self.path / name, results.csv_text(lines))

    def _write_table(self, name: str) -> None:
        table = self._tables[name]
        if not table:  # a study without such rows has no such file
            remove_file(self.path / name)
            return
        rows = itertools.chain.from_iterable(table[i] for i in self._known if i in table)
        parts = table_parts(self._header_of(name), map(self._full_row, rows))
        replace_file(self.path / name, parts)

    def _header_of(self, name: str) -> list[str]:
        return header_of(name, self._swept, self._columns)

    def _write_runs(self) -> None:
        ends = self._runs
        self._runs_text = self._runs_text or TableText(self._header_of(results.RUNS))
        rows = [ends[i] for i in self._known if i in ends]
        replace_file(self.path / results.RUNS, self._runs_text(rows, self._full_row))

    def _full_row(self, row: Row) -> Row:
        return {**row, **self._key_columns(row["run_id"])}

    def _key_columns(self, run_id: str) -> Row:
        """Return the first columns of each row of a run."""
        run = self._known[run_id]
        values = {key: cell_text(run.cell.values.get(key)) for key in self._swept}
        return {"run_id": run_id, "seed": str(run.seed), **values}
