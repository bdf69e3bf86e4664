"""What a key allows, said in words: made from the schema, so that a range is written once."""

import json
from collections.abc import Iterable
from typing import Any

from dropout_lab.config.hints import (
    MEANT_BY_A_WORD,
    example,
    fits,
    instead_of_section,
    key_of,
    of_seeds,
    of_value,
    option,
    setting,
)
from dropout_lab.config.schema import KEYS, SECTION_CLASSES, Config
from dropout_lab.config.synonyms import OPTIONS, OTHER_KEYS, OTHER_VALUES, OTHER_WORDS, nearest_word
from dropout_lab.config.types import LARGEST_COUNT

_SHOWN = 60  # characters of a wrong value that a message repeats


def allowed(key: str) -> str:
    """Return in words what the dotted ``key`` allows."""
    section, _, name = key.rpartition(".")
    kind = SECTION_CLASSES[section] if section else Config
    schema = kind.model_json_schema()
    return _in_words(schema["properties"][name], schema.get("$defs", {}))


def wrong_value(key: str, value: object, place: str = "") -> str:
    """Return the message for a value that ``key`` does not allow, given at ``place``."""
    words = allowed(key)
    near = of_seeds(value, place) if key == "seeds" else ""
    if key in KEYS:
        near = of_value(key, value, place)
    if isinstance(value, str) and not near:
        known = words.removeprefix("one of ").replace(" or ", ", ").split(", ")
        others = {theirs: ours for theirs, ours in OTHER_VALUES.items() if ours in known}
        near = nearest(value, [*(word for word in known if word != value), *others])
        for theirs, ours in others.items():
            near = near.replace(repr(theirs), repr(ours))
    own = " A variant of your own: --plugin FILE." if key == "dropout.variant" else ""
    return f"{key} is {shown(value)};{near} allowed: {words}.{own}"


def wrong_section(section: str, value: object, place: str) -> str:
    """Return the message for a value in the place of a section, with what to write instead."""
    hint = instead_of_section(section, value, place)
    if not hint:
        word = MEANT_BY_A_WORD.get(section) if isinstance(value, str) else None
        words = f"; {word} is {allowed(word)}" if word else ""
        hint = f" write its keys, e.g. {example(section, place)}{words}"
    return f"{section} is {shown(value)};{hint}."


def unknown_key(dotted: str, known: Iterable[str], value: object = None, place: str = "") -> str:
    """Return the message for a key that is no setting, with what to write instead.

    Args:
        dotted: The key.
        known: The keys that are known in its place.
        value: What it was given.
        place: Where.
    """
    section, _, name = dotted.rpartition(".")
    if other := _other_word(name, section, value, place):
        return f"{dotted} is not a setting; {other}."
    known = list(known)
    word = nearest_word(name, known)
    key = None if word else key_of(name)
    if key is not None and fits(key, value):
        return f"{dotted} is not a setting; write {setting(key, value, place)}."
    near = f" did you mean {word or key}?" if word is None and key else nearest(name, known)
    here = f" in {section}" if section else ""
    return f"{dotted} is not a setting;{near} known{here}: {', '.join(known)}."


def unknown_dotted(
    dotted: str, *, extra: Iterable[str] = (), value: object = None, place: str = ""
) -> str:
    """Return the message for a dotted key (of a grid, of --set) that is no setting."""
    section, _, name = dotted.rpartition(".")
    if section in SECTION_CLASSES:
        return unknown_key(dotted, SECTION_CLASSES[section].model_fields, value, place)
    if dotted in SECTION_CLASSES and value is not None:
        return wrong_section(dotted, value, place)
    if other := _other_word(name, section, value, place):
        return f"{dotted} is not a setting; {other}."
    key = key_of(name)
    if key is not None and not section and fits(key, value):
        return f"{dotted} is not a setting; write {setting(key, value, place)}."
    near = f" did you mean {key}?" if key else nearest(dotted, [*KEYS, *extra])
    return f"{dotted} is not a setting;{near} `dropout-lab config schema` lists them all."


def _other_word(name: str, section: str, value: object, place: str) -> str:
    """Return what to write for a key in another program's words; nothing for any other."""
    key = OTHER_KEYS.get(name)
    if key is not None and not section and fits(key, value):
        return f"write {setting(key, value, place)}"
    if name == "seed" and type(value) is int and not place.startswith("--"):
        return f"write seeds: [{value}]"
    if name in OPTIONS:
        return f"give it on the command line: {option(name, value)}"
    return OTHER_WORDS.get(name, "")


def shown(value: object) -> str:
    """Return a wrong value as the user wrote it, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `` did you mean ...?`` with the nearest known word, or nothing."""
    near = nearest_word(word, known)
    return f" did you mean {near!r}?" if near else ""


def _in_words(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _in_words(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(_in_words(part, definitions) for part in schema["anyOf"])
    match schema.get("type"):
        case "number" | "integer" as kind:
            return ("a number" if kind == "number" else "a whole number") + _range(schema)
        case "array":
            length = schema.get("minItems")
            of = f" of {length}" if length is not None and length == schema.get("maxItems") else ""
            each = _in_words(schema["items"], definitions)
            return f"a list{of}, each {f'({each})' if 'anyOf' in schema['items'] else each}"
        case "boolean":
            return "true or false"
        case "string" if "pattern" in schema:
            return "up to 100 letters, digits, '.', '_' and '-', not starting or ending with '.'"
        case "string":
            return f"a text of at most {schema.get('maxLength', 'any')} characters"
        case "object":
            return "a mapping"
        case _:
            return "null"


def _range(schema: dict[str, Any]) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if high is None:
        return (
            "" if low is None else f" {'of at least' if 'minimum' in schema else 'above'} {low:g}"
        )
    opening = "[" if "minimum" in schema else "("
    closing = "]" if "maximum" in schema else ")"
    upper = f"2**{int(high).bit_length() - 1}" if high >= LARGEST_COUNT else f"{high:g}"
    return f" in {opening}{low:g}, {upper}{closing}"
