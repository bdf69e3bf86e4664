"""Device handling, and detection of torch.compile, torch.export and torch.func transforms."""

import os

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device without waiting for queued work on the device.

    A copy from pageable memory makes the host wait; a copy from pinned memory does not.
    """
    if device.type == "cpu" or tensor.device.type != "cpu" or not runs_eagerly():
        return tensor.to(device)
    if device.type != "meta":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def runs_eagerly() -> bool:
    """Return whether PyTorch executes each operation immediately.

    False while PyTorch compiles, exports or traces the code, inside ``torch.func`` transforms, and
    in forward-mode differentiation. Do not cache a tensor that is created while this is false.
    """
    return not (
        torch.compiler.is_compiling()
        or torch._C._is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    )


def configure_device(device: torch.device) -> None:
    """Make a CUDA device compute reproducibly. Call before the device is used.

    Disables TF32, so float32 products have full precision. Gives cuBLAS a workspace of fixed size,
    with which it guarantees bit-identical results for the same product.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("highest")
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def explain_missing_cuda() -> str:
    """Return a likely reason for the missing CUDA device, and what to check."""
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA; see pytorch.org for one that is"
    return (
        f"torch {torch.__version__} is built for CUDA {torch.version.cuda}; nvidia-smi shows "
        "whether there is a GPU and a driver new enough for that"
    )


def describe_device(device: torch.device) -> dict[str, str]:
    """Return the manifest entries about a device; for CUDA, also GPU and CUDA version."""
    if device.type != "cuda" or not torch.cuda.is_available():  # CUDA may be on the workers only
        return {"device": str(device)}
    return {
        "device": str(device),
        "gpu": torch.cuda.get_device_name(device),
        "cuda": str(torch.version.cuda),
    }
