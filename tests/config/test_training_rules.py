"""What the sections training and regularization refuse, with the reason, before any work."""

import pytest

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.conditional_keys import describe_readers
from dropout_lab.config.grid import run_id, runs_of, single_cell, sweep_cells
from dropout_lab.config.load import load
from dropout_lab.config.overrides import Changes
from dropout_lab.config.rules import find_cautions
from dropout_lab.config.schema import Config, get_value
from dropout_lab.config.sections.regularization import RegularizationSettings
from dropout_lab.config.sections.training import TrainingSettings
from dropout_lab.errors import ConfigError

REGULARIZATION = set(RegularizationSettings.model_fields)


def _dotted(setting: str) -> str:
    key = setting.partition("=")[0]
    if "." in key:
        return setting
    return f"{'regularization' if key in REGULARIZATION else 'training'}.{setting}"


def loaded(*settings: str, sweep: bool = False) -> Config:
    return load(None, Changes(settings=tuple(_dotted(s) for s in settings), sweep=sweep))


def refusal(*settings: str, sweep: bool = False) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(*settings, sweep=sweep)
    return list(caught.value.mistakes)


STEPS = ["learning_rate_schedule=steps"]
LINEAR = ["learning_rate_schedule=linear"]
COSINE = ["learning_rate_schedule=cosine"]
ONE_CYCLE = ["learning_rate_schedule=one_cycle"]
RAMP = ["momentum_schedule=linear", "start_momentum=0.5", "momentum_epochs=5"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            ["learning_rate_schedule=exponential"],
            "is exponential, which needs training.learning_rate_decay, e.g. "
            "learning_rate_decay: 0.998.",
        ),
        (
            ["learning_rate_schedule=inverse_time"],
            "needs training.learning_rate_updates, e.g. learning_rate_updates: 10000.",
        ),
        (
            [*STEPS, "learning_rate_factors=[1]"],
            "needs training.learning_rate_steps, e.g. learning_rate_steps: [600, 400].",
        ),
        (
            [*STEPS, "learning_rate_steps=[5]"],
            "needs training.learning_rate_factors, e.g. learning_rate_factors: [1, 0.5].",
        ),
        (
            [*STEPS, "learning_rate_steps=[5,3]", "learning_rate_factors=[1]"],
            "training.learning_rate_factors lists 1 factors for 2 steps; give one factor for each",
        ),
        ([*STEPS, "learning_rate_steps=[0]", "learning_rate_factors=[1]"], "list of positive who"),
        ([*STEPS, "learning_rate_steps=[5]", "learning_rate_factors=[0]"], "list of numbers abov"),
        (
            ["learning_rate_schedule=exponential", "learning_rate_decay=1.1"],
            "training.learning_rate_decay is 1.1; allowed: a number above 0 and at most 1",
        ),
        (
            ["learning_rate_schedule=exponential", "learning_rate_decay=0"],
            "training.learning_rate_decay is 0; allowed: a number above 0 and at most 1",
        ),
        (["learning_rate_schedule=sine"], "one of constant, exponential, inverse_time, steps"),
        ([*LINEAR, "learning_rate_span=[5,5]"], "is [5, 5]; give two numbers of epochs"),
        (
            [*LINEAR, "learning_rate_span=[5,21]"],
            "the second at most 20, the epochs of the training; or null",
        ),
        (
            [*LINEAR, "learning_rate_span=[1,4]", "training.updates=60"],
            "the second at most 3, the epochs of the training",
        ),
        ([*LINEAR, "learning_rate_span=[5]"], "is [5]; allowed: a list of 2 whole numbers of"),
        ([*LINEAR, "learning_rate_end=-1"], "a number of at least 0"),
        (
            ["learning_rate_decay=0.9"],
            "training.learning_rate_decay is given, and nothing here reads it; it is for "
            "learning_rate_schedule exponential.",
        ),
        ([*LINEAR, "learning_rate_updates=5"], "it is for learning_rate_schedule inverse_time."),
        (
            ["learning_rate_end=0.1"],
            "it is for learning_rate_schedule linear, learning_rate_schedule cosine, "
            "learning_rate_schedule one_cycle.",
        ),
        ([*COSINE, "learning_rate_span=[5,21]"], "the second at most 20, the epochs of the train"),
        ([*COSINE, "learning_rate_peak=0.3"], "it is for learning_rate_schedule one_cycle."),
        ([*ONE_CYCLE, "learning_rate_span=[1,2]"], "learning_rate_schedule linear, learning_rate_"),
        ([*ONE_CYCLE, "learning_rate_peak=1"], "peak is 1; allowed: a number above 0 and below 1"),
        ([*ONE_CYCLE, "learning_rate_start=0"], "start is 0; allowed: a number above 0 and at mo"),
        (
            [*ONE_CYCLE, "training.updates=3"],
            "is one_cycle, but a share of 0.3 of 3 updates leaves no time for the rise; train",
        ),
        (["warmup=-1"], "training.warmup is -1; allowed: a number of at least 0"),
        (
            ["warmup=20.5"],
            "training.warmup is 20.5, longer than the training; give a number of epochs, at most "
            "20.",
        ),
        (["warmup=3", "training.updates=60"], "of epochs, at most 2.5."),
        (
            ["momentum_schedule=linear", "momentum_epochs=5"],
            "is linear, which needs training.start_momentum, e.g. start_momentum: 0.5.",
        ),
        (
            ["momentum_schedule=linear", "start_momentum=0.5"],
            "needs training.momentum_epochs, e.g. momentum_epochs: 500.",
        ),
        (
            ["momentum_schedule=exponential", "start_momentum=0.5"],
            "needs training.momentum_updates, e.g. momentum_updates: 100000.",
        ),
        (["momentum_schedule=linear", "start_momentum=1"], "1; allowed: a number of at least 0 an"),
        (
            ["start_momentum=0.5"],
            "it is for momentum_schedule linear, momentum_schedule exponential.",
        ),
        ([*RAMP, "momentum_updates=5"], "it is for momentum_schedule exponential."),
        (
            [*RAMP, "optimizer=adam"],
            "training.momentum_schedule is linear, but adam has beta 0.9 and 0.999 in place of a "
            "momentum; write optimizer: sgd, or leave it out.",
        ),
        (
            [*RAMP, "optimizer=rmsprop"],
            "training.momentum_schedule is linear, but rmsprop has no momentum; write optimizer: "
            "sgd, or leave it out.",
        ),
        (["nesterov=true", "optimizer=rmsprop"], "nesterov is true, which needs optimizer: sgd"),
        (["dampening=true", "optimizer=adamw"], "dampening is true, which needs optimizer: sgd"),
        (["dampening=true", "momentum=0"], "dampening is true, which needs optimizer: sgd and a m"),
        (["dampening=true", "nesterov=true"], "and so is nesterov, whose step takes the gradient"),
        (["dampening=0.9"], "training.dampening is 0.9; allowed: true or false"),
        (["average=swa"], 'training.average is "swa"; allowed: one of none, exponential, last'),
        (["average=last"], "is last, which needs training.average_epochs, e.g. average_epochs: 10"),
        (
            ["average=last", "average_epochs=21"],
            "training.average_epochs is 21, and the training has 20 epochs; give at most 20.",
        ),
        (
            ["average=last", "average_epochs=4", "training.updates=60"],
            "is 4, and the training has 3 epochs; give at most 3.",
        ),
        (
            ["average=last", "average_epochs=2", "patience=3"],
            "training.average is last, but with training.patience a run may stop before its last",
        ),
        (
            ["average=exponential", "average_decay=1"],
            "training.average_decay is 1; allowed: a number of at least 0 and below 1",
        ),
        (["average_decay=0.9"], "nothing here reads it; it is for average exponential."),
        (["average=exponential", "average_epochs=3"], "it is for average last."),
        (["l1_from=5"], "regularization.l1_from is given, and nothing here reads it; it is for l1"),
        (
            ["l1=0.1", "l1_from=480"],
            "regularization.l1_from is 480, and the training has 480 updates, of which the last "
            "begins when 479 are done; give at most that.",
        ),
        (["l1=0.1", "l1_from=-1"], "l1_from is -1; allowed: a whole number of at least 0"),
        (["max_norm=2", "max_squared_norm=4"], "max_norm are both given; give one of them"),
        (["max_norm=[2,3,4]", "max_squared_norm=[4,9,1]"], "max_norm are both given; give one of"),
        (
            ["max_norm=[2,3]"],
            "regularization.max_norm lists 2 bounds for 3 weight matrices; give one number, or one "
            "for each matrix (null for none).",
        ),
        (["max_squared_norm=[2,3,4,5]"], "max_squared_norm lists 4 bounds for 3 weight matrices"),
        (
            ["max_norm=[null,null,null]"],
            "regularization.max_norm is [null, null, null], which bounds nothing; write null.",
        ),
        (
            ["max_norm=[2,0,4]"],
            "is [2, 0, 4]; allowed: a number above 0, or a list of numbers above 0 and nulls, or "
            "null.",
        ),
        (
            ["max_norm=[2,null,4]", "max_norm_on=hidden"],
            'regularization.max_norm_on is "hidden", but max_norm is a list with a bound for each '
            "matrix; write null there",
        ),
        (
            ["max_squared_norm=[2,null,4]", "max_norm_on=[0]"],
            "regularization.max_norm_on is [0], but max_squared_norm is a list",
        ),
        (["max_squared_norm=0"], "regularization.max_squared_norm is 0; allowed: a number above 0"),
        (["max_norm_on=hidden"], "it is for max_norm above 0, max_squared_norm above 0."),
        (
            ["max_norm=2", "max_norm_on=[0,3]"],
            "names matrix 3; with 2 hidden layers they are 0 (leaving the input) to 2 (entering",
        ),
        (["max_norm=2", "max_norm_on=[1,1]"], "max_norm_on is [1, 1]; name each matrix once"),
        (["max_norm=2", "max_norm_on=[]"], "regularization.max_norm_on is []; allowed: one of all"),
        (["max_norm=2", "max_norm_on=output"], 'is "output"; allowed: one of all, hidden or'),
        (["kl_sparsity_target=0.2"], "it is for kl_sparsity above 0."),
        (["kl_sparsity_damping=0.5"], "it is for kl_sparsity above 0."),
        (["kl_sparsity=0.1", "kl_sparsity_damping=1"], "is 1; allowed: a number of at least 0 and"),
        (["kl_sparsity=-0.1"], "kl_sparsity is -0.1; allowed: a number of at least 0"),
        (
            ["kl_sparsity=0.1", "kl_sparsity_target=1", "model.activation=logistic"],
            "kl_sparsity_target is 1, but the mean of a logistic unit lies between 0 and 1; give a "
            "target in (0, 1), e.g. 0.1.",
        ),
        (
            ["kl_sparsity=0.1", "kl_sparsity_target=0", "model.activation=logistic"],
            "kl_sparsity_target is 0, but the mean of a logistic unit",
        ),
        (
            ["kl_sparsity=0.1", "dropout.variant=batchwise"],
            "needs the activation of every unit, but batchwise does not compute those it drops",
        ),
        (["label_smoothing=1"], "smoothing is 1; allowed: a number of at least 0 and below 1"),
        (["label_smoothing=-0.1"], "is -0.1; allowed: a number of at least 0 and below 1"),
        (["confidence_penalty=-1"], "confidence_penalty is -1; allowed: a number of at least 0"),
        (["input_noise_schedule=linear"], "nothing here reads it; it is for input_noise above 0."),
        (
            ["input_noise=1", "input_noise_schedule=cosine"],
            'input_noise_schedule is "cosine"; allowed: one of constant, linear or null',
        ),
        (["input_noise=-1"], "input_noise is -1; allowed: a number of at least 0"),
        (
            ["model.init=uniform"],
            "model.init is uniform, which needs model.init_range, e.g. init_range: 0.05.",
        ),
        (["model.init_range=0.1"], "model.init_range is given, and nothing here reads it; it is "),
        (
            ["model.init=uniform", "model.init_range=[0.1,0.1]"],
            "model.init_range lists 2 numbers for 3 weight matrices; give one number, or one for "
            "each matrix.",
        ),
        (
            ["model.init=uniform", "model.init_range=[0.1,0,0]"],
            "model.init_range is [0.1, 0.0, 0.0]; only the weights of the output units can start "
            "at 0, because",
        ),
        (["model.init=uniform", "model.init_range=0"], "is 0.0; only the weights of the output un"),
        (
            ["model.init=uniform", "model.init_range=-1"],
            "is -1; allowed: a number of at least 0, or a list of them, or null",
        ),
        (
            [
                "model.init=uniform", "model.init_range=[0.1,0.1,0]",
                "dropout.variant=sparse_variational", "training.optimizer=adam",
            ],
            "model.init_range is 0 for the output units, but sparse_variational sets its noise",
        ),
        (["model.init=fanout"], "did you mean 'fan_out'?"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused_with_the_reason(settings: list[str], words: str) -> None:
    (told,) = refusal(*settings)
    assert words in told


def test_everything_that_is_wrong_is_told_at_once() -> None:
    told = refusal(
        "learning_rate_schedule=steps", "momentum_schedule=exponential", "max_norm=1",
        "max_squared_norm=1", "l1=0.1", "l1_from=1000",
    )  # fmt: skip
    assert len(told) == 2 + 2 + 1 + 1


@pytest.mark.parametrize(
    "settings",
    [
        ["learning_rate_schedule=exponential", "learning_rate_decay=1"],
        [*LINEAR, "learning_rate_span=[0,20]", "learning_rate_end=2"],
        [*STEPS, "learning_rate_steps=[600,400,400,20,20,20,20]",
         "learning_rate_factors=[1,0.5,0.1,0.05,0.01,0.005,0.001]"],
        [*LINEAR, "optimizer=adam"],
        [*COSINE, "learning_rate_span=[0,20]", "learning_rate_end=0.1", "warmup=20"],
        [*ONE_CYCLE, "learning_rate_end=0", "training.updates=4"],
        ["warmup=2.5", "training.updates=60"],
        ["optimizer=rmsprop", "learning_rate=0.001"],
        [*RAMP, "nesterov=true"],
        [*RAMP, "momentum=0"],
        [*RAMP, "dampening=true"],
        ["l1=0.1", "l1_from=479"],
        ["max_norm=2", "max_norm_on=[0,2]"],
        ["input_noise=1", "input_noise_schedule=linear", "confidence_penalty=1"],
        ["max_norm=[4.378,2.970,4.627]"],
        ["max_squared_norm=[null,2,null]", "max_norm_on=all"],
        ["kl_sparsity=0.1", "kl_sparsity_target=3"],
        ["kl_sparsity=0.1", "dropout.variant=batchwise", "dropout.p=0"],
        ["model.init=fan_out"],
        ["model.init=uniform", "model.init_range=[0.00891,0.0575,0.0]"],
        ["model.init=uniform", "model.init_range=0.05"],
        [
            "model.init=uniform", "model.init_range=[0.1,0.1,0]", "dropout.placement=input",
            "dropout.variant=sparse_variational", "training.optimizer=adam",
        ],
    ],
)  # fmt: skip
def test_what_makes_sense_is_taken(settings: list[str]) -> None:
    assert single_cell(loaded(*settings))


def test_a_swept_key_that_nothing_reads_is_a_mistake() -> None:
    """Else its cells would come to one, and the sweep to less than was asked for."""
    (told,) = refusal("kl_sparsity_target=0.1,0.2", sweep=True)
    assert "it is for kl_sparsity above 0" in told
    (told,) = refusal("dropout.share=0.2,0.5", sweep=True)
    assert "dropout.share is given, and nothing here reads it" in told


def test_a_key_is_read_where_its_strength_or_schedule_is() -> None:
    config = loaded("kl_sparsity=0,0.1", "kl_sparsity_target=0.2", "dropout.p=0.5", sweep=True)
    cells = [cell.settings.regularization for cell in sweep_cells(config, baseline=False)]
    assert [cell.kl_sparsity_target for cell in cells] == [None, 0.2]
    config = loaded(
        "learning_rate_schedule=constant,exponential,linear", "learning_rate_decay=0.9",
        "learning_rate_end=0.1", "dropout.p=0,0.5", sweep=True,
    )  # fmt: skip
    for cell in sweep_cells(config):
        training = cell.settings.training
        expected = {
            "constant": (None, None), "exponential": (0.9, None), "linear": (None, 0.1),
        }[training.learning_rate_schedule]  # fmt: skip
        assert (training.learning_rate_decay, training.learning_rate_end) == expected


def test_a_swept_key_shows_its_default_where_it_is_read_and_nothing_where_it_is_not() -> None:
    axes = ["kl_sparsity=0,0.5", "kl_sparsity_target=0.05,0.1", "dropout.p=0.5"]
    cells = sweep_cells(loaded(*axes, sweep=True), baseline=False)
    shown = [
        tuple(cell.values[f"regularization.{key}"] for key in ("kl_sparsity", "kl_sparsity_target"))
        for cell in cells
    ]
    assert shown == [(0.0, None), (0.5, 0.05), (0.5, 0.1)]


@pytest.mark.parametrize(
    "axes",
    [
        ["l1=0.1", "l1_from=0,null"],
        ["max_norm=1", "max_norm_on=all,null"],
        ["kl_sparsity=0.1", "kl_sparsity_target=0.1,null"],
        ["kl_sparsity=0.1", "kl_sparsity_damping=0.9,null"],
        ["input_noise=1", "input_noise_schedule=constant,null"],
        [*LINEAR, "learning_rate_end=0,null"],
        ["average=exponential", "average_decay=0.999,null"],
        [*COSINE, "learning_rate_end=0,null"],
        [*ONE_CYCLE, "learning_rate_end=4e-6,null"],
        [*ONE_CYCLE, "learning_rate_start=0.04,null"],
        [*ONE_CYCLE, "learning_rate_peak=0.3,null"],
    ],
)
def test_a_key_at_its_default_is_the_same_cell_as_without_it(axes: list[str]) -> None:
    assert len(sweep_cells(loaded(*axes, "dropout.p=0.5", sweep=True), baseline=False)) == 1


def test_a_list_of_bounds_is_swept_as_one_value() -> None:
    axes = ["max_norm=2,[4,3,null],null", "dropout.p=0.5"]
    cells = sweep_cells(loaded(*axes, sweep=True), baseline=False)
    expected = [2, (4, 3, None), None]
    assert [cell.values["regularization.max_norm"] for cell in cells] == expected


def test_what_is_not_set_is_no_part_of_a_run_id_and_what_is_set_is() -> None:
    """The id of the defaults is the one they had before any of these keys was there."""
    before = "6240211838dc"
    settings = [
        [], ["l1=0.1"], ["l1=0.1", "l1_from=5"], ["max_norm=2"], ["max_squared_norm=2"],
        ["max_norm=2", "max_norm_on=hidden"], ["kl_sparsity=0.1"],
        ["max_norm=[2,2,null]"], ["max_squared_norm=[2,2,null]"],
        ["kl_sparsity=0.1", "kl_sparsity_target=0.2"],
        ["kl_sparsity=0.1", "kl_sparsity_damping=0.5"], ["label_smoothing=0.1"],
        ["input_noise=0.1"], ["input_noise=0.1", "input_noise_schedule=linear"],
        ["confidence_penalty=0.1"], ["dampening=true"], RAMP, LINEAR,
        [*LINEAR, "learning_rate_end=0.1"], [*LINEAR, "learning_rate_span=[1,2]"],
        ["model.init=fan_out"],
        ["model.init=uniform", "model.init_range=0.1"],
        ["model.init=uniform", "model.init_range=[0.1,0.1,0]"],
        COSINE, ONE_CYCLE, [*ONE_CYCLE, "learning_rate_peak=0.2"], ["warmup=1"],
        [*ONE_CYCLE, "learning_rate_start=0.1"], [*ONE_CYCLE, "learning_rate_end=0"],
        ["average=exponential"], ["average=exponential", "average_decay=0.99"],
        ["average=last", "average_epochs=2"],
    ]  # fmt: skip
    ids = [run_id(single_cell(loaded(*each))[0].settings, 0) for each in settings]
    assert ids[0] == before
    assert len(set(ids)) == len(ids)


def test_every_new_key_is_null_or_off_by_default() -> None:
    assert all(get_value(Config(), key) is None for key in describe_readers())
    plain = TrainingSettings()
    schedules = (plain.learning_rate_schedule, plain.momentum_schedule, plain.dampening)
    assert schedules == ("constant", "constant", False)
    assert plain.average == "none"
    strengths = RegularizationSettings().model_dump()
    assert not any(strengths.values())


def test_only_variants_that_leave_units_uncomputed_exclude_kl_sparsity() -> None:
    excluded = [name for name, kind in CATALOGUE.items() if kind.one_p]
    assert excluded == ["batchwise"]


def test_seeds_of_a_regularized_cell_are_runs_of_their_own() -> None:
    cells = sweep_cells(loaded("label_smoothing=0,0.1", "dropout.p=0.5", sweep=True))
    runs = runs_of(cells, (0, 1))
    assert len({run.run_id for run in runs}) == len(runs) == 8


def test_an_average_over_most_of_the_training_is_told() -> None:
    """20 epochs of the defaults are 480 updates, a fifth of which are 96."""
    average = "average=exponential"
    told = find_cautions([loaded(average)])
    assert told == [
        "training.average_decay is 0.999: the average is over about 1,000 updates, and the "
        "training has 480, so early weights are part of it; give a smaller value, e.g. "
        "average_decay: 0.96."
    ]
    assert not find_cautions([loaded(average, "average_decay=0.96")])
    assert not find_cautions([loaded(average, "epochs=209")])
