"""What the tests share: strictness, real MNIST where it is, small studies."""

import os

# Processes side by side share the cores; the processes that tests start inherit it.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from dropout_lab import data
from dropout_lab.analysis import plots
from dropout_lab.analysis.tables import StudyTables
from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.grid import Run, runs_of, single_cell, sweep_cells
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.schema import Config
from dropout_lab.data import Splits
from dropout_lab.datasets import is_downloaded
from dropout_lab.layers import VARIANTS
from dropout_lab.plugins import LOADED
from dropout_lab.report import inline_figures
from dropout_lab.training import Fleet, train

os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture
def float64() -> Iterator[None]:
    """Run a test in double precision, where rounding cannot hide a mistake."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def mnist_dir() -> Path:
    """The folder of full MNIST, from the variable DROPOUT_LAB_DATA."""
    folder = Path(os.environ.get("DROPOUT_LAB_DATA", ""))
    if not os.environ.get("DROPOUT_LAB_DATA") or not is_downloaded("mnist", folder):
        pytest.skip("full MNIST is not here; DROPOUT_LAB_DATA names its folder")
    return folder


@pytest.fixture(scope="session")
def small_splits() -> Splits:
    """500 training, 200 validation and 1,000 test images of MNIST."""
    return data.load(
        "mnist_5k",
        Path("unused"),
        lambda line: None,
        train_size=500,
        validation_size=200,
        label_noise=0.0,
        normalize="unit",
        split_seed=0,
    )


@pytest.fixture(scope="session")
def tiny_splits(small_splits: Splits) -> Splits:
    """Two batches of training images, and one to measure on."""
    first = [part[torch.arange(128)] for part in (small_splits.train, small_splits.test)]
    return replace(small_splits, train=first[0], validation=first[1], test=first[1])


SMALL = (
    "dataset.train_size=500",
    "dataset.validation_size=200",
    "model.hidden=[16,12]",
    "training.batch_size=64",
)


def make_config(
    *settings: str, sweep: bool = False, file: Path | None = None, **changes: str | int
) -> Config:
    """Return a config of small runs with some settings changed, or that of a file."""
    small = SMALL if file is None else ()
    return load(file, Changes(settings=(*small, *settings), sweep=sweep, **changes))


def make_runs(*settings: str, seeds: tuple[int, ...] = (0,)) -> list[Run]:
    """Return small runs of one setting."""
    return runs_of(single_cell(make_config(*settings)), seeds)


def make_sweep(*settings: str, seeds: tuple[int, ...] = (0,)) -> list[Run]:
    """Return the small runs of a grid, those without dropout left out."""
    config = make_config(*settings, sweep=True)
    return runs_of(sweep_cells(config, baseline=False), seeds)


def with_variant(name: str) -> list[str]:
    """Return the settings of a variant at every place that it can take, in its cheapest form."""
    kind = CATALOGUE[name]
    needed = [f"dropout.{key}=0.5" for key in kind.needed]
    mask = ["dropout.mask=batch"] if name == "dropconnect" else []
    placement = "hidden" if kind.hidden_only else "all"
    return [f"dropout.variant={name}", f"dropout.placement={placement}", *needed, *mask]


def resumed_after_an_epoch(runs: list[Run], splits: Splits) -> tuple[Fleet, Fleet]:
    """Return a fleet trained undisturbed, and one that went on from a checkpoint of epoch 1."""
    undisturbed, first, resumed = (Fleet(runs, torch.device("cpu")) for _ in range(3))
    list(train(undisturbed, splits))
    next(iter(train(first, splits)))
    resumed.restore(first.checkpoint())
    list(train(resumed, splits))
    return undisturbed, resumed


def assert_same_bits(ours: Fleet, theirs: Fleet) -> None:
    """Every parameter of two fleets is the same to the bit."""
    pairs = zip(ours.model.parameters(), theirs.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.fixture
def own_variants() -> Iterator[Callable[[], None]]:
    """Let variants join the tables for the length of a test, or until the fixture is called."""
    tables: tuple[dict[str, Any], ...] = (CATALOGUE, VARIANTS, LOADED)
    before = [dict(table) for table in tables]

    def forget() -> None:
        for table, entries in zip(tables, before, strict=True):
            table.clear()
            table.update(entries)

    yield forget
    forget()


def plugin_of_the_readme() -> str:
    """Return the example of a plugin on the page "Write your own variant"."""
    page = Path(__file__).parents[1] / "docs" / "pages" / "how-to" / "own-variant.md"
    return page.read_text().partition("```python\n")[2].partition("```")[0]


@pytest.fixture
def one_plot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw one small plot of every study instead of all; tests/analysis is about the plots."""

    def draw(study: StudyTables, margin: float | None) -> list[tuple[str, Figure]]:
        return [("curves", Figure((1, 1)))]

    for module in (plots, inline_figures):
        monkeypatch.setattr(module, "draw_plots", draw)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every connection fail at once."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


Say = Callable[[str], None]
