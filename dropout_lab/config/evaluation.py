"""The settings of the measurement: nothing here is felt by the training."""

from typing import Annotated, Literal

from pydantic import Field

from dropout_lab.config.types import Count, Section

InferenceName = Literal["mean", "monte_carlo", "geometric", "moment_matching", "ensemble"]
DiagnosticName = Literal["activations", "co_adaptation", "gradients", "noise"]
AtEndName = Literal["features", "histograms", "reliability", "predictions"]

Inferences = Annotated[tuple[InferenceName, ...], Field(strict=False, min_length=1)]
Diagnostics = Annotated[tuple[DiagnosticName, ...], Field(strict=False)]
AtEnd = Annotated[tuple[AtEndName, ...], Field(strict=False)]


class EvaluationSettings(Section):
    """When and how the network is evaluated. This does not change its training."""

    every: Count = Field(
        1, description="Evaluate every so many epochs. The last epoch is always evaluated."
    )
    train_examples: Count = Field(
        10_000,
        description="Number of training examples to evaluate on, drawn by class; all if there are "
        "fewer.",
    )
    inference: InferenceName | Inferences = Field(
        "mean",
        description="How to use the trained network on the test set, for inference.csv: a word or "
        "a list. mean is always included.",
    )
    samples: Count | None = Field(
        None,
        description="Number of networks drawn by monte_carlo and geometric, and of draws for each "
        "unit by moment_matching. null: 50.",
    )
    curve: Count | None = Field(
        None,
        description="Measure averages of 1, 2, ... up to so many of the samples, with inference: "
        "monte_carlo, for monte_carlo.csv.",
    )
    diagnostics: DiagnosticName | Diagnostics = Field(
        (),
        description="What else to measure at each evaluation, as more columns: a word or a list.",
    )
    at_end: AtEndName | AtEnd = Field(
        (),
        description="What else to keep of the trained network: a word or a list.",
    )
