"""A device that is not there: it computes on the CPU and keeps count as a CUDA device would.

Tensors on it say that they are on ``meta``, a device that every machine has and that computes
nothing; behind each stands one on the CPU, which does. What a CUDA device would refuse, operands
on two devices, is refused; what would make the host wait is noted in ``waits``.
"""

import contextlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,
    return_and_correct_aliasing,
)
from torch.utils._pytree import tree_flatten, tree_map

from dropout_lab.rng.philox import philox

DEVICE = torch.device("meta")
CPU = torch.device("cpu")
aten = torch.ops.aten
# Their results' sizes, or the host itself, depend on values that lie on the device.
_WAITING = {
    aten._local_scalar_dense, aten.bincount, aten.equal, aten.masked_select, aten.nonzero,
    aten.repeat_interleave, aten._unique2, aten.unique_dim, aten.unique_consecutive,
    aten._linalg_eigh,
}  # fmt: skip


class Pretended(torch.Tensor):
    """A tensor that says it is on another device; ``inner`` is what it is."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "Pretended":
        self = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=DEVICE,
        )  # fmt: skip
        self.inner = inner
        return self

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} on the pretended device, outside of pretending()")


class Pretending(TorchDispatchMode):
    """Computes what is asked of the pretended device.

    Attributes:
        waits: What would have made the host wait, by the name of the operation.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [each for each in tree_flatten((args, kwargs))[0] if _is_tensor(each)]
        there = any(isinstance(each, Pretended) for each in tensors)
        wanted = kwargs.get("device")
        if not there and (wanted is None or torch.device(wanted) != DEVICE):
            return func(*args, **kwargs)
        self._note(func, args, kwargs, tensors)
        back = there and wanted is not None and torch.device(wanted) == CPU
        if wanted is not None:
            kwargs["device"] = CPU
        args_in, kwargs_in = tree_map(_inner, (args, kwargs))
        out = func(*args_in, **kwargs_in)
        if back:  # a copy, as from a real device
            return out.clone() if any(out is each for each in tree_flatten(args_in)[0]) else out
        out = tree_map(lambda each: Pretended(each) if _is_tensor(each) else each, out)
        return return_and_correct_aliasing(func, args, kwargs, out) if there else out

    def _note(self, func: Any, args: Any, kwargs: Any, tensors: list[torch.Tensor]) -> None:
        name, wanted = str(func), kwargs.get("device")
        here = [each for each in tensors if not isinstance(each, Pretended)]
        there = len(here) < len(tensors)
        if func.overloadpacket in _WAITING:
            self.waits.append(name)
        elif func.overloadpacket is aten._to_copy and wanted is not None:
            crosses = (torch.device(wanted) == DEVICE) == bool(here)
            if crosses and not (here and kwargs.get("non_blocking")):
                self.waits.append(name)
        elif func.overloadpacket is aten.copy_ and there and here:
            self.waits.append(name)
        elif func.overloadpacket in (aten.index, aten.index_put_, aten.index_put):
            indices = [each for each in args[1] if each is not None]
            if any(each.dtype == torch.bool for each in indices) or here:
                self.waits.append(name)
        elif func.overloadpacket is aten.where and here:
            self.waits.append(f"{name} with a number")
        elif there and any(each.ndim for each in here):
            raise RuntimeError(f"{name} of tensors on two devices")


def _is_tensor(each: object) -> bool:
    return isinstance(each, torch.Tensor)


def _inner(each: Any) -> Any:
    return each.inner if isinstance(each, Pretended) else each


@contextlib.contextmanager
def pretending(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pretending]:
    """Have the device for a while, with what PyTorch gives only to those it knows."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)  # wrappers have none
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    listed = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: listed(tensor.cpu()))
    made = torch.tensor  # it goes past every mode
    monkeypatch.setattr(
        torch,
        "tensor",
        lambda *args, device=None, **kwargs: made(*args, **kwargs).to(device or CPU),
    )
    monkeypatch.setattr(
        import_module("torch.optim.optimizer"),
        "_get_fused_kernels_supported_devices",
        lambda: ["cpu", "meta"],
    )
    monkeypatch.setattr("dropout_lab.rng.philox_on", lambda device: _philox)
    with Pretending() as mode:
        yield mode


def _philox(keys: torch.Tensor, start: int, blocks: int) -> torch.Tensor:
    """Stand for the kernel: one operation of the device."""
    with _disable_current_modes():
        return Pretended(philox(_inner(keys), start, blocks))
