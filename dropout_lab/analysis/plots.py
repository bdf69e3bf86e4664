"""Draw and save all plots of a study."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.boundary_plot import draw_boundary
from dropout_lab.analysis.comparisons import draw_by_p, draw_cells, draw_variants
from dropout_lab.analysis.curves import draw_curves, draw_gap
from dropout_lab.analysis.diagnostics import draw_diagnostics
from dropout_lab.analysis.fonts import fonts_for
from dropout_lab.analysis.heat_map import draw_heat_map, second_axis
from dropout_lab.analysis.inference import draw_inference, draw_monte_carlo
from dropout_lab.analysis.learned_p import draw_learned_p
from dropout_lab.analysis.notes import describe_not_drawn, notes_below_plot
from dropout_lab.analysis.paper_figure_plot import draw_figure
from dropout_lab.analysis.reliability import draw_reliability
from dropout_lab.analysis.snapshot_plots import draw_activations, draw_features
from dropout_lab.analysis.spread import draw_spread
from dropout_lab.analysis.tables import StudyTables, chosen_on_validation, summarize_cells
from dropout_lab.config.published import FigureSettings
from dropout_lab.config.schema import KEYS
from dropout_lab.errors import StorageError
from dropout_lab.files import make_folder, remove_file
from dropout_lab.results import PLOTS

_MAX_GROUPS = 6
_NAMED = 20  # characters without a font that a note lists
# If the config lists cells, these plots show all of them together.
_UNGROUPED = ("inference", "monte_carlo", "learned_p")
# Drawn in this order, for each combination of settings outside the section dropout.
_DRAW_FUNCTIONS: dict[str, Callable[[StudyTables, pd.DataFrame, str], Figure | None]] = {
    "curves": draw_curves,
    "gap": draw_gap,
    "by_p": draw_by_p,
    "variants": draw_variants,
    "inference": draw_inference,
    "monte_carlo": draw_monte_carlo,
    "diagnostics": draw_diagnostics,
    "features": draw_features,
    "boundary": draw_boundary,
    "activations": draw_activations,
    "reliability": draw_reliability,
    "learned_p": draw_learned_p,
}
_WITH_EPOCHS = ("curves", "gap", "diagnostics", "learned_p")
_WITH_TRAINING_SET = ("curves", "gap", "by_p")
_PLOT_FILE_NAME = re.compile(
    rf"(({'|'.join(_DRAW_FUNCTIONS)})(_\d+)?|figure|cells|spread|"
    rf"({'|'.join(sorted({key.rpartition('.')[2] for key in KEYS}))})_by_p)\.(png|svg)"
)


@np.errstate(all="ignore")  # the loss of a run may be infinite
def plot_study(study: StudyTables, folder: Path | None = None) -> list[Path]:
    """Save all plots of a study in ``plots`` of its folder, or of another; return the files.

    If settings outside the section ``dropout`` were varied, each of their combinations has its own
    plots of curves, gap and p, so no mean mixes different settings. If the config lists cells, only
    combinations with several cells have such plots; without any, one plot shows all cells. The
    inference methods of all cells are always in one plot. Removes plots of earlier calls that this
    call does not replace.

    Raises:
        StorageError: The plots cannot be saved.
    """
    folder = (folder or study.path) / PLOTS
    try:
        if folder.is_symlink():
            raise StorageError(f"{folder} is a symbolic link, and nothing is written through one.")
        make_folder(folder)
        files = [
            file for name, figure in draw_plots(study) for file in style.save(figure, folder, name)
        ]
        for old in sorted(set(folder.iterdir()) - set(files)):
            if _PLOT_FILE_NAME.fullmatch(old.name) and style.is_own_plot(old):
                remove_file(old)
        return files
    except OSError as error:  # for example from matplotlib's own files
        raise StorageError(f"{folder} cannot be written: {error.strerror}.") from error


def plot_notes(study: StudyTables) -> list[str]:
    """Return notes about what the plots of a study do not show, for the terminal and the report.

    This includes runs without a result, combinations of settings without plots of their own, and
    characters that no installed font has.
    """
    table = summarize_cells(study)
    _, left_out = _group_cells(study, table)
    notes = [*notes_below_plot(study, table), describe_not_drawn(left_out)]
    missing = fonts_for(_plot_texts(study))[1]
    if missing:
        notes.append(
            f"no installed font has the characters {style.shorten(missing, _NAMED)}: plots show "
            "boxes for them. Install a font that has them, such as one of the Noto fonts, then "
            f"run: {shlex.join(['dropout-lab', 'plot', str(study.path)])}"
        )
    return [note for note in notes if note]


def draw_plots(study: StudyTables) -> Iterator[tuple[str, Figure]]:
    """Yield the name and the figure of each plot; save a figure before the next one is drawn."""
    with style.style(fonts_for(_plot_texts(study))[0]):
        for name, figure, notes in _draw_with_notes(study):
            style.add_notes(figure, notes)
            yield name, figure


def _draw_with_notes(study: StudyTables) -> Iterator[tuple[str, Figure, list[str]]]:
    """Yield the name, the figure and the notes of each plot."""
    table = summarize_cells(study)
    name = style.shorten(study.manifest.name, 60)
    groups, left_out = _group_cells(study, table)
    ungrouped = _UNGROUPED if _has_listed_cells(table) and groups[0][0] else ()
    drawings = [
        (f"{kind}{suffix}", kind, group, f"{name}, {words}" if words else name)
        for suffix, words, group in groups
        for kind in _DRAW_FUNCTIONS
        if not (suffix and kind in ungrouped)
    ]
    drawings += [(kind, kind, table, name) for kind in ungrouped]
    with_runs_table = table[table["seeds"] > 0]
    for file, kind, group, title in drawings:
        with_runs = group[group["seeds"] > 0]
        figure = _DRAW_FUNCTIONS[kind](study, with_runs, title) if len(with_runs) else None
        if figure is not None:
            notes = notes_below_plot(
                study, group, epochs=kind in _WITH_EPOCHS, training=kind in _WITH_TRAINING_SET
            )
            others = [describe_not_drawn(left_out)] if left_out and file != kind else []
            yield file, figure, [*notes, *others]
    figure = draw_figure(study, with_runs_table, name)
    if figure is not None:
        settings = study.manifest.figure or FigureSettings()
        yield (
            "figure",
            figure,
            notes_below_plot(
                study,
                table,
                epochs=settings.x in ("updates", "epoch"),
                training="train_error" in settings.y,
            ),
        )
    key = second_axis(study, table)
    figure = draw_heat_map(study, with_runs_table, key, name) if key else None
    if key and figure is not None:
        yield f"{key.partition('.')[2]}_by_p", figure, notes_below_plot(study, table)
    figure = draw_spread(study, name)
    if figure is not None:
        yield "spread", figure, notes_below_plot(study, table)
    if len(table) > 1:
        yield "cells", draw_cells(study, table, name), notes_below_plot(study, table)


def _group_cells(
    study: StudyTables, table: pd.DataFrame
) -> tuple[list[tuple[str, str, pd.DataFrame]], list[str]]:
    """Return file suffix, name and cells of each combination of settings outside ``dropout``.

    Of more than six combinations, return the first ones and the one that validation chose. The
    second value has the names of the others.
    """
    others = [key for key in study.swept if not key.startswith("dropout.")]
    if not others:
        return [("", "", table)], []
    combinations = [group for _, group in table.groupby(others, dropna=False, sort=False)]
    listed = _has_listed_cells(table)
    groups: list[tuple[str, str, pd.DataFrame]] = []
    for index, group in enumerate(
        sorted(combinations, key=lambda group: listed and len(group) == 1)
    ):
        first = group.iloc[0]
        # A listed cell sets only a few of many keys: omit keys that are off.
        on = tuple(key for key in others if not _is_off(first[key])) if listed else ()
        words = style.cell_label(first, on or tuple(others), False)
        if listed and len(group) == 1:
            words = style.cell_name(first, study.swept)
        groups.append((f"_{index + 1}", words, group))
    several = [group for group in groups if not listed or len(group[2]) > 1]
    if not several:
        return [("", "", table)], []
    shown_groups = several[:_MAX_GROUPS]
    chosen = chosen_on_validation(table)
    name = None if chosen is None else chosen.name
    chosen_group = [group for group in several[_MAX_GROUPS:] if name in group[2].index]
    shown_groups = [*shown_groups[: len(shown_groups) - len(chosen_group)], *chosen_group]
    shown = {suffix for suffix, _, _ in shown_groups}
    return shown_groups, [words for suffix, words, _ in groups if suffix not in shown]


def _plot_texts(study: StudyTables) -> str:
    """Return the texts of a study that appear in its plots, to find fonts for them."""
    manifest = study.manifest
    texts = [manifest.name, manifest.figure, manifest.published]
    runs = study.runs_by_id.values()
    texts += [text for run in runs for text in (run.cell.label, *run.cell.values.values())]
    return " ".join(map(str, texts))


def _is_off(value: object) -> bool:
    return value is None or value != value or value == 0


def _has_listed_cells(table: pd.DataFrame) -> bool:
    """Return whether the config lists cells that differ in dropout and in other settings."""
    keys: set[str] = set().union(*(label.keys for label in table["label"] if label is not None))
    dropped = {key for key in keys if key.startswith("dropout.")}
    return bool(dropped) and dropped != keys
