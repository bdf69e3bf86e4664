"""What to write instead of a value in the wrong shape, as a text that can be copied."""

import re
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from dropout_lab.config.document import parse_value
from dropout_lab.config.schema import KEYS, SECTION_CLASSES
from dropout_lab.config.sweep import SweepSettings
from dropout_lab.config.synonyms import OPTIONS, OTHER_KEYS, OTHER_VALUES
from dropout_lab.errors import ConfigError

_LONGEST = 300  # characters of a text to copy; a longer one helps nobody
_LISTED = 20  # seeds
# Of each section: the keys that a value in the place of the section is most likely for.
_MEANT: dict[str, tuple[str, ...]] = {
    "dataset": ("name", "train_size"),
    "model": ("hidden", "activation"),
    "dropout": ("p", "variant", "placement"),
    "training": ("epochs", "optimizer", "learning_rate"),
    "regularization": ("l2",),
    "evaluation": ("every", "inference"),
}
# The key that a word in the place of a section is most likely for.
MEANT_BY_A_WORD = {
    "dataset": "dataset.name",
    "model": "model.activation",
    "dropout": "dropout.variant",
    "training": "training.optimizer",
}
_RANGE = re.compile(r"\s*([0-9]{1,9})\s*(:|-|\.\.\.?|to)\s*([0-9]{1,9})\s*")
# The part of another program's config that says what to vary, and what stands beside it there.
_SEARCHES = ("parameters", "params", "search_space", "hyperparameters", "param_grid", "grid")
_BESIDE = frozenset({
    "method", "metric", "program", "project", "entity", "command", "run_cap", "early_terminate",
    "controller", "description", "study_name", "direction", "directions", "n_trials", "sampler",
    "pruner", "storage", "defaults", "hydra", "objective", "strategy", "count",
})  # fmt: skip


def flow(value: object) -> str:
    """Return a value as YAML on one line, its end left out where it is too long to copy."""
    text = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=float("inf"), allow_unicode=True
    )
    text = text.strip().removesuffix("...").strip()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def fits(key: str, value: object) -> bool:
    """Whether a dotted key allows a value."""
    section, _, name = key.partition(".")
    try:
        SECTION_CLASSES[section].model_validate({name: value})
    except ValidationError:
        return False
    return True


def setting(key: str, value: object, place: str) -> str:
    """Return how a dotted key is set: as an option where ``place`` is one, else as YAML."""
    section, _, name = key.partition(".")
    if place.startswith("--"):
        return f"--set {key}={flow(value).replace(', ', ',')}"
    return f"{section}: {flow({name: value})}"


def axis(key: str, values: list[Any], place: str) -> str:
    """Return how values of a dotted key become an axis."""
    if place.startswith("--"):
        texts = flow(values).replace(", ", ",")[1:].removesuffix("]")
        return f"--p {texts}" if key == "dropout.p" else f"--set {key}={texts}"
    return f"sweep: {flow({'grid': {key: values}})}"


def instead_of_section(section: str, value: object, place: str) -> str:
    """Return what to write where a value stands in the place of a section; nothing if unknown."""
    for name in _MEANT[section]:
        key = f"{section}.{name}"
        for meant in _meant(key, value):
            if fits(key, meant):
                return f" write {setting(key, meant, place)}"
    return ""


def example(section: str, place: str) -> str:
    """Return how one key of a section is set."""
    name = _MEANT[section][0]
    default = SECTION_CLASSES[section].model_fields[name].get_default(call_default_factory=True)
    value = list(default) if isinstance(default, tuple) else default
    return setting(f"{section}.{name}", value, place)


def of_value(key: str, value: object, place: str) -> str:
    """Return what to write for a value that a key does not allow; nothing if that is unknown."""
    if isinstance(value, list) and len(value) > 1 and _all_fit(key, value):
        sweep = "to vary it, with dropout-lab sweep" if place.startswith("--") else "to vary it"
        return f" {sweep}: {axis(key, value, place)};"
    if fits(key, [value]):
        return f" write {flow([value])};"
    if place.startswith("--p "):
        if isinstance(value, str):
            return " write --p 0,0.25,0.5 or --p 0:0.9:0.1;"
        if isinstance(value, int):
            return " write decimals with a point: 0.5;"
    return ""


def option(name: str, value: object) -> str:
    """Return the option that stands for a key of another program's config, with its value."""
    words = OPTIONS[name]
    first, _, last = words.partition(" ")
    plain = isinstance(value, str | int) and re.fullmatch(r"[\w./:~-]+", str(value))
    return f"{first} {value}" if last.isupper() and plain and value is not True else words


def of_seeds(value: object, place: str) -> str:
    """Return what to write for seeds in another form; nothing if that is unknown."""
    option = place.startswith("--")

    def written(seeds: object) -> str:
        text = flow(seeds)
        if not option:
            return f"seeds: {text}"
        # One seed of a list keeps a comma: without it, the number is a count.
        comma = "," if isinstance(seeds, list) and len(seeds) == 1 else ""
        return f"--seeds {text.strip('[]').replace(' ', '')}{comma}"

    values = value if isinstance(value, list) else [value]
    found = [_seeds(each) for each in values]
    seeds = [seed for part in found for seed in part or ()]
    sound = all(0 <= seed < 2**63 for seed in seeds) and len(set(seeds)) == len(seeds)
    if not all(found) or not seeds or not sound:
        return f" write {written(5)} for the seeds 0 to 4, or {written([0, 1, 2])};"
    count = f"{written(len(seeds))}" if seeds == list(range(len(seeds))) else ""
    listed = written(seeds) if len(seeds) <= _LISTED else ""
    words = " or ".join(filter(None, [count, listed]))
    which = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    return f" for the {which} write {words};" if words else ""


def _seeds(value: object) -> list[int] | None:
    """Return the seeds that a text in another form means: 0:5, 0-4, 0..4, or some with spaces."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    if isinstance(value, list):
        return value if all(type(each) is int for each in value) else None
    if not isinstance(value, str):
        return None
    if found := _RANGE.fullmatch(value):
        first, end = int(found[1]), int(found[3]) + (found[2] != ":")  # as Python's range
        return list(range(first, end)) if 0 < end - first <= 100_000 else None
    parts = value.replace(";", " ").split()
    return [int(part) for part in parts] if parts and all(map(str.isdecimal, parts)) else None


def grid_of(entries: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the grid that is meant by what another program, or a guess, writes for one.

    Args:
        entries: Names of keys, whatever their form, with what they are to take.

    Returns:
        Dotted keys with their values, and the names that mean nothing here.
    """
    grid: dict[str, Any] = {}
    unknown = []
    for name, entry in entries.items():
        if name in SECTION_CLASSES and isinstance(entry, dict) and not _is_search(entry):
            inner, others = grid_of({f"{name}.{key}": each for key, each in entry.items()})
            grid |= inner
            unknown += others
            continue
        key, values = key_of(name), _values(entry)
        if key is None or values is None:
            unknown.append(name)
        else:
            grid[key] = values
    return grid, unknown


def instead_of_sweep(value: object) -> str:
    """Return what to write for a sweep that is no mapping."""
    grid = {"grid": {"dropout.p": value if _all_fit("dropout.p", value) else [0, 0.25, 0.5]}}
    cells = isinstance(value, list) and value and all(isinstance(each, dict) for each in value)
    return f"sweep: {flow({'cells': value} if cells else grid)}"


def outside_the_grid(sweep: Mapping[str, Any]) -> str:
    """Return the message for axes that stand in a sweep beside its grid; nothing without any."""
    axes = {name: each for name, each in sweep.items() if name not in SweepSettings.model_fields}
    grid, unknown = grid_of(axes)
    if not grid or unknown:
        return ""
    own = sweep.get("grid")
    text = flow({"grid": {**(own if isinstance(own, dict) else {}), **grid}})
    return f"sweep.{next(iter(axes))} is an axis outside the grid; write sweep: {text}."


def _all_fit(key: str, value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(fits(key, each) for each in value)


def key_of(name: str) -> str | None:
    """Return the dotted key that a name is for, in the words of other programs too."""
    if name in KEYS:
        return name
    last = name.rpartition(".")[2]
    if last in OTHER_KEYS:
        return OTHER_KEYS[last]
    return next((key for key in KEYS if key.partition(".")[2] == last), None)


def foreign_search(data: Mapping[str, Any]) -> tuple[str, set[str], str] | None:
    """Return a search in another program's words: its key, the keys beside it, what to write."""
    found = next((key for key in _SEARCHES if isinstance(data.get(key), dict)), None)
    entries = data.get(found) if found else None
    hydra = data.get("hydra")
    if entries is None and isinstance(hydra, dict):
        sweeper = hydra.get("sweeper")
        found, entries = "hydra", sweeper.get("params") if isinstance(sweeper, dict) else None
    if found is None or not isinstance(entries, dict):
        return None
    grid, unknown = grid_of(entries)
    if not grid:
        return None
    beside = {key for key in data if key in _BESIDE and key != found}
    message = f"{found} is not a setting. What to vary is written as a grid: "
    message += f"sweep: {flow({'grid': grid})}"
    if beside or unknown:
        message += f". Leave out {', '.join([*sorted(beside), *unknown])}"
    return found, beside, f"{message}."


def _is_search(entry: Mapping[str, Any]) -> bool:
    return bool(entry.keys() & {"values", "value", "min", "max", "low", "high", "choices"})


def _values(entry: Any) -> list[Any] | str | None:
    """Return the values that an entry of a search means: all of a list, the ends of a range."""
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


def _meant(key: str, value: object) -> list[Any]:
    """Return what a value may be meant to be, as it is, as a list of it, or as a known word."""
    meant = [value, [value]]
    if isinstance(value, str):
        word = value.casefold()
        meant.append(OTHER_VALUES.get(word, word))
    return meant
