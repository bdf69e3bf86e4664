"""Render a comparison of studies as one self-contained HTML page."""

from collections.abc import Sequence

from dropout_lab.analysis.study_comparison import StudyComparison
from dropout_lab.report import provenance
from dropout_lab.report.cell_table import CellTable
from dropout_lab.report.comparison_table import study_facts
from dropout_lab.report.inline_figures import InlineFigure
from dropout_lab.report.page import render_template


def render_comparison(
    comparison: StudyComparison,
    cells: CellTable,
    table: CellTable,
    figure: InlineFigure,
    *,
    conclusions: Sequence[str],
    command: str,
) -> str:
    """Return a comparison as HTML.

    Args:
        comparison: The compared cells.
        cells: The table with a row for each cell and study.
        table: The short table.
        figure: The figure.
        conclusions: The findings, as sentences.
        command: The command that creates the comparison again.

    Raises:
        StorageError: A file of a study cannot be read.
    """
    joined = comparison.joined
    return render_template(
        "comparison.html",
        title=joined.tables.manifest.name,
        names=joined.names,
        damage=joined.tables.damage,
        cells=cells,
        table=table,
        facts=study_facts(comparison),
        differing=set(joined.differences),
        figure=figure,
        conclusions=conclusions,
        commands=[provenance.commands(study) for study in joined.studies],
        digests=[provenance.digests(study) for study in joined.studies],
        command=command,
    )
