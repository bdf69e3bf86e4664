"""Compare published values with our results, and check whether they are comparable."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import ValidationError

from dropout_lab.analysis.statistics import t_interval
from dropout_lab.analysis.tables import StudyTables, Values, rows_of_cell, settings_of_cell
from dropout_lab.config.grid import canonicalize, values_of, with_values
from dropout_lab.config.published import PublishedSettings, PublishedValue
from dropout_lab.config.schema import Settings
from dropout_lab.config.sizes import training_examples

# Values are comparable up to these relative deviations from the paper.
_EXAMPLES_TOLERANCE, _MIN_UPDATES_SHARE = 0.1, 0.9


@dataclass(frozen=True)
class PublishedComparison:
    """A published value and our result, both in the unit of the paper.

    Args:
        label: The name of the row or point in the paper.
        quantity: The measured quantity, such as test_error.
        inference: The inference method.
        published: The published value.
        published_sd: The published standard deviation over runs, or None.
        seen: Whether the value was verified in the source.
        ours: Our mean over the completed seeds; nan without seeds.
        low: Lower end of its 95% t interval; nan for fewer than two seeds.
        high: Upper end of the interval.
        n: Number of seeds.
        difference: Our mean minus the published value.
        verdict: ``within our interval``, ``better``, ``worse``, ``not comparable`` or
            ``not trained``.
        reasons: Why the values are not comparable.
    """

    label: str
    quantity: str
    inference: str
    published: float
    published_sd: float | None
    seen: bool
    ours: float
    low: float
    high: float
    n: int
    difference: float
    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class PublishedTable:
    """All published values of a study, compared with our results.

    Args:
        citation: The publication.
        departures: Differences between our settings and the paper's.
        rows: The comparisons.
    """

    citation: str
    departures: tuple[str, ...]
    rows: tuple[PublishedComparison, ...]


@dataclass(frozen=True)
class Measurement:
    """Our results for a published value.

    Args:
        value: The published value.
        settings: The settings of its cell; None without such a cell.
        row: The row of the cell in the table; None if the study does not have the cell.
        ours: One value for each completed seed, in the unit of the paper.
    """

    value: PublishedValue
    settings: Settings | None
    row: int | None
    ours: Values


def compare_with_published(study: StudyTables, table: pd.DataFrame) -> PublishedTable | None:
    """Compare the published values of a study with our results; None without published values.

    Args:
        study: The study.
        table: The cells, from :func:`~dropout_lab.analysis.tables.summarize_cells`.
    """
    published = study.manifest.published
    if published is None:
        return None
    rows = (_compare(study, published, each) for each in measurements(study, table, published))
    return PublishedTable(published.citation, published.departures, tuple(rows))


def measurements(
    study: StudyTables, table: pd.DataFrame, published: PublishedSettings
) -> Iterator[Measurement]:
    """Yield our results for each published value, in the order of the config."""
    row_of = {settings_of_cell(study, cell): int(str(row)) for row, cell in table.iterrows()}
    for value in published.values:
        settings = settings_of_value(study, value)
        row = None if settings is None else row_of.get(settings)
        cell = None if row is None else table.loc[[row]].iloc[0]
        yield Measurement(value, settings, row, values_of_cell(study, cell, value, published.unit))


def settings_of_value(study: StudyTables, value: PublishedValue) -> Settings | None:
    """Return the settings of the cell that a published value belongs to; None without such a cell.

    If several cells have the label, the cell with the config's own values of the other swept keys
    is meant.
    """
    config_settings = study.manifest.study_settings()
    if isinstance(value.cell, str):
        named = {run.settings for run in study.runs_by_id.values() if run.cell.label == value.cell}
        if len(named) > 1:
            rest = [key for key in study.swept if key not in study.manifest.labelled]
            named = {
                each for each in named if values_of(each, rest) == values_of(config_settings, rest)
            }
        return named.pop() if len(named) == 1 else None
    try:
        return canonicalize(with_values(config_settings, value.cell))
    except (
        KeyError,
        ValidationError,
    ):  # an unknown key, or the variant of a plugin that is not loaded
        return None


def label_of_value(value: PublishedValue) -> str:
    """Return the label of a published value, with its epoch if it has one."""
    if value.epoch is None:
        return value.label
    return f"{value.label}, {value.epoch:,} epoch{'s' * (value.epoch > 1)}"


def error_of_value(unit: str, value: PublishedValue) -> float:
    """Return a published value as an error in percent, as in plots."""
    number = value.value * (1 if unit == "%" else 100)
    return number if value.quantity == "test_error" else 100 - number


def part_of_value(value: PublishedValue) -> str:
    """Return where a published value was measured: test, validation, train or noisy_train."""
    return value.quantity.removesuffix("_error").removesuffix("_accuracy")


def values_of_cell(
    study: StudyTables, cell: pd.Series | None, value: PublishedValue, unit: str
) -> Values:
    """Return our results for a published value, one for each seed of the cell."""
    if cell is None:
        return np.empty(0)
    completed = study.runs[study.runs["status"] == "completed"]
    at_epoch = study.metrics[study.metrics["epoch"] == value.epoch]
    at_epoch = at_epoch[at_epoch["run_id"].isin(completed["run_id"])]
    mean = completed if value.epoch is None else at_epoch
    tables = {"mean": mean, "ensemble": study.ensembles}
    rows = tables.get(value.inference, study.inference)
    if not rows.empty:
        rows = rows_of_cell(rows, cell, study.swept)
    if value.inference not in tables and not rows.empty:
        rows = rows[rows["inference"] == value.inference]
        rows = rows[rows["run_id"].isin(completed["run_id"])]
    # Samples and ensembles are measured on the test set only.
    column = f"{part_of_value(value)}_accuracy"
    measured = len(rows) > 0 and column in rows
    accuracy = rows[column].to_numpy(dtype=np.float64) if measured else np.empty(0)
    ours = 1 - accuracy if value.quantity == "test_error" else accuracy
    found: Values = ours * (100 if unit == "%" else 1)
    return found


def _compare(
    study: StudyTables, published: PublishedSettings, measurement: Measurement
) -> PublishedComparison:
    value, settings, ours = measurement.value, measurement.settings, measurement.ours
    # Round, so that the mean of three errors 100 * (1 - 0.984) is exactly 1.6.
    low, high = (round(end, 10) for end in t_interval(ours))
    mean = round(float(ours.mean()), 10) if len(ours) else float("nan")
    reasons: tuple[str, ...] = ()
    if settings is not None and len(ours):
        reasons = tuple(_reasons(study, published, settings, value.epoch))
    if not len(ours):
        verdict = "not trained"
    elif reasons:
        verdict = "not comparable"
    elif len(ours) < 2:
        verdict, reasons = "not comparable", ("one run has no interval",)
    elif low <= value.value <= high:
        verdict = "within our interval"
    else:
        lower = mean < value.value
        verdict = "better" if lower == (value.quantity == "test_error") else "worse"
    return PublishedComparison(
        label=label_of_value(value),
        quantity=value.quantity,
        inference=value.inference,
        published=value.value,
        published_sd=value.sd,
        seen=value.seen,
        ours=mean,
        low=low,
        high=high,
        n=len(ours),
        difference=round(mean - value.value, 10),
        verdict=verdict,
        reasons=reasons,
    )


def _reasons(
    study: StudyTables, published: PublishedSettings, settings: Settings, epoch: int | None
) -> Iterator[str]:
    """Yield reasons why results with these settings are not comparable with the paper."""
    if settings.dataset.name != published.dataset:
        yield f"data: {settings.dataset.name} instead of {published.dataset}"
    examples, published_examples = training_examples(settings), published.training_examples
    if (
        published_examples is not None
        and abs(examples - published_examples) > _EXAMPLES_TOLERANCE * published_examples
    ):
        yield f"{examples:,} training examples instead of {published_examples:,}"
    if epoch is not None:  # ours is taken after the same epoch
        return
    config_settings = {
        run_id for run_id, run in study.runs_by_id.items() if run.settings == settings
    }
    updates = study.runs[study.runs["run_id"].isin(config_settings)]["updates"].max()
    if published.updates is not None and updates < _MIN_UPDATES_SHARE * published.updates:
        yield f"{updates:,.0f} updates instead of {published.updates:,}"
