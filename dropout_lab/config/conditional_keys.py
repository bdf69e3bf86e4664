"""Keys that are read only with some variants, schedules or losses, or a strength above 0."""

from collections.abc import Iterator
from typing import Any

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.schema import SECTION_CLASSES, SECTIONS, Settings, get_value
from dropout_lab.config.types import ABOVE_0, ConditionalKeys

# A dotted key, the value with which it makes other keys be read (or ABOVE_0), and the other keys,
# dotted, with their defaults.
_Reader = tuple[str, str, dict[str, Any]]


def describe_readers() -> dict[str, list[str]]:
    """Return what reads each conditional key, in words: ``variant fast``, ``l1 above 0``."""
    variants = {name: kind.options for name, kind in CATALOGUE.items()}  # with those of plugins
    found: dict[str, list[str]] = {}
    for decider, value, keys in (*_list_readers("dropout", {"variant": variants}), *_READERS):
        for key in keys:
            found.setdefault(key, []).append(f"{decider.partition('.')[2]} {value}")
    return found


def keys_read(settings: Settings) -> dict[str, Any]:
    """Return the conditional keys that some settings read, with their defaults."""
    options = CATALOGUE[settings.dropout.variant].options
    read = {f"dropout.{key}": default for key, default in options.items()}
    for decider, value, keys in _READERS:
        given = get_value(settings, decider)
        if given if value == ABOVE_0 else given == value:
            read |= keys
    return read


def clear_unread_keys(settings: Settings) -> Settings:
    """Return the settings with each conditional key null that is unread or at its default."""
    read = keys_read(settings)
    plain: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for key in OPTIONAL_KEYS:
        section, _, name = key.partition(".")
        if key not in read or get_value(settings, key) == read[key]:
            plain[section][name] = None
    if not CATALOGUE[settings.dropout.variant].reads_mask:
        plain["dropout"]["mask"] = "element"
    return settings.model_copy(
        update={
            section: getattr(settings, section).model_copy(update=update)
            for section, update in plain.items()
            if update
        }
    )


def _list_readers(section: str, deciders: ConditionalKeys) -> Iterator[_Reader]:
    for key, values in deciders.items():
        for value, keys in values.items():
            dotted = {f"{section}.{name}": default for name, default in keys.items()}
            yield f"{section}.{key}", value, dotted


_READERS = tuple(
    reader
    for section, kind in SECTION_CLASSES.items()
    for reader in _list_readers(section, kind.conditional_keys)
)
OPTIONAL_KEYS = tuple(describe_readers())
