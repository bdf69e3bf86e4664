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
    """When, on what and how the network is measured; the training never feels it."""

    every: Count = Field(1, description="epochs from one evaluation to the next; the last always")
    train_examples: Count = Field(
        10_000, description="training examples measured (stratified); all if there are fewer"
    )
    inference: InferenceName | Inferences = Field(
        "mean",
        description="how the trained network is used on the test part, for inference.csv: a word "
        "or a list; mean is always there, see the README",
    )
    samples: Count | None = Field(
        None,
        description="networks drawn by monte_carlo and geometric, draws per unit of "
        "moment_matching; null = 50",
    )
    curve: Count | None = Field(
        None,
        description="with monte_carlo: measure averages of 1, 2, ... up to so many of the samples, "
        "for monte_carlo.csv",
    )
    diagnostics: DiagnosticName | Diagnostics = Field(
        (),
        description="what else is measured at each evaluation, as more columns: a word or a list",
    )
    at_end: AtEndName | AtEnd = Field(
        (),
        description="what is kept of the trained network beside its scores: a word or a list; see "
        "docs/measuring.md",
    )
