"""Keys that are read only with some variants, schedules or losses, or a strength above 0."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.schema import SECTION_CLASSES, SECTIONS, Settings, get_value
from dropout_lab.config.types import ABOVE_0


@dataclass(frozen=True)
class _Reader:
    """The value of a dotted key (or any value above 0) with which other keys are read."""

    decider: str
    value: str
    keys: Mapping[str, Any]  # dotted, with their defaults

    @property
    def words(self) -> str:
        return f"{self.decider.partition('.')[2]} {self.value}"

    def reads(self, settings: Settings) -> bool:
        value = get_value(settings, self.decider)
        return bool(value) if self.value == ABOVE_0 else bool(value == self.value)


def describe_readers() -> dict[str, list[str]]:
    """Return what reads each conditional key, in words: ``variant fast``, ``l1 above 0``."""
    found: dict[str, list[str]] = {}
    for reader in _all_readers():
        for key in reader.keys:
            found.setdefault(key, []).append(reader.words)
    return found


def keys_read(settings: Settings) -> dict[str, Any]:
    """Return the conditional keys that some settings read, with their defaults."""
    options = CATALOGUE[settings.dropout.variant].options
    read = {f"dropout.{key}": default for key, default in options.items()}
    for reader in _SECTION_READERS:
        if reader.reads(settings):
            read |= reader.keys
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


def _all_readers() -> Iterator[_Reader]:
    variants = {name: kind.options for name, kind in CATALOGUE.items()}  # plugins may have joined
    yield from _make_readers("dropout", {"variant": variants})
    yield from _SECTION_READERS


def _make_readers(
    section: str, deciders: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> Iterator[_Reader]:
    for key, values in deciders.items():
        for value, keys in values.items():
            dotted = {f"{section}.{name}": default for name, default in keys.items()}
            yield _Reader(f"{section}.{key}", value, dotted)


_SECTION_READERS = tuple(
    reader
    for section, kind in SECTION_CLASSES.items()
    for reader in _make_readers(section, kind.conditional_keys)
)
OPTIONAL_KEYS = tuple(describe_readers())
