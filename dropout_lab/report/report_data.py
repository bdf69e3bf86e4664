"""Collect the numbers and verdicts of a report for report.json."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from dropout_lab import __version__
from dropout_lab.analysis.family import correct_comparisons
from dropout_lab.analysis.published import PublishedTable
from dropout_lab.analysis.tables import StudyTables, describe_missing_runs
from dropout_lab.report import provenance
from dropout_lab.report.cell_table import CellTable
from dropout_lab.report.exports import records
from dropout_lab.report.inferences import inference_scores
from dropout_lab.report.json_format import FORMAT, ReportData


def report_data(
    study: StudyTables,
    statistics: pd.DataFrame,
    cells: CellTable,
    *,
    conclusions: Sequence[str],
    published: PublishedTable | None,
    errors: bool,
) -> ReportData:
    """Return the numbers and verdicts of a report.

    Args:
        study: The study.
        statistics: The table of cells, from :func:`analysis.paired.compare_cells`.
        cells: The formatted table of cells, for names and marks.
        conclusions: The conclusions, as sentences.
        published: The comparison with published values, if there are any.
        errors: Whether to add test errors in percent.

    Raises:
        StorageError: A file of the study cannot be read.
    """
    unfinished, more = provenance.unfinished(study, cells)
    return ReportData.model_validate(
        {
            "format": FORMAT,
            "kind": "report",
            "dropout_lab": __version__,
            "name": study.manifest.name,
            "about": study.manifest.about,
            "overview": provenance.overview(study),
            "incomplete": describe_missing_runs(study),
            "damage": list(study.damage),
            "conclusions": list(conclusions),
            "planned_comparisons": correct_comparisons(study, statistics).planned,
            "cells": records(statistics, cells, errors=errors),
            "inferences": [asdict(each) for each in inference_scores(study, statistics)],
            "published": None if published is None else asdict(published),
            "unfinished": [asdict(each) for each in unfinished],
            "more_unfinished": more,
            "commands": provenance.commands(study),
            "config": provenance.config_text(study),
            "environments": provenance.environments(study),
            "digests": provenance.digests(study),
        }
    )
