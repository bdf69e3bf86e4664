"""Commands on the user's data: what they need, and what they say of a broken file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dropout_lab.errors import DataError
from tests.cli.conftest import Result
from tests.study.test_own_data import own
from tests.study.test_run import go
from tests.tables import write_table

Command = Callable[..., Result]


@pytest.mark.usefixtures("one_plot")
def test_results_are_read_without_the_file(tmp_path: Path, run: Command) -> None:
    table, out = write_table(tmp_path / "t.csv"), tmp_path / "s"
    go(own(out, table, p="0.25"))
    table.unlink()
    assert run("report", str(out)).status == 0
    assert run("plot", str(out)).status == 0
    with pytest.raises(DataError, match="No such file"):
        own(out, table)


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_a_broken_file_ends_with_3_and_nothing_is_written(
    command: str, tmp_path: Path, run: Command
) -> None:
    (tmp_path / "t.csv").write_text("a,kind\n1,x\n,y\n")
    config = tmp_path / "c.yaml"
    config.write_text("dataset: {name: arrays, path: t.csv, target: kind, test_size: 2}\n")
    shown = run(command, str(config), "--out", str(tmp_path / "s"))
    assert shown.status == 3
    assert "row 2, column a: the entry is missing" in " ".join(shown.err.split())
    assert not (tmp_path / "s").exists()
