"""All pictures of a study, drawn and saved."""

from pathlib import Path

import pandas as pd

from dropout_lab.analysis import style
from dropout_lab.analysis.comparisons import draw_by_p, draw_cells, draw_variants
from dropout_lab.analysis.curves import draw_curves, draw_gap
from dropout_lab.analysis.diagnostics import draw_diagnostics
from dropout_lab.analysis.inference import draw_inference, draw_monte_carlo
from dropout_lab.analysis.tables import StudyTables, cells
from dropout_lab.errors import StorageError
from dropout_lab.files import make_folder
from dropout_lab.results import PLOTS

_GROUPS_SHOWN = 6


def plot_study(study: StudyTables) -> list[Path]:
    """Draw a study into its folder ``plots``; return the files, PNG and SVG.

    Where settings other than dropout's were varied too, each of their combinations has its own
    pictures of curves, gap and p: nothing is averaged over different settings.

    Raises:
        StorageError: The pictures cannot be saved.
    """
    folder = study.path / PLOTS
    try:
        if folder.is_symlink():
            raise StorageError(f"{folder} is a symbolic link, and nothing is written through one.")
        make_folder(folder)
        return _draw(study, folder)
    except OSError as error:  # such as of matplotlib's own files
        raise StorageError(f"{folder} cannot be written: {error.strerror}.") from error


def _draw(study: StudyTables, folder: Path) -> list[Path]:
    table = cells(study)
    name = style.shortened(str(study.manifest["name"]), 60)
    files = []
    with style.style():
        for suffix, words, group in _groups(study, table):
            title = f"{name}, {words}" if words else name
            pictures = {
                "curves": draw_curves(study, group, title),
                "gap": draw_gap(study, group, title),
                "by_p": draw_by_p(study, group, title),
                "variants": draw_variants(study, group, title),
                "inference": draw_inference(study, group, title),
                "monte_carlo": draw_monte_carlo(study, group, title),
                "diagnostics": draw_diagnostics(study, group, title),
            }
            for kind, figure in pictures.items():
                if figure is not None:
                    files += style.save(figure, folder, f"{kind}{suffix}")
        if len(table) > 1:
            files += style.save(draw_cells(study, table, name), folder, "cells")
    return files


def _groups(study: StudyTables, table: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Return the combinations of the settings beside dropout: file suffix, words, their cells."""
    others = [key for key in study.swept if not key.startswith("dropout.")]
    if not others:
        return [("", "", table)]
    groups = []
    for index, (_, group) in enumerate(table.groupby(others, dropna=False, sort=False)):
        if index < _GROUPS_SHOWN:
            words = style.cell_label(group.iloc[0], tuple(others), False)
            groups.append((f"_{index + 1}", words, group))
    return groups
