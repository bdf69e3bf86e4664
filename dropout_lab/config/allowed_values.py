"""Describe in words which values a key allows. The words are made from the schema."""

from typing import Any

from dropout_lab.config.schema import SECTION_CLASSES, STUDY_SECTIONS, Config
from dropout_lab.config.types import LARGEST_COUNT

_THEM = "a list of them"


def describe_allowed(key: str, *, large: bool = False) -> str:
    """Describe which values a dotted key allows.

    With ``large``, bounds that most values never reach, such as 2**31, are named too.
    """
    return _describe(_schema_of(key), large=large)


def list_choices(key: str) -> list[str]:
    """List the words that a dotted key allows. The list is empty for other kinds of value."""
    return _find_choices(_schema_of(key))


def _schema_of(key: str) -> dict[str, Any]:
    section, _, name = key.rpartition(".")
    sections = {**SECTION_CLASSES, **STUDY_SECTIONS}
    schema = (sections[section] if section else Config).model_json_schema()
    properties: dict[str, dict[str, Any]] = schema["properties"]
    return properties[name]


def _find_choices(schema: dict[str, Any]) -> list[str]:
    parts = [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else [])]
    found = [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]
    found += [word for part in parts for word in _find_choices(part)]
    return list(dict.fromkeys(word for word in found if isinstance(word, str)))


def _describe(schema: dict[str, Any], *, large: bool, plural: bool = False) -> str:
    def words(part: dict[str, Any], plural: bool = plural) -> str:
        return _describe(part, large=large, plural=plural)

    if "$ref" in schema:  # to another section
        return "a mapping"
    if "enum" in schema:
        return ("" if plural else "one of ") + ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return f"the word {schema['const']}"
    if "anyOf" in schema:
        return _describe_alternatives(schema["anyOf"], words, plural=plural)
    match schema.get("type"):
        case "number" | "integer" as kind:
            return _describe_number(schema, whole=kind == "integer", large=large, plural=plural)
        case "array":
            length = schema.get("minItems")
            count = f"{length} " if length is not None and length == schema.get("maxItems") else ""
            return f"a list of {count}{words(schema['items'], plural=True)}"
        case "boolean":
            return "true or false"
        case "string" if "pattern" in schema:
            return "up to 100 letters, digits, '.', '_' and '-', not starting or ending with '.'"
        case "string":
            return f"a text of at most {schema.get('maxLength', 'any')} characters"
        case "object":
            return "a mapping"
        case _:
            return "nulls" if plural else "null"


def _describe_alternatives(parts: list[dict[str, Any]], words: Any, *, plural: bool) -> str:
    """Describe alternatives: ``a number from 0 to 1, or a list of them``."""
    texts = []
    for part in parts:
        items = part.get("items")
        texts.append(_THEM if items is not None and items in parts else words(part))
    if plural:
        return " and ".join(texts)
    of_words = any("enum" in part or "$ref" in part for part in parts)
    listed = any("items" in part for part in parts)
    return (", or " if listed and not of_words else " or ").join(texts)


def _describe_number(schema: dict[str, Any], *, whole: bool, large: bool, plural: bool) -> str:
    """Describe a range: ``a positive whole number``, ``numbers from 0 to 1``."""
    kind = "whole number" if whole else "number"
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if below is not None and below >= LARGEST_COUNT and not large:
        below = None
    if whole and low == 1 and high is None and below is None:
        return f"positive {kind}s" if plural else f"a positive {kind}"
    name = f"{kind}s" if plural else f"a {kind}"
    if low is not None and high is not None:
        return f"{name} from {low:,} to {high:,}"
    if low is None and above is None:
        return name
    lower = f"of at least {low:g}" if low is not None else f"above {above:g}"
    if high is not None:
        return f"{name} {lower} and at most {high:g}"
    if below is None:
        return f"{name} {lower}"
    upper = f"2**{int(below).bit_length() - 1}" if below >= LARGEST_COUNT else f"{below:g}"
    return f"{name} {lower} and below {upper}"
