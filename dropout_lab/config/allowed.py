"""What a key allows, said in words: made from the schema, so that a range is written once."""

import difflib
import json
from collections.abc import Iterable
from typing import Any

from dropout_lab.config.schema import KEYS, SECTION_CLASSES, Config
from dropout_lab.config.section import LARGEST_COUNT
from dropout_lab.config.words import OTHER_VALUES, OTHER_WORDS

_SHOWN = 60  # characters of a wrong value that a message repeats


def allowed(key: str) -> str:
    """Return in words what the dotted ``key`` allows."""
    section, _, name = key.rpartition(".")
    kind = SECTION_CLASSES[section] if section else Config
    schema = kind.model_json_schema()
    return _in_words(schema["properties"][name], schema.get("$defs", {}))


def wrong_value(key: str, value: object) -> str:
    """Return the message for a value that ``key`` does not allow."""
    words = allowed(key)
    near = ""
    if isinstance(value, str):
        known = words.removeprefix("one of ").replace(" or ", ", ").split(", ")
        others = {theirs: ours for theirs, ours in OTHER_VALUES.items() if ours in known}
        near = nearest(value, [*(word for word in known if word != value), *others])
        for theirs, ours in others.items():
            near = near.replace(repr(theirs), repr(ours))
    own = " A variant of your own: --plugin FILE." if key == "dropout.variant" else ""
    return f"{key} is {shown(value)};{near} allowed: {words}.{own}"


def unknown_key(dotted: str, known: Iterable[str]) -> str:
    """Return the message for a key that is no setting, with the nearest word that is one."""
    section, _, name = dotted.rpartition(".")
    if name in OTHER_WORDS:
        return f"{dotted} is not a setting; {OTHER_WORDS[name]}."
    known = list(known)
    near = nearest(name, known)
    elsewhere = [key for key in KEYS if key.split(".")[1] == name]
    if not near and elsewhere:
        near = f" did you mean {' or '.join(elsewhere)}?"
    here = f" in {section}" if section else ""
    return f"{dotted} is not a setting;{near} known{here}: {', '.join(known)}."


def unknown_dotted(dotted: str, *, extra: Iterable[str] = ()) -> str:
    """Return the message for a dotted key (of a grid, of --set) that is no setting."""
    section, _, name = dotted.rpartition(".")
    if section in SECTION_CLASSES:
        return unknown_key(dotted, SECTION_CLASSES[section].model_fields)
    if name in OTHER_WORDS:
        return f"{dotted} is not a setting; {OTHER_WORDS[name]}."
    known = [*KEYS, *extra]
    same_name = [key for key in KEYS if key.split(".")[1] == name]
    near = f" did you mean {same_name[0]}?" if same_name else nearest(dotted, known)
    return f"{dotted} is not a setting;{near} `dropout-lab config schema` lists them all."


def shown(value: object) -> str:
    """Return a wrong value as the user wrote it, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `` did you mean ...?`` with the nearest known word, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" did you mean {near[0]!r}?" if near else ""


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
