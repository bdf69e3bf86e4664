"""Packing runs into fleets: the same request packs the same way, on every machine."""

import itertools
import json
from collections.abc import Iterable, Sequence

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.grid import Run
from dropout_lab.config.regularization import RegularizationSettings
from dropout_lab.config.schema import Settings

# What may differ between the runs of a fleet; everything else changes a shape or the program.
FREE_KEYS = {
    "dropout": {"p", "input_p"},
    "training": {"learning_rate"},
    "regularization": set(RegularizationSettings.model_fields),
}
# Weights of all runs of a fleet together. Below, the fixed cost of a step is shared by more runs;
# above, their weights no longer stay in the cache.
_FLEET_WEIGHTS = 8_000_000
_LARGEST_FLEET = 64
_INPUTS, _CLASSES = 784, 10


def pack(runs: Iterable[Run], fleet_size: int | None = None) -> list[tuple[Run, ...]]:
    """Return fleets of runs that can be trained as one program.

    Runs of a kind are split as evenly as can be into the fewest fleets; within a fleet, runs of
    equal learning rate and l2 stand together.

    Args:
        runs: In the order they were asked for.
        fleet_size: The most runs in a fleet; by default a number that suits the network's size.
    """
    kinds: dict[str, list[Run]] = {}
    for run in runs:
        kinds.setdefault(program(run.settings), []).append(run)
    fleets = []
    for kind in kinds.values():
        members = sorted(kind, key=lambda run: _rates(run.settings))
        size = fleet_size or suitable_size(members[0].settings)
        count = -(-len(members) // size)
        fleets += [
            tuple(members[i * len(members) // count : (i + 1) * len(members) // count])
            for i in range(count)
        ]
    return fleets


def suitable_size(settings: Settings) -> int:
    """Return the most runs of these settings to train in one fleet."""
    sizes = (_INPUTS, *settings.model.hidden, _CLASSES)
    weights = sum(a * b for a, b in itertools.pairwise(sizes)) * (settings.model.pieces or 1)
    return max(1, min(_LARGEST_FLEET, _FLEET_WEIGHTS // weights))


def program(settings: Settings) -> str:
    """Return what must be equal for two runs to share a fleet, as a text to compare."""
    data = settings.model_dump()
    fixed = {"p", "input_p"} if CATALOGUE[settings.dropout.variant].one_p else set()
    for section, keys in FREE_KEYS.items():
        for key in keys - fixed:
            value = data[section].pop(key)
            if key == "p":  # lists of p fit together if their places do, whatever the values
                data[section]["places"] = len(value) if isinstance(value, Sequence) else 0
    return json.dumps(data, sort_keys=True)


def _rates(settings: Settings) -> tuple[float, float]:
    return settings.training.learning_rate, settings.regularization.l2
