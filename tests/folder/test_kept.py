"""What is kept of a trained network: in its tables and files, whole, and made again where lost."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dropout_lab.folder.doctor import examine, repair
from dropout_lab.folder.study_folder import StudyFolder
from dropout_lab.folder.weights import read_weights
from dropout_lab.results import ACTIVATIONS, INFERENCE, METRICS, RELIABILITY, RUNS
from dropout_lab.results.features import FEATURES, features_bytes, read_features
from dropout_lab.results.predictions import PREDICTIONS, read_predictions
from dropout_lab.study import fleet_runner as engine_module
from tests.study.test_run import StopsAfter, assert_same_results, go, study

EVERYTHING = (
    "evaluation.at_end=[features,histograms,reliability,predictions]",
    "evaluation.inference=monte_carlo",
    "evaluation.samples=5",
)
TABLES = (INFERENCE, RELIABILITY, ACTIVATIONS)
FILES = (FEATURES, PREDICTIONS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of four runs, each trained alone."""
    out = tmp_path_factory.mktemp("whole") / "s"
    go(study(out, *EVERYTHING, p="0.5", seeds="2", fleet_size=1))
    return out


@pytest.fixture
def out(tmp_path: Path, whole: Path) -> Path:
    """A copy of the finished study."""
    shutil.copytree(whole, tmp_path / "s")
    return tmp_path / "s"


def again(out: Path) -> int:
    return go(study(out, *EVERYTHING, p="0.5", seeds="2", fleet_size=1)).trained


def test_every_run_has_its_rows_and_its_files(out: Path) -> None:
    runs = pd.read_csv(out / RUNS)
    reliability = pd.read_csv(out / RELIABILITY)
    assert list(reliability.columns) == [
        "run_id", "seed", "dropout.p", "inference", "bin", "examples", "confidence", "accuracy",
    ]  # fmt: skip
    scores = pd.read_csv(out / INFERENCE).set_index(["run_id", "inference"])
    for (run_id, inference), rows in reliability.groupby(["run_id", "inference"]):
        assert list(rows["bin"]) == list(range(1, 16))
        gap = (rows["examples"] * (rows["accuracy"] - rows["confidence"]).abs()).sum() / 1_000
        assert gap == pytest.approx(scores.loc[(run_id, inference), "test_ece"])
    assert len(reliability) == 15 * (2 * 1 + 2 * 2)  # without dropout there is nothing to sample
    activations = pd.read_csv(out / ACTIVATIONS)
    counts = activations.groupby(["run_id", "layer", "of"])["count"].sum().unstack(["layer", "of"])
    assert (counts[1, "unit_mean"] == 16).all()
    assert (counts[2, "unit_mean"] == 12).all()
    assert (counts[1, "activation"] == 16 * 128).all()
    assert (counts[2, "activation"] == 12 * 128).all()
    for _, run in runs.iterrows():
        folder = out / "runs" / run["run_id"]
        kept = read_features(folder / FEATURES)
        assert kept is not None
        assert kept[0].shape == (16, 28, 28)
        predicted = read_predictions(folder / PREDICTIONS)
        assert predicted is not None
        assert (predicted[0].argmax(axis=1) != predicted[1]).sum() == run["test_errors"]


def test_what_is_not_asked_for_is_not_there(tmp_path: Path) -> None:
    go(study(tmp_path / "s", "evaluation.at_end=reliability", p="0.5", seeds="1"))
    assert (tmp_path / "s" / RELIABILITY).exists()
    assert not (tmp_path / "s" / ACTIVATIONS).exists()
    assert not list((tmp_path / "s" / "runs").glob("*/*.npz"))


def test_what_is_kept_changes_no_number(tmp_path: Path, out: Path) -> None:
    go(study(tmp_path / "plain", p="0.5", seeds="2", fleet_size=1))
    ours, plain = (pd.read_csv(path / METRICS) for path in (out, tmp_path / "plain"))
    columns = ["run_id", "seconds"]  # what is measured is part of a run, and of its id
    pd.testing.assert_frame_equal(ours.drop(columns=columns), plain.drop(columns=columns))


@pytest.mark.parametrize("after", [2, 3, 5])
def test_broken_off_and_resumed_is_the_undisturbed_study(tmp_path: Path, after: int) -> None:
    go(study(tmp_path / "whole", *EVERYTHING, p="0.5", seeds="2"))
    asked = study(tmp_path / "s", *EVERYTHING, p="0.5", seeds="2")
    with pytest.raises(KeyboardInterrupt):
        go(asked, StopsAfter(after))
    go(asked)
    assert_same_results(tmp_path / "whole", tmp_path / "s")
    for name in TABLES:
        assert (tmp_path / "s" / name).read_text() == (tmp_path / "whole" / name).read_text()
    for path in (tmp_path / "whole").rglob("*.npz"):
        other = tmp_path / "s" / path.relative_to(tmp_path / "whole")
        assert other.read_bytes() == path.read_bytes()


def test_killed_before_its_status_a_fleet_has_its_rows_once(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = study(tmp_path / "k", *EVERYTHING, p="0.5", seeds="2", fleet_size=1)

    def kill(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine_module, "_ends", kill)
    with pytest.raises(KeyboardInterrupt):
        go(asked)
    monkeypatch.undo()
    assert (tmp_path / "k" / ACTIVATIONS).exists()
    go(asked)
    for name in TABLES:
        assert (tmp_path / "k" / name).read_text() == (out / name).read_text()


@pytest.mark.parametrize("name", [RELIABILITY, ACTIVATIONS])
@pytest.mark.parametrize("how", ["a row", "a row in the middle", "a torn row", "the file"])
def test_lost_rows_are_made_again(name: str, how: str, out: Path) -> None:
    path = out / name
    before = path.read_text()
    lines = before.splitlines(keepends=True)
    middle = len(lines) // 2
    damaged = {
        "a row": "".join(lines[:-1]),
        "a row in the middle": "".join([*lines[:middle], *lines[middle + 1 :]]),
        "a torn row": before[:-5],
    }
    if how == "the file":
        path.unlink()
    else:
        path.write_text(damaged[how])
    found = [finding for finding in examine(out) if finding.damaged]
    assert any(f"{name} lacks" in finding.words for finding in found)
    with StudyFolder(out) as folder:
        assert any(f"{name} lacks" in text for text in folder.findings)
    repair(out)
    assert again(out) == (4 if how == "the file" else 1)
    assert path.read_text() == before
    assert not [finding for finding in examine(out) if finding.damaged]


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "another inference": (
        lambda out: changed(out / RELIABILITY, ",mean,7,", ",means,7,"), "lacks 1 bin of it",
    ),
    "no number": (
        lambda out: changed(out / RELIABILITY, ",mean,7,", ",mean,x,"), "has 'x' in the column bin",
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_rows_are_told_and_made_again(how: str, out: Path) -> None:
    before = (out / RELIABILITY).read_text()
    damage, words = DAMAGE[how]
    damage(out)
    assert any(words in finding.words for finding in examine(out))
    repair(out)
    assert again(out) == 1
    assert (out / RELIABILITY).read_text() == before


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_made_again_and_an_absent_one_is_no_damage(name: str, out: Path) -> None:
    path = sorted((out / "runs").glob(f"*/{name}"))[0]
    before = path.read_bytes()
    path.write_bytes(before[:100])
    assert any(name in str(finding.path) + finding.words for finding in examine(out))
    assert again(out) == 1
    assert path.read_bytes() == before
    path.unlink()
    (told,) = examine(out)
    assert not told.damaged
    assert told.words == f"{name} of 1 run is not there; the tables stay"
    assert again(out) == 0


def test_doctor_puts_damaged_features_aside(out: Path) -> None:
    path = sorted((out / "runs").glob(f"*/{FEATURES}"))[0]
    before = path.read_bytes()
    path.write_bytes(before[:100])
    repair(out)
    assert not path.exists()
    assert path.with_name(f"{FEATURES}.damaged").read_bytes() == before[:100]
    assert not [finding for finding in examine(out) if finding.damaged]
    again(out)
    assert path.read_bytes() == before


def test_features_of_another_run_are_damage(tmp_path: Path) -> None:
    folder = tmp_path / "0123456789ab"
    folder.mkdir()
    path = folder / FEATURES
    assert read_features(path) is None
    images, units = np.zeros((2, 28, 28), np.float16), np.arange(2)
    for damaged, words in (
        (features_bytes(images, units, "ba9876543210"), "is of another run, ba9876543210"),
        (features_bytes(images[0], units, folder.name), "does not hold features"),
        (features_bytes(images, units[:1], folder.name), "does not hold features"),
        (b"", "cannot be loaded"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=words):
            read_features(path)


def test_early_stopping_keeps_what_the_best_weights_are(tmp_path: Path) -> None:
    settings = ("training.epochs=30", "training.patience=2", "training.learning_rate=0.1")
    go(study(tmp_path / "s", *EVERYTHING, *settings, p="0.5", seeds="2", save_models=True))
    for run_id in pd.read_csv(tmp_path / "s" / RUNS)["run_id"]:
        folder = tmp_path / "s" / "runs" / run_id
        weights = torch.load(folder / "weights.pt", weights_only=True)["0.weight"]
        kept = read_features(folder / FEATURES)
        assert kept is not None
        np.testing.assert_array_equal(kept[0].reshape(16, 784), weights.half().numpy())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with every file that can be kept."""
    out = tmp_path_factory.mktemp("kept") / "s"
    go(study(out, *EVERYTHING, "model.hidden=[2]", p="0.5", seeds="1", save_models=True))
    return next((out / "runs").iterdir())


def bits(content: bytes) -> Iterator[bytes]:
    """Yield a file with one bit flipped: at its ends each, between them some."""
    ends = {*range(60), *range(len(content) - 140, len(content))}
    for at in sorted(ends | set(range(0, len(content), len(content) // 100))):
        data = bytearray(content)
        data[at] ^= 1 << at % 8
        yield bytes(data)


def test_no_flipped_bit_of_the_weights_is_loaded(kept: Path) -> None:
    path = kept / "weights.pt"
    content = path.read_bytes()
    assert read_weights(path) is not None
    for damaged in bits(content):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is not what was written"):
            read_weights(path)
    path.write_bytes(content)
    plain = torch.load(path, weights_only=True, mmap=True)  # as a user may
    state = read_weights(path)
    assert state is not None
    assert all(torch.equal(plain[name], state[name]) for name in state)


def test_weights_of_another_run_or_with_code_are_not_read(kept: Path, tmp_path: Path) -> None:
    content = (kept / "weights.pt").read_bytes()
    path = tmp_path / "0123456789ab" / "weights.pt"
    path.parent.mkdir()
    assert read_weights(path) is None
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"is of another run, {kept.name}"):
        read_weights(path)
    torch.save({"0.weight": torch.zeros(2)}, path)  # as an older version wrote it
    assert read_weights(path) is not None
    torch.save({"0.weight": Path("x")}, path)
    with pytest.raises(ValueError, match="cannot be loaded"):
        read_weights(path)


@pytest.mark.parametrize(
    ("name", "read"), [(PREDICTIONS, read_predictions), (FEATURES, read_features)]
)
def test_no_flipped_bit_of_arrays_changes_what_is_read(
    kept: Path, name: str, read: Callable[[Path], tuple[np.ndarray, ...] | None]
) -> None:
    """Each array has a checksum; what is beside them, such as a date, is not read."""
    path = kept / name
    content, sound = path.read_bytes(), read(path)
    assert sound is not None
    for damaged in bits(content):
        path.write_bytes(damaged)
        with suppress(ValueError):
            again = read(path)
            assert again is not None
            for array, before in zip(again, sound, strict=True):
                np.testing.assert_array_equal(array, before, strict=True)
    path.write_bytes(content)


def test_a_diverged_run_has_none_of_it(tmp_path: Path) -> None:
    settings = ("training.learning_rate=0.05,1e30", "dropout.p=0.5")
    go(study(tmp_path / "s", *EVERYTHING, *settings, seeds="1"))
    for name in TABLES:
        assert set(pd.read_csv(tmp_path / "s" / name)["training.learning_rate"]) == {0.05}
    runs = pd.read_csv(tmp_path / "s" / RUNS)
    completed = set(runs[runs["status"] == "completed"]["run_id"])
    assert {path.parent.name for path in (tmp_path / "s").rglob("*.npz")} == completed
