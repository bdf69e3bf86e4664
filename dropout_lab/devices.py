"""What depends on the device, and on whether PyTorch runs, compiles or transforms the code."""

import os

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device, without waiting for the device's work before it.

    A copy from ordinary memory makes the host wait; one from page-locked memory does not.
    """
    if device.type == "cpu" or tensor.device.type != "cpu" or not runs_eagerly():
        return tensor.to(device)
    if device.type != "meta":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def runs_eagerly() -> bool:
    """Return whether each operation runs at once, as ordinary code does.

    It is false while PyTorch compiles, exports or traces the code, under the transforms of
    ``torch.func``, and in forward-mode differentiation. Do not keep a tensor made there.
    """
    return not (
        torch.compiler.is_compiling()
        or torch._C._is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    )


def prepare(device: torch.device) -> None:
    """Set what decides the numbers of a CUDA device; to be called before anything is on it.

    float32 is float32: products are not rounded to TF32, whatever the surroundings ask for. And
    cuBLAS has a workspace of fixed size, with which it promises the same bits for the same product.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest")
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def without_cuda() -> str:
    """Return why there may be no CUDA device, and where to look."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA; see pytorch.org for one that is"
    return (
        f"torch {torch.__version__} is built for CUDA {torch.version.cuda}; nvidia-smi shows "
        "whether there is a GPU and a driver new enough for that"
    )


def described(device: torch.device) -> dict[str, str]:
    """Return what a manifest says of a device; of a CUDA device also what it is and its CUDA."""
    if device.type != "cuda" or not torch.cuda.is_available():  # a worker has it, not this machine
        return {"device": str(device)}
    return {
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device),
        "cuda": str(torch.version.cuda),
    }
