"""All pictures of a study, drawn and saved."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from dropout_lab.analysis import style
from dropout_lab.analysis.comparisons import draw_by_p, draw_cells, draw_variants
from dropout_lab.analysis.curves import draw_curves, draw_gap
from dropout_lab.analysis.diagnostics import draw_diagnostics
from dropout_lab.analysis.fonts import fonts_for
from dropout_lab.analysis.heat_map import axis_beside_p, draw_heat_map
from dropout_lab.analysis.inference import draw_inference, draw_monte_carlo
from dropout_lab.analysis.learned_p import draw_learned_p
from dropout_lab.analysis.notes import not_drawn, notes_of
from dropout_lab.analysis.paper_figure_plot import draw_figure
from dropout_lab.analysis.reliability import draw_reliability
from dropout_lab.analysis.snapshot_plots import draw_activations, draw_features
from dropout_lab.analysis.tables import StudyTables, cells, chosen_on_validation
from dropout_lab.config.schema import KEYS
from dropout_lab.errors import StorageError
from dropout_lab.files import make_folder, remove_file
from dropout_lab.results import PLOTS

_GROUPS_SHOWN = 6
_NAMED = 20  # characters without a font that a note names
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
_OVER_EPOCHS = ("curves", "gap", "diagnostics", "learned_p")
_OF_TRAINING = ("curves", "gap", "by_p")
_OWN_NAME = re.compile(
    rf"(({'|'.join(_KINDS)})(_\d+)?|figure|cells|"
    rf"({'|'.join(sorted({key.rpartition('.')[2] for key in KEYS}))})_by_p)\.(png|svg)"
)


def plot_study(study: StudyTables, folder: Path | None = None) -> list[Path]:
    """Draw a study into ``plots`` of its folder, or of another; return the files, PNG and SVG.

    Where settings other than dropout's were varied too, each of their combinations has its own
    pictures of curves, gap and p: nothing is averaged over different settings. Of cells that the
    config lists, only combinations of several cells have them, or all cells in one where there
    are none; how the networks are used is told of all cells in one picture. Plots that an earlier
    drawing made and this one did not are removed.

    Raises:
        StorageError: The pictures cannot be saved.
    """
    folder = (folder or study.path) / PLOTS
    try:
        if folder.is_symlink():
            raise StorageError(f"{folder} is a symbolic link, and nothing is written through one.")
        make_folder(folder)
        files = [
            file for name, figure in pictures(study) for file in style.save(figure, folder, name)
        ]
        for old in sorted(set(folder.iterdir()) - set(files)):
            if _OWN_NAME.fullmatch(old.name) and style.is_drawn(old):
                remove_file(old)
        return files
    except OSError as error:  # such as of matplotlib's own files
        raise StorageError(f"{folder} cannot be written: {error.strerror}.") from error


def plot_notes(study: StudyTables) -> list[str]:
    """Return what the plots of a study do not show, in sentences for the terminal and the report.

    Runs without a result, combinations of settings without plots of their own, and characters
    that no installed font has.
    """
    table = cells(study)
    _, left_out = _groups(study, table)
    notes = [*notes_of(study, table), not_drawn(left_out)]
    missing = fonts_for(_texts(study))[1]
    if missing:
        notes.append(
            f"no installed font has the characters {style.shortened(missing, _NAMED)}: plots show "
            "boxes for them. Install a font that has them, such as one of the Noto fonts, then "
            f"run: {shlex.join(['dropout-lab', 'plot', str(study.path)])}"
        )
    return [note for note in notes if note]


def pictures(study: StudyTables) -> Iterator[tuple[str, Figure]]:
    """Draw a study: yield each picture's name and figure, inside the style to save it in."""
    with style.style(fonts_for(_texts(study))[0]):
        for name, figure, notes in _drawn(study):
            style.add_notes(figure, notes)
            yield name, figure


def _drawn(study: StudyTables) -> Iterator[tuple[str, Figure, list[str]]]:
    """Draw a study: yield names, figures and the notes below them."""
    table = cells(study)
    name = style.shortened(str(study.manifest["name"]), 60)
    groups, left_out = _groups(study, table)
    whole = _OF_ALL if _is_listed(table) and groups[0][0] else ()
    drawings = [
        (f"{kind}{suffix}", kind, group, f"{name}, {words}" if words else name)
        for suffix, words, group in groups
        for kind in _KINDS
        if not (suffix and kind in whole)
    ]
    drawings += [(kind, kind, table, name) for kind in whole]
    done = table[table["seeds"] > 0]
    for file, kind, group, title in drawings:
        with_runs = group[group["seeds"] > 0]
        figure = _KINDS[kind](study, with_runs, title) if len(with_runs) else None
        if figure is not None:
            notes = notes_of(
                study, group, epochs=kind in _OVER_EPOCHS, training=kind in _OF_TRAINING
            )
            others = [not_drawn(left_out)] if left_out and file != kind else []
            yield file, figure, [*notes, *others]
    figure = draw_figure(study, done, name)
    if figure is not None:
        asked = study.manifest.get("figure") or {}
        yield (
            "figure",
            figure,
            notes_of(
                study,
                table,
                epochs=asked.get("x") in ("updates", "epoch"),
                training="train_error" in asked.get("y", ()),
            ),
        )
    key = axis_beside_p(study, table)
    figure = draw_heat_map(study, done, key, name) if key else None
    if key and figure is not None:
        yield f"{key.partition('.')[2]}_by_p", figure, notes_of(study, table)
    if len(table) > 1:
        yield "cells", draw_cells(study, table, name), notes_of(study, table)


def _groups(
    study: StudyTables, table: pd.DataFrame
) -> tuple[list[tuple[str, str, pd.DataFrame]], list[str]]:
    """Return the combinations of the settings beside dropout: file suffix, words, their cells.

    Of more than six the first ones and the one that validation chose; then the words of the others.
    """
    others = [key for key in study.swept if not key.startswith("dropout.")]
    if not others:
        return [("", "", table)], []
    every = [group for _, group in table.groupby(others, dropna=False, sort=False)]
    listed = _is_listed(table)
    groups: list[tuple[str, str, pd.DataFrame]] = []
    for index, group in enumerate(sorted(every, key=lambda group: listed and len(group) == 1)):
        first = group.iloc[0]
        # Many keys, of which a cell sets a few: what is switched off is left unsaid.
        on = tuple(key for key in others if not _is_off(first[key])) if listed else ()
        words = style.cell_label(first, on or tuple(others), False)
        if listed and len(group) == 1:
            words = style.cell_label(first, study.swept, bool(first["bare"]))
        groups.append((f"_{index + 1}", words, group))
    several = [group for group in groups if not listed or len(group[2]) > 1]
    if not several:
        return [("", "", table)], []
    kept = several[:_GROUPS_SHOWN]
    chosen = chosen_on_validation(table)
    name = None if chosen is None else chosen.name
    beyond = [group for group in several[_GROUPS_SHOWN:] if name in group[2].index]
    kept = [*kept[: len(kept) - len(beyond)], *beyond]
    shown = {suffix for suffix, _, _ in kept}
    return kept, [words for suffix, words, _ in groups if suffix not in shown]


def _texts(study: StudyTables) -> str:
    """Return what a study's own words in its pictures are, for the fonts that they need."""
    manifest = study.manifest
    own = [manifest["name"], manifest.get("figure"), manifest.get("published")]
    runs = study.known.values()
    own += [text for run in runs for text in (run.cell.label, *run.cell.values.values())]
    return " ".join(map(str, own))


def _is_off(value: object) -> bool:
    return value is None or value != value or value == 0


def _is_listed(table: pd.DataFrame) -> bool:
    """Whether the config lists its cells, which differ in dropout and in other settings."""
    keys: set[str] = set().union(*(label.keys for label in table["label"] if label is not None))
    dropped = {key for key in keys if key.startswith("dropout.")}
    return bool(dropped) and dropped != keys
