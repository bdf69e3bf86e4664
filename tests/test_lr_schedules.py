"""Schedules of learning rate and momentum: worked by hand at single updates, and as recorded."""

import math

import pytest
import torch

from dropout_lab.config.sections.training import TrainingSettings
from dropout_lab.data import Splits
from dropout_lab.lr_schedules import OptimizerSchedule
from dropout_lab.training import Fleet, train
from tests.conftest import make_runs

CPU = torch.device("cpu")
STEPS = 10


def rates(updates: int = 100, steps: int = STEPS, **settings: object) -> OptimizerSchedule:
    return OptimizerSchedule(TrainingSettings(**settings), steps, updates)


def factors(at: list[int], updates: int = 100, **settings: object) -> list[float]:
    made = rates(updates, **settings)
    return [made.at(t).factor for t in at]


def test_constant_is_the_settings_own() -> None:
    for t in (0, 7, 99):
        assert rates(momentum=0.8).at(t) == (t, 1.0, 0.8)


@pytest.mark.parametrize(
    ("t", "learning_rate", "momentum"),
    [
        (0, 1.0, 0.50),
        (10_000, 0.50, 0.547),
        (100_000, 0.0909, 0.810),
        (500_000, 0.0196, 0.987),
        (1_000_000, 0.0099, 0.990),
    ],
)
def test_the_released_config_of_the_2014_paper(
    t: int, learning_rate: float, momentum: float
) -> None:
    """Base 1.0 / (1 + t / 10000) and 0.99 - 0.49 exp(-t / 100000), as printed with 3 digits."""
    rate = rates(
        1_000_000, 500, momentum=0.99,
        learning_rate_schedule="inverse_time", learning_rate_updates=10_000,
        momentum_schedule="exponential", start_momentum=0.5, momentum_updates=100_000,
    ).at(t)  # fmt: skip
    assert rate.factor == pytest.approx(learning_rate, abs=5e-5)
    assert rate.momentum == pytest.approx(momentum, abs=5e-4)


def test_hinton_2012_by_hand() -> None:
    """0.998 ** e; momentum 0.5 + 0.49 e / 500 up to epoch 500: a quarter of the way at 125."""
    made = rates(
        30_000, STEPS, momentum=0.99,
        learning_rate_schedule="exponential", learning_rate_decay=0.998,
        momentum_schedule="linear", start_momentum=0.5, momentum_epochs=500,
    )  # fmt: skip
    expected = {
        0: (1, 0.5),
        9: (1, 0.5),
        10: (0.998, 0.50098),
        19: (0.998, 0.50098),
        20: (0.996004, 0.50196),
        1250: (0.998**125, 0.6225),
        4999: (0.998**499, 0.98902),
        5000: (0.998**500, 0.99),
        29_999: (0.998**2999, 0.99),
    }
    for t, (factor, momentum) in expected.items():
        assert made.at(t).factor == pytest.approx(factor, rel=1e-12)
        assert made.at(t).momentum == pytest.approx(momentum, rel=1e-12)


def test_steps_are_epochs_and_the_last_goes_on() -> None:
    """Wan et al.'s 600-400-20, at the first and the last update of each step."""
    wan = {
        "learning_rate_schedule": "steps",
        "learning_rate_steps": (600, 400, 400, 20, 20, 20, 20),
        "learning_rate_factors": (1, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001),
    }
    ends = [600, 1000, 1400, 1420, 1440, 1460, 1480]
    firsts = [10 * epoch for epoch in [0, *ends[:-1]]]
    lasts = [10 * epoch - 1 for epoch in ends]
    expected = [1, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001]
    assert factors(firsts, 14_800, **wan) == expected
    assert factors(lasts, 14_800, **wan) == expected
    assert factors([14_800, 20_000], 20_001, **wan) == [0.001, 0.001]


def test_linear_over_the_whole_training() -> None:
    """From 1 to 0 in 100 updates: 1 - t / 100, so that the last update still has a rate."""
    linear = {"learning_rate_schedule": "linear"}
    assert factors([0, 25, 50, 99], **linear) == pytest.approx([1, 0.75, 0.5, 0.01])


def test_linear_over_a_span_of_epochs_to_its_end() -> None:
    """From epoch 2 to 6, updates 20 to 60, down to 0.2: half of the way, 0.6, at 40."""
    linear = {"learning_rate_schedule": "linear", "learning_rate_end": 0.2}
    found = factors([0, 20, 21, 40, 60, 99], learning_rate_span=(2, 6), **linear)
    assert found == pytest.approx([1, 1, 1 - 0.8 / 40, 0.6, 0.2, 0.2])


def test_linear_ends_with_a_training_that_ends_inside_an_epoch() -> None:
    assert factors([0, 14], 15, learning_rate_schedule="linear") == pytest.approx([1, 1 / 15])


def test_cosine_by_hand() -> None:
    """Half of the way down at half of the span; cos(pi / 3) = 1/2, so 3/4 after a third."""
    cosine = {"learning_rate_schedule": "cosine"}
    found = factors([0, 40, 60, 80, 119], 120, **cosine)
    last = (1 + math.cos(math.pi * 119 / 120)) / 2
    assert found == pytest.approx([1, 0.75, 0.5, 0.25, last], rel=1e-12)


def test_cosine_over_a_span_of_epochs_to_its_end() -> None:
    """From epoch 2 to 8, updates 20 to 80, down to 0.2: 0.2 + 0.8 * 3/4 at 40, 0.6 at 50."""
    cosine = {"learning_rate_schedule": "cosine", "learning_rate_end": 0.2}
    found = factors([0, 20, 40, 50, 60, 80, 99], learning_rate_span=(2, 8), **cosine)
    assert found == pytest.approx([1, 1, 0.8, 0.6, 0.4, 0.2, 0.2], rel=1e-12)


def test_one_cycle_by_hand() -> None:
    """T = 20, peak 0.35: from 0.1 at 0 up to 1 at 6 and down to 0.01 at 19."""
    cycle = {
        "learning_rate_schedule": "one_cycle", "learning_rate_peak": 0.35,
        "learning_rate_start": 0.1, "learning_rate_end": 0.01,
    }  # fmt: skip
    found = factors([0, 2, 3, 6, 19], 20, **cycle)
    assert found == pytest.approx([0.1, 0.1 + 0.9 / 4, 0.55, 1, 0.01], rel=1e-12)
    falling = 0.01 + 0.99 * (1 + math.cos(math.pi * 4 / 13)) / 2
    assert factors([10], 20, **cycle) == pytest.approx([falling], rel=1e-12)


@pytest.mark.parametrize(
    ("updates", "settings", "theirs"),
    [
        (100, {}, {}),
        (4, {}, {}),
        (37, {"learning_rate_peak": 0.1}, {"pct_start": 0.1}),
        (
            55,
            {"learning_rate_start": 0.1, "learning_rate_end": 0.001, "learning_rate_peak": 0.9},
            {"div_factor": 10, "final_div_factor": 100, "pct_start": 0.9},
        ),
    ],
)
def test_one_cycle_is_torchs_own(
    updates: int, settings: dict[str, float], theirs: dict[str, float]
) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=updates, cycle_momentum=False, **theirs
    )
    expected = []
    for update in range(updates):
        expected += scheduler.get_last_lr()
        optimizer.step()
        if update + 1 < updates:
            scheduler.step()
    found = factors(list(range(updates)), updates, learning_rate_schedule="one_cycle", **settings)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "one_cycle"])
def test_warmup_multiplies_any_schedule(schedule: str) -> None:
    """1.5 epochs of 10 updates: (t + 1) / 15 of the schedule's own factor, all of it from 14 on."""
    at = [0, 1, 7, 13, 14, 15, 99]
    plain = factors(at, learning_rate_schedule=schedule)
    warm = factors(at, learning_rate_schedule=schedule, warmup=1.5)
    shares = [1 / 15, 2 / 15, 8 / 15, 14 / 15, 1, 1, 1]
    expected = [share * factor for share, factor in zip(shares, plain, strict=True)]
    assert warm == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("warmup", [0, 0.05, 0.1])
def test_a_warmup_of_at_most_one_update_changes_nothing(warmup: float) -> None:
    assert factors(list(range(5)), warmup=warmup) == [1.0] * 5


@pytest.mark.parametrize("start", [0.9, 0.0])
def test_momentum_may_fall_and_may_begin_at_zero(start: float) -> None:
    made = rates(momentum=0.5, momentum_schedule="linear", start_momentum=start, momentum_epochs=2)
    assert [made.at(t).momentum for t in (0, 9, 10, 20)] == [start, start, (start + 0.5) / 2, 0.5]


def test_the_recorded_learning_rate_is_that_of_the_epochs_last_update(
    small_splits: Splits,
) -> None:
    """Eight updates an epoch: t = 7, 15, 23 under the inverse time, e = 0, 1, 2 per epoch."""

    def recorded(*settings: str) -> list[float]:
        fleet = Fleet(make_runs("training.epochs=3", "training.learning_rate=0.1", *settings), CPU)
        return [epoch.records[0].learning_rate for epoch in train(fleet, small_splits)]

    inverse = ("training.learning_rate_schedule=inverse_time", "training.learning_rate_updates=8")
    assert recorded(*inverse) == pytest.approx([0.1 / (1 + t / 8) for t in (7, 15, 23)])
    halved = ("training.learning_rate_schedule=exponential", "training.learning_rate_decay=0.5")
    assert recorded(*halved) == [0.1, 0.05, 0.025]
    assert recorded() == [0.1, 0.1, 0.1]


def test_after_its_time_constant_the_exponential_has_gone_63_percent_of_its_way() -> None:
    made = rates(
        momentum=0.9, momentum_schedule="exponential", start_momentum=0.4, momentum_updates=50
    )
    assert made.at(50).momentum == pytest.approx(0.4 + 0.5 * (1 - 1 / math.e))
