"""What the section dropout refuses, with the reason, before any work; and what it only remarks."""

import inspect

import pytest

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.conditional_keys import describe_readers
from dropout_lab.config.grid import single_cell, sweep_cells
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.rules import find_cautions
from dropout_lab.config.schema import Config, get_value
from dropout_lab.errors import ConfigError
from dropout_lab.layers import VARIANTS


def loaded(*settings: str, sweep: bool = False) -> Config:
    return load(None, Changes(settings=tuple(_dotted(s) for s in settings), sweep=sweep))


def _dotted(setting: str) -> str:
    return setting if "." in setting.partition("=")[0] else f"dropout.{setting}"


def refusal(*settings: str, sweep: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(*settings, sweep=sweep)
    return "\n".join(caught.value.mistakes)


def test_the_catalogue_lists_the_variants_in_order() -> None:
    assert list(CATALOGUE) == list(VARIANTS)
    assert all(VARIANTS[name].variant is kind for name, kind in CATALOGUE.items())


@pytest.mark.parametrize("name", [n for n, kind in CATALOGUE.items() if kind.highest_p < 1])
def test_p_above_a_variants_range_is_refused_with_its_reason(name: str) -> None:
    kind = CATALOGUE[name]
    needed = [f"{key}=0.5" for key in kind.needed]
    too_much = 1 if kind.highest_p > 0.5 else 0.75
    told = refusal(f"variant={name}", f"p={too_much}", *needed)
    assert f"dropout.p is {too_much} with variant {name}: {kind.beyond}; give" in told
    if not kind.hidden_only:
        assert f"dropout.input_p is {too_much}" in refusal(
            f"variant={name}", f"input_p={too_much}", *needed
        )


@pytest.mark.parametrize("name", [n for n, kind in CATALOGUE.items() if kind.highest_p == 1])
def test_the_others_take_p_one(name: str) -> None:
    loaded(f"variant={name}", "p=1", *(f"{key}=0.5" for key in CATALOGUE[name].needed))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["variant=targeted_weight"], "which needs dropout.share, e.g. share: 0.5"),
        (["variant=targeted_unit"], "which needs dropout.share, e.g. share: 0.5"),
        (
            ["variant=targeted_unit", "share=0"],
            r"dropout.share is 0; allowed: a number above 0 and at most 1",
        ),
        (["variant=standout", "placement=all"], "dropout.placement names the input, but standout"),
        (["variant=standout", "input_p=0.2"], "dropout.input_p names the input, but standout"),
        (
            ["variant=targeted_unit", "share=0.5", "placement=input"],
            "dropout.placement names the input, but targeted_unit",
        ),
        (["variant=shakeout", "position=before"], "but shakeout acts between the activation"),
        (["variant=dropconnect", "position=before"], "but dropconnect acts between the activation"),
        (["variant=fast", "model.activation=selu"], "not defined for activation selu; it is for"),
        (
            ["variant=standout", "model.activation=maxout", "model.pieces=2"],
            "not defined for activation maxout",
        ),
        (["model.activation=maxout"], "maxout, which needs model.pieces, e.g. pieces: 5"),
        (["model.pieces=5"], "model.pieces is given, but model.activation is relu"),
        (["variant=variational_a", "alpha_per=weight"], "variational_a has noise on units"),
        (["variant=variational_b", "kl_warmup=[0.5,0.1]"], "dropout.kl_warmup is [0.5, 0.1]"),
        (["variant=variational_b", "kl_warmup=[0.5,1.1]"], "dropout.kl_warmup is [0.5, 1.1]"),
        (["variant=none", "loss=r_drop"], "compares noisy passes, but the variant none draws no"),
        (["variant=fast", "loss=fraternal"], "but the variant fast draws no noise"),
        (["p=0", "loss=expectation_linear"], "compares noisy passes, but p is 0 everywhere"),
        (["loss_weight=2"], "nothing here reads it; it is for loss r_drop, loss expectation_lin"),
        (["schedule=linear", "start_p=0.5", "p=0"], "never dropped from; for a p that falls to 0"),
        (["training.updates=30", "stop_last=2"], "stop_last is 2, and the training has 2 epochs"),
        (
            ["model.activation=maxout", "model.pieces=2", "position=before"],
            "a maxout unit has several pre-activations; write position: after",
        ),
        (["loss=rdrop"], "did you mean 'r_drop'?"),
        (["variant=adaptive"], "did you mean 'standout'?"),
        (["variant=concrete", "schedule=linear"], "but concrete learns its noise"),
        (["variant=variational_a", "stop_last=2"], "but variational_a learns its noise"),
        (["schedule=early"], "early, which needs an epoch, e.g. dropout.cutoff: 5"),
        (["schedule=late"], "late, which needs an epoch"),
        (["schedule=step"], "step, which needs an epoch"),
        (
            ["cutoff=3"],
            "reads it; it is for schedule step, schedule early, schedule late",
        ),
        (["schedule=early", "cutoff=3", "start_p=0.1"], "dropout.start_p is given, and nothing"),
        (["schedule=linear", "curriculum_rate=0.1"], "reads it; it is for schedule exponential"),
        (["schedule=early", "cutoff=20"], "dropout.cutoff is 20, and the training has 20 epochs"),
        (["stop_last=20"], "dropout.stop_last is 20, and the training has 20 epochs"),
        (["variant=gaussian", "schedule=linear", "start_p=1"], "dropout.start_p is 1 with variant"),
        (
            ["share=0.5"],
            "it is for variant guided, variant targeted_unit, variant targeted_weight.",
        ),
        (["variant=standout", "strength=0.1"], "reads it; it is for variant shakeout."),
    ],
)
def test_bad_settings_are_refused_with_the_reason(settings: list[str], words: str) -> None:
    assert words in refusal(*settings)


def test_the_same_is_refused_in_the_cells_of_a_sweep() -> None:
    told = refusal("variant=inverted,targeted_weight,alpha", "p=0.5,1", sweep=True)
    assert 'with dropout.p=0.5, dropout.variant="targeted_weight" (and in 1 more cells)' in told
    assert "dropout.p is 1 with variant alpha: no affine map" in told


def test_the_default_grid_is_checked_only_where_it_is_run() -> None:
    """Its p = 0.75 is beyond type A, which is trained on its own at p = 0.5."""
    assert single_cell(loaded("variant=variational_a"))
    assert "dropout.p is 0.75 with variant variational_a" in refusal(
        "variant=variational_a", sweep=True
    )


def test_options_of_other_variants_are_no_part_of_a_cell() -> None:
    """One share stands in the config, and only targeted dropout's runs depend on it."""
    ids = []
    for share in ("0.25", "0.75"):
        config = loaded("variant=inverted,targeted_weight", f"share={share}", "p=0.5", sweep=True)
        cells = {
            cell.settings.dropout.variant: cell.settings
            for cell in sweep_cells(config, baseline=False)
        }
        assert cells["targeted_weight"].dropout.share == float(share)
        assert cells["inverted"].dropout.share is None
        ids.append(cells)
    assert ids[0]["inverted"] == ids[1]["inverted"]


def test_schedules_and_losses_with_their_own_keys_are_compared_in_one_sweep() -> None:
    """The keys that only some cells read stand in the config, and in these cells only."""
    config = loaded("schedule=constant,early,late", "cutoff=5", "p=0.5", sweep=True)
    cutoffs = [cell.settings.dropout.cutoff for cell in sweep_cells(config, baseline=False)]
    assert cutoffs == [None, 5, 5]
    config = loaded("loss=cross_entropy,r_drop", "loss_weight=0.5", "p=0.5", sweep=True)
    weights = [cell.settings.dropout.loss_weight for cell in sweep_cells(config, baseline=False)]
    assert weights == [None, 0.5]
    assert loaded("loss=r_drop", "p=0,0.5", "dropout.p=0,0.5", sweep=True)


def test_a_key_at_its_default_and_a_mask_without_part_are_one_cell() -> None:
    for axes in (
        ["variant=variational_a", "alpha_per=layer,null", "p=0.5"],
        ["schedule=linear", "start_p=0,null", "p=0.5"],
        ["variant=batchwise", "mask=element,batch", "p=0.5"],
    ):
        assert len(sweep_cells(loaded(*axes, sweep=True), baseline=False)) == 1


def test_what_is_wrong_in_every_cell_is_told_once() -> None:
    told = refusal("variant=targeted_weight", "p=0.25,0.5", sweep=True)
    assert told == (
        "--set dropout.variant=targeted_weight: dropout.variant is targeted_weight, which needs "
        "dropout.share, e.g. share: 0.5."
    )


def test_every_optional_key_is_a_setting_that_is_null_by_default() -> None:
    assert all(get_value(Config(), key) is None for key in describe_readers())


def test_the_catalogues_defaults_are_the_layers() -> None:
    for name, kind in CATALOGUE.items():
        parameters = inspect.signature(VARIANTS[name]).parameters
        for key, default in kind.options.items():
            stated = parameters[key].default
            assert (None if stated is inspect.Parameter.empty else stated) == default


def test_a_run_without_dropout_has_no_schedule_and_no_loss() -> None:
    config = loaded("loss=r_drop", "schedule=exponential", "p=0,0.5", sweep=True)
    bare, dropped = (cell.settings.dropout for cell in sweep_cells(config))
    assert (bare.variant, bare.loss, bare.schedule) == ("none", "cross_entropy", "constant")
    assert (dropped.loss, dropped.schedule) == ("r_drop", "exponential")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["variant=alpha"], "alpha dropout keeps mean 0 and variance 1 of SELU units only"),
        (["variant=sparse_variational"], "sgd may diverge; write optimizer: adam"),
        (["variant=alpha", "model.activation=selu"], None),
        (["variant=sparse_variational", "training.optimizer=adam"], None),
        ([], None),
    ],
)
def test_what_is_hardly_meant_is_remarked(settings: list[str], words: str | None) -> None:
    told = find_cautions([loaded(*settings)])
    assert len(told) == (words is not None)
    assert words is None or words in told[0]
