"""Make the cells of a config, their baselines, and the runs with their ids."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.conditional_keys import clear_unread_keys, keys_read
from dropout_lab.config.schema import SECTION_CLASSES, SECTIONS, Config, Settings, get_value
from dropout_lab.config.sections.dataset import PATH, changes_contents, with_contents
from dropout_lab.config.sections.dropout import DropoutSettings, is_baseline
from dropout_lab.config.sections.evaluation import canonical_evaluation
from dropout_lab.config.sweep import LABEL
from dropout_lab.config.types import Section
from dropout_lab.printable import shown

# Part of every run id. Raise it, and say so in the changelog, when a change moves any number.
NUMBERS = 1
LARGEST_RANGE = 1_000
LARGEST_STUDY = 100_000
# Of a range: short enough that no arithmetic with it overflows.
_NUMBER = re.compile(r"[-+]?([0-9]{1,20}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][-+]?[0-9]{1,3})?")
_ORDER = "model.normalization_order"  # of normalization and dropout
NO_DROPOUT = DropoutSettings(variant="none", p=0.0)
# The keys that every run id names, also at their defaults. Frozen: another key at its default is no
# part of a run id, so that a study begun before the key existed can resume.
_FIRST_KEYS = {
    "dataset": {
        "name", "train_size", "validation_size", "label_noise", "normalize", "split_seed",
    },
    "model": {"hidden", "activation", "init", "init_std"},
    "dropout": {"variant", "p", "input_p", "placement", "position", "mask"},
    "training": {
        "epochs", "updates", "batch_size", "optimizer", "learning_rate", "momentum", "nesterov",
        "precision",
    },
    "regularization": {"l2", "l1", "max_norm"},
    "evaluation": {"every", "train_examples"},
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One setting of a sweep.

    Args:
        values: The swept keys with their values; None where a key has no meaning, such as the
            placement in a baseline.
        settings: The complete settings.
        label: The label in the config; empty without a label.
    """

    values: Mapping[str, Any]
    settings: Settings
    label: str = ""


@dataclass(frozen=True)
class Run:
    """One training of one network: a cell and a seed."""

    run_id: str
    seed: int
    cell: Cell

    @property
    def settings(self) -> Settings:
        """The settings of the run's cell."""
        return self.cell.settings


def seeds_of(config: Config) -> tuple[int, ...]:
    """Return the seeds of a study: a count n means 0, 1, ..., n - 1."""
    return tuple(range(config.seeds)) if isinstance(config.seeds, int) else config.seeds


def single_cell(config: Config) -> list[Cell]:
    """Return the config's own setting as the only cell of a study."""
    settings = Settings(**{section: getattr(config, section) for section in SECTIONS})
    return [Cell({}, canonicalize(settings))]


def sweep_cells(config: Config, *, baseline: bool | None = None) -> list[Cell]:
    """Return the cells of a sweep. ``baseline`` is as in :func:`with_baselines`."""
    return with_baselines(config, make_cells(config, enumerate_settings(config)), baseline)


def enumerate_settings(config: Config) -> list[list[Settings]]:
    """Return the settings of each listed cell, one for each combination of the grid.

    Without listed cells, the only cell is the setting of the config.
    """
    axes = {key: expand_axis(axis) for key, axis in config.sweep.grid.items()}
    combinations = [
        dict(zip(axes, each, strict=True)) for each in itertools.product(*axes.values())
    ]
    listed = [{k: v for k, v in cell.items() if k != LABEL} for cell in config.sweep.cells or [{}]]
    return [
        [canonicalize(with_values(config, {**c, **own})) for c in combinations] for own in listed
    ]


def make_cells(config: Config, enumerated: Iterable[Iterable[Settings]]) -> list[Cell]:
    """Return a cell for each distinct setting that :func:`enumerate_settings` returned.

    With dropout off, a variant, a placement or a mask changes nothing. So settings that differ in
    them only are one cell.
    """
    labels: dict[Settings, str] = {}
    for listed, group in zip(config.sweep.cells or [{}], enumerated, strict=False):
        for settings in group:
            labels[settings] = labels.get(settings) or listed.get(LABEL, "")
    return _label_cells(labels, list(dict.fromkeys([*config.sweep.grid, *labelled_keys(config)])))


def with_baselines(config: Config, cells: list[Cell], wanted: bool | None = None) -> list[Cell]:
    """Add the missing baselines to the cells, and put all baselines first.

    If not ``wanted``, the cells are returned unchanged. None leaves the choice to the config.
    """
    if not (config.sweep.baseline if wanted is None else wanted):
        return cells
    labels = {cell.settings: cell.label for cell in cells}
    both = [each for settings in labels for each in (baseline_of(settings), settings)]
    both.sort(key=lambda settings: not is_baseline(settings))
    return _label_cells({each: labels.get(each, "") for each in both}, list(cells[0].values))


def _label_cells(labels: Mapping[Settings, str], keys: list[str]) -> list[Cell]:
    """Return cells with labels and swept values, including p where cells differ in nothing else."""
    for key in ("dropout.p", "dropout.input_p"):
        # A key that the grid does not name may still distinguish a baseline from another cell.
        if len({json.dumps(values_of(each, keys)) for each in labels}) < len(labels):
            keys += [] if key in keys else [key]
    return [Cell(values_of(each, keys), each, label) for each, label in labels.items()]


def labelled_keys(config: Config) -> list[str]:
    """Return the dotted keys that the listed cells set."""
    return list(dict.fromkeys(key for cell in config.sweep.cells for key in cell if key != LABEL))


def runs_of(cells: Iterable[Cell], seeds: Sequence[int]) -> list[Run]:
    """Return a run for each cell and seed, grouped by cell."""
    return [Run(run_id(cell.settings, seed), seed, cell) for cell in cells for seed in seeds]


def run_id(settings: Settings, seed: int) -> str:
    """Return the digest of everything that can change the run's numbers.

    It includes the code of a plugin. So a run with another version of a plugin is another run.
    """
    data = {section: section_data(section, getattr(settings, section)) for section in SECTIONS}
    source = CATALOGUE[settings.dropout.variant].source
    text = json.dumps([NUMBERS, data, seed, *([source] if source else [])], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def section_data(name: str, section: Section) -> dict[str, Any]:
    """Return the keys of a section that are part of a run id, with their values.

    The path of the user's data is no part: the digest of the data is.
    """
    defaults = SECTION_CLASSES[name].model_fields
    return {
        key: value
        for key, value in section.model_dump().items()
        if key in _FIRST_KEYS[name] or value != defaults[key].default
        if f"{name}.{key}" != PATH
    }


def values_of(settings: Settings, keys: Iterable[str]) -> dict[str, Any]:
    """Return the values of some dotted keys; None where a key has no meaning.

    In canonical settings, a key that is unread or at its default is None. A key at its default gets
    its default here.
    """
    given = {key: get_value(settings, key) for key in keys}
    read = keys_read(settings) if None in given.values() else {}
    meaningful = {"dropout.variant", "dropout.p", "dropout.input_p"}
    baseline = is_baseline(settings)
    return {
        key: None
        if baseline and key.startswith(("dropout.", _ORDER)) and key not in meaningful
        else read.get(key)
        if value is None
        else value
        for key, value in given.items()
    }


def with_values(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Return the settings with new values of some dotted keys.

    Raises:
        pydantic.ValidationError: A value is not allowed.
    """
    data = {section: getattr(settings, section).model_dump() for section in SECTIONS}
    for key, value in values.items():
        section, _, name = key.partition(".")
        data[section][name] = value
    if changes_contents(values) and "dataset.contents" not in values:
        data["dataset"]["contents"] = None
    if "training.updates" in values and "training.epochs" not in values:
        data["training"]["epochs"] = None
    return Settings.model_validate(data)


def expand_axis(axis: list[Any] | str) -> list[Any]:
    """Return the values of an axis: a list unchanged, a range ``start:stop:step`` expanded.

    Raises:
        ValueError: The text is not a range; the message says what to write.
    """
    return axis if isinstance(axis, list) else list(_expand_range(axis))


def _expand_range(text: str) -> Iterator[int | float]:
    """Yield the values of a range, computed in decimals so that 0:0.9:0.1 ends at 0.9."""
    wanted = f"{shown(text)} is not a range; write start:stop:step, e.g. 0:0.9:0.1."
    try:
        start, stop, step = map(_parse_decimal, text.split(":"))
    except ValueError:
        raise ValueError(wanted) from None
    if step == 0 or (stop - start) * step < 0:
        raise ValueError(f"{shown(text)} never ends; its step must lead from start to stop.")
    if (stop - start) / step >= LARGEST_RANGE:
        raise ValueError(f"{shown(text)} has more than {LARGEST_RANGE} values; take a larger step.")
    whole = all(value == value.to_integral_value() for value in (start, step))
    for index in range(int((stop - start) / step) + 1):
        value = start + index * step
        yield int(value) if whole else float(value)


def _parse_decimal(text: str) -> Decimal:
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError
    return Decimal(text.strip())


def canonicalize(settings: Settings) -> Settings:
    """Return the settings in canonical form, without values that have no meaning."""
    if is_baseline(settings):
        settings = baseline_of(settings)
    plain = clear_unread_keys(settings)
    data = with_contents(plain.dataset)
    return plain.model_copy(update={"dataset": data, "evaluation": canonical_evaluation(plain)})


def baseline_of(settings: Settings) -> Settings:
    """Return the settings of the baseline of some settings."""
    model = settings.model.model_copy(update={"normalization_order": None})  # no dropout to order
    baseline = settings.model_copy(update={"dropout": NO_DROPOUT, "model": model})
    return baseline.model_copy(update={"evaluation": canonical_evaluation(baseline)})
