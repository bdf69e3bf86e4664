"""Compare several studies: read them, and write the page, the table, the figure and the numbers."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dropout_lab.analysis import style
from dropout_lab.analysis.comparison_plot import comparison_style, draw_comparison
from dropout_lab.analysis.comparison_sentences import comparison_sentences
from dropout_lab.analysis.joined_studies import data_sets, join_studies
from dropout_lab.analysis.study_comparison import StudyComparison, compare_studies
from dropout_lab.analysis.tables import StudyTables, read_study
from dropout_lab.errors import ConfigError, StorageError
from dropout_lab.files import reading
from dropout_lab.report.cell_table import CellTable
from dropout_lab.report.comparison_page import render_comparison
from dropout_lab.report.comparison_table import (
    comparison_data,
    comparison_rows,
    comparison_table,
    side_by_side,
)
from dropout_lab.report.exports import csv, latex, markdown
from dropout_lab.report.inline_figures import inline_figure
from dropout_lab.report.json_format import ComparisonData, to_json
from dropout_lab.report.report import write_files
from dropout_lab.results import MANIFEST, command, comparable, find_studies

COMPARISON = "comparison"  # the name of every file, without its suffix
_MAX_LISTED = 3  # studies in a message
_LONGEST_NAME = 200  # characters of a folder


@dataclass(frozen=True)
class Comparison:
    """The comparison of several studies.

    Args:
        result: The compared cells.
        cells: The table with a row for each cell and study.
        table: The short table.
        conclusions: The findings, as sentences.
        errors: Whether to show test errors instead of accuracies.
        command: The command that creates the comparison again.
    """

    result: StudyComparison
    cells: CellTable
    table: CellTable
    conclusions: tuple[str, ...]
    errors: bool
    command: str

    @cached_property
    def data(self) -> ComparisonData:
        """The numbers and verdicts of the comparison, as in comparison.json.

        Raises:
            StorageError: A file of a study cannot be read.
        """
        return comparison_data(self.result, self.cells, self.conclusions, errors=self.errors)

    @np.errstate(all="ignore")  # the loss of a run may be infinite
    def write(self, folder: Path) -> list[Path]:
        """Write the page, the tables, the numbers and the figure; return the files.

        Creates the contents of all files before writing the first one.

        Raises:
            StorageError: A file cannot be written, or a file of a study cannot be read; or the
                folder is the folder of a study.
        """
        if (folder / MANIFEST).exists():
            raise StorageError(
                f"{folder} is the folder of a study; give another folder for the comparison with "
                "--out."
            )
        try:
            with comparison_style(self.result):
                figure = draw_comparison(self.result)
                images = {suffix: style.render(figure, suffix) for suffix in ("png", "svg")}
                drawn = inline_figure(COMPARISON, figure, images["svg"])
            page = render_comparison(
                self.result,
                self.cells,
                self.table,
                drawn,
                conclusions=self.conclusions,
                command=self.command,
            )
        except OSError as error:  # for example from matplotlib's own files
            raise StorageError(f"{folder} cannot be written: {error}.") from error
        rows = comparison_rows(self.result, self.cells, errors=self.errors)
        contents: dict[str, str | bytes] = {
            "html": page,
            "json": to_json(self.data),
            "csv": csv(rows),
            "md": markdown(self.table),
            "tex": latex(self.table),
            **images,
        }
        paths = {folder / f"{COMPARISON}.{suffix}": text for suffix, text in contents.items()}
        return write_files(paths, folder)


@np.errstate(all="ignore")  # the loss of a run may be infinite
def build_comparison(
    paths: Sequence[Path],
    against: Mapping[str, Any] | str | None = None,
    *,
    errors: bool = False,
    command: str = "",
    difference: float = 0.001,
    margin: float | None = None,
) -> Comparison:
    """Read several studies and compare them, without writing files.

    Args:
        paths: The folders of the studies; the first study is the reference.
        against: Another reference, see :func:`analysis.study_comparison.compare_studies`.
        errors: Whether to show test errors in percent, as papers do, instead of accuracies.
        command: The command that creates the comparison again.
        difference: The difference in test accuracy, as a fraction, for the number of needed seeds.
        margin: The margin of equivalence, as a fraction; by default, the first study's.

    Raises:
        StorageError: A folder has no study, is damaged, or has no completed run. The message lists
            all mistakes.
        ConfigError: The studies cannot be compared, or no cell has the values of the reference.
    """
    joined = join_studies(_read(paths), study_names(paths))
    result = compare_studies(joined, against, difference, margin)
    cells = comparison_table(result, errors=errors)
    return Comparison(
        result=result,
        cells=cells,
        table=side_by_side(result, cells, errors=errors) or cells,
        conclusions=tuple(comparison_sentences(result)),
        errors=errors,
        command=command,
    )


def study_names(paths: Sequence[Path]) -> list[str]:
    """Return a different name for each study: its folder's, with as many parents as needed."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]
    for count in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(each[-count:]).lstrip("/") for each in parts]
        if len({comparable(name) for name in names}) == len(names):
            return names
    return [str(path) for path in paths]


def comparison_folder(paths: Sequence[Path]) -> Path:
    """Return the folder that a comparison is written to by default.

    It is ``comparisons/A_B`` next to the first study A.
    """
    names = [os.path.basename(os.path.abspath(path)) for path in paths]
    return paths[0].parent / "comparisons" / "_".join(names)[:_LONGEST_NAME]


def _read(paths: Sequence[Path]) -> list[StudyTables]:
    """Read the studies.

    Raises:
        DropoutLabError: All mistakes: too few studies, paths without a study, no shared data.
    """
    mistakes: list[str] = []
    problems: list[StorageError] = []
    if len(paths) < 2:
        mistakes.append(
            "compare needs at least two studies: "
            f"{command('compare', *map(str, paths or [Path('results/a')]), 'results/b')}"
        )
    if len({path.resolve() for path in paths}) < len(paths):
        mistakes.append("A study is given twice; give each study once.")
    studies = []
    for path in dict.fromkeys(paths):
        try:
            studies.append(_read_one(path))
        except StorageError as error:
            problems.append(error)
    if not problems and not mistakes:
        mistakes += _without_shared_data(studies, study_names(paths))
    if problems:
        texts = [*mistakes, *(error.plain for error in problems)]
        raise type(problems[0])("\n".join(texts))
    if mistakes:
        raise ConfigError(mistakes)
    return studies


def _read_one(path: Path) -> StudyTables:
    if not (path / MANIFEST).is_file():
        found = find_studies(path, asking="report")
        shown = [str(each) for each in found[:_MAX_LISTED]]
        raise StorageError(
            f"{path} is a folder of studies, not a study. Name the studies to compare: "
            f"{command('compare', *shown)}"
        )
    with reading():
        return read_study(path)


def _without_shared_data(studies: Sequence[StudyTables], names: Sequence[str]) -> list[str]:
    """Return a message for each study that shares no data set with the first one."""
    mistakes = []
    first = data_sets(studies[0])
    for name, study in zip(names[1:], studies[1:], strict=True):
        own = data_sets(study)
        if not first.keys() & own.keys():
            ours, theirs = (", ".join(dict.fromkeys(each.values())) for each in (first, own))
            if ours == theirs:
                what = f"{names[0]} and {name} are trained on different data of your own"
            else:
                what = f"{names[0]} is trained on {ours} and {name} on {theirs}"
            wanted = next(iter(first.values()))
            mistakes.append(
                f"{what}: they share no data set, so their test accuracies cannot be compared. "
                "Train the settings of one study on the data of the other: "
                f"{command('sweep', 'CONFIG', '--set', f'dataset.name={wanted}')}"
            )
    return mistakes
