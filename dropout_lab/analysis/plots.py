"""All pictures of a study, drawn and saved."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.comparisons import draw_by_p, draw_cells, draw_variants
from dropout_lab.analysis.curves import draw_curves, draw_gap
from dropout_lab.analysis.diagnostics import draw_diagnostics
from dropout_lab.analysis.figure import draw_figure
from dropout_lab.analysis.heat_map import axis_beside_p, draw_heat_map
from dropout_lab.analysis.inference import draw_inference, draw_monte_carlo
from dropout_lab.analysis.learned_p import draw_learned_p
from dropout_lab.analysis.reliability import draw_reliability
from dropout_lab.analysis.tables import StudyTables, cells
from dropout_lab.analysis.trained import draw_activations, draw_features
from dropout_lab.errors import StorageError
from dropout_lab.files import make_folder
from dropout_lab.results import PLOTS

_GROUPS_SHOWN = 6
# With cells that the config lists, these show every one of them in one picture.
_OF_ALL = ("inference", "monte_carlo", "learned_p")
# Drawn for each combination of the settings beside dropout, in this order.
_KINDS: dict[str, Callable[[StudyTables, pd.DataFrame, str], Figure | None]] = {
    "curves": draw_curves,
    "gap": draw_gap,
    "by_p": draw_by_p,
    "variants": draw_variants,
    "inference": draw_inference,
    "monte_carlo": draw_monte_carlo,
    "diagnostics": draw_diagnostics,
    "features": draw_features,
    "activations": draw_activations,
    "reliability": draw_reliability,
    "learned_p": draw_learned_p,
}


def plot_study(study: StudyTables, folder: Path | None = None) -> list[Path]:
    """Draw a study into ``plots`` of its folder, or of another; return the files, PNG and SVG.

    Where settings other than dropout's were varied too, each of their combinations has its own
    pictures of curves, gap and p: nothing is averaged over different settings. Of cells that the
    config lists, only combinations of several cells have them, or all cells in one where there
    are none; how the networks are used is told of all cells in one picture.

    Raises:
        StorageError: The pictures cannot be saved.
    """
    folder = (folder or study.path) / PLOTS
    try:
        if folder.is_symlink():
            raise StorageError(f"{folder} is a symbolic link, and nothing is written through one.")
        make_folder(folder)
        return [
            file for name, figure in pictures(study) for file in style.save(figure, folder, name)
        ]
    except OSError as error:  # such as of matplotlib's own files
        raise StorageError(f"{folder} cannot be written: {error.strerror}.") from error


def pictures(study: StudyTables) -> Iterator[tuple[str, Figure]]:
    """Draw a study: yield each picture's name and figure, inside the style to save it in."""
    table = cells(study)
    name = style.shortened(str(study.manifest["name"]), 60)
    groups = _groups(study, table)
    whole = _OF_ALL if _is_listed(table) and groups[0][0] else ()
    with style.style():
        for suffix, words, group in groups:
            title = f"{name}, {words}" if words else name
            for kind, draw in _KINDS.items():
                if suffix and kind in whole:
                    continue
                figure = draw(study, group, title)
                if figure is not None:
                    yield f"{kind}{suffix}", figure
        for kind in whole:
            figure = _KINDS[kind](study, table, name)
            if figure is not None:
                yield kind, figure
        figure = draw_figure(study, table, name)
        if figure is not None:
            yield "figure", figure
        key = axis_beside_p(study, table)
        figure = draw_heat_map(study, table, key, name) if key else None
        if key and figure is not None:
            yield f"{key.partition('.')[2]}_by_p", figure
        if len(table) > 1:
            yield "cells", draw_cells(study, table, name)


def _groups(study: StudyTables, table: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Return the combinations of the settings beside dropout: file suffix, words, their cells."""
    others = [key for key in study.swept if not key.startswith("dropout.")]
    if not others:
        return [("", "", table)]
    every = [group for _, group in table.groupby(others, dropna=False, sort=False)]
    listed = _is_listed(table)
    if listed:
        every = [group for group in every if len(group) > 1]
        if not every:
            return [("", "", table)]
    groups = []
    for index, group in enumerate(every[:_GROUPS_SHOWN]):
        first = group.iloc[0]
        # Many keys, of which a cell sets a few: what is switched off is left unsaid.
        on = tuple(key for key in others if not _is_off(first[key])) if listed else ()
        words = style.cell_label(first, on or tuple(others), False)
        groups.append((f"_{index + 1}", words, group))
    return groups


def _is_off(value: object) -> bool:
    return value is None or value != value or value == 0


def _is_listed(table: pd.DataFrame) -> bool:
    """Whether the config lists its cells, which differ in dropout and in other settings."""
    keys: set[str] = set().union(*(label.keys for label in table["label"] if label is not None))
    dropped = {key for key in keys if key.startswith("dropout.")}
    return bool(dropped) and dropped != keys
