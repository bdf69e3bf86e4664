"""Checkpoints: two generations, proven by their digest, never unpickled, never believed blindly."""

import hashlib
import io
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dropout_lab import files
from dropout_lab.errors import StorageError
from dropout_lab.folder.checkpoint import damage_of, save_checkpoints
from dropout_lab.folder.completeness import checkpoints_in
from dropout_lab.study import Study
from tests.study.test_run import Silent, StopsAfter, assert_same_results, go, study

ASKED = {"p": "0.5", "seeds": "2"}


def broken_off(out: Path, epochs: int = 2) -> Study:
    asked = study(out, **ASKED)
    with pytest.raises(KeyboardInterrupt):
        go(asked, StopsAfter(epochs))
    return asked


def signed(content: bytes) -> bytes:
    return hashlib.sha256(content).digest() + content


def saved(data: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(data, buffer)
    return signed(buffer.getvalue())


def loaded(path: Path) -> dict[str, object]:
    content: dict[str, object] = torch.load(
        io.BytesIO(path.read_bytes()[32:]), weights_only=True, map_location="cpu"
    )
    return content


class Bomb:
    """What pickle would run when it reads this."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("__import__('pathlib').Path('exploded').write_text('')",)


def flipped(path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    return bytes(content)


def of_another_run(path: Path) -> bytes:
    (other,) = (f for f in path.parent.parent.iterdir() if f != path.parent)
    return (other / path.name).read_bytes()


DAMAGES: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "a byte flipped": (flipped, "SHA-256 is another"),
    "cut short": (lambda path: path.read_bytes()[:1000], "SHA-256 is another"),
    "empty": (lambda path: b"", "SHA-256 is another"),
    "zeros, as after a power loss": (lambda path: bytes(5000), "SHA-256 is another"),
    "a pickle bomb, rightly signed": (lambda path: signed(pickle.dumps(Bomb())), "more than"),
    "a bomb inside torch's format": (lambda path: saved({"epoch": Bomb()}), "more than"),
    "not a dictionary": (lambda path: saved([1, 2]), "more than tensors"),
    "of a newer program": (lambda path: saved({**loaded(path), "format": 2}), "has format 2"),
    "of another epoch": (lambda path: saved({**loaded(path), "epoch": 7}), "not of the epoch"),
    "incomplete": (
        lambda path: saved({k: v for k, v in loaded(path).items() if k != "optimizer"}),
        "not complete",
    ),
    "of another run": (of_another_run, "is of another run"),
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("undisturbed") / "s"
    go(study(out, **ASKED))
    return out


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study broken off after two epochs."""
    out = tmp_path_factory.mktemp("begun") / "s"
    broken_off(out)
    return out


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_costs_one_epoch_and_is_kept(
    damage: str, tmp_path: Path, undisturbed: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(begun, tmp_path / "s")
    (path, *_) = sorted((tmp_path / "s" / "runs").rglob("checkpoint_000002.pt"))
    change, words = DAMAGES[damage]
    content = change(path)
    path.write_bytes(content)
    assert words in damage_of(path)
    events = Silent()
    go(study(tmp_path / "s", **ASKED), events)
    assert (events.started_after, events.epochs) == (0, 3 + 2)  # the fleet of no dropout, and this
    assert words in events.warnings[0]
    assert "kept as checkpoint_000002.pt.damaged and not used" in events.warnings[0]
    assert path.with_name(path.name + ".damaged").read_bytes() == content
    assert not (tmp_path / "exploded").exists()
    assert_same_results(tmp_path / "s", undisturbed)


def test_without_any_whole_checkpoint_training_begins_anew(
    tmp_path: Path, undisturbed: Path
) -> None:
    broken_off(tmp_path / "s")
    for path in (tmp_path / "s" / "runs").rglob("*.pt"):
        path.write_bytes(b"")
    events = Silent()
    go(study(tmp_path / "s", **ASKED), events)
    assert events.epochs == 6
    assert_same_results(tmp_path / "s", undisturbed)


def test_two_generations_are_kept_and_none_of_a_finished_run(tmp_path: Path) -> None:
    folder = tmp_path / "0123456789ab"
    for epoch in (1, 2, 3, 4):
        save_checkpoints([folder], [{"epoch": epoch}])
    assert sorted(checkpoints_in(folder)) == [3, 4]


def test_where_the_new_one_cannot_be_written_the_old_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "0123456789ab"
    for epoch in (1, 2):
        save_checkpoints([folder], [{"epoch": epoch}])

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        save_checkpoints([folder], [{"epoch": 3}])
    assert sorted(checkpoints_in(folder)) == [1, 2]


def test_a_sound_checkpoint_has_no_damage_and_a_missing_one_is_told(tmp_path: Path) -> None:
    broken_off(tmp_path / "s")
    (path, *_) = (tmp_path / "s" / "runs").rglob("*.pt")
    assert damage_of(path) == ""
    assert "cannot be read" in damage_of(path.with_name("checkpoint_000009.pt"))


def test_checkpoints_of_an_older_program_are_read(tmp_path: Path, undisturbed: Path) -> None:
    """They have neither a format nor the run's id in them."""
    broken_off(tmp_path / "s")
    for path in (tmp_path / "s" / "runs").rglob("*.pt"):
        later = ("format", "run_id", "runs")
        path.write_bytes(saved({k: v for k, v in loaded(path).items() if k not in later}))
    events = Silent()
    go(study(tmp_path / "s", **ASKED), events)
    assert (events.epochs, events.warnings) == (4, [])
    assert_same_results(tmp_path / "s", undisturbed)


def test_a_folder_moved_elsewhere_goes_on(tmp_path: Path, undisturbed: Path) -> None:
    broken_off(tmp_path / "s")
    shutil.move(tmp_path / "s", tmp_path / "elsewhere")
    events = Silent()
    go(study(tmp_path / "elsewhere", **ASKED), events)
    assert events.epochs == 4
    assert_same_results(tmp_path / "elsewhere", undisturbed)
