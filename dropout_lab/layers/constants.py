"""The constants of a layer: tensors that depend on p alone, made ready for an input."""

from typing import Any

import torch
from torch import Tensor

from dropout_lab.devices import to_device


def along(constant: Tensor, x: Tensor) -> Tensor:
    """Return a constant on the device of ``x``, ready to broadcast against ``x``.

    A floating constant takes the dtype of ``x``.

    Raises:
        ValueError: The axes of the constant, which are those of p, do not lead those of ``x``.
        TypeError: The constant is floating and ``x`` is not.
    """
    if constant.shape != x.shape[: constant.ndim]:
        raise ValueError(
            f"p has shape {tuple(constant.shape)} and x has shape {tuple(x.shape)}; p's axes must "
            "be x's leading axes. Pass one number for p to treat all of x alike."
        )
    if constant.is_floating_point():
        if not x.is_floating_point():
            raise not_floating(x)
        constant = constant.to(x.dtype)
    return to_device(constant.reshape(constant.shape + (1,) * (x.ndim - constant.ndim)), x.device)


def from_numbers(numbers: Any, dtype: torch.dtype) -> Tensor:
    """Return a number, or nested lists of numbers, as a tensor on the CPU."""
    if isinstance(numbers, list):
        return torch.tensor(numbers, dtype=dtype, device="cpu")
    return torch.full((), numbers, dtype=dtype, device="cpu")  # torch.jit.trace can record it


def lasts(constant: Tensor) -> bool:
    """Return whether a tensor can be used outside the mode in which it was made."""
    return not constant.is_inference() and not hasattr(constant, "fake_mode")


def not_floating(x: Tensor) -> TypeError:
    """Return the error for an input that noise cannot multiply."""
    return TypeError(
        f"x has dtype {x.dtype}; dropout noise needs real floating-point numbers. Pass x.float()."
    )
