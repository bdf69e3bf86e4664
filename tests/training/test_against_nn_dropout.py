"""Own inverted dropout against torch.nn.Dropout in the same network: macro F1 over five seeds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dropout_lab import data
from dropout_lab.config.grid import runs_of, single_cell
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.data import Splits
from dropout_lab.metrics import Tally
from dropout_lab.model import initial_weights
from dropout_lab.training import Fleet, train

SEEDS = (0, 1, 2, 3, 4)


def with_nn_dropout(splits: Splits, epochs: int, rate: float, seed: int) -> float:
    """Train 784-512-512-10 with nn.Dropout(0.5), written out in plain PyTorch; return macro F1."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(512, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10),
    )  # fmt: skip
    weights = initial_weights(load(None).model, (784, 512, 512, 10), (seed,))
    for layer, weight in zip(net[::3], weights, strict=True):
        layer.weight.data = weight[0].T.contiguous()
        layer.bias.data.zero_()
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9)
    for _ in range(epochs):
        for batch in torch.randperm(len(splits.train)).split(128):
            optimizer.zero_grad()
            logits = net(splits.pixels(splits.train.images[batch]))
            nn.functional.cross_entropy(logits, splits.train.labels[batch]).backward()
            optimizer.step()
    net.eval()
    tally = Tally(1, 10, torch.device("cpu"))
    with torch.no_grad():
        tally.add(net(splits.pixels(splits.test.images))[None], splits.test.labels[None])
    return float(tally.scores().macro_f1[0])


def compare(name: str, folder: Path, epochs: int, rate: float) -> tuple[list[float], list[float]]:
    changes = (f"dataset.name={name}", f"training.learning_rate={rate}", "dropout.p=0.5")
    config = load(None, Changes(settings=changes, epochs=epochs))
    splits = data.load(data_dir=folder, say=lambda line: None, **config.dataset.model_dump())
    fleet = Fleet(runs_of(single_cell(config), SEEDS), torch.device("cpu"))
    last = list(train(fleet, splits))[-1]
    ours = [record.test_macro_f1 for record in last.records.values()]
    return ours, [with_nn_dropout(splits, epochs, rate, seed) for seed in SEEDS]


def show(name: str, values: list[float]) -> None:
    print(f"{name}: macro F1 {np.mean(values):.4f} ± {np.std(values, ddof=1):.4f} (s.d., n = 5)")  # noqa: T201


def test_on_mnist_5k() -> None:
    ours, theirs = compare("mnist_5k", Path("unused"), epochs=4, rate=0.05)
    standard_error = np.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / len(SEEDS))
    assert abs(np.mean(ours) - np.mean(theirs)) < 3 * standard_error
    assert min(ours) > 0.85  # it has learned something to compare


@pytest.mark.slow
def test_on_full_mnist_for_two_epochs(mnist_dir: Path) -> None:
    ours, theirs = compare("mnist", mnist_dir, epochs=2, rate=0.02)
    show("own inverted", ours)
    show("nn.Dropout", theirs)
    spread = max(np.std(ours, ddof=1), np.std(theirs, ddof=1))
    assert abs(np.mean(ours) - np.mean(theirs)) < spread
