"""Commands on the user's data: what they need, and what they say of a broken file."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dropout_lab.errors import DataError
from tests.cli.conftest import Result
from tests.data.broken import BROKEN, write_broken
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


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_ends_with_3_and_nothing_is_written(
    kind: str, tmp_path: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    path, given = write_broken(tmp_path, kind)
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps({"dataset": {"name": "arrays", "path": path.name, **given}}))
    before = sorted(tmp_path.iterdir())
    shown = run("sweep" if len(kind) % 2 else "train", str(config))
    assert shown.status == 3
    assert shown.out == ""
    assert re.search(f"(?s){BROKEN[kind][2]}", shown.err)
    assert sorted(tmp_path.iterdir()) == before


def test_there_are_many_kinds_of_broken_files() -> None:
    """Of arrays, of tables, and of what is neither."""
    assert len(BROKEN) >= 50


@pytest.mark.parametrize(
    "given", ["dataset.path=~/data/t.csv", "sweep.grid", "sweep.cells", "dataset", "sizes"]
)
def test_the_home_directory_may_be_written_as_a_tilde(
    given: str, tmp_path: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each place of a config that takes a path, and on the command line."""
    home = tmp_path / "home" / "data"
    home.mkdir(parents=True)
    write_table(home / "t.csv")
    monkeypatch.setenv("HOME", str(home.parent))
    dataset = {"name": "arrays", "target": "kind", "test_size": 60, "missing": "mean"}
    dataset["validation_size"] = 40
    path = "~/data/t.csv"
    more: dict[str, Any] = {
        "dataset": {"dataset": {**dataset, "path": path}},
        "sweep.grid": {"sweep": {"grid": {"dataset.path": [path]}}},
        "sweep.cells": {"sweep": {"cells": [{"label": "a", "dataset.path": path}]}},
        "sizes": {"sizes": {"quick": {"dataset": {"path": path}}}},
    }.get(given, {})
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps({"dataset": dataset, "seeds": 1, **more}))
    options = ["--set", given] if "=" in given else []
    shown = run("sweep", str(config), *options, "--dry-run")
    assert shown.status == 0, shown.err


def test_a_home_that_does_not_exist_is_a_mistake(tmp_path: Path, run: Command) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("dataset: {name: arrays, path: ~nobody-has-this-name/t.npz}\n")
    shown = run("train", str(config))
    assert shown.status == 3
    assert "there is no such home directory" in shown.err
