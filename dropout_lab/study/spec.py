"""The request for a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from dropout_lab.config.grid import Cell, Run, runs_of, seeds_of
from dropout_lab.config.schema import Config
from dropout_lab.study.machine import Machine, this_machine


@dataclass(frozen=True)
class Study:
    """A request: the config, the runs, the folder, and how to train.

    Args:
        config: The config: the name, the settings that are not swept, the seeds, a paper's values.
        cells: The settings that the study shall have when it is completed.
        out: The results folder.
        data_dir: Where the data sets lie.
        device: Where training happens.
        fleet_size: The most runs in a fleet; none lets the network and the machine decide.
        memory: What a fleet may take, in bytes; none takes a share of the machine's.
        workers: How many processes of this machine train; none lets this one do it.
        scheduler: The address of a Dask scheduler whose workers train; none lets this machine.
        save_models: Whether each run's weights are kept.
        retry_failed: Whether to retry runs that failed before.
        command: The command line, for the manifest.
    """

    config: Config
    cells: Sequence[Cell]
    out: Path
    data_dir: Path
    device: torch.device
    fleet_size: int | None = None
    memory: int | None = None
    workers: int | None = None
    scheduler: str | None = None
    save_models: bool = False
    retry_failed: bool = False
    command: str = ""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of each cell."""
        return seeds_of(self.config)

    @cached_property
    def runs(self) -> list[Run]:
        """All runs of the request."""
        return runs_of(self.cells, self.seeds)

    @property
    def on_cluster(self) -> bool:
        """Whether workers train the fleets."""
        return self.workers is not None or self.scheduler is not None

    @cached_property
    def machine(self) -> Machine:
        """The machine that the packing assumes."""
        return this_machine(self.device, self.memory)
