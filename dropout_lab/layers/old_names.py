"""Old names of hooks and classes, which still work and give a DeprecationWarning.

Plugins and models that use an old name keep working. The warning names the new name.
"""

import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch

# Old name: new name.
RENAMED_HOOKS = {
    "begin": "setup",
    "restart": "on_p_set",
    "needed": "select_incoming",
    "leaving": "select_outgoing",
    "rest": "eval_forward",
    "rest_scale": "eval_scale",
    "placed": "broadcast_constants",
    "p_in_force": "current_p",
    "dropped": "has_noise",
    "started": "initial_p",
    "active": "noise_indicator",
    "coins": "rounds_p",
}
RENAMED_CLASSES = {"Entering": "UnitInputs"}


def support_old_hooks(cls: type) -> None:
    """Make the old and the new names of a class's hooks equivalent.

    A hook that the class defines under its old name gets its new name, so that new code calls it.
    Each method with a new name gets an alias with the old name, so that old code can call it. The
    alias belongs to this class, so ``super().rest(x)`` reaches the method of the base class.
    """
    for old, new in RENAMED_HOOKS.items():
        definition = inspect.getattr_static(cls, old, None)
        is_old_hook = definition is not None and not hasattr(definition, "_is_alias")
        # A layer without the new hook may use the old name for a method of its own.
        if is_old_hook and new not in vars(cls) and getattr(cls, new, definition) != definition:
            _warn(f"{cls.__name__}.{old}", new, stacklevel=4)
            setattr(cls, new, definition)
        method = vars(cls).get(new)
        if inspect.isfunction(method):
            setattr(cls, old, _alias(old, new, method))


def renamed_class(module: str, name: str) -> Any:
    """Return a class by its old name. Call from the ``__getattr__`` of a module.

    Raises:
        AttributeError: The name is not an old name.
    """
    if name not in RENAMED_CLASSES:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    new = RENAMED_CLASSES[name]
    _warn(f"{module}.{name}", new, stacklevel=4)
    return getattr(sys.modules[module], new)


def _alias(old: str, new: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that warns and calls another method."""

    @functools.wraps(method)
    def alias(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not torch.compiler.is_compiling():  # torch.compile cannot trace a warning
            _warn(f"{type(self).__name__}.{old}", new, stacklevel=3)
        return method(self, *args, **kwargs)

    alias._is_alias = True  # type: ignore[attr-defined]
    return alias


def _warn(old: str, new: str, stacklevel: int) -> None:
    message = f"{old} is now called {new}; the old name still works, but please use the new name."
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel)
