"""The section report: how the results of a study are judged. No run depends on it."""

from typing import Annotated

from pydantic import Field

from dropout_lab.config.types import Section

Margin = Annotated[float, Field(gt=0, le=100)]  # percentage points


class ReportSettings(Section):
    """How the report judges the results. You can change it at any time without retraining."""

    margin: Margin | None = Field(
        None,
        description="The largest difference in test accuracy that does not matter to you, in "
        "percentage points. The report calls two settings equivalent if their difference is "
        "certainly smaller. null: nothing is called equivalent.",
    )
