"""Keys of the section dropout that only some variants, schedules or losses read."""

from collections.abc import Iterator, Mapping
from typing import Any

from dropout_lab.catalogue import CATALOGUE, LOSS_WEIGHTS
from dropout_lab.config.schema import DropoutSettings

_OF_SCHEDULES: dict[str, dict[str, Any]] = {
    "linear": {"start_p": 0.0},
    "cosine": {"start_p": 0.0},
    "step": {"start_p": 0.0, "cutoff": None},
    "early": {"cutoff": None},
    "late": {"cutoff": None},
    "annealed": {"cutoff": None},
    "exponential": {"curriculum_rate": None},
}


def readers() -> dict[str, list[str]]:
    """Return for each such key the words that read it: ``variant inverted``, ``loss r_drop``."""
    found: dict[str, list[str]] = {}
    for kind, name, keys in _all():
        for key in keys:
            found.setdefault(key, []).append(f"{kind} {name}")
    return found


def keys_read(dropout: DropoutSettings) -> dict[str, Any]:
    """Return the keys that these settings read, and their defaults."""
    words = {("variant", dropout.variant), ("schedule", dropout.schedule), ("loss", dropout.loss)}
    return {k: v for kind, name, keys in _all() if (kind, name) in words for k, v in keys.items()}


def without_unread(dropout: DropoutSettings) -> DropoutSettings:
    """Return the settings in the one form they have: null what is unread or at its default."""
    read = keys_read(dropout)
    plain: dict[str, Any] = {
        key: None for key in OPTIONAL_KEYS if key not in read or getattr(dropout, key) == read[key]
    }
    if not CATALOGUE[dropout.variant].reads_mask:
        plain["mask"] = "element"
    return dropout.model_copy(update=plain)


def _all() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for name, kind in CATALOGUE.items():
        yield "variant", name, kind.options
    for name, keys in _OF_SCHEDULES.items():
        yield "schedule", name, keys
    for name, weight in LOSS_WEIGHTS.items():
        yield "loss", name, {"loss_weight": weight}


# A plugin's variant may read any of these; it brings none of its own.
OPTIONAL_KEYS = tuple(readers())
