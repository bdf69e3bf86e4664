"""Tune glibc's memory allocator, which makes training steps faster."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from malloc.h
_THRESHOLD_BYTES = 2**30


def keep_freed_memory() -> None:
    """Make glibc keep freed memory instead of returning it to the system.

    Otherwise glibc returns the gradients of each step, megabytes at a time, to the system, and
    requests them again page by page in the next step.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return
    mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _THRESHOLD_BYTES)
