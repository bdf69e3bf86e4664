"""``dropout-lab remove``."""

from collections.abc import Callable
from pathlib import Path

from dropout_lab.analysis.tables import read_study
from tests.analysis.test_tables import made_study
from tests.cli.conftest import Result


def test_a_setting_is_removed_and_the_next_step_named(
    tmp_path: Path, run: Callable[..., Result]
) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5,0.95", accuracies=[0.9] * 6)
    dry = run("remove", str(path), "dropout.p=0.95", "--dry-run")
    assert (dry.status, dry.out) == (0, f"Would remove 2 runs of 1 setting from {path}.\n")
    done = run("remove", str(path), "dropout.p=0.95")
    assert done.out == (
        f"Removed 2 runs of 1 setting from {path}.\n"
        f"Update its plots and report: dropout-lab plot {path}\n"
    )
    assert set(read_study(path).runs["dropout.p"]) == {0.0, 0.5}
    again = run("remove", str(path), "dropout.p=0.95")
    assert again.status == 2
    assert "there are 0, 0.5." in again.err


def test_what_is_no_setting_is_exit_2(tmp_path: Path, run: Callable[..., Result]) -> None:
    path = made_study(tmp_path / "s", "dropout.p=0,0.5", accuracies=[0.9] * 4)
    for words in ("x", "dropout.q=1", "dropout.p="):
        assert run("remove", str(path), words).status == 2
    assert run("remove", str(tmp_path / "none"), "dropout.p=0.5").status == 4
