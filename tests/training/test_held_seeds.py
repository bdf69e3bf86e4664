"""training.initial_weights_seed, data_order_seed and mask_seed: one stream held, the others not."""

import pytest
import torch

from dropout_lab.data import Splits
from dropout_lab.training import Fleet, train
from tests.conftest import assert_same_bits, make_runs, resumed_after_an_epoch

CPU = torch.device("cpu")
KEYS = ("initial_weights_seed", "data_order_seed", "mask_seed")


def fleet_of(*held: str, seeds: tuple[int, ...], **options: str) -> Fleet:
    """Return a fleet with the seeds of some streams held at 7."""
    asked = ["training.epochs=1", *(f"training.{key}=7" for key in held)]
    asked += [f"regularization.{key}={value}" for key, value in options.items()]
    return Fleet(make_runs(*asked, seeds=seeds), CPU)


def trained(fleet: Fleet, splits: Splits) -> list[torch.Tensor]:
    list(train(fleet, splits))
    return [parameter.detach() for parameter in fleet.model.parameters()]


def test_all_of_them_held_every_run_is_the_run_with_this_seed(small_splits: Splits) -> None:
    """Also its input noise; to the bit in the same place of a fleet, to rounding in another."""
    held = trained(fleet_of(*KEYS, seeds=(0, 1), input_noise="0.1"), small_splits)
    plain = trained(fleet_of(seeds=(7, 3), input_noise="0.1"), small_splits)
    for ours, theirs in zip(held, plain, strict=True):
        assert torch.equal(ours[0], theirs[0])
        torch.testing.assert_close(ours[1], ours[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("free", KEYS)
def test_one_that_is_not_held_makes_the_runs_differ(free: str, small_splits: Splits) -> None:
    fleet = fleet_of(*(key for key in KEYS if key != free), seeds=(0, 1))
    start = [parameter.detach().clone() for parameter in fleet.model.parameters()]
    same = all(torch.equal(each[0], each[1]) for each in start)
    assert same == (free != "initial_weights_seed")
    first, *_ = trained(fleet, small_splits)
    assert not torch.equal(first[0], first[1])


def test_the_order_of_the_examples_is_that_of_the_held_seed() -> None:
    assert fleet_of("data_order_seed", seeds=(0, 1)).order_seeds == [7, 7]
    assert fleet_of("mask_seed", seeds=(0, 1)).order_seeds == [0, 1]


def test_a_resumed_run_has_the_same_bits(small_splits: Splits) -> None:
    held = (f"training.{key}={seed}" for seed, key in enumerate(KEYS, start=5))
    runs = make_runs("training.epochs=3", *held, seeds=(0, 1))
    assert_same_bits(*resumed_after_an_epoch(runs, small_splits))


def test_a_run_id_changes_only_where_a_seed_is_held() -> None:
    (plain,) = make_runs()
    (null,) = make_runs("training.mask_seed=null")
    (held,) = make_runs("training.mask_seed=0")
    assert plain.run_id == null.run_id != held.run_id
