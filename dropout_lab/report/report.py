"""Build the report of a study, and write its files."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dropout_lab.analysis.conclusions import conclusions
from dropout_lab.analysis.mcnemar import compare_predictions, mcnemar_sentence
from dropout_lab.analysis.paired import compare_cells
from dropout_lab.analysis.published import PublishedTable, compare_with_published
from dropout_lab.analysis.tables import StudyTables, read_study
from dropout_lab.errors import StorageError
from dropout_lab.files import make_folder, replace_file
from dropout_lab.report.cell_table import CellTable, cell_table
from dropout_lab.report.exports import csv, latex, markdown, records
from dropout_lab.report.inferences import inference_table
from dropout_lab.report.json_format import ReportData, to_json
from dropout_lab.report.page import render_page
from dropout_lab.report.report_data import report_data
from dropout_lab.results import REPORT, REPORT_DATA, TABLES


@dataclass(frozen=True)
class Report:
    """The report of a study.

    Args:
        study: The study.
        statistics: The table of cells, from :func:`analysis.paired.compare_cells`.
        cells: The formatted table of cells.
        conclusions: The conclusions, as sentences.
        published: The comparison with published values, if the config has any.
        errors: Whether to show test errors instead of accuracies.
        command: The command that creates the report again.
        margin: The margin of equivalence that was asked for instead of the config's.
    """

    study: StudyTables
    statistics: pd.DataFrame
    cells: CellTable
    conclusions: tuple[str, ...]
    published: PublishedTable | None
    errors: bool
    command: str
    margin: float | None = None

    @np.errstate(all="ignore")  # the loss of a run may be infinite
    def page(self) -> str:
        """Return the report as an HTML page.

        Raises:
            StorageError: A file of the study, or of the program, cannot be read.
        """
        try:
            return render_page(
                self.study,
                self.cells,
                inferences=inference_table(self.study, self.statistics),
                conclusions=self.conclusions,
                published=self.published,
                command=self.command,
                margin=self.margin,
            )
        except OSError as error:  # for example from matplotlib's own files
            raise StorageError(f"{self.study.path / REPORT} cannot be created: {error}.") from error

    @cached_property
    def data(self) -> ReportData:
        """The numbers and verdicts of the report, as in report.json.

        Raises:
            StorageError: A file of the study cannot be read.
        """
        return report_data(
            self.study,
            self.statistics,
            self.cells,
            conclusions=self.conclusions,
            published=self.published,
            errors=self.errors,
        )

    def write(self, folder: Path | None = None) -> list[Path]:
        """Write the page and the tables to the study's folder, or another; return the files.

        Creates the contents of all files before writing the first one.

        Raises:
            StorageError: A file cannot be written, or a file of the study cannot be read.
        """
        folder = folder or self.study.path
        tables = folder / TABLES
        rows = records(self.statistics, self.cells, errors=self.errors)
        contents = {
            folder / REPORT: self.page(),
            folder / REPORT_DATA: to_json(self.data),
            tables / "cells.csv": csv(rows),
            tables / "cells.md": markdown(self.cells),
            tables / "cells.tex": latex(self.cells),
        }
        return write_files(contents, tables)


def write_files(contents: Mapping[Path, str | bytes], folder: Path) -> list[Path]:
    """Write files; return their paths.

    Args:
        contents: The content of each file.
        folder: The deepest folder of the files, which is created.

    Raises:
        StorageError: A file cannot be written, or is a symbolic link. Then nothing is written.
    """
    for path in (folder, *contents):
        if os.path.islink(path):  # False if unreadable; then the writing below fails
            raise StorageError(
                f"{path} is a symbolic link; the report does not write through links."
            )
    make_folder(folder)
    for path, content in contents.items():
        replace_file(path, content)
    return list(contents)


@np.errstate(all="ignore")  # the loss of a run may be infinite
def build_report(
    path: Path,
    against: Mapping[str, Any] | None = None,
    *,
    errors: bool = False,
    command: str = "",
    two_runs: tuple[str, str] | None = None,
    difference: float = 0.001,
    margin: float | None = None,
) -> Report:
    """Read a study and build its report, without writing files.

    Args:
        path: The folder of the study.
        against: Swept values of the reference; by default, the reference is the baseline.
        errors: Whether to show test errors in percent, as papers do, instead of accuracies.
        command: The command that creates the report again.
        difference: The difference in test accuracy, as a fraction, for the number of needed seeds.
        margin: The margin of equivalence in test accuracy, as a fraction; by default, the
            ``report.margin`` of the study's config.
        two_runs: Ids of two runs whose stored predictions McNemar's test compares.

    Raises:
        StorageError: The folder has no study, is damaged, has no completed run, or has no stored
            predictions to compare.
        ConfigError: No cell has the values of the reference, or the two runs do not exist.
    """
    study = read_study(path)
    statistics = compare_cells(study, against, difference, margin)
    sentences = conclusions(study, statistics)
    if two_runs is not None:
        sentences.append(mcnemar_sentence(*two_runs, compare_predictions(study, *two_runs)))
    return Report(
        study=study,
        statistics=statistics,
        cells=cell_table(study, statistics, against, errors=errors),
        conclusions=tuple(sentences),
        published=compare_with_published(study, statistics),
        errors=errors,
        command=command,
        margin=margin,
    )
