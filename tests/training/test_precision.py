"""What bfloat16 costs here is measured in a moment, on a product of the study's size."""

import itertools
import time

import pytest
import torch

from dropout_lab.training.precision import TOO_SLOW, ProductTiming, largest_product, time_products
from tests.conftest import make_runs


def settings(*changes: str):
    return [run.settings for run in make_runs(*changes)]


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        (["model.hidden=[512,512]", "training.batch_size=128"], (128, 512, 512)),
        (["model.hidden=[300]", "training.batch_size=100"], (100, 512, 300)),
        (["model.hidden=[4096,4096]", "training.batch_size=400"], (128, 512, 512)),
        (["model.hidden=[2]", "training.batch_size=1"], (64, 512, 64)),
    ],
)
def test_the_largest_product_is_measured_within_bounds(
    changes: list[str], size: tuple[int, int, int]
) -> None:
    assert largest_product(settings(*changes)) == size
    assert largest_product([*settings("model.hidden=[2]"), *settings(*changes)]) >= size


def test_the_fastest_of_a_few_is_what_it_takes() -> None:
    """By a clock that tells 9, 5, 7, ... ms for bfloat16 and then 2, 1, ... ms for float32."""
    steps = [9, 5, 7, 6, 8, 2, 1, 3, 2, 2]
    ticks = itertools.accumulate(each for step in steps for each in (0.0, step / 1000))
    found = time_products(64, 64, 64, lambda: next(ticks))
    assert found.bfloat16 == pytest.approx(0.005)
    assert found.float32 == pytest.approx(0.001)
    assert found.slowdown == pytest.approx(5)
    assert found.slowdown > TOO_SLOW
    assert found.sentence == (
        "A product of 64 x 64 by 64 x 64 takes 5 ms in bfloat16 and 1 ms in float32 on one core "
        "of this machine"
    )


def test_a_slow_product_is_repeated_less_often() -> None:
    ticks = itertools.count()
    found = time_products(64, 64, 64, lambda: float(next(ticks)))  # each takes a second
    assert next(ticks) == 4  # two products, each measured once
    assert found == ProductTiming(64, 64, 64, 1.0, 1.0)


def test_measuring_takes_a_moment_and_leaves_the_threads() -> None:
    threads = torch.get_num_threads()
    began = time.perf_counter()
    found = time_products(64, 256, 64)
    assert time.perf_counter() - began < 5
    assert torch.get_num_threads() == threads
    assert 0 < found.float32 < 1
    assert 0 < found.bfloat16 < 1
