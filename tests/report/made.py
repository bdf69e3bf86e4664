"""Studies of any size without training: real folders, with numbers drawn at random."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dropout_lab import results
from dropout_lab.config.grid import Run, runs_of, seeds_of, sweep_cells
from dropout_lab.folder.manifest import (
    add_runs,
    join_study,
    label_runs,
    new_manifest,
    record_config,
)
from dropout_lab.results import Row, Session, cell_text, table_text
from dropout_lab.training import RECORD_COLUMNS
from tests.conftest import make_config

Accuracy = Callable[[Run], float]
_SESSION = {
    "command": "dropout-lab sweep --config study.yaml",
    "started": "2026-01-01T00:00:00+00:00",
    "dropout_lab": "0.1.0",
    "git_commit": "0123abc",
    "python": "3.11.7",
    "packages": {"torch": "2.6.0", "numpy": "2.0.0"},
    "machine": {"system": "Linux", "processor": "a CPU", "cores": 2, "device": "cpu"},
}


def accuracy_by_p(run: Run) -> float:
    """A test accuracy that is best at p = 0.3, with a spread over seeds that cells share."""
    p = run.settings.dropout.p
    assert isinstance(p, float)
    shared = np.random.default_rng(run.seed).normal(0, 0.002)
    own = np.random.default_rng([run.seed, round(1000 * p)]).normal(0, 0.0008)
    return float(round(0.95 - 0.05 * (p - 0.3) ** 2 + shared + own, 4))


def make_study(
    folder: Path,
    *settings: str,
    accuracy: Accuracy = accuracy_by_p,
    epochs: int = 3,
    ends: Callable[[Run], tuple[str, str]] = lambda run: ("completed", ""),
    noted: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Write the folder of a study whose runs end as told; return it.

    Args:
        folder: Where.
        settings: Of the config, beside those of small runs.
        accuracy: Of a run on the test part, after its last epoch.
        epochs: How many are recorded.
        ends: The status of a run and its message.
        noted: What else the manifest has: ``about``, ``published``.
        changes: Of the config: ``seeds``, ``p``.
    """
    config = make_config(f"training.epochs={epochs}", *settings, sweep=True, **changes)
    cells = sweep_cells(config)
    runs = runs_of(cells, seeds_of(config))
    manifest = new_manifest(config)
    del manifest.settings["evaluation"]["inference"]  # as of before there was inference.csv
    manifest.settings_digest = results.digest(manifest.settings)
    join_study(manifest, config, cells, folder)
    record_config(manifest, config)
    manifest.data_digests = {"0123456789ab": "d" * 64}
    add_runs(manifest, [(run,) for run in runs])
    label_runs(manifest, runs)
    manifest.sessions = [Session.model_validate(_SESSION)]
    records, summaries = [], []
    for run in runs:
        status, message = ends(run)
        mine = [_record(run, accuracy(run), epoch, epochs) for epoch in range(1, epochs + 1)]
        records += mine
        summaries.append(_summary(mine[-1], status, message))
    led = ["run_id", "seed", *manifest.swept]
    folder.mkdir(parents=True)
    (folder / results.MANIFEST).write_text(json.dumps(manifest.to_json() | (noted or {}), indent=1))
    header = [*led, *RECORD_COLUMNS]
    (folder / results.METRICS).write_text(table_text(header, records))
    ends_header = [
        "run_id", "status", "seed", *manifest.swept, "epochs", *RECORD_COLUMNS[1:],
        "best_epoch", "best_validation_accuracy", "best_test_accuracy", "examples_per_second",
        "message",
    ]  # fmt: skip
    (folder / results.RUNS).write_text(table_text(ends_header, summaries))
    return folder


def _record(run: Run, accuracy: float, epoch: int, epochs: int) -> Row:
    value = accuracy - 0.05 * (1 - epoch / epochs)
    train = min(value + 0.03 * epoch / epochs, 1.0)
    numbers = dict.fromkeys(RECORD_COLUMNS, 0.0) | {
        "epoch": epoch,
        "updates": 8 * epoch,
        "seconds": 0.5 * epoch,
        "learning_rate": 0.05,
        "p": run.settings.dropout.p,
        "noisy_train_accuracy": train - 0.01,
        "train_accuracy": train,
        "validation_accuracy": value + 0.001,
        "test_accuracy": value,
        "test_errors": round(1000 * (1 - value)),
        "test_macro_f1": value,
        "accuracy_gap": train - value,
        "loss_gap": 0.0,
    }
    for name in ("noisy_train_loss", "train_loss", "validation_loss", "test_loss"):
        numbers[name] = 2 * (1 - value)
    texts = {key: cell_text(value) for key, value in numbers.items()}
    swept = {key: cell_text(value) for key, value in run.cell.values.items()}
    return {"run_id": run.run_id, "seed": str(run.seed), **swept, **texts}


def _summary(last: Row, status: str, message: str) -> Row:
    return {
        **last,
        "status": status,
        "epochs": last["epoch"],
        "best_epoch": last["epoch"],
        "best_validation_accuracy": last["validation_accuracy"],
        "best_test_accuracy": last["test_accuracy"],
        "examples_per_second": "1000",
        "message": message,
    }
