"""A variant that ends its process kills worker after worker; in the end its runs fail."""

from pathlib import Path

import pytest

from dropout_lab.results import read_rows
from tests.cluster.processes import driver, ends
from tests.conftest import plugin_of_the_readme


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_variant_that_ends_its_process_fails_after_four_workers(tmp_path: Path) -> None:
    plugin = tmp_path / "my_dropout.py"
    text = plugin_of_the_readme()
    name = text.partition("class ")[2].partition("(")[0]
    plugin.write_text(text + guarded(name))
    out = tmp_path / "s"
    asked = ("--plugin", str(plugin), "--set", "dropout.variant=pairs", "--p", "0.5", "--seeds")
    told = ends(
        driver(out, *asked, "2", "--epochs", "2", "--workers", "1", command="sweep"), out, status=1
    )
    rows = read_rows(out / "runs.csv")
    assert sorted(row["status"] for row in rows) == ["completed"] * 2 + ["failed"] * 2
    assert "its worker died, 4 times" in told


def guarded(name: str) -> str:
    """Return a change of a class that ends the process of a worker, not of who loads it."""
    return f"""
import os
import threading

_forward = {name}.forward

def _deadly(self, x):
    if threading.current_thread() is not threading.main_thread():
        os._exit(1)
    return _forward(self, x)

{name}.forward = _deadly
"""
