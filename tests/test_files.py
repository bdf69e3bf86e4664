"""Writing whole or not at all."""

import errno
import itertools
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dropout_lab.errors import StorageError
from dropout_lab.files import (
    append_text,
    backup_file,
    find_temporary_files,
    make_folder,
    remove_empty_folder,
    remove_file,
    remove_temporary_files,
    replace_file,
)
from tests.faults.operations import Died, How, Operations, Part


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    replace_file(path, "first, a long one")
    replace_file(path, b"second")
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


OLD, NEW, ROW = "old, and a good deal longer than what comes after\n", "new\n", "a,row\n"
WAYS: list[tuple[How, Part]] = [
    ("fail", "before"), ("fail", "half"), ("full", "half"), ("gone", "half"), ("die", "before"),
    ("die", "half"), ("die", "after"),
]  # fmt: skip


def after_each_fault(
    folder: Path, change: Callable[[Path], object], how: How, part: Part
) -> list[tuple[Operations, bool, bytes]]:
    """Let each operation of a change to a file go wrong in turn.

    Returns:
        What went wrong, whether it was told as a StorageError, and the file's content then.
    """
    found = []
    for at in itertools.count(1):
        path = folder / f"{at}" / "a.txt"
        path.parent.mkdir()
        path.write_text(OLD)
        told = ""
        with suppress(Died), Operations(path.parent, at, how, part) as operations:
            try:
                change(path)
            except StorageError as error:
                told = str(error)
        if operations.hit is None:
            break
        assert not told or told.startswith(f"{path} cannot be written: ")
        found.append((operations, bool(told), path.read_bytes()))
    return found


@pytest.mark.parametrize(("how", "part"), WAYS)
def test_a_replaced_file_is_the_old_or_the_new(tmp_path: Path, how: How, part: Part) -> None:
    found = after_each_fault(tmp_path, lambda path: replace_file(path, NEW), how, part)
    # The temporary file: created, written, forced to the disk, renamed; the folder: opened, forced.
    assert [len(each[0].seen) >= n for n, each in enumerate(found, 1)] == [True] * 6
    for operations, told, content in found:
        assert content in (OLD.encode(), NEW.encode()), operations.hit
        assert told or how in ("die", "full"), operations.hit
        if how in ("fail", "full"):  # a program that lives on leaves nothing behind
            assert not find_temporary_files(operations.folder), operations.hit
        remove_temporary_files(operations.folder)
        replace_file(operations.folder / "a.txt", NEW)
        assert os.listdir(operations.folder) == ["a.txt"]


@pytest.mark.parametrize(("how", "part"), WAYS)
def test_an_appended_row_is_whole_or_the_torn_last_one(
    tmp_path: Path, how: How, part: Part
) -> None:
    found = after_each_fault(tmp_path, lambda path: append_text(path, ROW), how, part)
    assert len(found) == 3  # opened, written, forced to the disk
    for operations, told, content in found:
        text = content.decode()
        assert text.startswith(OLD)
        assert (OLD + ROW).startswith(text), operations.hit
        assert told or how in ("die", "full"), operations.hit
        if told and how in ("fail", "full"):
            assert text == OLD, operations.hit


def test_a_full_disk_is_told_by_every_step_that_needs_it(tmp_path: Path) -> None:
    found = after_each_fault(tmp_path, lambda path: replace_file(path, NEW), "full", "before")
    told = {each[0].hit.name: each[1] for each in found}
    assert told["create"] is told["write"] is True
    (tmp_path / "b.csv").write_text(OLD)
    with (
        Operations(tmp_path, 1, "full", "half"),
        pytest.raises(StorageError, match=r"No space left on device\. Free space on that disk\."),
    ):
        append_text(tmp_path / "b.csv", ROW)
    assert (tmp_path / "b.csv").read_text() == OLD


def test_every_folder_that_is_made_is_forced_to_the_disk(tmp_path: Path) -> None:
    with Operations(tmp_path) as operations:
        make_folder(tmp_path / "a" / "b")
        make_folder(tmp_path / "a" / "b")
    seen = [str(each) for each in operations.seen]
    assert seen == ["mkdir a", "open .", "fsync .", "mkdir a/b", "open a", "fsync a"]


def test_a_system_that_writes_little_at_a_time_still_writes_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: true(handle, bytes(data)[:3]))
    replace_file(tmp_path / "a", "0123456789")
    append_text(tmp_path / "a", "0123456789")
    assert (tmp_path / "a").read_text() == "01234567890123456789"


def test_what_is_damaged_is_kept_beside_once(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("damaged")
    assert backup_file(path) == backup_file(path) == tmp_path / "a.csv.damaged"
    path.write_text("damaged otherwise")
    assert backup_file(path) == tmp_path / "a.csv.damaged2"
    assert (tmp_path / "a.csv.damaged").read_text() == "damaged"
    assert path.read_text() == "damaged otherwise"
    with pytest.raises(StorageError, match="No such file"):
        backup_file(tmp_path / "absent")


def test_removing_what_is_not_there_is_fine_and_what_is_full_stays(tmp_path: Path) -> None:
    remove_file(tmp_path / "absent")
    make_folder(tmp_path / "a" / "b")
    remove_empty_folder(tmp_path / "a")
    assert (tmp_path / "a" / "b").is_dir()
    remove_empty_folder(tmp_path / "a" / "b")
    assert not (tmp_path / "a" / "b").exists()
    with pytest.raises(StorageError, match="cannot be written"):
        remove_file(tmp_path / "a")


def test_a_row_is_not_appended_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text(OLD)
    (tmp_path / "a.csv").symlink_to(tmp_path / "theirs")
    with pytest.raises(StorageError, match="cannot be written"):
        append_text(tmp_path / "a.csv", ROW)
    replace_file(tmp_path / "a.csv", NEW)
    assert (tmp_path / "theirs").read_text() == OLD
    assert not (tmp_path / "a.csv").is_symlink()


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


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "Free space on that disk."),
        (errno.EDQUOT, "Your quota is used up"),
        (errno.EFBIG, "raise it, see ulimit -f."),
        (errno.EACCES, "Get the right to write there"),
        (errno.EROFS, "Have that file system mounted for writing."),
        (errno.EBUSY, "Remove the cause."),
    ],
)
def test_each_cause_has_its_own_advice(tmp_path: Path, code: int, advice: str) -> None:
    with (
        Operations(tmp_path, 1, "fail", code=code),
        pytest.raises(StorageError, match=advice) as caught,
    ):
        replace_file(tmp_path / "a.csv", NEW)
    assert str(caught.value) == f"{caught.value.plain} Or give another folder with --out."
    assert f"a.csv cannot be written: {os.strerror(code)}. " in caught.value.plain
    assert caught.value.plain.endswith("Then run the same command again.")
