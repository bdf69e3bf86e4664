"""Prepare the constants of a layer, which depend only on p, for an input."""

from typing import Any

import torch
from torch import Tensor

from dropout_lab.devices import to_device


def make_broadcastable(constant: Tensor, x: Tensor) -> Tensor:
    """Return a constant on the device of ``x``, in a shape that broadcasts with ``x``.

    A floating-point constant gets the dtype of ``x``.

    Raises:
        ValueError: The axes of the constant, which are the axes of p, are not the leading axes of
            ``x``.
        TypeError: The constant is floating-point and ``x`` is not.
    """
    if constant.shape != x.shape[: constant.ndim]:
        raise ValueError(
            f"p has shape {tuple(constant.shape)} and x has shape {tuple(x.shape)}; p's axes must "
            "be x's leading axes. Pass one number for p to treat all of x alike."
        )
    if constant.is_floating_point():
        if not x.is_floating_point():
            raise not_floating_error(x)
        constant = constant.to(x.dtype)
    return to_device(constant.reshape(constant.shape + (1,) * (x.ndim - constant.ndim)), x.device)


def cpu_tensor(numbers: Any, dtype: torch.dtype) -> Tensor:
    """Convert a number, or nested lists of numbers, to a tensor on the CPU."""
    if isinstance(numbers, list):
        return torch.tensor(numbers, dtype=dtype, device="cpu")
    return torch.full((), numbers, dtype=dtype, device="cpu")  # torch.jit.trace can record it


def is_reusable(constant: Tensor) -> bool:
    """Return whether a tensor can be used outside the PyTorch mode in which it was created."""
    return not constant.is_inference() and not hasattr(constant, "fake_mode")


def not_floating_error(x: Tensor) -> TypeError:
    """Create the error for an input that is not floating-point."""
    return TypeError(
        f"x has dtype {x.dtype}; dropout noise needs real floating-point numbers. Pass x.float()."
    )
