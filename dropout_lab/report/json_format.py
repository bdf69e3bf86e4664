"""The format of report.json and comparison.json: their fields, and so their JSON Schema."""

import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

FORMAT: Literal[1] = 1


def _finite(value: Any) -> Any:
    """Return None for a number that JSON does not have: nan and infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]


class _Part(BaseModel):
    """A part of the file. Fields that are not listed are mistakes."""

    model_config = ConfigDict(extra="forbid")


class CellData(BaseModel):
    """A cell: one setting, with its statistics over the seeds. Accuracies are fractions in [0, 1].

    A swept key is a field with its dotted name, such as ``dropout.p``. A value that is undefined,
    such as the interval of a single seed, is null.
    """

    model_config = ConfigDict(extra="allow")

    cell: str = Field(description="Name of the cell, as in the table.")
    is_baseline: bool = Field(description="Whether the cell has no dropout.")
    best_by_validation: bool = Field(
        description="Whether the cell has the best mean validation accuracy of the cells with "
        "dropout, for its data set."
    )
    seeds: int = Field(description="Number of completed runs.")
    others: int = Field(description="Number of diverged, failed or interrupted runs.")
    missing: int = Field(description="Number of planned runs without a result.")
    test_accuracy_mean: Number = Field(description="Mean test accuracy over the seeds.")
    test_accuracy_sd: Number = Field(description="Its standard deviation, with n - 1.")
    test_accuracy_low: Number = Field(description="Lower end of the 95% t interval of the mean.")
    test_accuracy_high: Number = Field(description="Upper end of this interval.")
    test_accuracy_bca_low: Number = Field(description="Lower end of the 95% BCa interval.")
    test_accuracy_bca_high: Number = Field(description="Upper end of this interval.")
    validation_accuracy_mean: Number = Field(description="Mean validation accuracy.")
    validation_accuracy_sd: Number = Field(description="Its standard deviation.")
    accuracy_gap_mean: Number = Field(description="Mean of train - test accuracy.")
    accuracy_gap_sd: Number = Field(description="Its standard deviation.")
    test_loss_mean: Number = Field(description="Mean test loss, in nats.")
    test_loss_sd: Number = Field(description="Its standard deviation.")
    reference: str | None = Field(description="Name of the cell that the cell is compared with.")
    pairs: int = Field(description="Number of pairs of runs with the same seed.")
    difference_mean: Number = Field(description="Mean paired difference in test accuracy.")
    difference_sd: Number = Field(description="Standard deviation of the differences.")
    difference_half: Number = Field(description="Half the width of the 95% t interval.")
    difference_low: Number = Field(description="Lower end of the 95% t interval.")
    difference_high: Number = Field(description="Upper end of this interval.")
    difference_bca_low: Number = Field(description="Lower end of the 95% BCa interval.")
    difference_bca_high: Number = Field(description="Upper end of this interval.")
    p_value: Number = Field(description="p-value of the sign-flip test.")
    p_holm: Number = Field(description="p-value after Holm's correction over all comparisons.")
    smallest_p: Number = Field(description="Smallest possible p-value with this number of pairs.")
    smallest_p_holm: Number = Field(description="The same after Holm's correction.")
    effect_size: Number = Field(description="Hedges' g of the paired differences.")
    seeds_needed: Number = Field(
        description="Paired seeds needed to find the difference of --difference with 80% power."
    )
    margin: Number = Field(description="Margin of equivalence, as a fraction.")
    p_equivalence: Number = Field(
        description="p-value of two one-sided tests that the difference is below the margin."
    )
    p_equivalence_holm: Number = Field(description="The same after Holm's correction.")
    seeds_to_decide: Number = Field(
        description="For an undecided comparison: paired seeds that would decide it with 80% "
        "probability; null above 1,000."
    )
    verdict: str = Field(description="What the comparison with the reference shows.")
    test_error_percent_mean: Number = Field(None, description="With --errors: mean test error, %.")
    test_error_percent_sd: Number = Field(None, description="Its standard deviation.")


class ComparedCellData(CellData):
    """A cell of a study, compared with its reference."""

    study: str = Field(description="Name of the cell's study.")
    reference_study: str | None = Field(description="Name of the reference's study.")
    same_settings: bool = Field(
        description="Whether the cell and its reference train equal networks: all settings except "
        "`evaluation` agree."
    )
    identical_runs: int | None = Field(
        description="With the same settings: number of pairs of runs with equal numbers in every "
        "recorded epoch."
    )
    differing_epochs: int | None = Field(
        description="Number of recorded epochs in which these pairs have different numbers."
    )
    recorded_epochs: int | None = Field(description="Number of recorded epochs of these pairs.")
    largest_run_difference: Number = Field(
        description="Largest absolute difference in test accuracy of a pair of runs."
    )
    unpaired_difference: Number = Field(
        description="Without pairs: difference of the mean test accuracies."
    )
    unpaired_low: Number = Field(description="Lower end of Welch's 95% interval.")
    unpaired_high: Number = Field(description="Upper end of this interval.")


class InferenceData(_Part):
    """Scores of a cell with one way to use the trained networks."""

    cell: str = Field(description="Name of the cell.")
    inference: str = Field(description="The way to use the networks; `ensemble` averages them.")
    n: int = Field(description="Number of runs, or of ensembles.")
    test_accuracy_mean: Number = Field(description="Mean test accuracy.")
    test_accuracy_sd: Number = Field(description="Its standard deviation.")
    test_loss_mean: Number = Field(description="Mean negative log-likelihood, in nats.")
    test_loss_sd: Number = Field(description="Its standard deviation.")
    test_ece_mean: Number = Field(description="Mean expected calibration error.")
    test_ece_sd: Number = Field(description="Its standard deviation.")


class PublishedData(_Part):
    """A published value and our result, both in the unit of the paper."""

    label: str = Field(description="Name of the row or point in the paper.")
    quantity: str = Field(description="What was measured, such as `test_error`.")
    inference: str = Field(description="How the networks were used.")
    published: Number = Field(description="The published value.")
    published_sd: Number = Field(description="The published standard deviation.")
    seen: bool = Field(description="Whether the value was verified in the source.")
    ours: Number = Field(description="Our mean over the seeds.")
    low: Number = Field(description="Lower end of its 95% t interval.")
    high: Number = Field(description="Upper end of this interval.")
    n: int = Field(description="Number of seeds.")
    difference: Number = Field(description="Our mean - the published value.")
    verdict: str = Field(description="How the two compare.")
    reasons: list[str] = Field(description="Why the values are not comparable.")


class PublishedTableData(_Part):
    """The published values of a study."""

    citation: str = Field(description="The publication.")
    departures: list[str] = Field(description="Differences between our settings and the paper's.")
    rows: list[PublishedData] = Field(description="The values.")


class UnfinishedData(_Part):
    """A run that did not complete."""

    run_id: str = Field(description="Id of the run.")
    cell: str = Field(description="Name of its cell.")
    seed: int = Field(description="Its seed.")
    status: str = Field(description="How it ended.")
    epochs: str = Field(description="Epochs that it was trained for.")
    message: str = Field(description="Why it did not complete.")


class ReportData(_Part):
    """The numbers and verdicts of a report, report.json. The same study gives the same bytes."""

    format: Literal[1] = Field(description="Version of this format.")
    kind: Literal["report"] = Field(description="What the file is about.")
    dropout_lab: str = Field(description="Version of dropout-lab that wrote the file.")
    name: str = Field(description="Name of the study.")
    about: str = Field(description="Its question, from the config.")
    overview: dict[str, str] = Field(description="The facts at the top of the page.")
    incomplete: str = Field(description="How many runs are missing; empty if none is.")
    damage: list[str] = Field(description="What another program changed in the files.")
    conclusions: list[str] = Field(description="The findings, as sentences.")
    planned_comparisons: int = Field(
        description="Number of comparisons with a reference that the p-values are corrected for."
    )
    cells: list[CellData] = Field(description="The cells, in the order of the table.")
    inferences: list[InferenceData] = Field(
        description="Ways to use the trained networks; empty if there is only one."
    )
    published: PublishedTableData | None = Field(
        description="The published values of the config, compared with ours."
    )
    unfinished: list[UnfinishedData] = Field(
        description="The first 200 runs that did not complete."
    )
    more_unfinished: int = Field(description="Number of further runs that did not complete.")
    commands: list[str] = Field(description="The commands that trained the study.")
    config: str = Field(description="The config with all defaults, as YAML.")
    environments: list[dict[str, str]] = Field(
        description="The versions and machines that trained the study."
    )
    digests: dict[str, str] = Field(
        description="SHA-256 of the settings, the data, the plugins and the files of the study."
    )


class ComparedStudyData(_Part):
    """A study of a comparison."""

    study: str = Field(description="Name of the study in this comparison.")
    about: str = Field(description="Its question, from the config.")
    incomplete: str = Field(description="How many runs are missing; empty if none is.")
    facts: dict[str, str] = Field(description="The rows of the table of studies.")
    best_cells: list[str] = Field(
        description="Names of the cells that validation chose, one for each data set."
    )
    commands: list[str] = Field(description="The commands that trained the study.")
    digests: dict[str, str] = Field(
        description="SHA-256 of the settings, the data, the plugins and the files of the study."
    )


class ComparisonData(_Part):
    """The numbers and verdicts of a comparison of studies, comparison.json."""

    format: Literal[1] = Field(description="Version of this format.")
    kind: Literal["comparison"] = Field(description="What the file is about.")
    dropout_lab: str = Field(description="Version of dropout-lab that wrote the file.")
    studies: list[ComparedStudyData] = Field(description="The studies; the first is the reference.")
    differing_settings: dict[str, dict[str, str]] = Field(
        description="The keys that the studies set differently without varying them: their value "
        "in each study."
    )
    damage: list[str] = Field(description="What another program changed in the files.")
    conclusions: list[str] = Field(description="The findings, as sentences.")
    planned_comparisons: int = Field(
        description="Number of comparisons that the p-values are corrected for."
    )
    cells: list[ComparedCellData] = Field(description="The cells, in the order of the table.")


def to_json(data: ReportData | ComparisonData) -> str:
    """Return the text of the file; equal data give equal bytes."""
    plain = data.model_dump(exclude_unset=True)
    return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def schema_text(kind: type[ReportData] | type[ComparisonData]) -> str:
    """Return the JSON Schema of a file."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(schema | kind.model_json_schema(), indent=1)
