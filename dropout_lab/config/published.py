"""The sections published and figure: numbers of a paper, and the axes of its figure."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dropout_lab.config.types import Count, Positive, Section, Strength

Text = Annotated[str, Field(min_length=1, max_length=500)]
Quantity = Literal[
    "test_error", "test_accuracy", "validation_accuracy", "train_accuracy", "noisy_train_accuracy"
]
Inference = Literal["mean", "monte_carlo", "geometric", "moment_matching", "ensemble"]
Axis = Literal["p", "keep", "units", "train_size", "updates", "epoch"]


class PublishedValue(Section):
    """One number of a paper, and the cell it is of."""

    label: Text = Field(description="the row or the point in the paper's words")
    cell: dict[str, Any] | str = Field(
        default_factory=dict,
        description="the label of one of sweep.cells, or the dotted keys and values that make the "
        "config's own setting that of the number",
    )
    value: float = Field(description="the number, in the unit of the section")
    sd: Strength | None = Field(None, description="its standard deviation over runs, if printed")
    runs: Count | None = Field(None, description="over how many runs, if printed")
    quantity: Quantity = Field(
        "test_error",
        description="what was measured; noisy_train_accuracy: in the training steps, dropout on",
    )
    inference: Inference = Field("mean", description="how the trained network was used")
    epoch: Count | None = Field(
        None, description="after how many epochs of training; null = at the end"
    )
    seen: bool = Field(
        description="true: read in the paper, its code or its figure; false: recalled, unverified"
    )
    tolerance: Strength | None = Field(
        None, description="of a number measured in a figure: how far off it may be"
    )


class PublishedSettings(Section):
    """Numbers of a paper, and where the setting here departs from the paper's."""

    citation: Text = Field(description="authors, year, where, and which table or figure")
    unit: Literal["%", "fraction"] = Field("%", description="of the values")
    dataset: Text = Field("mnist", description="the data set they were measured on")
    training_examples: Count | None = Field(
        None, description="how many examples the paper trained on; null = not printed"
    )
    updates: Count | None = Field(
        None, description="how many updates of the weights; null = not printed"
    )
    departures: Annotated[tuple[Text, ...], Field(strict=False)] = Field(
        (), description="where the setting here is not the paper's"
    )
    too_small: Text | None = Field(
        None,
        description="which result of the paper this budget is too small to show, and what it "
        "shows; a finding near the top of the report",
    )
    values: Annotated[tuple[PublishedValue, ...], Field(strict=False)] = Field(
        (), description="the numbers"
    )


class FigureSettings(Section):
    """The axes of the picture that a study is made for."""

    x: Axis | None = Field(
        None,
        description="p; keep: 1 - p; units: of the first hidden layer; train_size: "
        "examples; updates or epoch: curves of the training; null = a row for each cell",
    )
    y: Annotated[
        tuple[Literal["test_error", "train_error", "validation_error"], ...],
        Field(strict=False, min_length=1),
    ] = Field(("test_error",), description="what is drawn against it, in %")
    by: Annotated[tuple[str, ...], Field(strict=False)] | None = Field(
        None, description="dotted keys, each combination a line; null = all that x does not show"
    )
    log_x: bool = Field(False, description="a logarithmic x axis")
    tuned: bool = Field(
        False,
        description="mark the p that validation chose: on each line over p or keep; as a "
        "separate line over units or train_size",
    )
    y_max: Positive | None = Field(None, description="end of the y axis, in %")
    title: Annotated[str, Field(max_length=200)] = Field("", description="stands above it")
