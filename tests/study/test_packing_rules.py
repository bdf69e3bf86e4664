"""Packing: what may share a fleet, and the same packing for the same request."""

import json

import pytest
from hypothesis import given, settings, strategies

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.schema import Settings
from dropout_lab.errors import ConfigError
from dropout_lab.study import pack
from dropout_lab.study.machine import Machine
from dropout_lab.study.memory import need
from dropout_lab.study.packing import LARGEST_FLEET, need_of, packing_of, suitable_size
from tests.conftest import make_config, make_runs, make_sweep, with_variant

MACHINE = Machine(threads=2, cache=32 * 2**20, memory=2**40)


def test_runs_that_differ_in_seed_p_rate_and_strengths_share_a_fleet() -> None:
    runs = make_sweep(
        "dropout.p=0.25,0.5", "training.learning_rate=0.1,0.01", "regularization.l2=0,0.1",
        "regularization.max_norm=null,2", seeds=(0, 1),
    )  # fmt: skip
    (fleet,) = pack(runs, MACHINE)
    assert {run.run_id for run in fleet} == {run.run_id for run in runs}


def test_every_regularizer_may_differ_within_a_fleet() -> None:
    """With the keys that only the stronger run reads."""
    for axes in (
        ["l1=0,0.1", "l1_from=3"], ["max_norm=null,2", "max_norm_on=hidden"],
        ["max_squared_norm=null,2"], ["kl_sparsity=0,0.1", "kl_sparsity_target=0.2"],
        ["kl_sparsity=0.1", "kl_sparsity_damping=0.5,0.7"], ["label_smoothing=0,0.1"],
        ["input_noise=0,0.1"], ["input_noise=0.1", "input_noise_schedule=constant,linear"],
        ["confidence_penalty=0,0.1"], ["max_norm=2,[2,3,null]"],
    ):  # fmt: skip
        runs = make_sweep("dropout.p=0.5", *(f"regularization.{axis}" for axis in axes))
        assert [len(fleet) for fleet in pack(runs, MACHINE)] == [2]


def test_what_changes_the_program_starts_another_fleet() -> None:
    for axis in (
        "model.hidden=[16],[16,12]", "dropout.variant=inverted,gaussian",
        "dropout.mask=element,batch",
        "training.batch_size=32,64", "dataset.train_size=100,200", "training.epochs=1,2",
        "training.optimizer=sgd,adam", "training.momentum=0,0.9", "dropout.placement=input,hidden",
        "training.dampening=true,false", "training.learning_rate_schedule=constant,linear",
    ):  # fmt: skip
        assert (
            len(pack(make_sweep("dropout.p=0.5", "dropout.placement=hidden", axis), MACHINE)) == 2
        )


def test_fleets_are_as_even_as_can_be() -> None:
    runs = make_sweep("dropout.p=0.5", seeds=tuple(range(10)))
    assert [len(fleet) for fleet in pack(runs, MACHINE, fleet_size=4)] == [3, 3, 4]
    assert [len(fleet) for fleet in pack(runs, MACHINE, fleet_size=1)] == [1] * 10


def test_equal_rates_stand_together() -> None:
    runs = make_sweep("training.learning_rate=0.1,0.01", "dropout.p=0.25,0.5", seeds=(0, 1))
    rates = [run.settings.training.learning_rate for run in pack(runs, MACHINE)[0]]
    assert rates == sorted(rates)


def test_wide_networks_have_small_fleets_but_two_runs_for_each_thread() -> None:
    sizes = [
        suitable_size(make_config(f"model.hidden={hidden}"), MACHINE)
        for hidden in ("[128]", "[512,512]", "[1024,1024]", "[8192,8192]")
    ]
    assert sizes == [64, 24, 8, 4]


def test_the_suitable_size_is_a_multiple_of_the_threads() -> None:
    config = make_config("model.hidden=[512,512]")
    for threads in (1, 2, 3, 5):
        size = suitable_size(config, Machine(threads, MACHINE.cache, MACHINE.memory))
        assert size % threads == 0
        assert size >= 2 * threads


def test_no_fleet_needs_more_memory_than_there_is() -> None:
    runs = make_sweep("model.hidden=[64]", "dropout.p=0.5", seeds=tuple(range(40)))
    needed = need_of(runs)
    for memory in (needed.of(1), needed.of(7), needed.of(8) - 1, needed.of(39), needed.of(64)):
        fleets = pack(runs, Machine(2, MACHINE.cache, memory))
        assert sum(map(len, fleets)) == 40
        assert all(need_of(fleet).of(len(fleet)) <= memory for fleet in fleets)
    assert max(map(len, pack(runs, Machine(2, MACHINE.cache, needed.of(8) - 1)))) <= 7


def test_the_size_asked_for_does_not_go_beyond_the_memory() -> None:
    runs = make_sweep("dropout.p=0.5", seeds=tuple(range(10)))
    memory = need_of(runs).of(5)
    assert [len(f) for f in pack(runs, Machine(2, 2**25, memory), fleet_size=10)] == [5, 5]


def test_the_run_that_needs_most_memory_decides_for_its_fleet() -> None:
    """The masks of every run have the places of all runs."""
    runs = make_sweep(
        "dropout.p=0.5", "dropout.input_p=0,0.2", "dropout.variant=dropconnect",
        "training.batch_size=500",
    )  # fmt: skip
    one_place, two_places = (need([run.settings]) for run in runs)
    assert need_of(runs) == two_places
    assert two_places.each > one_place.each


def test_a_run_that_does_not_fit_is_refused_with_numbers() -> None:
    masks = ["dropout.variant=dropconnect", "training.batch_size=500"]
    runs = make_runs("model.hidden=[2048,2048]", *masks)
    with pytest.raises(ConfigError) as caught:
        pack(runs, Machine(2, 2**25, 2**30))
    (words,) = caught.value.mistakes
    assert "784-2048-2048-10" in words
    assert "a fleet may take 1.0 GB" in words
    enough = int(words.rpartition("--memory ")[2].removesuffix("G.")) * 2**30
    assert len(pack(runs, Machine(2, 2**25, enough))) == 1
    with pytest.raises(ConfigError):
        pack(runs, Machine(2, 2**25, enough - 2**30))


VARIANTS = sorted(CATALOGUE)
NETS = strategies.lists(strategies.integers(1, 3000), min_size=1, max_size=3)


@settings(deadline=None, max_examples=60)
@given(
    hidden=NETS, batch=strategies.integers(1, 500), variant=strategies.sampled_from(VARIANTS),
    memory=strategies.integers(2**20, 2**34), runs=strategies.integers(1, 90),
    threads=strategies.integers(1, 128), cache=strategies.integers(2**15, 2**30),
)  # fmt: skip
def test_whatever_is_asked_a_fleet_fits_or_is_refused(
    hidden: list[int], batch: int, variant: str, memory: int, runs: int, threads: int, cache: int
) -> None:
    asked = make_runs(
        *with_variant(variant), f"model.hidden={hidden}", f"training.batch_size={batch}",
        seeds=tuple(range(runs)),
    )  # fmt: skip
    machine, needed = Machine(threads, cache, memory), need_of(asked)
    assert needed.each > 0
    assert needed.of(runs) < needed.of(runs + 1)
    try:
        fleets = pack(asked, machine)
    except ConfigError:
        assert needed.of(1) > memory
        return
    assert sorted(run.seed for fleet in fleets for run in fleet) == list(range(runs))
    assert max(map(len, fleets)) - min(map(len, fleets)) <= 1
    assert all(needed.of(len(fleet)) <= memory for fleet in fleets)
    assert all(len(fleet) <= LARGEST_FLEET for fleet in fleets)
    assert fleets == pack(asked, machine)


def test_of_many_settings_the_worst_of_each_kind_is_enough() -> None:
    for axis in ("regularization.l1=0,0.1", "dropout.input_p=0,0.2", "dropout.p=0.1,0.5"):
        runs = make_sweep("dropout.p=0.5", "dropout.variant=concrete", axis)
        singly = [need([run.settings]) for run in runs]
        for order in (runs, runs[::-1]):
            assert need_of(order).each == max(one.each for one in singly)
            assert need_of(order).once == max(one.once for one in singly)


def each(*changes: str) -> int:
    settings: Settings = make_config("training.epochs=1", "training.batch_size=500", *changes)
    return need([settings]).each


@pytest.mark.parametrize(
    "more",
    [
        ["model.hidden=[32,12]"], ["training.batch_size=1000", "dataset.train_size=1000"],
        ["training.optimizer=adam"], ["training.epochs=2", "training.optimizer=adam"],
        ["training.patience=1"], ["dropout.loss=r_drop"], ["dataset.train_size=2000"],
        ["dropout.variant=sparse_variational"],
        ["dropout.variant=dropconnect", "dropout.placement=all"],
        ["model.activation=maxout", "model.pieces=3"], ["training.average=exponential"],
    ],
)  # fmt: skip
def test_what_takes_more_memory_counts_for_more(more: list[str]) -> None:
    assert each(*more) > each()


def test_without_momentum_there_is_less_to_remember() -> None:
    assert each("model.hidden=[512]", "training.momentum=0") < each("model.hidden=[512]")
    rmsprop, adam = ["training.optimizer=rmsprop"], ["training.optimizer=adam"]
    longer = ["model.hidden=[512]", "training.epochs=2", "training.batch_size=10"]
    assert each(*longer, *rmsprop) < each(*longer, *adam)


def test_sampling_networks_with_a_mask_for_each_weight_and_example_is_counted() -> None:
    dropconnect = ["dropout.variant=dropconnect", "training.batch_size=10"]
    sampled = each(*dropconnect, "evaluation.inference=monte_carlo")
    assert sampled - each(*dropconnect) > 1_000 * 16 * 12  # a byte for each of 1,000 examples


def test_the_packing_is_described_for_the_manifest() -> None:
    runs = make_sweep("model.hidden=[16],[512,512]", "dropout.p=0.5", seeds=(0, 1, 2))
    packing = packing_of(pack(runs, MACHINE), MACHINE, None)
    assert json.loads(json.dumps(packing)) == packing
    assert (packing["threads"], packing["cache_bytes"]) == (2, 2**25)
    assert packing["fleet_size"] is None
    small, wide = packing["programs"]
    assert (small["hidden"], small["runs"], small["suitable_size"]) == ([16], 3, 64)
    assert (wide["hidden"], wide["runs"], wide["suitable_size"]) == ([512, 512], 3, 24)
    assert wide["most_that_fit"] == (2**40 - wide["bytes_once"]) // wide["bytes_each"]
