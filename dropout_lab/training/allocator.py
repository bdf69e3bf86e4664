"""One setting of the C library's allocator that a training step feels."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's names for them
_LARGE = 2**30


def keep_freed_memory() -> None:
    """Let the process keep the memory it frees, where the C library is glibc.

    Otherwise the gradients of each step, megabytes at a time, go back to the system and are taken
    from it again, page by page.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    mallopt(_MMAP_THRESHOLD, _LARGE)
    mallopt(_TRIM_THRESHOLD, _LARGE)
