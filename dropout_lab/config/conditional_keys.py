"""Keys that only some settings read: some variants, schedules or losses, or a strength above 0."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dropout_lab.catalogue import CATALOGUE, LOSS_WEIGHTS
from dropout_lab.config.regularization import KL_DAMPING, KL_TARGET
from dropout_lab.config.schema import (
    AVERAGE_DECAY,
    ONE_CYCLE_END,
    ONE_CYCLE_PEAK,
    ONE_CYCLE_START,
    SECTIONS,
    Settings,
)

# For each key that decides, as dotted key: its value, the keys then read, and their defaults.
_CHOICES: dict[str, dict[str, Mapping[str, Any]]] = {
    "dropout.schedule": {
        "linear": {"start_p": 0.0},
        "cosine": {"start_p": 0.0},
        "step": {"start_p": 0.0, "cutoff": None},
        "early": {"cutoff": None},
        "late": {"cutoff": None},
        "annealed": {"cutoff": None},
        "exponential": {"curriculum_rate": None},
    },
    "dropout.loss": {name: {"loss_weight": weight} for name, weight in LOSS_WEIGHTS.items()},
    "model.init": {"uniform": {"init_range": None}},
    "training.learning_rate_schedule": {
        "exponential": {"learning_rate_decay": None},
        "inverse_time": {"learning_rate_updates": None},
        "steps": {"learning_rate_steps": None, "learning_rate_factors": None},
        "linear": {"learning_rate_span": None, "learning_rate_end": 0.0},
        "cosine": {"learning_rate_span": None, "learning_rate_end": 0.0},
        "one_cycle": {
            "learning_rate_start": ONE_CYCLE_START,
            "learning_rate_peak": ONE_CYCLE_PEAK,
            "learning_rate_end": ONE_CYCLE_END,
        },
    },
    "training.average": {
        "exponential": {"average_decay": AVERAGE_DECAY},
        "last": {"average_epochs": None},
    },
    "training.momentum_schedule": {
        "linear": {"start_momentum": None, "momentum_epochs": None},
        "exponential": {"start_momentum": None, "momentum_updates": None},
    },
}
# For each strength: the keys read where it is above 0, and their defaults.
_STRENGTHS: dict[str, Mapping[str, Any]] = {
    "dataset.train_size": {"subset": "stratified"},
    "regularization.l1": {"l1_from": 0},
    "regularization.max_norm": {"max_norm_on": "all"},
    "regularization.max_squared_norm": {"max_norm_on": "all"},
    "regularization.kl_sparsity": {
        "kl_sparsity_target": KL_TARGET,
        "kl_sparsity_damping": KL_DAMPING,
    },
    "regularization.input_noise": {"input_noise_schedule": "constant"},
}


@dataclass(frozen=True)
class _Reader:
    """What reads some keys: a value of the key ``section.key``, or any above 0."""

    section: str
    key: str
    value: str | None
    keys: Mapping[str, Any]  # dotted, with their defaults

    @property
    def words(self) -> str:
        return f"{self.key} {'above 0' if self.value is None else self.value}"

    def reads(self, settings: Settings) -> bool:
        value = getattr(getattr(settings, self.section), self.key)
        return bool(value) if self.value is None else bool(value == self.value)


def readers() -> dict[str, list[str]]:
    """Return for each such dotted key the words that read it: ``variant fast``, ``l1 above 0``."""
    found: dict[str, list[str]] = {}
    for reader in _all():
        for key in reader.keys:
            found.setdefault(key, []).append(reader.words)
    return found


def keys_read(settings: Settings) -> dict[str, Any]:
    """Return the dotted keys that these settings read, and their defaults."""
    options = CATALOGUE[settings.dropout.variant].options
    read = {f"dropout.{key}": default for key, default in options.items()}
    for reader in _BESIDE_VARIANTS:
        if reader.reads(settings):
            read |= reader.keys
    return read


def without_unread(settings: Settings) -> Settings:
    """Return the settings in the one form they have: null what is unread or at its default."""
    read = keys_read(settings)
    plain: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for key in OPTIONAL_KEYS:
        section, _, name = key.partition(".")
        if key not in read or getattr(getattr(settings, section), name) == read[key]:
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


def _all() -> Iterator[_Reader]:
    variants = {name: kind.options for name, kind in CATALOGUE.items()}  # plugins may have joined
    yield from _readers({"dropout.variant": variants})
    yield from _BESIDE_VARIANTS


def _readers(choices: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[_Reader]:
    for decider, values in choices.items():
        section, _, key = decider.partition(".")
        for value, keys in values.items():
            yield _Reader(section, key, value, {f"{section}.{k}": v for k, v in keys.items()})


def _strengths() -> Iterator[_Reader]:
    for decider, keys in _STRENGTHS.items():
        section, _, key = decider.partition(".")
        yield _Reader(section, key, None, {f"{section}.{k}": v for k, v in keys.items()})


_BESIDE_VARIANTS = (*_readers(_CHOICES), *_strengths())
# A plugin's variant may read any of these in the section dropout; it brings none of its own.
OPTIONAL_KEYS = tuple(readers())
