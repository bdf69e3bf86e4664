"""A study's results folder: what stands in it, written in an order that loses nothing.

At each epoch the rows of metrics.csv come first, then the checkpoints; at the end of a fleet its
rows of runs.csv, then the checkpoints go. So whatever a checkpoint is about is on disk already,
and rows beyond the newest checkpoint are those of an epoch that will be done again.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dropout_lab import results
from dropout_lab.config.grid import Run
from dropout_lab.errors import StorageError
from dropout_lab.files import append_text, make_folder, remove_temporaries, replace_file
from dropout_lab.plugins import Plugin
from dropout_lab.results import Row, cell_text, csv_text
from dropout_lab.training import (
    CURVE_COLUMNS,
    INFERENCE_COLUMNS,
    RECORD_COLUMNS,
    Record,
    diagnostic_columns,
)

_FIRST_METRIC = "noisy_train_loss"  # what comes before says when and with what it was measured

# What is written of a run once, when it is trained, in rows of its own.
_TABLES = {results.INFERENCE: INFERENCE_COLUMNS, results.MONTE_CARLO: CURVE_COLUMNS}


@dataclass(frozen=True)
class RunEnd:
    """How a run ended, or was broken off.

    Args:
        run: The run.
        status: ``completed``, ``diverged``, ``failed`` or ``interrupted``.
        message: Why, where that needs saying.
        epochs: Epochs begun or done; of a diverged run, the one in which it did.
        updates: Optimizer steps done by then.
        examples: Training examples seen by then.
        seconds: The run's share of its fleet's time by then.
    """

    run: Run
    status: str
    message: str = ""
    epochs: int = 0
    updates: int = 0
    examples: int = 0
    seconds: float = 0.0


class StudyFolder:
    """The folder of one study, locked against a second writer while it is open.

    Args:
        path: ``results/<name>``, or wherever ``--out`` says.

    Raises:
        StorageError: Something else stands there, another process writes it, or it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            there = path.exists()
        except OSError as error:
            raise StorageError(f"{path} cannot be used: {error.strerror}.") from error
        if there and not path.is_dir():
            raise StorageError(f"{path} is a file; give a folder with --out.")
        self._lock = FileLock(path / ".lock", timeout=0)
        self.manifest = results.read_manifest(path) if there else None
        if self.manifest is None and there and self._foreign():
            raise StorageError(
                f"{path} has files in it and is not the folder of a study; nothing is written "
                "there. Give another folder with --out."
            )
        self._metrics: list[Row] = []  # in the order of the file
        self._runs: dict[str, Row] = {}
        self._tables: dict[str, list[Row]] = {name: [] for name in _TABLES}

    def __enter__(self) -> "StudyFolder":
        make_folder(self.path)
        try:
            self._lock.acquire()
        except Timeout:
            raise StorageError(
                f"{self.path} is being written by another dropout-lab; wait for it to end, or "
                "give another folder with --out."
            ) from None
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror}.") from error
        remove_temporaries(self.path)  # those of a process that was killed while writing
        self.read()
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def read(self) -> None:
        """Read the manifest and the rows that stand there now."""
        self.manifest = results.read_manifest(self.path)
        self._metrics = results.read_rows(self.path / results.METRICS)
        rows = results.read_rows(self.path / results.RUNS)
        self._runs = {row.get("run_id", ""): row for row in rows}
        self._tables = {name: results.read_rows(self.path / name) for name in _TABLES}

    @property
    def finished(self) -> set[str]:
        """The ids of the runs that need no training: finished, and their records are there."""
        recorded = {row["run_id"] for row in self._metrics}
        return {
            run_id
            for run_id, row in self._runs.items()
            if row.get("status") == "diverged"
            or (row.get("status") == "completed" and run_id in recorded)
        }

    @property
    def statuses(self) -> dict[str, str]:
        """The status of each run that has one."""
        return {run_id: row["status"] for run_id, row in self._runs.items()}

    def run_folder(self, run: Run) -> Path:
        """Return where a run keeps what it needs to resume, its log and its weights."""
        return self.path / results.RUN_FOLDERS / run.run_id

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replace the manifest."""
        self.manifest = dict(manifest)
        replace_file(self.path / results.MANIFEST, json.dumps(manifest, indent=1) + "\n")

    def keep_plugins(self, plugins: Mapping[str, Plugin]) -> None:
        """Keep the source of plugins, by the names of their variants: what makes the runs again."""
        for name, plugin in plugins.items():
            make_folder(self.path / results.PLUGINS)
            replace_file(self.path / results.PLUGINS / f"{name}.py", plugin.text)

    def rewrite(self, runs: Mapping[str, Run], swept: Sequence[str]) -> None:
        """Write the CSV files anew with the columns of ``swept``, rows of known runs only.

        The rows stand in the order of the runs, whatever the order they were trained in.
        """
        self._swept = list(swept)
        self._known = dict(runs)
        more = (column for run in runs.values() for column in diagnostic_columns(run.settings))
        self._columns = tuple(dict.fromkeys([*RECORD_COLUMNS, *more]))
        order = {run_id: place for place, run_id in enumerate(runs)}
        self._metrics = [row for row in self._metrics if row.get("run_id") in runs]
        self._metrics.sort(key=lambda row: (order[row["run_id"]], int(row["epoch"])))
        self._runs = {run_id: row for run_id, row in self._runs.items() if run_id in runs}
        rows = [
            [*self._leading(runs[row["run_id"]]), *(row.get(c, "") for c in self._columns)]
            for row in self._metrics
        ]
        header = ["run_id", "seed", *self._swept, *self._columns]
        replace_file(self.path / results.METRICS, csv_text([header, *rows]))
        for name in _TABLES:
            self._write_table(name)
        self._write_runs()

    def forget_after(self, runs: Iterable[Run], epoch: int) -> None:
        """Drop the rows of runs beyond an epoch, and what runs.csv says of them."""
        ids = {run.run_id for run in runs}
        kept = [r for r in self._metrics if r["run_id"] not in ids or int(r["epoch"]) <= epoch]
        if len(kept) < len(self._metrics) or ids & self._runs.keys():
            self._metrics = kept
            self._runs = {run_id: row for run_id, row in self._runs.items() if run_id not in ids}
            for name, rows in self._tables.items():
                self._tables[name] = [row for row in rows if row["run_id"] not in ids]
            self.rewrite(self._known, self._swept)

    def append(self, records: Mapping[str, Record]) -> None:
        """Add records, by the id of their run, to metrics.csv."""
        lines = []
        for run_id, record in records.items():
            row = {column: cell_text(value) for column, value in record.columns().items()}
            self._metrics.append({"run_id": run_id, **row})
            values = (row.get(column, "") for column in self._columns)
            lines.append([*self._leading(self._known[run_id]), *values])
        if lines:
            append_text(self.path / results.METRICS, csv_text(lines))

    def add_rows(self, name: str, rows: Mapping[str, Iterable[Mapping[str, Any]]]) -> None:
        """Put rows, by the id of their run, into inference.csv or monte_carlo.csv."""
        kept = [row for row in self._tables[name] if row["run_id"] not in rows]
        for run_id, own in rows.items():
            kept += [
                {"run_id": run_id, **{key: cell_text(value) for key, value in row.items()}}
                for row in own
            ]
        self._tables[name] = kept
        self._write_table(name)

    def write_ensembles(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write ensembles.csv anew: a row for each cell."""
        if rows:
            header = [*self._swept, *(key for key in rows[0] if key not in self._swept)]
            lines = [[cell_text(row.get(key)) for key in header] for row in rows]
            replace_file(self.path / results.ENSEMBLES, csv_text([header, *lines]))

    def set_status(self, ends: Iterable[RunEnd]) -> None:
        """Write the rows of runs.csv of some runs."""
        for end in ends:
            self._runs[end.run.run_id] = self._summary(end)
        self._write_runs()

    @property
    def _metric_columns(self) -> tuple[str, ...]:
        return self._columns[self._columns.index(_FIRST_METRIC) :]

    def _summary(self, end: RunEnd) -> Row:
        """Return a run's row: its last finite record, its best epoch by validation, its pace."""
        rows = [row for row in self._metrics if row["run_id"] == end.run.run_id]
        finite = [row for row in rows if row["test_loss"] not in ("nan", "inf")]
        judged = [row for row in finite if row["validation_accuracy"] not in ("", "nan")]
        best: Row = max(judged, key=lambda row: float(row["validation_accuracy"]), default={})
        last: Row = finite[-1] if finite else {}
        if end.run.settings.training.patience is not None:
            last = best  # early stopping gives the network of that epoch back
        return {
            "status": end.status,
            "epochs": str(end.epochs),
            "updates": str(end.updates),
            **{column: last.get(column, "") for column in self._metric_columns},
            "best_epoch": best.get("epoch", ""),
            "best_validation_accuracy": best.get("validation_accuracy", ""),
            "best_test_accuracy": best.get("test_accuracy", ""),
            "seconds": cell_text(end.seconds),
            "examples_per_second": cell_text(end.examples / end.seconds) if end.seconds else "",
            "message": end.message,
        }

    def _write_table(self, name: str) -> None:
        rows = [row for row in self._tables[name] if row["run_id"] in self._known]
        if not rows:  # a study without such rows has no such file
            (self.path / name).unlink(missing_ok=True)
            return
        header = ["run_id", "seed", *self._swept, *_TABLES[name]]
        lines = [
            [*self._leading(self._known[row["run_id"]]), *(row[c] for c in _TABLES[name])]
            for row in rows
        ]
        replace_file(self.path / name, csv_text([header, *lines]))

    def _write_runs(self) -> None:
        after = (
            "epochs",
            "updates",
            *self._metric_columns,
            "best_epoch",
            "best_validation_accuracy",
            "best_test_accuracy",
            "seconds",
            "examples_per_second",
            "message",
        )
        rows = []
        for run_id in self._known:
            if run_id in self._runs:
                row = self._runs[run_id]
                leading = self._leading(self._known[run_id])
                rows.append(
                    [leading[0], row["status"], *leading[1:], *(row.get(c, "") for c in after)]
                )
        header = ["run_id", "status", "seed", *self._swept, *after]
        replace_file(self.path / results.RUNS, csv_text([header, *rows]))

    def _leading(self, run: Run) -> list[str]:
        values = run.cell.values
        return [run.run_id, str(run.seed), *(cell_text(values.get(key)) for key in self._swept)]

    def _foreign(self) -> bool:
        # What a killed first start leaves (a lock, a temporary file) begins with a dot.
        return any(not entry.name.startswith(".") for entry in self.path.iterdir())
