"""Writing whole or not at all."""

import os
from pathlib import Path

import pytest

from dropout_lab.errors import StorageError
from dropout_lab.files import append_text, make_folder, replace_file


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    replace_file(path, "first, a long one")
    replace_file(path, b"second")
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_step_leaves_the_old_file(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    replace_file(path, "old")

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(StorageError, match=r"cannot be written: No space left on device") as caught:
        replace_file(path, "new")
    assert caught.value.exit_status == 4
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_appending_adds_at_the_end_and_needs_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with pytest.raises(StorageError, match="No such file"):
        append_text(path, "x\n")
    replace_file(path, "a\n")
    append_text(path, "b\n")
    assert path.read_text() == "a\nb\n"


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        make_folder(tmp_path / "f" / "g")
