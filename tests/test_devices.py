"""What is said of a device, and what is set before anything is on it."""

import os

import pytest
import torch

from dropout_lab import devices

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_what_is_sent_to_a_cpu_is_what_it_was() -> None:
    tensor = torch.arange(3)
    assert devices.to_device(tensor, CPU) is tensor


def test_a_manifest_says_which_gpu_and_which_cuda_it_was(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "a GPU")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.version.cuda", "13.2")
    assert devices.describe_device(CPU) == {"device": "cpu"}
    assert devices.describe_device(CUDA) == {"device": "cuda", "gpu": "a GPU", "cuda": "13.2"}
    # The worker that has it is another machine.
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert devices.describe_device(CUDA) == {"device": "cuda"}


def test_a_cuda_device_computes_float32_in_float32(monkeypatch) -> None:
    """Whatever was asked for before; a CPU's settings are left alone."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "set, so that it is put back")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        devices.configure_device(CPU)
        assert torch.get_float32_matmul_precision() == "high"
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
        devices.configure_device(CUDA)
        assert torch.get_float32_matmul_precision() == "highest"
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("cuda", "said"), [(None, "is built without CUDA"), ("13.2", "built for CUDA 13.2; nvidia-smi")]
)
def test_why_there_is_no_cuda_device_is_said(cuda, said, monkeypatch) -> None:
    monkeypatch.setattr("torch.version.cuda", cuda)
    assert said in devices.explain_missing_cuda()
