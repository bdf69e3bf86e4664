"""Measure the threads, cache and memory that decide how runs are packed.

Nothing here changes from one moment to the next: two commands on one machine pack alike. So the
memory is what there is in all, not what is free; its share is rounded down to a coarse step, so
that two machines of a class, of which one keeps some megabytes more to itself, agree.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch

SHARE = 0.5  # of the memory for a fleet; the rest is for data, pictures, and other programs
_UNKNOWN_MEMORY = 4 * 2**30  # where the system does not say
_UNKNOWN_CACHE = 32 * 2**20
_CACHES = "sys/devices/system/cpu/cpu0/cache"
_CGROUPS = "sys/fs/cgroup"


@dataclass(frozen=True)
class Machine:
    """The properties of a machine that decide the packing.

    Args:
        threads: That compute.
        cache: Of the largest cache, in bytes.
        memory: That a fleet may take, in bytes.
    """

    threads: int
    cache: int
    memory: int


def this_machine(device: torch.device, memory: int | None = None) -> Machine:
    """Return the properties of this machine for fleets on a device.

    Args:
        device: Where the training happens.
        memory: What a fleet may take, in bytes; by default a share of what the device has.
    """
    if device.type == "cuda" and torch.cuda.is_available():  # it may be a worker that has one
        total = torch.cuda.get_device_properties(device).total_memory
    else:
        total = total_memory()
    return Machine(torch.get_num_threads(), cache_bytes(), memory or coarse(total * SHARE))


def coarse(amount: float) -> int:
    """Round bytes down to 1 or 1.5 times a power of two."""
    step = 1 << (max(int(amount), 1).bit_length() - 1)
    return step + step // 2 if amount >= 1.5 * step else step


def total_memory(root: Path = Path("/")) -> int:
    """Return the memory of the machine, or the limit of its cgroup, in bytes.

    Args:
        root: Where the system's files are.
    """
    return min([physical_memory(), *_limits(root)])


def physical_memory() -> int:
    """Return the machine's memory in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # a system without these names
        return _UNKNOWN_MEMORY


def cache_bytes(root: Path = Path("/")) -> int:
    """Return the bytes of a processor's largest cache, or a common size if it is unknown."""
    sizes = [_size(_text(path)) for path in sorted((root / _CACHES).glob("index*/size"))]
    return max(sizes, default=0) or _UNKNOWN_CACHE


def _limits(root: Path) -> Iterator[int]:
    """Yield the memory limits of the process's cgroup and its parents, of version 2 and 1."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            base, name = root / _CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / _CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        inner = PurePosixPath(path.lstrip("/"))  # in a container it may name what is not to be seen
        for folder in (inner, *inner.parents):
            limit = _text(base / folder / name).strip()
            if limit.isdecimal() and int(limit) > 0:  # the others say max
                yield int(limit)


def _size(text: str) -> int:
    """Parse the size in a cache's file, such as 32768K."""
    number, unit = text.strip()[:-1], text.strip()[-1:]
    scale = {"K": 2**10, "M": 2**20, "G": 2**30}.get(unit, 0)
    return int(number) * scale if number.isdecimal() else 0


def _text(path: Path) -> str:
    """Return the text of a system file; empty if it does not exist."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
