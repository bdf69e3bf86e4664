"""Streams that are independent by name, and draws that are uniform on every lane."""

import itertools

import numpy as np
import pytest
import torch

from dropout_lab.rng import FleetNoise, NumpyNoise, Purpose, TorchNoise, stream

CPU = torch.device("cpu")
SOURCES = {
    "torch": lambda: TorchNoise(torch.Generator().manual_seed(5)),
    "numpy": lambda: NumpyNoise(stream(Purpose.MASKS, 5)),
}
sources = pytest.mark.parametrize("source", SOURCES.values(), ids=list(SOURCES))


def test_the_same_name_is_the_same_stream_and_another_name_another() -> None:
    names = [
        *((purpose, 0) for purpose in Purpose),
        (Purpose.MASKS, 1), (Purpose.MASKS, 0, 1), (Purpose.MASKS, 0, 1, 1),
        (Purpose.MASKS, 2**63 - 1),
    ]  # fmt: skip
    first = {name: stream(*name).integers(2**63) for name in names}
    again = {name: stream(*name).integers(2**63) for name in names}
    assert first == again
    assert len(set(first.values())) == len(names)


@sources
def test_lanes_are_uniform_in_every_position_of_a_word(source) -> None:
    """Chi-squared over 16 bins for each of the four lanes of a word: mean 15, s.d. sqrt(30).

    The trap is a sign bit that is always 0, which leaves half the bins of one lane empty.
    """
    draws = source().lanes((40_000, 4), CPU).numpy().astype(np.int64) + 2**15
    for lane in range(4):
        counts = np.bincount(draws[:, lane] // 4096, minlength=16)
        chi_squared = float(((counts - 2500) ** 2 / 2500).sum())
        assert abs(chi_squared - 15) < 5 * 30**0.5


@sources
def test_lanes_of_one_word_are_independent(source) -> None:
    """The correlation of any two lanes is within five standard errors, 5 / sqrt(n), of 0."""
    draws = source().lanes((40_000, 4), CPU).double()
    correlation = torch.corrcoef(draws.T)
    off_diagonal = correlation[~torch.eye(4, dtype=torch.bool)]
    assert float(off_diagonal.abs().max()) < 5 / 40_000**0.5


@sources
def test_normal_draws_have_mean_0_and_variance_1(source) -> None:
    n = 100_000
    draws = source().normal((n,), CPU)
    assert draws.dtype == torch.float32
    assert abs(float(draws.mean())) < 5 / n**0.5
    assert abs(float(draws.var()) - 1) < 5 * (2 / n) ** 0.5


@sources
@pytest.mark.parametrize("shape", [(1,), (3,), (4,), (5, 3), (2, 1, 7)])
def test_any_shape_is_served(source, shape: tuple[int, ...]) -> None:
    assert source().lanes(shape, CPU).shape == shape
    assert source().normal(shape, CPU).shape == shape


def test_a_fleets_draws_are_those_of_its_runs() -> None:
    together = FleetNoise((3, 1, 4), place=2, device=CPU)
    together.open(epoch=5)
    lanes, normal = together.lanes((3, 7, 5), CPU), together.normal((3, 7, 5), CPU)
    for run, seed in enumerate((3, 1, 4)):
        alone = FleetNoise((seed,), place=2, device=CPU)
        alone.open(epoch=5)
        assert torch.equal(lanes[run], alone.lanes((1, 7, 5), CPU)[0])
        assert torch.equal(normal[run], alone.normal((1, 7, 5), CPU)[0])


def test_seed_place_and_epoch_each_give_other_draws() -> None:
    seen = []
    for seed, place, epoch in itertools.product((0, 1), (0, 1), (1, 2)):
        noise = FleetNoise((seed,), place, CPU)
        noise.open(epoch)
        seen.append(tuple(noise.lanes((1, 8), CPU).flatten().tolist()))
    assert len(set(seen)) == 8


def test_opening_an_epoch_again_gives_its_draws_again() -> None:
    """What a resumed run relies on."""
    noise = FleetNoise((0, 1), place=0, device=CPU)
    noise.open(3)
    first = noise.lanes((2, 9), CPU)
    noise.lanes((2, 9), CPU)
    noise.open(3)
    assert torch.equal(noise.lanes((2, 9), CPU), first)


def test_a_shape_without_the_run_axis_is_refused() -> None:
    noise = FleetNoise((0, 1), place=0, device=CPU)
    noise.open(1)
    with pytest.raises(ValueError, match="the run axis comes first"):
        noise.lanes((5, 9), CPU)
