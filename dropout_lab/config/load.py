"""A document and the command line's changes to it, to a checked config: every mistake at once."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dropout_lab.config.allowed import shown, unknown_dotted, unknown_key, wrong_value
from dropout_lab.config.changes import Changes, apply, get
from dropout_lab.config.document import Document, KeyPath, read_document
from dropout_lab.config.grid import (
    LARGEST_STUDY,
    Cell,
    axis_values,
    grid_size,
    seeds_of,
    sweep_cells,
)
from dropout_lab.config.inference_rules import NOT_SWEPT, unread_measures
from dropout_lab.config.rules import complaints, unread_keys
from dropout_lab.config.schema import (
    KEYS,
    SECTION_CLASSES,
    SECTIONS,
    Config,
    Settings,
    without_dropout,
)
from dropout_lab.errors import ConfigError

_DEVICES = {f"{device}{number}" for device in ("com", "lpt") for number in "123456789"}
_RESERVED_NAMES = {"con", "prn", "aux", "nul"} | _DEVICES


def load(path: Path | None, changes: Changes | None = None) -> Config:
    """Read a config file (without one, the defaults) and apply the command line's changes.

    Raises:
        ConfigError: Everything that is wrong with it.
    """
    if path is None:
        document = Document("the defaults")
    else:
        document = read_document(path)
        document.data.setdefault("name", _name_from(path))
    if changes is not None:
        apply(changes, document)
    return check(document, sweep=changes is not None and changes.sweep)


def check(document: Document, *, sweep: bool = False) -> Config:
    """Return the config a document means.

    Args:
        document: The file, with the command line's changes in it.
        sweep: Whether the grid is going to be run. One that the document gives is checked anyway;
            the default one only then, since it need not suit what is trained on its own.

    Raises:
        ConfigError: Everything that is wrong with it, in the order of the file.
    """
    mistakes = _Mistakes(document)
    data = _known(document.data, mistakes)
    config = _validated(data, mistakes)
    broken = mistakes.sections
    if config is None:
        sound = {section: data.get(section, {}) for section in SECTIONS if section not in broken}
        settings = Settings.model_validate(sound)
    else:
        settings = config
        _check_study(config, mistakes)
    # What is swept is judged in its cells; the setting it stands at in the file is not run then.
    if config is None or not sweep:
        for key, message in complaints(settings, except_sections=frozenset(broken)):
            mistakes.add(key, message)
    axes = _check_grid(data.get("sweep", {}).get("grid"), mistakes)
    if config is None or mistakes:
        raise ConfigError(mistakes.in_order())
    config = config.model_copy(
        update={"sweep": config.sweep.model_copy(update={"grid": axes})} if axes else {}
    )
    _check_cells(config, mistakes, sweep=sweep or bool(axes))
    if mistakes:
        raise ConfigError(mistakes.in_order())
    return config


class _Mistakes:
    """Mistakes with their keys, to be told in the order of the file."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.found: dict[str, tuple[int, KeyPath]] = {}

    def add(self, key: str, message: str, *, path: KeyPath | None = None) -> None:
        path = tuple(key.split(".")) if path is None else path
        text = f"{self.document.place(path)}: {message}"
        self.found.setdefault(text, (len(self.found), path))

    @property
    def sections(self) -> set[str]:
        """The sections with a mistake in them."""
        return {path[0] for _, path in self.found.values() if path}

    def __bool__(self) -> bool:
        return bool(self.found or self.document.mistakes)

    def in_order(self) -> list[str]:
        everything = [*self.document.mistakes, *self.found]
        return sorted(everything, key=self._line)

    def _line(self, mistake: str) -> int:
        """Return the line of the file that a mistake names; 0 of the command line's."""
        number = re.match(r":([0-9]{1,9}):", mistake.removeprefix(self.document.source))
        return int(number[1]) if number else 0


def _known(data: Mapping[str, Any], mistakes: _Mistakes) -> dict[str, Any]:
    """Return the known part of the data; an empty section is one of defaults."""
    known: dict[str, Any] = {}
    for key, value in data.items():
        if key not in Config.model_fields:
            mistakes.add(key, unknown_key(key, Config.model_fields), path=(key,))
            continue
        kind = SECTION_CLASSES.get(key)
        if kind is None and key != "sweep":
            known[key] = value
            continue
        if value is not None and not isinstance(value, dict):
            mistakes.add(key, f"{key} is {shown(value)}; expected a mapping of its keys.")
            continue
        fields = kind.model_fields if kind is not None else {"grid": None}
        known[key] = {}
        for name, entry in (value or {}).items():
            if key == "sweep" and entry is None:
                continue  # an empty grid, as an empty section, is one of defaults
            if name in fields:
                known[key][name] = entry
            else:
                mistakes.add(key, unknown_key(f"{key}.{name}", fields), path=(key, name))
    return known


def _validated(data: dict[str, Any], mistakes: _Mistakes) -> Config | None:
    """Return the config, or None with its wrong values noted."""
    grid = data.get("sweep", {}).get("grid")
    if grid is not None and not isinstance(grid, dict):
        mistakes.add("sweep.grid", f"sweep.grid is {shown(grid)}; expected `dotted.key: [values]`.")
        data = {**data, "sweep": {}}
    elif grid is not None:
        # Axes are checked on their own, with the axis named; here only their form counts.
        data = {
            **data,
            "sweep": {"grid": {k: v for k, v in grid.items() if isinstance(v, list | str)}},
        }
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        for entry in error.errors():
            path = tuple(str(part) for part in entry["loc"])
            key = ".".join(path[:2]) if path[0] in SECTION_CLASSES else path[0]
            mistakes.add(key, wrong_value(key, get(data, key)))
        return None
    return None if mistakes.found else config


def _check_study(config: Config, mistakes: _Mistakes) -> None:
    if isinstance(config.seeds, tuple) and len(set(config.seeds)) < len(config.seeds):
        mistakes.add("seeds", f"seeds is {shown(config.seeds)}; name each seed once.")
    if config.name.lower().split(".")[0] in _RESERVED_NAMES:
        mistakes.add("name", f"name is {config.name!r}, which some systems reserve; take another.")


def _check_grid(grid: Any, mistakes: _Mistakes) -> dict[str, list[Any]]:
    """Return the axes of a sweep with ranges spelled out and values in canonical form."""
    axes: dict[str, list[Any]] = {}
    for key, axis in grid.items() if isinstance(grid, dict) else ():
        path = ("sweep", "grid", key)
        if key not in KEYS:
            message = (
                "seeds is no axis; give them as `seeds: 5` or --seeds 5."
                if key in ("seed", "seeds")
                else unknown_dotted(key)
            )
            mistakes.add(key, message, path=path)
            continue
        if key in NOT_SWEPT:
            name = key.partition(".")[2]
            message = (
                f"{key} is no axis: every run is measured in all the ways asked for; write one "
                f"setting, e.g. --set {key}=" + ("[a,b]." if name[0] in "id" else "50.")
            )
            mistakes.add(key, message, path=path)
            continue
        if not isinstance(axis, list | str) or axis == []:
            message = f"the axis {key} is {shown(axis)}; give a list of values or start:stop:step."
            mistakes.add(key, message, path=path)
            continue
        try:
            values = axis_values(axis)
        except ValueError as error:
            mistakes.add(key, f"the axis {key}: {error}", path=path)
            continue
        section, _, name = key.partition(".")
        checked: list[Any] = []
        for value in values:
            try:
                one = SECTION_CLASSES[section].model_validate({name: value})
            except ValidationError:
                mistakes.add(key, wrong_value(key, value), path=path)
                if isinstance(axis, str):
                    break  # the rest of a range is wrong in the same way
                continue
            canonical = getattr(one, name)
            if canonical in checked:
                mistakes.add(key, f"the axis {key} names {shown(value)} twice.", path=path)
            checked.append(canonical)
        axes[key] = checked
    return axes


def _check_cells(config: Config, mistakes: _Mistakes, *, sweep: bool) -> None:
    """Check the rules between keys in every cell, and that the study is not beyond all reason."""
    grid = {key: axis_values(axis) for key, axis in config.sweep.grid.items()}
    runs = grid_size(grid) * len(seeds_of(config))
    if runs > LARGEST_STUDY:
        mistakes.add("sweep.grid", f"the sweep has {runs:,} runs; at most {LARGEST_STUDY:,}.")
        return
    cells = sweep_cells(config, baseline=False) if sweep else []
    swept = grid if sweep else {}
    for key, message in unread_keys(config, (cell.settings for cell in cells), swept):
        mistakes.add(key, message, path=("sweep", "grid", key) if key in swept else None)
    for key, message in unread_measures(config, [cell.settings for cell in cells]):
        mistakes.add(key, message)
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        for complaint in complaints(cell.settings):
            found.setdefault(complaint, []).append(cell)
    dropped = sum(not without_dropout(cell.settings) for cell in cells)
    for (key, message), where in found.items():
        path = ("sweep", "grid", key) if key in grid else tuple(key.split("."))
        if len(where) >= dropped > 1 or not where[0].values:  # whatever is swept
            mistakes.add(key, message, path=path)
            continue
        values = ", ".join(f"{name}={shown(value)}" for name, value in where[0].values.items())
        more = f" (and in {len(where) - 1} more cells)" if len(where) > 1 else ""
        mistakes.add(key, f"in the sweep, with {values}{more}: {message}", path=path)


def _name_from(path: Path) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in path.stem)
    return kept.strip("._-")[:100] or "study"
