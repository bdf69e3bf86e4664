"""Measure what dropout does in fully connected networks.

``sweep``, ``train`` and ``load`` return a :class:`~dropout_lab.api.Study`, ``compare`` a
:class:`~dropout_lab.api.Comparison`. They are imported on first use, so that ``import dropout_lab``
is fast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dropout_lab.api import Comparison, Study, compare, load, sweep, train

__version__ = "0.1.0"
__all__ = ["Comparison", "Study", "__version__", "compare", "load", "sweep", "train"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from dropout_lab import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
