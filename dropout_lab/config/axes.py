"""Check what a sweep varies: the axes of its grid and its listed cells."""

from collections.abc import Container, Mapping
from typing import Any

from pydantic import ValidationError

from dropout_lab.config.document import KeyPath
from dropout_lab.config.foreign_keys import grid_from_foreign
from dropout_lab.config.grid import expand_axis
from dropout_lab.config.hints import is_allowed, short_yaml
from dropout_lab.config.messages import unknown_dotted, wrong_value
from dropout_lab.config.mistakes import Mistakes
from dropout_lab.config.schema import KEYS, validate_value
from dropout_lab.config.sections.evaluation import NOT_SWEPT
from dropout_lab.config.sweep import LABEL
from dropout_lab.printable import shown

_LONGEST_LABEL = 60  # characters


def check_axes(grid: Any, mistakes: Mistakes) -> dict[str, list[Any]]:
    """Check the axes of a grid; return their values in canonical form, with ranges expanded."""
    axes: dict[str, list[Any]] = {}
    for key, axis in grid.items() if isinstance(grid, dict) else ():
        path = ("sweep", "grid", key)
        if not _check_key(key, path, mistakes, axis):
            continue
        if not isinstance(axis, list | str) or axis == []:
            message = f"the axis {key} is {shown(axis)}; give a list of values or start:stop:step"
            example = f", e.g. {short_yaml({key: [axis]}).strip('{}')}"
            message += f"{example if is_allowed(key, axis) else ''}."
            mistakes.add(key, message, path=path)
            continue
        try:
            values = expand_axis(axis)
        except ValueError as error:
            mistakes.add(key, f"the axis {key}: {error}", path=path)
            continue
        checked: list[Any] = []
        for value in values:
            allowed = _check_value(key, value, path, mistakes)
            if not allowed and isinstance(axis, str):
                break  # the other values of a range are wrong in the same way
            if allowed and allowed[0] in checked:
                mistakes.add(key, f"the axis {key} names {shown(value)} twice.", path=path)
            checked += allowed
        axes[key] = checked
    return axes


def check_cells(cells: Any, axes: Container[str], mistakes: Mistakes) -> list[dict[str, Any]]:
    """Check the listed cells of a sweep; return them with their values in canonical form."""
    checked: list[dict[str, Any]] = []
    for number, cell in enumerate(cells if isinstance(cells, list) else ()):
        path = ("sweep", "cells", str(number))
        if not isinstance(cell, dict) or not cell.keys() - {LABEL}:
            message = f"a cell is {shown(cell)}; write {{label: a name, dotted.key: value, ...}}."
            mistakes.add("sweep.cells", message, path=path)
            continue
        label = cell.get(LABEL, "")
        sound = isinstance(label, str) and len(label) <= _LONGEST_LABEL and label.isprintable()
        if not sound:
            message = f"the label of a cell is {shown(label)}; give a line of text of at most "
            message += f"{_LONGEST_LABEL} characters."
            mistakes.add("sweep.cells", message, path=(*path, LABEL))
        values = {key: value for key, value in cell.items() if key != LABEL}
        settings = check_values(values, path, mistakes)
        for key in settings:
            if key in axes:
                message = f"{key} is an axis of sweep.grid and a key of this cell; give it once."
                mistakes.add(key, message, path=(*path, key))
        if settings in [{k: v for k, v in c.items() if k != LABEL} for c in checked]:
            mistakes.add("sweep.cells", "a cell is listed twice.", path=path)
        checked.append({LABEL: label, **settings})
    return checked


def check_values(values: Mapping[str, Any], path: KeyPath, mistakes: Mistakes) -> dict[str, Any]:
    """Check the values of dotted keys; return the correct ones in canonical form."""
    return {
        key: allowed
        for key, value in values.items()
        if _check_key(key, (*path, key), mistakes)
        for allowed in _check_value(key, value, (*path, key), mistakes)
    }


def _check_value(key: str, value: Any, path: KeyPath, mistakes: Mistakes) -> list[Any]:
    """Check a value of a dotted key; return it in canonical form, or nothing if it is wrong."""
    try:
        return [validate_value(key, value)]
    except ValidationError:
        mistakes.add(key, wrong_value(key, value, mistakes.document.place(path)), path=path)
        return []


def _check_key(key: str, path: KeyPath, mistakes: Mistakes, axis: Any = None) -> bool:
    """Check that a dotted key may differ between cells; return whether it may."""
    meant = {} if axis is None or "." in key else grid_from_foreign({key: axis})[0]
    if meant:
        text = short_yaml(meant).strip("{}")
        mistakes.add(key, f"{key} is not a setting; in the grid write {text}.", path=path)
    elif key not in KEYS:
        seeds = "seeds is no axis; give them as `seeds: 5` or --seeds 5."
        mistakes.add(key, seeds if key in ("seed", "seeds") else unknown_dotted(key), path=path)
    elif key in NOT_SWEPT:
        example = f"{key}=50" if key.endswith(("samples", "curve")) else f"'{key}=[a,b]'"
        message = f"{key} is no axis: every run is measured in all the ways asked for; write one "
        mistakes.add(key, f"{message}setting, e.g. --set {example}.", path=path)
    return key in KEYS and key not in NOT_SWEPT
