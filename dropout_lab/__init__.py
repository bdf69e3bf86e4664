"""Measure what dropout does in fully connected networks.

``sweep``, ``train`` and ``load`` return a :class:`~dropout_lab.api.Study`. They are imported on
first use, so that ``import dropout_lab`` is fast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dropout_lab.api import Study, load, sweep, train

__version__ = "0.1.0"
__all__ = ["Study", "__version__", "load", "sweep", "train"]


def __getattr__(name: str) -> Any:
    if name in ("Study", "load", "sweep", "train"):
        from dropout_lab import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
