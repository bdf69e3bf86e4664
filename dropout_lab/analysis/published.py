"""A paper's numbers beside those measured here, and whether they can be compared."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import ValidationError

from dropout_lab.analysis.statistics import t_interval
from dropout_lab.analysis.tables import StudyTables, rows_of_cell, settings_of_cell
from dropout_lab.config.grid import canonical, values_of, with_values
from dropout_lab.config.published import PublishedSettings, PublishedValue
from dropout_lab.config.schema import Settings
from dropout_lab.config.sizes import training_examples

# How far the size of the data and the length of the training may be from the paper's.
_EXAMPLES_APART, _LEAST_UPDATES = 0.1, 0.9

Values = np.ndarray[tuple[int], np.dtype[np.float64]]


@dataclass(frozen=True)
class Beside:
    """One published number beside ours, both in the paper's unit.

    Args:
        label: The row or point in the paper's words.
        quantity: What was measured, test_error or test_accuracy.
        inference: How the trained network was used.
        published: The number.
        published_sd: Its standard deviation over runs; None if it was not printed.
        seen: Whether it was read in the source; False: recalled, unverified.
        ours: Our mean over the completed seeds; nan without one.
        low: Lower end of its 95 % t interval; nan below two seeds.
        high: Upper end.
        n: How many seeds.
        difference: Ours minus the published number.
        verdict: ``within our interval``, ``better``, ``worse``, ``not comparable`` or
            ``not trained``.
        reasons: Why the two cannot be compared, or what makes the comparison loose.
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
class Published:
    """The numbers of a paper beside ours.

    Args:
        citation: Where they were printed.
        departures: Where the setting here is not the paper's.
        rows: The numbers.
    """

    citation: str
    departures: tuple[str, ...]
    rows: tuple[Beside, ...]


@dataclass(frozen=True)
class Measured:
    """What was measured here of one published number.

    Args:
        value: The number.
        settings: Of its cell; None if there are none.
        row: The cell's row in the table; None where it is not part of the study.
        ours: One value for each completed seed, in the paper's unit.
    """

    value: PublishedValue
    settings: Settings | None
    row: int | None
    ours: Values


def published_of(study: StudyTables) -> PublishedSettings | None:
    """Return the published values that a study's config carries; None without any."""
    found = study.manifest.get("published")
    return None if found is None else PublishedSettings.model_validate(found)


def beside(study: StudyTables, table: pd.DataFrame) -> Published | None:
    """Return the published values of a study beside ours; None where its config carries none.

    Args:
        study: The study.
        table: Its cells, from :func:`~dropout_lab.analysis.tables.cells`.
    """
    published = published_of(study)
    if published is None:
        return None
    rows = (_beside(study, published, each) for each in measured(study, table, published))
    return Published(published.citation, published.departures, tuple(rows))


def measured(
    study: StudyTables, table: pd.DataFrame, published: PublishedSettings
) -> Iterator[Measured]:
    """Return what was measured of each published number, in their order."""
    of = {settings_of_cell(study, cell): int(str(row)) for row, cell in table.iterrows()}
    for value in published.values:
        settings = settings_of_value(study, value)
        row = None if settings is None else of.get(settings)
        cell = None if row is None else table.loc[[row]].iloc[0]
        yield Measured(value, settings, row, values_of_cell(study, cell, value, published.unit))


def settings_of_value(study: StudyTables, value: PublishedValue) -> Settings | None:
    """Return the settings of the cell that a published number is of; None if there are none.

    A label that each combination of a grid has is of the one that is, beside what labels stand
    for, at the config's own setting.
    """
    own = Settings.model_validate(study.manifest["settings"])
    if isinstance(value.cell, str):
        named = {run.settings for run in study.known.values() if run.cell.label == value.cell}
        if len(named) > 1:
            rest = [key for key in study.swept if key not in study.manifest.get("labelled", ())]
            named = {each for each in named if values_of(each, rest) == values_of(own, rest)}
        return named.pop() if len(named) == 1 else None
    try:
        return canonical(with_values(own, value.cell))
    except (KeyError, ValidationError):  # of a key, or a plugin's variant, that is not known here
        return None


def label_of_value(value: PublishedValue) -> str:
    """Return the label of a published number, with its epoch where it has one."""
    if value.epoch is None:
        return value.label
    return f"{value.label}, {value.epoch:,} epoch{'s' * (value.epoch > 1)}"


def error_of_value(unit: str, value: PublishedValue) -> float:
    """Return a published number as the pictures draw it, an error in per cent."""
    number = value.value * (1 if unit == "%" else 100)
    return number if value.quantity == "test_error" else 100 - number


def values_of_cell(
    study: StudyTables, cell: pd.Series | None, value: PublishedValue, unit: str
) -> Values:
    """Return what was measured of a cell as the published number was, one value for each seed."""
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
    accuracy = rows["test_accuracy"].to_numpy(dtype=np.float64) if len(rows) else np.empty(0)
    ours = 1 - accuracy if value.quantity == "test_error" else accuracy
    found: Values = ours * (100 if unit == "%" else 1)
    return found


def _beside(study: StudyTables, published: PublishedSettings, found: Measured) -> Beside:
    value, settings, ours = found.value, found.settings, found.ours
    # Rounded: three errors of 100 * (1 - 0.984) are 1.6, not beside it.
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
    return Beside(
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
    """Why what was trained with these settings cannot be compared with the paper's number."""
    if settings.dataset.name != published.dataset:
        yield f"data: {settings.dataset.name} instead of {published.dataset}"
    examples, theirs = training_examples(settings), published.training_examples
    if theirs is not None and abs(examples - theirs) > _EXAMPLES_APART * theirs:
        yield f"{examples:,} training examples instead of {theirs:,}"
    if epoch is not None:  # both trained so long
        return
    own = {run_id for run_id, run in study.known.items() if run.settings == settings}
    updates = study.runs[study.runs["run_id"].isin(own)]["updates"].max()
    if published.updates is not None and updates < _LEAST_UPDATES * published.updates:
        yield f"{updates:,.0f} updates instead of {published.updates:,}"
