"""Pack runs into fleets: the same request gives the same fleets on similar machines.

A fleet's runs share the fixed cost of a step, and each core takes products of its own. So there
are at least two runs for each thread, and more as long as their weights take no more than twice the
largest cache, up to 64; a multiple of the threads, that no core waits for another. Larger fleets
would gain a few per cent more, but an epoch, which a stop waits for and a crash may cost, would
take that much longer. No fleet needs more memory than it may have.
`python benchmarks/fleet_sizes.py` measures what the rule chooses.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.grid import Run
from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.regularization import RegularizationSettings
from dropout_lab.config.sizes import layer_sizes
from dropout_lab.errors import ConfigError
from dropout_lab.study.machine import Machine
from dropout_lab.study.memory import Need, data_bytes, matrices, need

# What may differ between the runs of a fleet; everything else changes a shape or the program.
FREE_KEYS = {
    "dropout": {"p", "input_p"},
    "training": {"learning_rate"},
    "regularization": set(RegularizationSettings.model_fields),
}
LARGEST_FLEET = 64
_PER_THREAD, _MOST_FOR_THREADS = 2, 16  # runs; more of wide networks were not measured
_CACHES = 2  # of the largest cache, what the weights of a fleet may take
_FLOAT = 4  # bytes of a weight
_LARGE_DATA = 0.25  # of the memory of a run: a share that a message names


def pack(
    runs: Iterable[Run], machine: Machine, fleet_size: int | None = None
) -> list[tuple[Run, ...]]:
    """Pack runs that one program can train into fleets.

    Runs of a kind are split as evenly as can be into the fewest fleets; within a fleet, runs of
    equal learning rate and l2 are neighbours.

    Args:
        runs: In the order they were asked for.
        machine: Where they are trained; no fleet needs more memory than it has.
        fleet_size: The most runs in a fleet; by default a number that suits the network's size.

    Raises:
        ConfigError: A single run needs more memory.
    """
    kinds: dict[str, list[Run]] = {}
    programs: dict[Settings, str] = {}  # the seeds of a cell share theirs
    for run in runs:
        if run.settings not in programs:
            programs[run.settings] = program(run.settings)
        kinds.setdefault(programs[run.settings], []).append(run)
    fleets = []
    for kind in kinds.values():
        members = sorted(kind, key=lambda run: _rates(run.settings))
        size = fleet_size or suitable_size(members[0].settings, machine)
        size = min(size, most_that_fit(members, machine))
        count = -(-len(members) // size)
        fleets += [
            tuple(members[i * len(members) // count : (i + 1) * len(members) // count])
            for i in range(count)
        ]
    return fleets


def suitable_size(settings: Settings, machine: Machine) -> int:
    """Return the fleet size that is fastest for these settings."""
    in_cache = _CACHES * machine.cache // (_FLOAT * sum(matrices(settings)))
    for_threads = min(_PER_THREAD * machine.threads, _MOST_FOR_THREADS)
    return min(LARGEST_FLEET, max(for_threads, in_cache - in_cache % machine.threads))


def need_of(runs: Iterable[Run]) -> Need:
    """Return the memory that a fleet of these runs needs."""
    return need(dict.fromkeys(run.settings for run in runs))


def most_that_fit(runs: Sequence[Run], machine: Machine) -> int:
    """Return how many of these runs can be trained together in the machine's memory.

    Raises:
        ConfigError: Not even one.
    """
    needed = need_of(runs)
    most = needed.most(machine.memory)
    if not most:
        settings = runs[0].settings
        layers = "-".join(map(str, layer_sizes(settings)))
        variant = settings.dropout.variant
        dropout = "without dropout" if variant == "none" else f"with {variant} dropout"
        masks = ", dropout.mask: batch" if variant == "dropconnect" else ""
        data, which, fewer = data_bytes(settings), "", ""
        if data > _LARGE_DATA * needed.of(1):
            which = f", of which the data take {shown_bytes(data)}"
            fewer = ", dataset.train_size"
        raise ConfigError(
            [
                f"a run of {layers} {dropout} and with batches of "
                f"{settings.training.batch_size} needs about {shown_bytes(needed.of(1))} of "
                f"memory{which}, and a fleet may take {shown_bytes(machine.memory)}. Make "
                f"model.hidden or training.batch_size{fewer} smaller{masks}, or allow more with "
                f"--memory, e.g. --memory {-(-needed.of(1) // 2**30)}G."
            ]
        )
    return most


def packing_of(
    fleets: Iterable[tuple[Run, ...]], machine: Machine, fleet_size: int | None
) -> dict[str, Any]:
    """Describe how fleets were packed, for the manifest.

    That is what the machine offers, what ``--fleet`` said, and for each program its runs, the size
    that suits it for speed, the most that fit into the memory, and the bytes of a fleet: so much
    for each run and so much once.
    """
    kinds: dict[str, list[Run]] = {}
    for fleet in fleets:
        kinds.setdefault(program(fleet[0].settings), []).extend(fleet)
    programs = []
    for runs in kinds.values():
        settings, needed = runs[0].settings, need_of(runs)
        programs.append(
            {
                "hidden": list(settings.model.hidden),
                "variant": settings.dropout.variant,
                "runs": len(runs),
                "suitable_size": suitable_size(settings, machine),
                "most_that_fit": needed.most(machine.memory),
                "bytes_each": needed.each,
                "bytes_once": needed.once,
            }
        )
    return {
        "threads": machine.threads,
        "cache_bytes": machine.cache,
        "memory_bytes": machine.memory,
        "fleet_size": fleet_size,
        "programs": programs,
    }


def shown_bytes(amount: int) -> str:
    """Format an amount of memory: 512 MB, 1.5 GB; in powers of 1,024."""
    return f"{amount / 2**20:.0f} MB" if amount < 2**30 else f"{amount / 2**30:.1f} GB"


def program(settings: Settings) -> str:
    """Return a text that is equal for runs that can share a fleet."""
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
