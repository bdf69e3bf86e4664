"""The overview of a folder of studies: a page with the headline and the best cell of each study."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from dropout_lab.analysis import phrases
from dropout_lab.analysis.family import group_by_dataset
from dropout_lab.analysis.style import cell_name
from dropout_lab.analysis.tables import chosen_on_validation
from dropout_lab.errors import StorageError
from dropout_lab.files import read_optional_file
from dropout_lab.report import provenance
from dropout_lab.report.cell_table import interval, percent, percent_and_sd
from dropout_lab.report.page import GENERATOR, render_template
from dropout_lab.report.report import Report, write_files
from dropout_lab.results import REPORT, counted

OVERVIEW = "index.html"
_HEAD = 2048  # bytes of a page that name the program that wrote it


@dataclass(frozen=True)
class OverviewRow:
    """A study in the overview. Texts are empty if they are unknown.

    Args:
        name: The folder of the study, relative to the folder of studies.
        report: The file of the study's report, or None.
        headline: Its first finding, or why it has no report.
        about: Its question.
        best: The cell that validation chose.
        accuracy: Mean ± SD of the test accuracy of this cell, in percent.
        difference: Its difference from its reference in percentage points, with its interval.
        verdict: The verdict on this difference.
        seeds: The number of seeds of each cell.
        runs: How many runs completed: ``24 of 24``.
        date: When the last session began, as a date.
    """

    name: str
    report: Path | None
    headline: str
    about: str = ""
    best: str = ""
    accuracy: str = ""
    difference: str = ""
    verdict: str = ""
    seeds: str = ""
    runs: str = ""
    date: str = ""


@dataclass(frozen=True)
class Overview:
    """The studies of a folder.

    Args:
        title: The title, with the number of studies.
        rows: The studies.
    """

    title: str
    rows: tuple[OverviewRow, ...]

    def write(self, folder: Path) -> Path:
        """Write the page to a folder; return its path.

        Raises:
            StorageError: The page cannot be written, or another program wrote the existing file.
        """
        path = folder / OVERVIEW
        existing = read_optional_file(path)
        if existing is not None and GENERATOR.encode() not in existing[:_HEAD]:
            raise StorageError(
                f"{path} is not a page of dropout-lab, so it is not replaced. Move it, or write "
                "to another folder with --out DIR."
            )
        links = [_link(row.report, folder) for row in self.rows]
        page = render_template(
            "overview.html", title=self.title, rows=list(zip(self.rows, links, strict=True))
        )
        return write_files({path: page}, folder)[0]


def build_overview(
    root: Path, reports: Sequence[tuple[Report, Path]], failed: Mapping[Path, str] | None = None
) -> Overview:
    """Return the overview of a folder of studies.

    Args:
        root: The folder of studies.
        reports: The report of each study, and the folder that it was written to.
        failed: The folders of other studies, and why they have no report.
    """
    rows = {made.study.path: _row(root, made, place) for made, place in reports}
    for path, reason in (failed or {}).items():
        rows[path] = OverviewRow(_name(root, path), None, f"No report: {reason}")
    count = counted(len(rows), "study").replace("studys", "studies")
    return Overview(f"{count} in {root}", tuple(rows[path] for path in sorted(rows)))


def _row(root: Path, made: Report, place: Path) -> OverviewRow:
    study, table = made.study, made.statistics
    groups = group_by_dataset(study, table)
    chosen = [cell for group in groups if (cell := chosen_on_validation(group)) is not None]
    best, accuracy, difference, verdict = _best(made, chosen)
    report = place / REPORT
    sessions = study.manifest.sessions
    started = str((sessions[-1].model_extra or {}).get("started", "")) if sessions else ""
    return OverviewRow(
        name=_name(root, study.path),
        report=report if report.is_file() else None,
        headline=made.conclusions[0] if made.conclusions else "",
        about=study.manifest.about,
        best=best,
        accuracy=accuracy,
        difference=difference,
        verdict=verdict,
        seeds=phrases.sample_size(table["seeds"], "").removeprefix("n = ").strip(" s"),
        runs=provenance.overview(study)["Runs"].replace(" completed", "", 1),
        date=started[:10],
    )


def _best(made: Report, chosen: Sequence[pd.Series]) -> tuple[str, str, str, str]:
    """Return name, accuracy, difference and verdict of the best cell.

    With several data sets, these are the values of the first data set.
    """
    if not chosen:
        return "", "", "", ""
    cell, more = chosen[0], len(chosen) - 1
    name = cell_name(cell, made.study.swept)
    name += f" (and {counted(more, 'more data set')})" if more else ""
    accuracy = percent_and_sd(cell["test_accuracy_mean"], cell["test_accuracy_sd"])
    if not cell["pairs"]:
        return name, accuracy, "", ""
    low, high = cell["difference_low"], cell["difference_high"]
    spread = "" if low != low else f" {interval(low, high)}"
    difference = f"{percent(cell['difference_mean'], sign=True)}{spread}"
    return name, accuracy, difference, str(cell["verdict"])


def _link(report: Path | None, folder: Path) -> str:
    """Return the relative link from the page to a report; empty without a report."""
    return "" if report is None else quote(Path(os.path.relpath(report, folder)).as_posix())


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
