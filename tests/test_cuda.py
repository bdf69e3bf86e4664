"""What only a CUDA device can show; everywhere else these tests are skipped, and say so."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.grid import Run
from dropout_lab.data import Splits
from dropout_lab.devices import configure_device
from dropout_lab.rng import FleetNoise
from dropout_lab.rng.philox import philox, philox_on
from dropout_lab.training import Fleet, loop, train
from tests.conftest import make_sweep, with_variant
from tests.test_pretended import NOISY, SETTINGS, SHORT, CounterNoise

ROOT = Path(__file__).parents[1]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
SEEDS = (0, 1, 2, 3)


@pytest.fixture
def cuda() -> torch.device:
    configure_device(CUDA)
    return CUDA


def trained(runs: Sequence[Run], splits: Splits, device: torch.device) -> Fleet:
    fleet = Fleet(runs, device)
    list(train(fleet, splits.to(device)))
    return fleet


def parameters_of(fleet: Fleet) -> list[torch.Tensor]:
    return [parameter.detach().cpu() for parameter in fleet.model.parameters()]


@needs_cuda
def test_the_kernel_makes_the_words_that_torch_makes_on_the_cpu(cuda) -> None:
    keys = torch.tensor([0, 2**62 + 1, -3, -(2**63)])
    kernel = philox_on(cuda)
    for start, blocks in ((0, 1), (2**32 - 2, 5), (7, 100_003), (2**40 + 16, 1024), (3, 0)):
        assert torch.equal(kernel(keys.to(cuda), start, blocks).cpu(), philox(keys, start, blocks))


@needs_cuda
def test_triton_is_what_draws_where_it_is_installed(cuda) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    assert philox_on(cuda) is not philox


@needs_cuda
def test_a_runs_draws_are_the_same_bits_alone_and_in_company(cuda) -> None:
    seeds = tuple(range(64))
    together = FleetNoise(seeds, 1, cuda)
    together.open(1)
    lanes, normal = together.lanes((64, 33, 7), cuda), together.normal((64, 33, 7), cuda)
    for run in (0, 17, 63):
        alone = FleetNoise((seeds[run],), 1, cuda)
        alone.open(1)
        assert torch.equal(lanes[run], alone.lanes((1, 33, 7), cuda)[0])
        assert torch.equal(normal[run], alone.normal((1, 33, 7), cuda)[0])


@needs_cuda
def test_a_fleet_of_8_is_its_runs_to_rounding(cuda, small_splits: Splits) -> None:
    runs = make_sweep(*SHORT, *NOISY, seeds=SEEDS)
    together = parameters_of(trained(runs, small_splits, cuda))
    assert len(runs) == 8
    for index, run in enumerate(runs):
        alone = parameters_of(trained([run], small_splits, cuda))
        for ours, theirs in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[index], theirs[0], rtol=1e-3, atol=1e-4)


@needs_cuda
@pytest.mark.parametrize("variant", ["inverted", "gaussian"])
def test_training_there_is_training_here_of_the_same_noise(
    variant, cuda, small_splits: Splits, monkeypatch
) -> None:
    """To the rounding of float32 over 16 steps; TF32 would be out by 1,000 times as much."""
    runs = make_sweep(*SHORT, *NOISY, f"dropout.variant={variant}")
    there = parameters_of(trained(runs, small_splits, cuda))
    monkeypatch.setattr("dropout_lab.model.FleetNoise", CounterNoise)
    monkeypatch.setattr("dropout_lab.training.regularizers.FleetNoise", CounterNoise)
    here = parameters_of(trained(runs, small_splits, CPU))
    for ours, theirs in zip(there, here, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@needs_cuda
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
def test_a_resumed_fleet_ends_with_the_same_bits(optimizer, cuda, small_splits: Splits) -> None:
    runs = make_sweep(*SHORT, *NOISY, f"training.optimizer={optimizer}")
    first, resumed = Fleet(runs, cuda), Fleet(runs, cuda)
    next(iter(train(first, small_splits.to(cuda))))
    resumed.restore(first.checkpoint())
    list(train(resumed, small_splits.to(cuda)))
    undisturbed = trained(runs, small_splits, cuda)
    for ours, theirs in zip(parameters_of(resumed), parameters_of(undisturbed), strict=True):
        assert torch.equal(ours, theirs)


@needs_cuda
@pytest.mark.parametrize(
    "settings",
    [with_variant(name) for name in CATALOGUE] + list(SETTINGS.values()),
    ids=[*CATALOGUE, *SETTINGS],
)
def test_the_host_never_waits_within_an_epoch(
    settings, cuda, small_splits: Splits, monkeypatch
) -> None:
    """CUDA itself raises an error where it would."""
    noisy, is_evaluated = loop.TrainingStepMetrics, loop.is_evaluated

    def begin(*arguments):
        made = noisy(*arguments)
        torch.cuda.set_sync_debug_mode("error")
        return made

    def end(*arguments):
        torch.cuda.set_sync_debug_mode("default")
        return is_evaluated(*arguments)

    monkeypatch.setattr(loop, "TrainingStepMetrics", begin)
    monkeypatch.setattr(loop, "is_evaluated", end)
    one_p = any("batchwise" in each for each in settings)
    fleet = Fleet(make_sweep(*SHORT, *settings, *(["dropout.p=0.4"] if one_p else [])), cuda)
    try:
        assert len(list(train(fleet, small_splits.to(cuda)))) == 2
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_the_benchmark_says_that_there_is_no_cuda_device() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device, and its benchmark takes minutes")
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no CUDA device" in done.stdout
