"""What a sweep varies: a grid, and settings that are no combinations of anything."""

from typing import Any

from pydantic import Field, model_validator

from dropout_lab.config.types import Section

LABEL = "label"  # in a cell: its name, no key


def _default_grid() -> dict[str, list[Any] | str]:
    return {"dropout.p": [0.0, 0.25, 0.5, 0.75]}


class SweepSettings(Section):
    """What is varied."""

    grid: dict[str, list[Any] | str] = Field(
        default_factory=_default_grid,
        description="dotted key: list of values, or start:stop:step; all combinations are run",
    )
    cells: list[dict[str, Any]] = Field(
        default_factory=list,
        description="settings that are no combinations: each a mapping of dotted keys to values, "
        "with a `label` if it has a name; each is run with every combination of the grid, which "
        "is then empty if none is given",
    )

    baseline: bool = Field(
        True, description="add a run without dropout for each setting and seed where there is none"
    )

    @model_validator(mode="before")
    @classmethod
    def _cells_replace_the_grid(cls, data: Any) -> Any:
        """Let cells stand in for the default grid, not for one that is given."""
        if isinstance(data, dict) and data.get("cells") and "grid" not in data:
            return {**data, "grid": {}}
        return data
