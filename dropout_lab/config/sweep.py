"""The section sweep: a grid of values, and a list of cells."""

from typing import Any

from pydantic import Field, model_validator

from dropout_lab.config.types import Section

LABEL = "label"  # in a cell: its name, no key


def _default_grid() -> dict[str, list[Any] | str]:
    return {"dropout.p": [0.0, 0.25, 0.5, 0.75]}


class SweepSettings(Section):
    """What `dropout-lab sweep` varies."""

    grid: dict[str, list[Any] | str] = Field(
        default_factory=_default_grid,
        description="What to vary: each dotted key with a list of values, or start:stop:step. All "
        "combinations are trained.",
    )
    cells: list[dict[str, Any]] = Field(
        default_factory=list,
        description="Settings that are not a grid: a list of mappings of dotted keys to values, "
        "each with a `label` if it has a name. Each is combined with the grid, which is then "
        "empty if none is given.",
    )

    baseline: bool = Field(
        True, description="Add a baseline (no dropout) for each setting and seed that has none."
    )

    @model_validator(mode="before")
    @classmethod
    def _cells_replace_the_grid(cls, data: Any) -> Any:
        """Leave out the default grid where cells are given."""
        if isinstance(data, dict) and data.get("cells") and "grid" not in data:
            return {**data, "grid": {}}
        return data
