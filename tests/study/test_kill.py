"""Real processes killed with SIGKILL at random moments; the same command ends the study.

For longer, and with figures: benchmarks/survive_kills.py.
"""

from pathlib import Path

import pytest

from tests.faults.kills import STUDIES, Killer, arguments_of, forked, fresh


def test_killed_again_and_again_is_the_undisturbed_study(tmp_path: Path) -> None:
    assert Killer(forked, seed=0).survive(arguments_of("concrete"), tmp_path / "s", most=4) >= 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", STUDIES)
def test_killed_many_times(tmp_path: Path, name: str) -> None:
    """What is learned, scheduled, averaged and measured survives as the weights do."""
    killer = Killer(forked, seed=1)
    for _ in range(2):
        killer.survive(arguments_of(name), tmp_path / "s", most=50)
    assert killer.tally.kills >= 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_as_processes_of_their_own(tmp_path: Path) -> None:
    assert Killer(fresh, seed=0).survive(arguments_of("inverted, Adam"), tmp_path / "s", 10) >= 2
