"""--workers and --scheduler as their user meets them."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dropout_lab.cli import options
from dropout_lab.cli.progress import LiveProgress, PlainProgress
from dropout_lab.errors import ConfigError
from dropout_lab.training import Epoch
from tests.cluster.processes import SMALL, driver, ends
from tests.conftest import make_sweep, plugin_of_the_readme
from tests.study.test_run import assert_same_results

NOISY = """
print("this plugin prints")
"""


def test_one_way_to_a_cluster_at_a_time() -> None:
    with pytest.raises(ConfigError, match="give one of them"):
        options.check_cluster(2, "tcp://host:8786", dry_run=True)
    options.check_cluster(2, None, dry_run=True)
    options.check_cluster(None, "tcp://[::1]:8786", dry_run=True)
    options.check_cluster(None, None, dry_run=True)


@pytest.mark.parametrize("address", ["host:8786", "tcp://", "8786", "", "tcp://host"])
def test_an_address_without_protocol_host_and_port_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="tcp://host:8786"):
        options.check_cluster(None, address, dry_run=True)


@pytest.mark.parametrize(
    ("workers", "scheduler", "option", "names"),
    [
        (2, None, "--workers", "Dask and cryptography"),
        (None, "tcp://host:8786", "--scheduler", "Dask"),
    ],
)
def test_without_dask_the_extra_to_install_is_named(
    workers: int | None,
    scheduler: str | None,
    option: str,
    names: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(options, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"{option} needs {names}, which .*\.\[cluster"):
        options.check_cluster(workers, scheduler, dry_run=True)
    options.check_cluster(None, None, dry_run=True)


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_a_number_of_workers_that_is_none_is_refused(number: str, run) -> None:
    done = run("sweep", "--workers", number)
    assert done.status == 2
    assert "--workers" in done.err


COMMANDS = [
    ["sweep", *(f"--set={each}" for each in SMALL), "--p", "0.5", "--seeds", "1", "--epochs", "1"],
    ["train", "--dry-run", "--out", "other"],
    ["plot", "results"],
    ["report", "results"],
    ["doctor", "results"],
    ["variants"],
    ["lesson", "scaling", "--quick"],
]


def test_no_command_without_workers_imports_dask(tmp_path: Path) -> None:
    """All of them in one process, one after the other."""
    code = f"""
import sys
from dropout_lab.cli import main
for arguments in {COMMANDS!r}:
    sys.argv = ["dropout-lab", *arguments]
    try:
        main()
    except SystemExit as end:
        assert not end.code, arguments
    assert not {{"dask", "distributed"}} & set(sys.modules), arguments
print("none did")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("none did\n"), done.stderr


def test_a_plugin_reaches_the_workers_and_json_stays_pure(tmp_path: Path) -> None:
    """And what it prints on a worker is no result; more workers than fleets are told."""
    plugin = tmp_path / "my_dropout.py"
    plugin.write_text(plugin_of_the_readme() + NOISY)
    asked = ("--plugin", str(plugin), "--set", "dropout.variant=pairs", "--p", "0.5", "--seeds")
    asked = (*asked, "2", "--epochs", "2", "--fleet", "2", "--json")
    there, here = tmp_path / "there", tmp_path / "here"
    cluster = driver(there, *asked, "--workers", "3", command="sweep")
    ends(driver(here, *asked, command="sweep"), here)
    told = ends(cluster, there)
    assert "dashboard" not in told
    assert "2 fleets for 3 workers: the other workers are idle. --fleet 1 makes smaller" in told
    assert "on worker " in told
    assert set(json.loads((tmp_path / "there.stdout").read_text())["statuses"].values()) == {
        "completed"
    }
    assert_same_results(there, here)


def test_plain_lines_of_several_fleets_name_their_workers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dropout_lab.cli.progress._LINE_EVERY", 0.0)
    one, two = make_sweep("dropout.p=0,0.5")
    progress = PlainProgress()
    progress.planned([[one], [two]], 0)
    progress.fleet_started([one], 0, 4, "worker 0")
    progress.fleet_started([two], 0, 4, "worker 1")
    progress.epoch_ended([two], Epoch(2, 4, {}))
    progress.fleet_started([one], 0, 4, "worker 1")  # worker 0 is gone
    progress.epoch_ended([one], Epoch(4, 4, {}))
    progress.fleet_split([two], [[two], [two]], "it had to be")
    progress.fleet_started([two], 0, 4, "worker 0")
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:3] == [
        "fleet 1/2 on worker 0: 1 run (dropout.p 0.0)",
        "fleet 2/2 on worker 1: 1 run (dropout.p 0.5)",
    ]
    assert lines[3].startswith("fleet 2/2 on worker 1: epoch 2/4, ")
    assert lines[4] == "fleet 1/2 on worker 1: 1 run (dropout.p 0.0)"
    assert lines[5] == "fleet 1/2 on worker 1: epoch 4/4"
    assert lines[-1] == "fleet 2/3 on worker 0: 1 run (dropout.p 0.5)"


def test_live_bars_one_for_each_fleet_and_one_for_all() -> None:
    one, two = make_sweep("dropout.p=0,0.5", "training.epochs=4")
    progress = LiveProgress()
    screen = io.StringIO()
    progress.progress.live.console = Console(file=screen, force_terminal=True, width=100)
    progress.planned([[one], [two]], 0)
    progress.fleet_started([one], 0, 4, "worker 0")
    progress.fleet_started([two], 1, 4, "worker 1")
    progress.epoch_ended([one], Epoch(3, 4, {}))
    study, *fleets = progress.progress.tasks
    assert (study.completed, study.total) == (3 + 1, 8)
    assert [task.description for task in fleets] == [
        "fleet 1/2, 1 run, worker 0",
        "fleet 2/2, 1 run, worker 1",
    ]
    progress.fleet_started([one], 0, 4, "worker 1")  # again, from the beginning
    assert [task.completed for task in progress.progress.tasks] == [1, 0, 1]
    assert progress.progress.tasks[1].description == "fleet 1/2, 1 run, worker 1"
    progress.epoch_ended([one], Epoch(4, 4, {}))
    progress.fleet_ended([one], [])
    assert [task.completed for task in progress.progress.tasks] == [5, 1]
    progress.fleet_split([two], [[replace(two, seed=1)], [two]], "it had to be")
    assert [task.completed for task in progress.progress.tasks] == [5]
