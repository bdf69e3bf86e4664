"""Load a config: read it, apply the changes from the command line, and check everything."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dropout_lab.config.axes import check_axes, check_cells, check_values
from dropout_lab.config.document import Document, KeyPath, read_document
from dropout_lab.config.foreign_keys import describe_axes_outside_grid, find_foreign_search
from dropout_lab.config.grid import (
    LARGEST_STUDY,
    Cell,
    enumerate_settings,
    expand_axis,
    make_cells,
    seeds_of,
    single_cell,
    with_baselines,
    with_values,
)
from dropout_lab.config.hints import suggest_for_sweep
from dropout_lab.config.labels import check_distinct, check_labels, check_references, check_texts
from dropout_lab.config.messages import unknown_dotted, unknown_key, wrong_section, wrong_value
from dropout_lab.config.mistakes import Mistakes
from dropout_lab.config.overrides import (
    Changes,
    apply_changes,
    choose_size,
    get_path,
    resolve_paths,
)
from dropout_lab.config.published import PublishedSettings
from dropout_lab.config.rules import check_rules, find_unread_keys
from dropout_lab.config.schema import (
    KEYS,
    SECTION_CLASSES,
    SECTIONS,
    STUDY_SECTIONS,
    Config,
    Settings,
)
from dropout_lab.config.sections.dataset import with_contents
from dropout_lab.config.sections.dropout import is_baseline
from dropout_lab.config.sections.evaluation import find_unread_measurements
from dropout_lab.config.sweep import LABEL, SweepSettings
from dropout_lab.errors import ConfigError, DataError
from dropout_lab.printable import shown

_DEVICES = (f"{device}{number}" for device in ("com", "lpt") for number in "123456789")
_RESERVED_NAMES = {"con", "prn", "aux", "nul", *_DEVICES}
_OWN_FOLDERS = {"lessons", "reference"}  # in results, where the folder of a study is


def load(path: Path | None, changes: Changes | None = None) -> Config:
    """Return the config of :func:`load_with_cells`."""
    return load_with_cells(path, changes)[0]


def load_with_cells(
    path: Path | None, changes: Changes | None = None, *, baseline: bool | None = None
) -> tuple[Config, list[Cell]]:
    """Read a config file, apply changes from the command line, and check it.

    Without a path, the config has the defaults. :func:`check_with_cells` explains the rest.
    """
    if path is None:
        document = Document("the defaults")
    else:
        document = read_document(path)
        document.data.setdefault("name", name_from_path(path))
    choose_size(document, changes)
    if path is not None:
        resolve_paths(document, path.parent)
    if changes is not None:
        apply_changes(changes, document)
    sweep = changes is not None and changes.sweep
    return check_with_cells(document, sweep=sweep, baseline=baseline)


def list_sizes(path: Path) -> list[str | None]:
    """List the names of the sizes in a config file; only None if it has no sizes."""
    try:
        sizes = read_document(path).data.get("sizes")
    except ConfigError:
        return [None]  # loading it says what is wrong
    return list(sizes) if isinstance(sizes, dict) and sizes else [None]


def check(document: Document, *, sweep: bool = False) -> Config:
    """Return the config of :func:`check_with_cells`."""
    return check_with_cells(document, sweep=sweep)[0]


def check_with_cells(
    document: Document, *, sweep: bool, baseline: bool | None = None
) -> tuple[Config, list[Cell]]:
    """Check a document.

    Args:
        document: The file, with the changes from the command line.
        sweep: Whether the sweep is run. A sweep in the document is always checked. The default
            sweep is checked only if it is run, because it need not suit a single setting.
        baseline: Whether to add baselines to the cells of a sweep; None leaves it to the config.

    Returns:
        The config, and the cells to train: those of its sweep, or only its own setting.

    Raises:
        ConfigError: All mistakes, in the order of the file.
        DataError: The config has no mistake, but the user's data do, or are absent.
    """
    mistakes = Mistakes(document)
    check_texts(document.data, mistakes)
    data = _select_known(document.data, mistakes)
    config = _validate(data, mistakes)
    broken = mistakes.sections
    if config is None:
        broken |= {"dataset"} if data.get("dataset", {}).get("path") else set()  # it is not read
        sound = {section: data.get(section, {}) for section in SECTIONS if section not in broken}
        settings = Settings.model_validate(sound)
    else:
        _check_study(config, mistakes)
        try:
            config = config.model_copy(update={"dataset": with_contents(config.dataset)})
        except DataError:
            if not mistakes:
                raise
            broken.add("dataset")  # the mistakes of the config first
        settings = config
    # In a sweep, the cells are checked; the config's own setting is not run.
    if config is None or not sweep:
        for key, message in check_rules(settings, except_sections=frozenset(broken)):
            mistakes.add(key, message)
    asked = data.get("sweep", {})
    axes = check_axes(asked.get("grid"), mistakes)
    listed = check_cells(asked.get("cells"), axes, mistakes)
    check_labels(asked.get("cells"), axes, settings, mistakes)
    published = _check_published(config, mistakes)
    if config is not None:
        check_references(config, axes, mistakes)
    for number, key in enumerate((config and config.figure and config.figure.by) or ()):
        if key not in KEYS:
            mistakes.add("figure", unknown_dotted(key), path=("figure", "by", str(number)))
    if config is None or mistakes:
        raise ConfigError(mistakes.in_order())
    varied = ({"grid": axes} if axes else {}) | ({"cells": listed} if listed else {})
    config = config.model_copy(
        update={"sweep": config.sweep.model_copy(update=varied), "published": published}
    )
    cells = _check_cells(config, mistakes, sweep=sweep or bool(varied))
    if mistakes:
        raise ConfigError(mistakes.in_order())
    return config, with_baselines(config, cells, baseline) if sweep else single_cell(config)


def _select_known(data: Mapping[str, Any], mistakes: Mistakes) -> dict[str, Any]:
    """Return the data without unknown keys, which are mistakes. An empty section has defaults."""
    known: dict[str, Any] = {}
    place = mistakes.document.place
    search = find_foreign_search(data)
    if search is not None:
        mistakes.add(search[0], search[2], path=(search[0],))
    for key, value in data.items():
        if search is not None and (key == search[0] or key in search[1]):
            continue
        if key not in Config.model_fields:
            message = unknown_key(key, Config.model_fields, value, place((key,)))
            mistakes.add(key, message, path=(key,))
            continue
        kind = SECTION_CLASSES.get(key) or STUDY_SECTIONS.get(key)
        if kind is None:
            known[key] = value
            continue
        if value is not None and not isinstance(value, dict):
            if key == "sweep":
                wrong = f"sweep is {shown(value)}; write {suggest_for_sweep(value)}."
            elif key == "report":
                wrong = f"report is {shown(value)}; write report: {{margin: 0.1}}."
            else:
                wrong = wrong_section(key, value, place((key,)))
            mistakes.add(key, wrong)
            continue
        if key == "sweep" and (wrong := describe_axes_outside_grid(value or {})):
            outside = next(n for n in value or {} if n not in SweepSettings.model_fields)
            mistakes.add(key, wrong, path=(key, str(outside)))
            continue
        fields = kind.model_fields
        known[key] = {}
        for name, entry in (value or {}).items():
            if key == "sweep" and entry is None:
                continue  # an empty grid, as an empty section, is one of defaults
            if name in fields:
                known[key][name] = entry
            else:
                message = unknown_key(f"{key}.{name}", fields, entry, place((key, name)))
                mistakes.add(key, message, path=(key, name))
    return known


def _validate(data: dict[str, Any], mistakes: Mistakes) -> Config | None:
    """Validate the values; return the config, or None if there are mistakes."""
    # Axes and cells are checked on their own, each by name; here only their form counts.
    asked = dict(data.get("sweep", {}))
    grid, cells = asked.get("grid", {}), asked.get("cells", [])
    if not isinstance(grid, dict):
        message = f"sweep.grid is {shown(grid)}; write grid: {{dropout.p: [0, 0.5]}}."
        mistakes.add("sweep.grid", message)
        del asked["grid"]
    elif grid:
        asked["grid"] = {k: v for k, v in grid.items() if isinstance(v, list | str)}
    if not isinstance(cells, list):
        message = f"sweep.cells is {shown(cells)}; expected a list of `{{dotted.key: value}}`."
        mistakes.add("sweep.cells", message)
        del asked["cells"]
    elif cells:
        asked["cells"] = [cell for cell in cells if isinstance(cell, dict)]
    data = {**data, "sweep": asked}
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        for entry in error.errors():
            path = tuple(str(part) for part in entry["loc"])
            if path[0] in ("published", "figure", "sweep") and len(path) > 1:
                # Of a value of two forms pydantic names the form at the end, and of a list ours.
                path = tuple(part for part in path if part not in ("dict[str,any]", "str"))
                words = entry["msg"].replace("valid tuple", "valid list")
                message = f"{'.'.join(path)} is wrong: {words}; see dropout-lab config schema."
                mistakes.add(path[0], message, path=path)
                continue
            dotted = path[0] in SECTION_CLASSES or path[0] == "report"
            key = ".".join(path[:2]) if dotted else path[0]
            value = get_path(data, key)
            place = mistakes.document.place(tuple(key.split(".")))
            mistakes.add(key, wrong_value(key, value, place))
        return None
    return None if mistakes.found else config


def _check_study(config: Config, mistakes: Mistakes) -> None:
    """Check that seeds are distinct and that the name is free."""
    if isinstance(config.seeds, tuple) and len(set(config.seeds)) < len(config.seeds):
        mistakes.add("seeds", f"seeds is {shown(config.seeds)}; name each seed once.")
    if config.name.lower().split(".")[0] in _RESERVED_NAMES:
        mistakes.add("name", f"name is {config.name!r}, which some systems reserve; take another.")
    if config.name.lower() in _OWN_FOLDERS:
        message = f"name is {config.name!r}, and results/{config.name.lower()} is a folder of the "
        mistakes.add("name", f"{message}program; take another.")


def _check_published(config: Config | None, mistakes: Mistakes) -> PublishedSettings | None:
    """Check the published values; return them with their cells in canonical form."""
    if config is None or config.published is None:
        return None
    values = []
    for number, value in enumerate(config.published.values):
        if isinstance(value.cell, str):
            values.append(value)
            continue
        path = ("published", "values", str(number), "cell")
        checked = check_values(value.cell, path, mistakes)
        values.append(value.model_copy(update={"cell": checked}))
        if checked.keys() == value.cell.keys():
            try:
                with_values(config, checked)
            except ValidationError:
                mistakes.add("published", "its settings do not go together.", path=path)
    return config.published.model_copy(update={"values": tuple(values)})


def _check_cells(config: Config, mistakes: Mistakes, *, sweep: bool) -> list[Cell]:
    """Check the number of runs and the rules between keys in each cell; return the cells.

    Baselines that a sweep adds are left out: what suits a setting suits its baseline.
    """
    document = mistakes.document
    grid = {key: expand_axis(axis) for key, axis in config.sweep.grid.items()}
    listed = config.sweep.cells
    runs = len(seeds_of(config)) * max(1, len(listed)) * math.prod(map(len, grid.values()))
    if runs > LARGEST_STUDY:
        message = f"the sweep has {runs:,} runs; at most {LARGEST_STUDY:,}."
        mistakes.add("sweep.grid", message, path=document.first(("sweep", "grid"), ("seeds",)))
        return []
    enumerated = enumerate_settings(config) if sweep else []
    cells = make_cells(config, enumerated)
    check_distinct(config, enumerated, mistakes)
    swept = [*grid, *(key for cell in listed for key in cell)] if sweep else []
    for key, message in find_unread_keys(config, (cell.settings for cell in cells), swept):
        mistakes.add(key, message, path=document.first(*_likely_paths(key, listed)))
    for key, message in find_unread_measurements(config, [cell.settings for cell in cells]):
        mistakes.add(key, message)
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        for complaint in check_rules(cell.settings):
            found.setdefault(complaint, []).append(cell)
    dropped = sum(not is_baseline(cell.settings) for cell in cells)
    for (key, message), where in found.items():
        values = {**where[0].values, LABEL: ""}.items()
        own = [each if {**each, LABEL: ""}.items() <= values else {} for each in listed]
        path = document.first(*_likely_paths(key, own))
        if len(where) >= dropped > 1 or not where[0].values:  # whatever is swept
            mistakes.add(key, message, path=path)
            continue
        given = ", ".join(f"{name}={shown(value)}" for name, value in where[0].values.items())
        more = f" (and in {len(where) - 1} more cells)" if len(where) > 1 else ""
        mistakes.add(key, f"in the sweep, with {given}{more}: {message}", path=path)
    return cells


def _likely_paths(key: str, listed: Sequence[Mapping[str, Any]]) -> list[KeyPath]:
    """Return where a dotted key may have been set, the likeliest path first.

    Args:
        key: The key.
        listed: The listed cells; an empty cell cannot have set the key.
    """
    cells = [(("sweep", "cells", str(number)), cell) for number, cell in enumerate(listed) if cell]
    section, _, name = key.partition(".")
    return [
        ("sweep", "grid", key),
        *((*path, key) for path, cell in cells if key in cell),
        (section, name),
        *(path for path, _ in cells),
        (section,),
        ("sweep",),
    ]


def name_from_path(path: Path) -> str:
    """Return the name of the study for a config file without a name."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in path.stem)
    return kept.strip("._-")[:100] or "study"
