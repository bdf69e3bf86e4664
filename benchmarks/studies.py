"""The studies that benchmarks run."""

from pathlib import Path
from typing import Any

import torch

from dropout_lab.config.load import load_with_cells
from dropout_lab.config.overrides import Changes
from dropout_lab.study import Study


def swept(out: Path, changes: Changes, *, baseline: bool | None = None, **more: Any) -> Study:
    """Return the sweep of the defaults with some changes, on the CPU.

    Args:
        out: Its folder.
        changes: To the defaults.
        baseline: Whether the cell without dropout is added; None leaves it to the config.
        more: Further fields of the study.
    """
    config, cells = load_with_cells(None, changes, baseline=baseline)
    return Study(
        config=config,
        cells=cells,
        out=out,
        **{"data_dir": Path(), "device": torch.device("cpu")} | more,
    )
