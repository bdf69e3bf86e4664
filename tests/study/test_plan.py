"""Packing: what may share a fleet, and the same packing for the same request."""

from dropout_lab.study import pack
from dropout_lab.study.plan import suitable_size
from tests.conftest import make_config, make_sweep


def test_runs_that_differ_in_seed_p_rate_and_strengths_share_a_fleet() -> None:
    runs = make_sweep(
        "dropout.p=0.25,0.5", "training.learning_rate=0.1,0.01", "regularization.l2=0,0.1",
        "regularization.max_norm=null,2", seeds=(0, 1),
    )  # fmt: skip
    (fleet,) = pack(runs)
    assert {run.run_id for run in fleet} == {run.run_id for run in runs}


def test_every_regularizer_may_differ_within_a_fleet() -> None:
    """With the keys that only the stronger run reads."""
    for axes in (
        ["l1=0,0.1", "l1_from=3"], ["max_norm=null,2", "max_norm_on=hidden"],
        ["max_squared_norm=null,2"], ["kl_sparsity=0,0.1", "kl_sparsity_target=0.2"],
        ["kl_sparsity=0.1", "kl_sparsity_damping=0.5,0.7"], ["label_smoothing=0,0.1"],
        ["input_noise=0,0.1"],
    ):  # fmt: skip
        runs = make_sweep("dropout.p=0.5", *(f"regularization.{axis}" for axis in axes))
        assert [len(fleet) for fleet in pack(runs)] == [2]


def test_what_changes_the_program_starts_another_fleet() -> None:
    for axis in (
        "model.hidden=[16],[16,12]", "dropout.variant=inverted,gaussian",
        "dropout.mask=element,batch",
        "training.batch_size=32,64", "dataset.train_size=100,200", "training.epochs=1,2",
        "training.optimizer=sgd,adam", "training.momentum=0,0.9", "dropout.placement=input,hidden",
        "training.dampening=true,false", "training.learning_rate_schedule=constant,linear",
    ):  # fmt: skip
        assert len(pack(make_sweep("dropout.p=0.5", "dropout.placement=hidden", axis))) == 2


def test_fleets_are_as_even_as_can_be() -> None:
    runs = make_sweep("dropout.p=0.5", seeds=tuple(range(10)))
    assert [len(fleet) for fleet in pack(runs, fleet_size=4)] == [3, 3, 4]
    assert [len(fleet) for fleet in pack(runs, fleet_size=1)] == [1] * 10


def test_equal_rates_stand_together() -> None:
    runs = make_sweep("training.learning_rate=0.1,0.01", "dropout.p=0.25,0.5", seeds=(0, 1))
    rates = [run.settings.training.learning_rate for run in pack(runs)[0]]
    assert rates == sorted(rates)


def test_wide_networks_have_small_fleets() -> None:
    sizes = [
        suitable_size(make_config(f"model.hidden={hidden}"))
        for hidden in ("[128]", "[512,512]", "[1024,1024]", "[8192,8192]")
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    assert 4 <= sizes[1] <= 16
