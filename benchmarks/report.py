"""What every benchmark prints: the machine, the versions, and figures with n, median and spread."""

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path


def heading(title: str) -> None:
    """Print the title with the machine and the versions it was measured on."""
    processor = platform.processor() or "unknown processor"
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(
            (x.partition(": ")[2] for x in lines if x.startswith("model name")), processor
        )
    print(title)
    print(
        f"{processor}, {os.cpu_count()} cores; {platform.platform()}; "
        f"Python {platform.python_version()}, torch {version('torch')}"
    )


def figure(name: str, values: Sequence[float], unit: str) -> float:
    """Print a row: n, minimum, median and maximum; return the median."""
    median = statistics.median(values)
    print(
        f"{name:<44} n = {len(values)}  min {min(values):.3f}  median {median:.3f}  "
        f"max {max(values):.3f} {unit}"
    )
    return median


def verdict(name: str, value: float, bound: float) -> None:
    """Print whether a figure keeps its bound; end the program with 1 if not."""
    kept = value <= bound
    print(f"{name}: {value:.3f}, bound {bound:g}: {'kept' if kept else 'BROKEN'}")
    if not kept:
        sys.exit(1)
