"""The scripts that benchmarks/peers.py compares dropout-lab with learn, and answer as it reads."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
NEEDS = {
    "first_script": "torchvision", "expert": "torchvision", "lightning_trainer": "lightning",
    "skorch_net": "skorch", "keras_fit": "keras",
}  # fmt: skip


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in torchvision's layout; the first pixel of an image tells its label."""
    folder = tmp_path_factory.mktemp("data") / "MNIST" / "raw"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for part, count in (("train", 15_000 + 640), ("t10k", 500)):
        labels = generator.integers(10, size=count).astype(np.uint8)
        images = np.zeros((count, 28, 28), np.uint8)
        images[np.arange(count), labels, 0] = 255
        for name, array, magic in (("images-idx3", images, 2051), ("labels-idx1", labels, 2049)):
            header = np.array([magic, *array.shape], ">i4").tobytes()
            (folder / f"{part}-{name}-ubyte").write_bytes(header + array.tobytes())
    return folder.parents[1]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(name, marks=pytest.mark.slow if name == "first_script" else ())
        for name in NEEDS
    ],
)
def test_a_peer_learns_and_tells_its_time(script: str, digits: Path) -> None:
    pytest.importorskip(NEEDS[script])
    task = {
        "data_dir": str(digits), "p": 0.2, "seed": 1, "hidden": [32], "batch_size": 64,
        "epochs": 1, "slot": 0,
    }  # fmt: skip
    command = [sys.executable, str(BENCHMARKS / "peers" / f"{script}.py"), json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert [seconds > 0 for seconds in answer["seconds"]] == [True]
    assert answer["test_accuracy"] > 0.99


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("peers")


def test_every_comparison_has_its_script(peers: ModuleType) -> None:
    scripts = {peer.script for peer, _, _ in peers.COMPARISONS.values()}
    assert scripts == {f"{name}.py" for name in NEEDS}


def test_the_sample_is_spread_over_p(peers: ModuleType) -> None:
    assert [p for p, _ in peers.sample(2)] == [0.2, 0.7]
    assert peers.sample(20) == peers.RUNS


def test_a_ratio_below_its_bound_or_another_accuracy_breaks_it(
    peers: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """By hand: 30 s over 10 s; the run's accuracy 0.97 beside 0.965 or 0.955."""
    peer, lab, _ = peers.COMPARISONS["expert"]

    def compared(bound: float, accuracy: float) -> bool:
        theirs = peers.Measured(30.0, 1.0, {(0.2, 1): 0.97})
        ours = peers.Measured(10.0, 0.4, {(0.2, 1): accuracy, (0.9, 1): 0.5})
        kept: bool = peers.compare(peer, lab, bound, [{peer: theirs, lab: ours}])
        return kept

    assert compared(3.0, 0.965)
    assert not compared(3.1, 0.965)
    assert not compared(2.5, 0.955)
    assert capsys.readouterr().out.count("BROKEN") == 2
