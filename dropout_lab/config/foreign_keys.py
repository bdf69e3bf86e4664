"""Suggest keys, and grids, for what users of other programs write."""

import re
from collections.abc import Mapping
from shlex import quote
from typing import Any

from dropout_lab.config.document import parse_value
from dropout_lab.config.hints import short_yaml, suggest_setting
from dropout_lab.config.schema import KEYS, SECTION_CLASSES
from dropout_lab.config.sweep import SweepSettings
from dropout_lab.config.synonyms import (
    DEPTHS,
    KEEP_NAMES,
    OPTIONS,
    OTHER_KEYS,
    OTHER_SECTIONS,
    OTHER_SEEDS,
    OTHER_TOP_KEYS,
    OTHER_WORDS,
    SEARCHES,
)
from dropout_lab.errors import ConfigError

_DEEPEST = 10  # layers of a network whose units a message lists
# Keys of the values of one axis, and keys next to a search, in another program's config.
_OF_A_SEARCH = {"values", "value", "min", "max", "low", "high", "choices"}
_BESIDE = frozenset({
    "method", "metric", "program", "project", "entity", "command", "run_cap", "early_terminate",
    "controller", "description", "study_name", "direction", "directions", "n_trials", "sampler",
    "pruner", "storage", "defaults", "hydra", "objective", "strategy", "count",
})  # fmt: skip


def suggest_for_key(dotted: str, value: object, place: str) -> str:
    """Suggest what to write for an unknown key; empty if unknown.

    ``value`` and ``place`` say what the key was given, if known, and where.
    """
    section, _, name = dotted.rpartition(".")
    key = find_key(dotted)
    if name in KEEP_NAMES:
        return _suggest_for_keep(name, value)
    if key is not None and value is not None and (written := suggest_setting(key, value, place)):
        unclear = key == "dropout.p" and name not in ("p", "dropout")
        return f"{written}; p is the probability of dropping" if unclear else written
    if name in OTHER_SEEDS and type(value) is int and value >= 0:
        return f"write {f'--seed {value}' if place.startswith('--') else f'seeds: [{value}]'}"
    if name in OTHER_TOP_KEYS and not section and isinstance(value, str | int):
        top = OTHER_TOP_KEYS[name]
        if place.startswith("--"):
            return f"write --set {quote(f'{top}={value}')}"
        return f"write {short_yaml({top: value}).strip('{}')}"
    if name in DEPTHS and type(value) is int and 0 < value <= _DEEPEST:
        layers = suggest_setting("model.hidden", [512] * value, place)
        return f"give the units of each layer: {layers}"
    if name in OTHER_SECTIONS and not section and isinstance(value, dict):
        return f"write its keys in the section {OTHER_SECTIONS[name]}"
    for each in (dotted, name):
        if each in OPTIONS:
            return f"give it on the command line: {_suggest_option(each, value)}"
    if name.isdecimal():
        return "write a list in brackets, such as hidden: [512, 512]"
    return OTHER_WORDS.get(name, "")


def _suggest_for_keep(name: str, value: object) -> str:
    """Suggest what to write for a probability of keeping a unit."""
    given = value if isinstance(value, int | float) and 0 <= value <= 1 else 0.8
    return f"p is the probability of dropping, so for {name}: {given:g} write p: {1 - given:.6g}"


def _suggest_option(name: str, value: object) -> str:
    """Return the command-line option for a key of another program, with its value."""
    words = OPTIONS[name]
    first, _, last = words.partition(" ")
    plain = isinstance(value, str | int) and re.fullmatch(r"[\w./:~-]+", str(value))
    return f"{first} {value}" if last.isupper() and plain and value is not True else words


def grid_from_foreign(entries: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Translate what another program varies to a grid.

    Returns:
        Dotted keys with their values, and the names without a translation.
    """
    grid: dict[str, Any] = {}
    unknown = []
    for name, entry in entries.items():
        if name in SECTION_CLASSES and isinstance(entry, dict) and not entry.keys() & _OF_A_SEARCH:
            dotted = {f"{name}.{key}": each for key, each in entry.items()}
            inner, others = grid_from_foreign(dotted)
            grid |= inner
            unknown += others
            continue
        key, values = find_key(name), _values_of_entry(entry)
        if key is None or values is None:
            unknown.append(name)
        else:
            grid[key] = values
    return grid, unknown


def describe_axes_outside_grid(sweep: Mapping[str, Any]) -> str:
    """Return the message for axes in a sweep outside its grid; empty if there are none."""
    axes = {name: each for name, each in sweep.items() if name not in SweepSettings.model_fields}
    grid, unknown = grid_from_foreign(axes)
    if not grid or unknown:
        return ""
    own = sweep.get("grid")
    text = short_yaml({"grid": {**(own if isinstance(own, dict) else {}), **grid}})
    return f"sweep.{next(iter(axes))} is an axis outside the grid; write sweep: {text}."


def find_key(name: str) -> str | None:
    """Find the dotted key that a name means, here or in another program."""
    if name in KEYS:
        return name
    if name in OTHER_KEYS:
        return OTHER_KEYS[name]
    last = name.rpartition(".")[2]
    own = next((key for key in KEYS if key.partition(".")[2] == last), None)
    return own or OTHER_KEYS.get(last)


def find_foreign_search(data: Mapping[str, Any]) -> tuple[str, set[str], str] | None:
    """Find a search in another program's words: its key, the keys next to it, and a message."""
    found = next((key for key in SEARCHES if isinstance(data.get(key), dict)), None)
    entries = data.get(found) if found else None
    hydra = data.get("hydra")
    if entries is None and isinstance(hydra, dict):
        sweeper = hydra.get("sweeper")
        found, entries = "hydra", sweeper.get("params") if isinstance(sweeper, dict) else None
    if found is None or not isinstance(entries, dict):
        return None
    grid, unknown = grid_from_foreign(entries)
    if not grid:
        return None
    beside = {key for key in data if key in _BESIDE and key != found}
    message = f"{found} is not a setting. What to vary is written as a grid: "
    message += f"sweep: {short_yaml({'grid': grid})}"
    if beside or unknown:
        message += f". Leave out {', '.join([*sorted(beside), *unknown])}"
    return found, beside, f"{message}."


def _values_of_entry(entry: Any) -> list[Any] | str | None:
    """Return the values that an entry of a search means: those of a list, or a range's ends."""
    if isinstance(entry, dict):
        for name in ("values", "choices", "grid_search"):
            if isinstance(entry.get(name), list):
                return list(entry[name])
        if "value" in entry:
            return [entry["value"]]
        low, high = (entry.get(a, entry.get(b)) for a, b in (("min", "low"), ("max", "high")))
        if low is None or high is None:
            return None
        step = entry.get("step", entry.get("q"))
        return [low, high] if step is None else f"{low}:{high}:{step}"
    if isinstance(entry, str):
        if entry.count(":") == 2:
            return entry
        inner = re.fullmatch(r"(?:choice\()?([^()]*)\)?", entry)
        try:
            values = parse_value(f"[{inner[1]}]", "") if inner else None
        except ConfigError:
            return None
        return values if isinstance(values, list) else None
    return entry if isinstance(entry, list) else [entry]
