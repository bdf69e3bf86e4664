"""Suggest what to write instead of a value in the wrong form, as text to copy."""

import re
from shlex import quote
from typing import Any

import yaml
from pydantic import ValidationError

from dropout_lab.config.document import parse_value
from dropout_lab.config.schema import SECTION_CLASSES, validate_value
from dropout_lab.config.synonyms import OTHER_VALUES
from dropout_lab.config.types import LARGEST_SEED
from dropout_lab.errors import ConfigError

_LONGEST = 300  # characters of a text to copy; a longer one helps nobody
_LISTED = 20  # seeds
# Of each section: the keys that a value in the place of the section is most likely for.
_LIKELY_KEYS: dict[str, tuple[str, ...]] = {
    "dataset": ("name", "train_size"),
    "model": ("hidden", "activation"),
    "dropout": ("p", "variant", "placement"),
    "training": ("epochs", "optimizer", "learning_rate"),
    "regularization": ("l2",),
    "evaluation": ("every", "inference"),
}
# The key that a word in the place of a section is most likely for.
LIKELY_KEY_OF_WORD = {
    "dataset": "dataset.name",
    "model": "model.activation",
    "dropout": "dropout.variant",
    "training": "training.optimizer",
}
_RANGE = re.compile(r"\s*([0-9]{1,9})\s*(:|-|\.\.\.?|to)\s*([0-9]{1,9})\s*")


class _OneLineDumper(yaml.SafeDumper):
    """Write a text with line breaks on one line."""


_OneLineDumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if "\n" in text else None
    ),
)


def to_yaml(value: object, *, unicode: bool = True, brackets: bool = True) -> str:
    """Return a value as YAML.

    ``unicode`` keeps characters outside ASCII. ``brackets`` writes everything on one line.
    """
    text = yaml.dump_all(  # to a text; the rule about dump is about files
        [value],
        Dumper=_OneLineDumper,
        default_flow_style=brackets,
        sort_keys=False,
        width=float("inf"),
        allow_unicode=unicode,
    )
    return str(text.strip().removesuffix("...").strip())


def short_yaml(value: object) -> str:
    """Return a value as YAML on one line, truncated if it is too long to copy."""
    text = to_yaml(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def is_allowed(key: str, value: object) -> bool:
    """Return whether a dotted key allows a value."""
    try:
        validate_value(key, value)
    except ValidationError:
        return False
    return True


def format_setting(key: str, value: object, place: str) -> str:
    """Return how to set a dotted key: as an option if ``place`` is an option, else as YAML."""
    section, _, name = key.partition(".")
    if place.startswith("--"):
        return f"--set {quote(f'{key}={format_option_value(value)}')}"
    return f"{section}: {short_yaml({name: value})}"


def format_option_value(value: object) -> str:
    """Return a value in the form of an option: YAML without spaces after commas."""
    return short_yaml(value).replace(", ", ",")


def format_axis(key: str, values: list[Any], place: str) -> str:
    """Return how to sweep a dotted key over some values."""
    if place.startswith("--"):
        texts = format_option_value(values)[1:].removesuffix("]")
        if key == "dropout.p":
            return f"--p {quote(texts)}"
        return f"--set {quote(f'{key}={texts}')}"
    return f"sweep: {short_yaml({'grid': {key: values}})}"


def suggest_for_section(section: str, value: object, place: str) -> str:
    """Suggest what to write for a value in the place of a section; empty if unknown."""
    for name in _LIKELY_KEYS[section]:
        if written := suggest_setting(f"{section}.{name}", value, place):
            return f" {written}"
    return ""


def suggest_setting(key: str, value: object, place: str) -> str:
    """Suggest how to set a key to the likely meaning of a value; empty if none is allowed."""
    for meant in _possible_meanings(value):
        if is_allowed(key, meant):
            return f"write {format_setting(key, meant, place)}"
    return ""


def format_example(section: str, place: str) -> str:
    """Return how to set one key of a section, as an example."""
    name = _LIKELY_KEYS[section][0]
    default = SECTION_CLASSES[section].model_fields[name].get_default(call_default_factory=True)
    value = list(default) if isinstance(default, tuple) else default
    return format_setting(f"{section}.{name}", value, place)


def suggest_for_value(key: str, value: object, place: str) -> str:
    """Suggest what to write for a value that a key does not allow; empty if unknown."""
    if isinstance(value, list) and len(value) > 1 and _are_all_allowed(key, value):
        sweep = "to vary it, with dropout-lab sweep" if place.startswith("--") else "to vary it"
        return f" {sweep}: {format_axis(key, value, place)};"
    if place.startswith("--p "):
        if isinstance(value, str):
            return " write --p 0.5; in a sweep also --p 0,0.25,0.5 or --p 0:0.9:0.1;"
        if isinstance(value, int):
            return " write decimals with a point: 0.5;"
    for meant in _parse_numbers(value):
        if is_allowed(key, meant):
            return f" write {_format_in_section(key, meant, place)};"
    return ""


def _format_in_section(key: str, value: object, place: str) -> str:
    """Return a key with its value as it is written inside its section, or as the same option."""
    option, _, rest = place.partition(" ")
    if option in ("--set", "--lr", "--epochs") and rest:
        text = format_option_value(value)
        return f"{option} {quote(f'{key}={text}' if option == '--set' else text)}"
    return short_yaml({key.partition(".")[2]: value}).strip("{}")


def suggest_seeds(value: object, place: str) -> str:
    """Suggest what to write for seeds in another form; empty if unknown."""
    option = place.startswith("--")

    def written(seeds: object) -> str:
        text = short_yaml(seeds)
        if not option:
            return f"seeds: {text}"
        # One seed of a list keeps a comma: without it, the number is a count.
        comma = "," if isinstance(seeds, list) and len(seeds) == 1 else ""
        return f"--seeds {text.strip('[]').replace(' ', '')}{comma}"

    values = value if isinstance(value, list) else [value]
    found = [_parse_seeds(each) for each in values]
    seeds = [seed for part in found for seed in part or ()]
    sound = all(0 <= seed < LARGEST_SEED for seed in seeds) and len(set(seeds)) == len(seeds)
    if not all(found) or not seeds or not sound:
        return f" write {written(5)} for the seeds 0 to 4, or {written([0, 1, 2])};"
    count = f"{written(len(seeds))}" if seeds == list(range(len(seeds))) else ""
    listed = written(seeds) if len(seeds) <= _LISTED else ""
    words = " or ".join(filter(None, [count, listed]))
    which = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    return f" for the {which} write {words};" if words else ""


def _parse_seeds(value: object) -> list[int] | None:
    """Return the seeds that a text such as 0:5, 0-4, 0..4 or "0 1 2" means."""
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


def suggest_for_sweep(value: object) -> str:
    """Suggest what to write for a sweep that is not a mapping."""
    values = value if _are_all_allowed("dropout.p", value) else [0, 0.25, 0.5]
    cells = isinstance(value, list) and value and all(isinstance(each, dict) for each in value)
    return f"sweep: {short_yaml({'cells': value} if cells else {'grid': {'dropout.p': values}})}"


def _are_all_allowed(key: str, value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(is_allowed(key, each) for each in value)


def _possible_meanings(value: object) -> list[Any]:
    """Return what a value may mean: itself, a list of it, a known word, or a number."""
    meant = [value, [value]]
    if isinstance(value, str):
        word = value.casefold()
        meant.append(OTHER_VALUES.get(word, word))
    return [*meant, *_parse_numbers(value)]


def _parse_numbers(value: object) -> list[Any]:
    """Return the number, or the list of numbers, that a value almost is."""
    if isinstance(value, float) and value.is_integer():
        return [int(value), [int(value)]]
    if not isinstance(value, str):
        return [[value]]
    try:
        inner = parse_value(f"[{value.strip('[]() ')}]", "")
    except ConfigError:
        return []
    numbers = inner if isinstance(inner, list) else []
    if not numbers or not all(type(each) in (int, float) for each in numbers):
        return []
    return [numbers[0], numbers] if len(numbers) == 1 else [numbers]
