"""Decide which runs of a study are complete and which are damaged, for every command.

It reads and writes nothing but the files that runs keep, and is given the rows of the tables. So
every command says the same of a folder. A row counts as sound if it contradicts no other and has
the SHA-256 that digests.csv keeps of it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.datasets import Dataset
from dropout_lab.files import read_error, sha256_of
from dropout_lab.folder import digests
from dropout_lab.folder.compact import CompactRows
from dropout_lab.folder.completeness import (
    READERS,
    RowsByRun,
    RunRows,
    damage_of_run_file,
    describe_missing,
    files_of_run,
    has_inference_table,
    rebuild_end,
)
from dropout_lab.folder.consistency import find_contradiction, impossible
from dropout_lab.results import Manifest, Row, Table, counted

ENDED = ("completed", "diverged")
BOUND = (results.METRICS, results.RUNS, *results.AT_END)  # the tables whose rows have a digest
# So that of a study at work, what a row of one refers to is in those that are read later.
READING_ORDER = (results.ENSEMBLES, results.DIGESTS, results.RUNS, *results.AT_END, results.METRICS)
_SHOWN = 5


@dataclass
class Judgement:
    """The damage of a study's folder, as far as its tables can be read.

    Args:
        again: The runs to retrain, by id, and why.
        untrue: Those of them whose records are not to be believed: nothing goes on from them.
        changed: The tables with rows that are not what was written.
        ends: The rows of runs.csv that are lost and can be made again, by run.
        lost: Those of them of which digests.csv proves that they were there.
        files: The files kept of runs that are not what was written, and what is wrong with them.
        ensembles: The digests of rows of ensembles.csv that are lost or changed.
        absent: How many completed runs do not have a file that they kept.
        unbound: The completed runs of which digests.csv has nothing.
        rounded: The tables in which another program rounded the numbers of bound rows.
    """

    again: dict[str, str] = field(default_factory=dict)
    untrue: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    ends: dict[str, Row] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    files: dict[Path, str] = field(default_factory=dict)
    ensembles: set[str] = field(default_factory=set)
    absent: Counter[str] = field(default_factory=Counter)
    unbound: list[str] = field(default_factory=list)
    rounded: set[str] = field(default_factory=set)

    def sentences(self, folder: Path) -> list[str]:
        """Return a sentence without its period for each damage."""
        told = [f"{folder}: run {run_id}: {words}" for run_id, words in self.again.items()]
        told += [
            f"{folder / results.RUNS} has no row of run {run_id}, whose records are complete"
            for run_id in sorted(self.lost)
        ]
        told += [f"{path} {words}" for path, words in self.files.items()]
        if self.ensembles:
            told.append(f"{folder / results.ENSEMBLES} {lost_ensembles(self)}")
        return told


def unbound(judgement: Judgement) -> str:
    """Describe which runs have no digest."""
    return (
        f"has no SHA-256 of {counted(len(judgement.unbound), 'run')}, as of those of an older "
        "dropout-lab; the command that made the study adds it"
    )


def lost_ensembles(judgement: Judgement) -> str:
    """Describe the damage of ensembles.csv."""
    rows = counted(len(judgement.ensembles), "row")
    return f"lacks {rows} as written: their SHA-256 is in {results.DIGESTS}"


def judge(
    folder: Path,
    manifest: Manifest | None,
    runs: Mapping[str, Run],
    ends: Mapping[str, Row],
    rows: RowsByRun,
    ensembles: Sequence[Row] = (),
    distrusted: Iterable[str] = (),
) -> Judgement:
    """Judge the runs of a study by their rows and files.

    Args:
        folder: That of the study.
        manifest: What was asked; none if it is lost.
        runs: The runs, by id.
        ends: The rows of runs.csv, by run.
        rows: The other rows of each run.
        ensembles: The rows of ensembles.csv.
        distrusted: Runs of which a row could not be read: what is left may look complete.

    Raises:
        StorageError: The system refuses to read a file that a run keeps.
    """
    found, kept, averages = Judgement(), has_inference_table(manifest), set[str]()
    folders = _folders(folder / results.RUN_FOLDERS)
    for run_id, run in runs.items():
        own, end = rows[run_id], ends.get(run_id)
        bound = digests.expected(own.at_end[results.DIGESTS])
        averages |= {bound[results.ENSEMBLES]} if results.ENSEMBLES in bound else set()
        ended = end is not None and end["status"] in ENDED
        place = folder / results.RUN_FOLDERS / run_id
        if run_id in folders:
            dataset = run.settings.dataset.describe()
            _judge_files(place, bound if ended else {}, dataset, found)
        words = _why(found, run, end, own, bound, kept=kept)
        if not words and not ended and run_id not in distrusted:
            made = rebuild_end(run, own, place, kept=kept) if end is None else None
            if made is not None:
                found.ends[run_id] = made
            if results.RUNS in bound and made is None:
                words = f"{results.RUNS} says that it is {end['status'] if end else 'not begun'}, "
                words += f"and {results.DIGESTS} that it ended"
            elif results.RUNS in bound:
                found.lost.add(run_id)
        if words:
            found.again[run_id] = words
        elif _is_completed(end):
            damaged = [n for n in files_of_run(run.settings) if place / n in found.files]
            if damaged:
                found.again[run_id] = f"its {damaged[0]} {found.files[place / damaged[0]]}"
            absent = {*files_of_run(run.settings), *(bound.keys() & READERS.keys())}
            found.absent.update(name for name in absent if not (place / name).exists())
        if ended and results.METRICS not in bound:
            found.unbound.append(run_id)
    _judge_ensembles(ensembles, averages, found)
    return found


def rows_of(runs: Iterable[str], tables: Mapping[str, Table]) -> RowsByRun:
    """Return the rows of each run."""
    parts = {name: CompactRows(tables[name].rows) for name in results.ADDED}
    return RowsByRun(CompactRows(tables[results.METRICS].rows), parts, runs)


def judge_tables(
    folder: Path, manifest: Manifest | None, runs: Mapping[str, Run], tables: Mapping[str, Table]
) -> Judgement:
    """Judge a study by its tables; see :func:`judge`."""
    rows = rows_of(runs, tables)
    ends = {row["run_id"]: row for row in tables[results.RUNS].rows}
    distrusted = set().union(
        *(table.damaged_runs for name, table in tables.items() if name != results.RUNS)
    )
    ensembles = tables[results.ENSEMBLES].rows
    return judge(folder, manifest, runs, ends, rows, ensembles, distrusted)


def damages(
    folder: Path, manifest: Manifest, runs: Mapping[str, Run], tables: Mapping[str, Table]
) -> list[str]:
    """Return a sentence without its period for each damage of a study."""
    told = [f"{table.path}: {fault}" for table in tables.values() for fault in table.damage]
    if strange := strange_runs(runs, tables):
        words = f"lists none of the {counted(len(strange), 'run')} in the tables next to it"
        told.append(f"{folder / results.MANIFEST} {words}")
    return told + judge_tables(folder, manifest, runs, tables).sentences(folder)


def strange_runs(runs: Mapping[str, Run] | None, tables: Mapping[str, Table]) -> set[str]:
    """Return the runs in the tables if the manifest lists none of them, otherwise nothing."""
    own = (tables[results.METRICS], tables[results.RUNS])
    strange = {fault.run_id for table in own for fault in table.faults} - {""}
    listed = runs is None or any(table.rows for table in own) or strange & set(runs)
    return set() if listed else strange


def in_short(sentences: Sequence[str]) -> str:
    """Join sentences: the first, and how many more there are."""
    rest = len(sentences) - _SHOWN
    more = [f"{rest} more"] if rest > 0 else []
    return "\n".join(f"{sentence}." for sentence in [*sentences[:_SHOWN], *more])


def _is_completed(end: Row | None) -> bool:
    return end is not None and end["status"] == "completed"


def _why(
    found: Judgement,
    run: Run,
    end: Row | None,
    rows: RunRows,
    bound: Mapping[str, str],
    *,
    kept: bool,
) -> str:
    """Describe why a run's rows are not what was written; empty if they are."""
    untrue, lack = impossible(run, rows.metrics), ""
    if end is not None and end["status"] == "completed":
        lack = describe_missing(run, end, rows, kept=kept)
        untrue = untrue or ("" if lack else find_contradiction(run, end, rows.metrics))
    changed = _changed(found, run.run_id, end, rows, bound)
    if untrue or changed:
        found.untrue.add(run.run_id)
    if changed and not lack:
        found.changed.update(changed)
        lack = (
            f"its rows in {' and '.join(changed)} are not what was written: their SHA-256 is not "
            f"that in {results.DIGESTS}"
        )
    return untrue or lack


def _changed(
    found: Judgement, run_id: str, end: Row | None, rows: RunRows, bound: Mapping[str, str]
) -> list[str]:
    """Return the tables in which the rows of an ended run differ from what was written."""
    if end is None or end["status"] not in ENDED:
        return []
    own = {results.METRICS: rows.metrics, results.RUNS: [end], **rows.at_end}
    verdicts = {
        name: digests.match(name, run_id, own[name], bound[name]) for name in BOUND if name in bound
    }
    found.rounded.update(name for name, verdict in verdicts.items() if verdict == "rounded")
    return [name for name, verdict in verdicts.items() if verdict == "other"]


def _judge_files(place: Path, bound: Mapping[str, str], dataset: Dataset, found: Judgement) -> None:
    """Check the files that a run keeps."""
    for name in READERS:
        path = place / name
        if name in bound:
            sound = sha256_of(path) in (None, bound[name])
            other = "is not what was written: its SHA-256 is another"
            words = "" if sound else damage_of_run_file(path, dataset) or other
        else:
            words = damage_of_run_file(path, dataset)
        if words:
            found.files[path] = words


def _judge_ensembles(rows: Sequence[Row], expected: set[str], found: Judgement) -> None:
    """Find rows of ensembles.csv that are lost or changed."""
    there = {digests.rows_digest(results.ENSEMBLES, "", [row]): row for row in rows}
    lost = expected - there.keys()
    if (
        lost
        and all(
            digests.match(results.ENSEMBLES, "", [row], "") == "rounded"
            for digest, row in there.items()
            if digest not in expected
        )
        and len(there.keys() - expected) >= len(lost)
    ):
        found.rounded.add(results.ENSEMBLES)
    elif lost:
        found.ensembles = lost


def _folders(path: Path) -> set[str]:
    try:
        return {entry.name for entry in path.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise read_error(path, error) from error
