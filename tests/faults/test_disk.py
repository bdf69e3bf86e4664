"""A disk that is full, cannot be written, or holds what belongs to others."""

import functools
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dropout_lab import results
from tests.faults.conftest import Start, rows, training
from tests.faults.folders import assert_reads_clean, assert_same_study

Mount = Callable[[str], None]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Mount]]:
    """A file system of its own, in memory, and a function that mounts it anew with options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    done = subprocess.run([*mount, "size=16m", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("a file system can only be mounted by root")

    def remount(options: str) -> None:
        subprocess.run([*mount, f"remount,{options}", "tmpfs", str(folder)], check=True)

    yield folder, remount
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def content(folder: Path) -> dict[str, bytes | str | None]:
    """Return all there is below a folder: bytes of files, targets of links, None for folders."""
    found: dict[str, bytes | str | None] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found


@pytest.mark.parametrize(
    ("limit", "units", "file"),
    [
        (1_000, 1, "manifest.json"),
        pytest.param(20_000, 8, "checkpoint", marks=pytest.mark.slow),
        (13_000, 1, "metrics.csv"),
    ],
)
def test_a_file_that_may_not_grow_ends_with_4(
    tmp_path: Path, start: Start, limit: int, units: int, file: str
) -> None:
    """The limit stands for a quota; metrics.csv is torn by it and mended."""
    command = training(tmp_path / "s", f"model.hidden=[{units}]", epochs=30)
    limited = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
    assert start("limited", command, first=limited).wait() == 4
    log = (tmp_path / "limited.log").read_text()
    assert "Traceback" not in log
    assert f"{file}" in log.splitlines()[-1]
    assert "cannot be written: File too large. A limit on the size of files is reached" in log
    assert_reads_clean(tmp_path / "s")
    if file == results.METRICS:
        assert (tmp_path / "s" / file).read_text().endswith("\n")
        assert rows(tmp_path / "s" / file) > 40
    assert start("again", command).wait() == 0
    undisturbed = [*command, "--out", str(tmp_path / "undisturbed")]
    assert start("undisturbed", undisturbed).wait() == 0
    assert_same_study(tmp_path / "s", tmp_path / "undisturbed")


@pytest.mark.parametrize(
    "too_small",
    [
        pytest.param("size=16k", marks=pytest.mark.slow),
        "size=64k",
        "nr_inodes=4",
        pytest.param("nr_inodes=9", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_ends_with_4_and_the_same_command_goes_on(
    tmp_path: Path, small_disk: tuple[Path, Mount], start: Start, too_small: str
) -> None:
    disk, mount = small_disk
    mount(too_small)
    command = training(disk / "s")
    assert start("full", command).wait() == 4
    log = (tmp_path / "full.log").read_text()
    assert "Traceback" not in log
    assert "cannot be written: No space left on device. Free space on that disk" in log
    assert_reads_clean(disk / "s")
    mount("size=16m,nr_inodes=1000")
    assert start("again", command).wait() == 0
    assert start("undisturbed", training(tmp_path / "undisturbed")).wait() == 0
    assert_same_study(disk / "s", tmp_path / "undisturbed")


def test_a_disk_full_for_pictures_ends_with_4(
    tmp_path: Path, small_disk: tuple[Path, Mount], start: Start
) -> None:
    disk, mount = small_disk
    assert start("train", training(disk / "s")).wait() == 0
    used = os.statvfs(disk)
    mount(f"nr_inodes={used.f_files - used.f_ffree + 2}")  # the folder and one file
    before = content(disk / "s")
    assert start("plot", ["plot", str(disk / "s")]).wait() == 4
    assert "No space left on device" in (tmp_path / "plot.log").read_text()
    assert "Traceback" not in (tmp_path / "plot.log").read_text()
    assert before.items() <= content(disk / "s").items()


def test_a_disk_that_cannot_be_written_is_said_and_left(
    tmp_path: Path, small_disk: tuple[Path, Mount], start: Start
) -> None:
    disk, mount = small_disk
    assert start("train", training(disk / "s")).wait() == 0
    before = content(disk)
    mount("ro")
    for name, command in {
        "new": training(disk / "new"),
        "same": training(disk / "s"),
        "more": training(disk / "s", seeds=6),
        "plot": ["plot", str(disk / "s")],
    }.items():
        assert start(name, command).wait() == 4
        log = (tmp_path / f"{name}.log").read_text()
        assert "cannot be written: Read-only file system" in log
        assert "Traceback" not in log
        assert "Have that file system mounted for writing" in log
        assert log.rstrip().endswith("Or give another folder with --out.")
    assert content(disk) == before
    elsewhere = tmp_path / "elsewhere"
    assert start("drawn", ["plot", str(disk / "s"), "--out", str(elsewhere)]).wait() == 0
    assert (elsewhere / "plots" / "curves.png").exists()
    assert content(disk) == before


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_place_where_no_folder_can_be_is_said(tmp_path: Path, start: Start) -> None:
    assert start("proc", training(Path("/proc/dropout-lab/s"))).wait() == 4
    assert "/proc/dropout-lab/s cannot be written" in (tmp_path / "proc.log").read_text()
    assert "Traceback" not in (tmp_path / "proc.log").read_text()


@pytest.mark.parametrize("through_a_link", [False, True])
def test_the_folder_of_another_program_is_left_untouched(
    tmp_path: Path, start: Start, through_a_link: bool
) -> None:
    foreign = tmp_path / "foreign"
    for name in ("runs/20cb470f9ecc/model.bin", "metrics.csv", "plots/curves.png"):
        (foreign / name).parent.mkdir(parents=True, exist_ok=True)
        (foreign / name).write_text("theirs")
    before = content(foreign)
    out = foreign
    if through_a_link:
        out = tmp_path / "link"
        out.symlink_to(foreign)
    assert start("refused", training(out)).wait() == 4
    assert (
        "is not the folder of a study; nothing is written" in (tmp_path / "refused.log").read_text()
    )
    assert content(foreign) == before


def test_a_link_to_an_empty_folder_is_followed_and_stays(tmp_path: Path, start: Start) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s").symlink_to(tmp_path / "elsewhere")
    assert start("train", training(tmp_path / "s")).wait() == 0
    assert (tmp_path / "s").is_symlink()
    assert rows(tmp_path / "elsewhere" / results.RUNS) == 4


@pytest.mark.parametrize("name", [results.METRICS, results.RUNS, results.MANIFEST])
def test_what_a_link_in_the_folder_leads_to_is_never_written(
    tmp_path: Path, start: Start, name: str
) -> None:
    """A file of the study that stands elsewhere is read, and from then on stands in the folder."""
    command = training(tmp_path / "s")
    assert start("train", command).wait() == 0
    path, elsewhere = tmp_path / "s" / name, tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    start("more", [*command, "--seeds", "6"]).wait()
    assert elsewhere.read_bytes() == before
    assert "Traceback" not in (tmp_path / "more.log").read_text()
