"""Write the message about a wrong value or an unknown key, with what to write instead."""

from collections.abc import Iterable

from dropout_lab.catalogue import CATALOGUE, variant_of_other_name
from dropout_lab.config.allowed_values import describe_allowed, list_choices
from dropout_lab.config.foreign_keys import find_key, suggest_for_key
from dropout_lab.config.hints import (
    LIKELY_KEY_OF_WORD,
    format_example,
    suggest_for_section,
    suggest_for_value,
    suggest_seeds,
)
from dropout_lab.config.schema import KEYS, SECTION_CLASSES
from dropout_lab.config.synonyms import OTHER_VALUES, find_nearest_word, find_similar_words
from dropout_lab.config.types import LARGEST_COUNT
from dropout_lab.printable import shown

_LISTED = 16  # keys that a message lists
_EVERY_KEY = "To see every key and what it means: dropout-lab config show --comments"


def wrong_value(key: str, value: object, place: str = "") -> str:
    """Return the message for a value that a key does not allow."""
    if key == "dropout.variant" and isinstance(value, str):
        return f"{key} is {shown(value)}{suggest_variants(value)}"
    near = suggest_seeds(value, place) if key == "seeds" else ""
    if key in KEYS:
        near = suggest_for_value(key, value, place)
    if isinstance(value, str) and not near:
        near = _suggest_choice(value, [word for word in list_choices(key) if word != value])
    allowed = describe_allowed(key, large=_is_large(value))
    return f"{key} is {shown(value)};{near} allowed: {allowed}."


def suggest_variants(name: str, others: Iterable[str] = ()) -> str:
    """Return the end of a message on an unknown variant: similar names, and how to list all.

    ``others`` are names of other things that are allowed in its place.
    """
    known = [*(word for word in CATALOGUE if word != name), *others]
    similar = find_similar_words(name, [*known, *OTHER_VALUES])
    near = [OTHER_VALUES.get(word, word) for word in similar] + find_similar_words(name, known)
    if other := variant_of_other_name(name):
        near = [other]
    near = [word for word in dict.fromkeys(near) if word in known]
    return (
        f"{';' if near else '.'}{_did_you_mean(near)} A variant of your own needs --plugin FILE. "
        "To list the variants: dropout-lab variants"
    )


def wrong_section(section: str, value: object, place: str) -> str:
    """Return the message for a value in the place of a section."""
    hint = suggest_for_section(section, value, place)
    if not hint:
        word = LIKELY_KEY_OF_WORD.get(section) if isinstance(value, str) else None
        words = f"; {word} is {describe_allowed(word)}" if word else ""
        hint = f" write its keys, e.g. {format_example(section, place)}{words}"
    return f"{section} is {shown(value)};{hint}."


def unknown_key(dotted: str, known: Iterable[str], value: object = None, place: str = "") -> str:
    """Return the message for an unknown key.

    ``known`` are the keys in its place; ``value`` and ``place`` say what it was given, and where.
    """
    section, _, name = dotted.rpartition(".")
    known = list(known)
    word = find_nearest_word(name, known)
    if other := suggest_for_key(dotted, value, place):
        return f"{dotted} is not a setting; {other}."
    if word is not None:
        return f"{dotted} is not a setting; did you mean {word!r}?"
    if key := find_key(dotted) or _find_similar_key(name):
        return f"{dotted} is not a setting; did you mean {key}? Allowed: {describe_allowed(key)}."
    if len(known) > _LISTED:
        return f"{dotted} is not a setting. {_EVERY_KEY}"
    place = f" in {section}" if section else ""
    return f"{dotted} is not a setting; known{place}: {', '.join(known)}."


def unknown_dotted(
    dotted: str, *, extra: Iterable[str] = (), value: object = None, place: str = ""
) -> str:
    """Return the message for an unknown dotted key, such as in a grid or in --set."""
    section = dotted.rpartition(".")[0]
    if section in SECTION_CLASSES:
        return unknown_key(dotted, SECTION_CLASSES[section].model_fields, value, place)
    if dotted in SECTION_CLASSES and value is not None:
        return wrong_section(dotted, value, place)
    if other := suggest_for_key(dotted, value, place):
        return f"{dotted} is not a setting; {other}."
    key = find_key(dotted)
    near = f" did you mean {key}?" if key else suggest_nearest(dotted, [*KEYS, *extra])
    if not near and (key := _find_similar_key(dotted)):
        near = f" did you mean {key}?"
    return f"{dotted} is not a setting{f';{near}' if near else '.'} {_EVERY_KEY}"


def _find_similar_key(name: str) -> str | None:
    """Find the dotted key whose last part is similar to a misspelled name."""
    return find_key(find_nearest_word(name, [key.partition(".")[2] for key in KEYS]) or "")


def suggest_nearest(word: str, known: Iterable[str]) -> str:
    """Return `` did you mean ...?`` with the nearest known word; empty if none is near."""
    near = find_nearest_word(word, known)
    return _did_you_mean([near] if near else [])


def _suggest_choice(value: str, known: list[str]) -> str:
    """Suggest the nearest word that is allowed, also for words of other programs."""
    others = {theirs: ours for theirs, ours in OTHER_VALUES.items() if ours in known}
    near = find_nearest_word(value, [*known, *others])
    return _did_you_mean([others.get(near, near)] if near else [])


def _did_you_mean(words: list[str]) -> str:
    *first, last = map(repr, words) if words else [""]
    return f" did you mean {', '.join(first)}{' or ' if first else ''}{last}?" if last else ""


def _is_large(value: object) -> bool:
    """Return whether a value, or a value in a list, exceeds the largest whole number."""
    if isinstance(value, list):
        return any(map(_is_large, value))
    return isinstance(value, int | float) and value >= LARGEST_COUNT
