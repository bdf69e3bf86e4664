"""From a study's folder to its report, and the report's files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dropout_lab.analysis.conclusions import conclusions
from dropout_lab.analysis.mcnemar import mcnemar_of, sentence_of
from dropout_lab.analysis.paired import compared
from dropout_lab.analysis.published import Published, beside
from dropout_lab.analysis.tables import StudyTables, read_study
from dropout_lab.errors import StorageError
from dropout_lab.files import make_folder, replace_file
from dropout_lab.report.cell_table import CellTable, cell_table
from dropout_lab.report.exports import csv, latex, markdown
from dropout_lab.report.inferences import inference_table
from dropout_lab.report.page import page
from dropout_lab.results import REPORT, TABLES


@dataclass(frozen=True)
class Report:
    """What there is to say of a study.

    Args:
        study: The study.
        statistics: One row for each cell, as :func:`analysis.paired.compared` returns it.
        cells: The same as it is read.
        conclusions: The findings, in sentences.
        published: The published values beside ours, where the config has some.
        errors: Whether test errors are told, not accuracies.
        command: What makes the report again.
    """

    study: StudyTables
    statistics: pd.DataFrame
    cells: CellTable
    conclusions: tuple[str, ...]
    published: Published | None
    errors: bool
    command: str

    def page(self) -> str:
        """Return the report as a page of HTML.

        Raises:
            StorageError: A file of the study, or of the program, cannot be read.
        """
        try:
            return page(
                self.study,
                self.cells,
                inferences=inference_table(self.study, self.statistics),
                conclusions=self.conclusions,
                published=self.published,
                command=self.command,
            )
        except OSError as error:  # such as of matplotlib's own files
            raise StorageError(f"{self.study.path / REPORT} cannot be made: {error}.") from error

    def write(self, place: Path | None = None) -> list[Path]:
        """Write the page and the tables into the study's folder, or another; return the files.

        All of them are made before the first is written.

        Raises:
            StorageError: They cannot be written, or a file of the study cannot be read.
        """
        place = place or self.study.path
        folder = place / TABLES
        csv_text = csv(self.statistics, self.cells, errors=self.errors)
        contents = {
            place / REPORT: self.page(),
            folder / "cells.csv": csv_text,
            folder / "cells.md": markdown(self.cells),
            folder / "cells.tex": latex(self.cells),
        }
        for path in (folder, *contents):
            if path.is_symlink():
                raise StorageError(
                    f"{path} is a symbolic link, and nothing is written through one."
                )
        make_folder(folder)
        for path, content in contents.items():
            replace_file(path, content)
        return list(contents)


def compose(
    path: Path,
    against: Mapping[str, Any] | None = None,
    *,
    errors: bool = False,
    command: str = "",
    two_runs: tuple[str, str] | None = None,
    difference: float = 0.001,
) -> Report:
    """Read a study and work out its report; nothing is written.

    Args:
        path: The study's folder.
        against: The swept values of the cell to compare with; without them the one without dropout.
        errors: Whether to tell test errors in per cent, as the papers do, not accuracies.
        command: What makes the report again.
        difference: In test accuracy, a fraction above 0: how many seeds it takes to find such a
            one is told.
        two_runs: Ids of two runs whose stored predictions are to be tested against each other.

    Raises:
        StorageError: It is no study's folder, is damaged, has no finished run yet, or kept no
            predictions to test.
        ConfigError: No cell has the values to compare with, or there are no such runs.
    """
    study = read_study(path)
    statistics = compared(study, against, difference)
    findings = conclusions(study, statistics)
    if two_runs is not None:
        findings.append(sentence_of(*two_runs, mcnemar_of(study, *two_runs)))
    return Report(
        study=study,
        statistics=statistics,
        cells=cell_table(study, statistics, against, errors=errors),
        conclusions=tuple(findings),
        published=beside(study, statistics),
        errors=errors,
        command=command,
    )
