"""Make the rows of digests.csv."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dropout_lab import results
from dropout_lab.files import sha256_of
from dropout_lab.folder.completeness import READERS, RunRows
from dropout_lab.folder.digests import rows_digest
from dropout_lab.results import Row


def digest_rows(
    run_id: str, end: Row, rows: RunRows, folder: Path, there: Iterable[str] = ()
) -> list[Row]:
    """Return the rows that digests.csv lacks of a run that ended.

    Args:
        run_id: The run.
        end: Its row of runs.csv.
        rows: Its other rows.
        folder: Where it keeps its files.
        there: The tables and files that have a digest already.

    Raises:
        StorageError: The system refuses to read a file.
    """
    # Those of the records come last: where they are there, a kill cut nothing off.
    own: dict[str, Sequence[Row]] = {name: rows.at_end[name] for name in results.AT_END}
    own |= {results.RUNS: [end], results.METRICS: rows.metrics}
    kept = {name: sha256_of(folder / name) for name in READERS} if folder.is_dir() else {}
    found = {name: digest for name, digest in kept.items() if digest is not None}
    found |= {name: rows_digest(name, run_id, each) for name, each in own.items() if each}
    return [digest_row(run_id, name, found[name]) for name in found if name not in there]


def digest_row(run_id: str, name: str, digest: str) -> Row:
    """Return a row of digests.csv."""
    return {"run_id": run_id, "file": name, "sha256": digest}


def ensemble_digests(digests: Mapping[str, Sequence[Row]]) -> Iterator[Row]:
    """Yield the rows of digests.csv for ensembles.csv."""
    for rows in digests.values():
        yield from (row for row in rows if row["file"] == results.ENSEMBLES)
