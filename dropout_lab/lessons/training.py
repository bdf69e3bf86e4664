"""Networks that lessons train: the program's own loop, data and records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dropout_lab import data
from dropout_lab.config.grid import Cell, canonical, runs_of, with_values
from dropout_lab.config.schema import Settings, without_dropout
from dropout_lab.data import Splits
from dropout_lab.lessons import Asked
from dropout_lab.training import Fleet, Record, train


@dataclass(frozen=True)
class Trained:
    """Networks after training.

    Args:
        fleet: With the networks; its runs are those of the first cell, seed by seed, then those
            of the next.
        records: Of each run, one for each epoch that was measured.
    """

    fleet: Fleet
    records: list[list[Record]]


def settings(values: Mapping[str, Any]) -> Settings:
    """Return settings by dotted keys; the rest are the schema's defaults."""
    return canonical(with_values(Settings(), values))


def splits(
    asked: Asked, *, train_size: int | None = None, validation_size: int | None = None
) -> Splits:
    """Return MNIST: the 5,000 images of a package, or all of it where a folder was given.

    Args:
        asked: Names the folder.
        train_size: Training images, drawn class by class; none takes all.
        validation_size: Images held out of them before; by default none.

    Raises:
        DataError: It is absent or damaged.
    """
    return data.load(
        "mnist_5k" if asked.data_dir is None else "mnist",
        asked.data_dir or Path(),
        lambda line: None,
        train_size=train_size,
        validation_size=validation_size or 0,
        label_noise=0.0,
        normalize="unit",
        split_seed=0,
    )


def fleet_of(cells: Sequence[Settings], seeds: Sequence[int]) -> Fleet:
    """Return the untrained networks of every cell with every seed, in one fleet.

    Args:
        cells: They differ at most in p, learning rate and strength of the regularizers. One without
            dropout takes part with the dropout of the others at p = 0, which changes no bit.
        seeds: The same for every cell, so cells are paired.
    """
    dropping = next((each.dropout for each in cells if not without_dropout(each)), None)
    if dropping is not None:
        idle = {"dropout": dropping.model_copy(update={"p": 0.0, "input_p": 0.0})}
        cells = [c.model_copy(update=idle) if without_dropout(c) else c for c in cells]
    return Fleet(runs_of([Cell({}, each) for each in cells], seeds), torch.device("cpu"))


def train_fleet(cells: Sequence[Settings], seeds: Sequence[int], images: Splits) -> Trained:
    """Train every cell with every seed in one fleet, to the end.

    Args:
        cells: See :func:`fleet_of`, as for the seeds.
        seeds: The same for every cell.
        images: What is trained and measured on.
    """
    fleet = fleet_of(cells, seeds)
    records: list[list[Record]] = [[] for _ in fleet.runs]
    for epoch in train(fleet, images):
        for run, record in epoch.records.items():
            records[run].append(record)
    return Trained(fleet, records)
