"""The process that the workers of this machine are forked from.

It imports PyTorch once, while the study's own process reads the config and the data.
"""

import multiprocessing
import os
import sys
from multiprocessing import forkserver

# On other systems, forking is not safe or not possible.
FORKS = sys.platform == "linux"
# A process with threads cannot be forked safely: with these, no library starts one at import.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # With several arenas, training would give its memory back at each step.
    "MALLOC_ARENA_MAX": "1",
}


def start_forkserver() -> None:
    """Start the process, if there is none yet; it ends with this one.

    A Dask worker sets its number of threads itself.
    """
    if not FORKS:
        return
    before = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    os.environ.update(_ENVIRONMENT)
    try:
        multiprocessing.set_forkserver_preload(["distributed", "dropout_lab.cluster.task"])
        forkserver.ensure_running()
    finally:
        for name in _ENVIRONMENT.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
