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
    """Print whether a figure is at most its bound; end the program with 1 if not."""
    verdicts(most=[(name, value, bound)])


def verdicts(
    most: Sequence[tuple[str, float, float]] = (), least: Sequence[tuple[str, float, float]] = ()
) -> None:
    """Print for each figure whether it keeps its bound; end the program with 1 if one does not.

    Args:
        most: Names, figures and what they must not be above.
        least: Names, figures and what they must not be below.
    """
    judged = [(name, value, bound, "at most", value <= bound) for name, value, bound in most]
    judged += [(name, value, bound, "at least", value >= bound) for name, value, bound in least]
    for name, value, bound, word, kept in judged:
        print(f"{name}: {value:.3f}, {word} {bound:g}: {'kept' if kept else 'BROKEN'}")
    if not all(kept for *_, kept in judged):
        sys.exit(1)
