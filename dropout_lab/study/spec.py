"""What is asked of a study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from dropout_lab.config.grid import Cell, Run, runs_of
from dropout_lab.config.schema import Settings
from dropout_lab.study.machine import Machine, this_machine


@dataclass(frozen=True)
class Study:
    """What was asked: the runs, where they go, and how they are trained.

    Args:
        name: Name of the study.
        about: One sentence on it.
        settings: The config's own setting, the swept keys at their unswept values.
        cells: What is to be there when the study is done.
        seeds: The seeds of each cell.
        out: The results folder.
        data_dir: Where the data sets lie.
        device: Where training happens.
        fleet_size: The most runs in a fleet; none lets the network and the machine decide.
        memory: What a fleet may take, in bytes; none takes a share of the machine's.
        workers: How many processes of this machine train; none lets this one do it.
        scheduler: The address of a Dask scheduler whose workers train; none lets this machine.
        save_models: Whether each run's weights are kept.
        retry_failed: Whether runs that failed before are trained again.
        command: The command line, for the manifest.
        notes: What the manifest keeps for pictures and the report, see
            :func:`~dropout_lab.folder.manifest.notes`.
    """

    name: str
    about: str
    settings: Settings
    cells: Sequence[Cell]
    seeds: Sequence[int]
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
    notes: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def runs(self) -> list[Run]:
        """All runs that were asked for."""
        return runs_of(self.cells, self.seeds)

    @property
    def on_cluster(self) -> bool:
        """Whether the fleets are trained on workers, not in this process."""
        return self.workers is not None or self.scheduler is not None

    @cached_property
    def machine(self) -> Machine:
        """What the packing goes by."""
        return this_machine(self.device, self.memory)
