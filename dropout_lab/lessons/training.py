"""Train the networks of lessons with the program's own data, training loop and records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dropout_lab import data
from dropout_lab.config.grid import Cell, canonicalize, runs_of, with_values
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.dropout import is_baseline
from dropout_lab.data import Splits
from dropout_lab.lessons import LessonOptions
from dropout_lab.training import Fleet, Record, train
from dropout_lab.update_rules import SGD, ParameterGroup


@dataclass(frozen=True)
class TrainedFleet:
    """Hold trained networks and their records.

    Args:
        fleet: The networks. The runs of the first cell come first, seed by seed, then the runs of
            the next cell.
        records: For each run, a record of each measured epoch.
    """

    fleet: Fleet
    records: list[list[Record]]


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Create settings from dotted keys; missing keys get the defaults of the schema."""
    return canonicalize(with_values(Settings(), values))


def load_images(
    options: LessonOptions, *, train_size: int | None = None, validation_size: int | None = None
) -> Splits:
    """Load MNIST: the packaged 5,000 images, or all images if the options name a folder.

    Args:
        options: The options of the lesson, with the folder.
        train_size: The number of training images, drawn class by class; None takes all images.
        validation_size: The number of images held out for validation; None holds out none.

    Raises:
        DataError: The data set is missing or damaged.
    """
    return data.load(
        "mnist_5k" if options.data_dir is None else "mnist",
        options.data_dir or Path(),
        lambda line: None,
        train_size=train_size,
        validation_size=validation_size or 0,
        label_noise=0.0,
        normalize="unit",
        split_seed=0,
    )


def build_fleet(cells: Sequence[Settings], seeds: Sequence[int]) -> Fleet:
    """Build the untrained networks of every cell and seed as one fleet.

    Args:
        cells: Settings that differ at most in p, learning rate and regularizer strength. A baseline
            cell gets the dropout of the other cells at p = 0, which gives bit-identical results.
        seeds: The seeds of every cell, so that the runs of different cells form pairs.
    """
    dropout = next((cell.dropout for cell in cells if not is_baseline(cell)), None)
    if dropout is not None:
        at_zero = {"dropout": dropout.model_copy(update={"p": 0.0, "input_p": 0.0})}
        cells = [c.model_copy(update=at_zero) if is_baseline(c) else c for c in cells]
    return Fleet(runs_of([Cell({}, cell) for cell in cells], seeds), torch.device("cpu"))


def train_fleet(cells: Sequence[Settings], seeds: Sequence[int], images: Splits) -> TrainedFleet:
    """Train every cell with every seed as one fleet, for all epochs.

    Args:
        cells: The settings; see :func:`build_fleet`.
        seeds: The seeds of every cell.
        images: The images for training and measuring.
    """
    fleet = build_fleet(cells, seeds)
    records: list[list[Record]] = [[] for _ in fleet.runs]
    for epoch in train(fleet, images):
        for run, record in epoch.records.items():
            records[run].append(record)
    return TrainedFleet(fleet, records)


def make_sgd(groups: Sequence[ParameterGroup], momentum: float = 0.0) -> SGD:
    """Create SGD for parameter groups; with momentum, every velocity starts at 0."""
    momentum_options = {"momentum": momentum, "dampening": 0.0}
    updates = SGD([group | momentum_options for group in groups], nesterov=False)
    if momentum:
        for parameter, state in updates.state.items():
            state["momentum_buffer"] = torch.zeros_like(parameter)
    return updates
