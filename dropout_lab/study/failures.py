"""Split fleets whose training raised an exception, to find the run that caused it.

No run takes the others along. Where memory was too short for all runs of a fleet at once, halves
of it may do; where anything else went wrong, each run alone shows whether it was at fault.
"""

from collections.abc import Sequence

import torch

from dropout_lab.config.grid import Run

_LONGEST = 200  # characters of a message in runs.csv; the log has it whole
# How torch says it on a CPU, where it has no exception of its own for it.
_NO_MEMORY = ("can't allocate memory", "not enough memory")


def parts(runs: Sequence[Run], error: BaseException) -> list[tuple[Run, ...]]:
    """Return the parts in which to retry a failed fleet; none for a single run."""
    if len(runs) == 1:
        return []
    if out_of_memory(error):
        half = (len(runs) + 1) // 2
        return [tuple(runs[:half]), tuple(runs[half:])]
    return [(run,) for run in runs]


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory was too small, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def sentence(error: BaseException) -> str:
    """Describe an exception in one short line."""
    try:
        text = str(error)
    except Exception:  # somebody's class, somebody's mistake
        text = "its message cannot be printed"
    first = (text.splitlines() or [""])[0]
    name = type(error).__name__
    return f"{name}: {first}"[:_LONGEST].rstrip() if first else name
