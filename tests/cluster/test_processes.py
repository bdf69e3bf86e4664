"""Scheduler, workers and driver as processes over TCP, killed one after the other."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cluster.processes import driver, ends, kill, processes, rows, until
from tests.study.test_run import assert_same_results

ASKED = ("--set=dropout.p=0.5", "--seeds", "4", "--epochs", "30", "--fleet", "2")
EPOCHS = 30
ALL = 4 * EPOCHS


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, undisturbed, in one process."""
    out = tmp_path_factory.mktemp("whole") / "s"
    ends(driver(out, *ASKED), out)
    return out


def test_killed_one_after_the_other_the_study_is_the_undisturbed_one(
    tmp_path: Path, whole: Path
) -> None:
    """First a worker, then the driver, then the scheduler: all three goes, the same results."""
    with processes(tmp_path / "logs") as cluster:
        workers = [cluster.worker(name, "--no-nanny") for name in "ab"]
        asked = (*ASKED, "--scheduler", cluster.address)

        one = driver(tmp_path / "one", *asked)
        until(lambda: rows(tmp_path / "one") > 10)
        kill(workers[0])
        ends(one, tmp_path / "one")
        assert_same_results(tmp_path / "one", whole)

        two = driver(tmp_path / "two", *asked)
        until(lambda: rows(tmp_path / "two") > 10)
        kill(two)
        with cluster.client() as client:  # nobody waits for the fleet, so it is not trained on
            until(lambda: not any(client.processing().values()))
        assert rows(tmp_path / "two") < ALL
        two = driver(tmp_path / "two", *asked)
        ends(two, tmp_path / "two")
        assert_same_results(tmp_path / "two", whole)

        three = driver(tmp_path / "three", *asked, "--json")
        until(lambda: rows(tmp_path / "three") > 10)
        kill(cluster.scheduler)
        ends(three, tmp_path / "three", status=1)
        printed = json.loads((tmp_path / "three.stdout").read_text())
        assert "Run the same command again to resume" in printed["error"]
    three = driver(tmp_path / "three", *ASKED, "--workers", "1")
    ends(three, tmp_path / "three")
    assert_same_results(tmp_path / "three", whole)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_stands_still_for_longer_than_dask_waits(tmp_path: Path) -> None:
    """Its fleet is trained elsewhere; what it sends later counts for nothing."""
    asked = (*ASKED[:-4], "--epochs", "300", *ASKED[-2:])
    ends(driver(tmp_path / "whole", *asked), tmp_path / "whole")
    patience = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s"}
    with processes(tmp_path / "logs", environment=patience) as cluster:
        workers = {name: cluster.worker(name, "--no-nanny") for name in "ab"}
        out = tmp_path / "s"
        study = driver(out, *asked, "--scheduler", cluster.address)
        told = out.with_suffix(".stderr")
        until(lambda: " on b: " in told.read_text() and rows(out) > 10)
        os.kill(workers["b"].pid, signal.SIGSTOP)
        until(lambda: "b is gone" in told.read_text())
        os.kill(workers["b"].pid, signal.SIGCONT)
        ends(study, out)
    assert_same_results(out, tmp_path / "whole")
