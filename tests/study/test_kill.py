"""A real process killed with SIGKILL in mid-sweep; the same command ends the study."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dropout_lab import results
from dropout_lab.results import read_rows
from tests.study.test_study import assert_same_results

COMMAND = [
    sys.executable, "-m", "dropout_lab", "sweep", "--quiet", "--json", "--p", "0,0.3,0.6",
    "--seeds", "2", "--epochs", "8", "--set", "dataset.train_size=1000",
    "--set", "model.hidden=[32]", "--set", "training.optimizer=adam",
    "--set", "training.learning_rate=0.001",
]  # fmt: skip


def start(out: Path, *settings: str) -> "subprocess.Popen[bytes]":
    changes = [word for setting in settings for word in ("--set", setting)]
    with out.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [*COMMAND, *changes, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip


def kill_until_done(out: Path, kills: int, seed: int, *settings: str) -> int:
    """Start the sweep again and again, killing it once it has written more; return the kills."""
    generator = random.Random(seed)
    for killed in range(kills):
        process = start(out, *settings)
        rows = len(read_rows(out / results.METRICS))
        while process.poll() is None and len(read_rows(out / results.METRICS)) <= rows:
            time.sleep(0.005)
        time.sleep(generator.uniform(0, 0.05))
        if process.poll() is not None:
            assert process.returncode == 0, out.with_suffix(".log").read_text()
            return killed
        process.send_signal(signal.SIGKILL)
        process.wait()
    process = start(out, *settings)
    assert process.wait() == 0, out.with_suffix(".log").read_text()
    return kills


def test_killed_twice_and_resumed_is_the_undisturbed_study(tmp_path: Path) -> None:
    assert start(tmp_path / "undisturbed").wait() == 0
    kills = kill_until_done(tmp_path / "killed", kills=2, seed=0)
    assert kills >= 1
    assert_same_results(tmp_path / "killed", tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10))
def test_killed_many_times(tmp_path: Path, seed: int) -> None:
    assert start(tmp_path / "undisturbed").wait() == 0
    print(kill_until_done(tmp_path / "killed", kills=20, seed=seed), "kills")  # noqa: T201
    assert_same_results(tmp_path / "killed", tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "settings",
    [
        ("dropout.variant=concrete",),
        ("dropout.variant=sparse_variational",),
        ("dropout.variant=variational_b", "dropout.alpha_per=weight", "dropout.p=0,0.2,0.4"),
        ("dropout.variant=targeted_weight", "dropout.share=0.5", "dropout.stop_last=2"),
        ("dropout.variant=batchwise", "dropout.schedule=exponential"),
        ("dropout.loss=r_drop", "dropout.schedule=cosine"),
    ],
    ids=" ".join,
)
def test_what_is_learned_and_scheduled_survives_kills(
    tmp_path: Path, settings: tuple[str, ...]
) -> None:
    """The small twins, without processes, are in tests/training and tests/test_schedules.py."""
    assert start(tmp_path / "undisturbed", *settings).wait() == 0
    print(kill_until_done(tmp_path / "killed", 8, 0, *settings), "kills")  # noqa: T201
    assert_same_results(tmp_path / "killed", tmp_path / "undisturbed")
