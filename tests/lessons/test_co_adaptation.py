"""Lesson ``co-adaptation``: numbers worked by hand, and results that break its checks."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import LessonOptions, co_adaptation
from dropout_lab.lessons.co_adaptation import experiment
from dropout_lab.lessons.co_adaptation.experiment import PairedTraining, TrainedUnits
from dropout_lab.lessons.paired_differences import PairedRuns
from dropout_lab.lessons.parts import Table
from dropout_lab.lessons.training import build_fleet, load_images, make_settings
from dropout_lab.training import Fleet
from tests.lessons.conftest import failed_in

ASKED = LessonOptions((0.5,), quick=True)
CELL = {"model.hidden": (4,)}


def pair(without: float, dropped: float) -> PairedRuns:
    """Return three seeds with a little spread."""
    spread = torch.tensor([-0.01, 0.0, 0.01], dtype=torch.float64)
    return PairedRuns(without + spread, dropped - spread)


def found() -> TrainedUnits:
    layer = {
        "mean activation": pair(0.6, 0.3),
        "|correlation|": pair(0.2, 0.3),
        experiment.LENGTH_SPREAD: pair(0.5, 0.2),
    }
    accuracy = {0: pair(0.9, 0.9), 50: pair(0.5, 0.8)}
    return TrainedUnits(accuracy, [layer, dict(layer)], torch.zeros(2, 64, 28, 28), 1_000)


def test_a_pair_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, standard error 1 / sqrt(3)."""
    own = PairedRuns.from_fleet(torch.tensor([1.0, 1.0, 1.0, 2.0, 3.0, 4.0]))
    assert own.difference.mean == 2
    assert own.difference.standard_error == pytest.approx(1 / math.sqrt(3))
    assert own.difference.z_score == pytest.approx(2 * math.sqrt(3))
    assert own.scale(10).table_cells(1) == ("10.0 ± 0.0", "30.0 ± 5.8", "+20.0 ± 5.8", "+3.5")
    assert PairedRuns.from_fleet(torch.ones(4)).difference.z_score == 0


def test_the_spread_of_lengths_by_hand() -> None:
    """Two units whose leaving weights have lengths 5 and 1: mean 3, s.d. sqrt(8)."""
    weight = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]])
    assert experiment.length_spread(weight).tolist() == pytest.approx([math.sqrt(8) / 3])


@pytest.mark.parametrize("ps", [(0.0, 0.5), (0.5, 0.0)])
def test_a_cell_without_dropout_takes_part_in_any_order(ps: tuple[float, float]) -> None:
    fleet = build_fleet([make_settings({**CELL, "dropout.p": p}) for p in ps], [0, 1])
    assert fleet.model.places()[1][0].p.tolist() == [ps[0], ps[0], ps[1], ps[1]]
    x = torch.rand(1, 9, 784, generator=torch.Generator().manual_seed(1))
    fleet.model.open_epoch(1)
    with torch.no_grad():
        differ = (fleet.model.train()(x) != fleet.model.eval()(x)).any(dim=2).any(dim=1)
    assert differ.tolist() == [p > 0 for p in ps for _ in range(2)]


def test_the_number_of_dropped_units_is_binomial() -> None:
    """At p = 0.5: 1, 4, 6, 4 and 1 of 16."""
    parts = [*co_adaptation._show_story(0.5, ASKED)]
    (rows,) = [part for part in parts if isinstance(part, Table)]
    assert [row[1] for row in rows.rows] == [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16]
    assert sum(float(row[2]) for row in rows.rows) == pytest.approx(1)
    assert failed_in(parts) == []


def test_two_of_four_each_time_is_not_binomial(monkeypatch: pytest.MonkeyPatch) -> None:
    two = torch.tensor([1.0, 0.0, 1.0, 0.0])
    monkeypatch.setattr(InvertedDropout, "drop", lambda self, x: x * two)
    assert failed_in([*co_adaptation._show_story(0.5, ASKED)]) == ["how many are dropped"]


def test_without_training_the_lazy_units_stay_lazy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "train", lambda fleet, images: ())
    training = PairedTraining(0.5, range(3), load_images(ASKED, train_size=100))
    parts = [*co_adaptation._test_story(training)]
    (rows,) = [part for part in parts if isinstance(part, Table)]
    assert all(str(cell).startswith("0.01") for row in rows.rows for cell in row[1:3])
    assert failed_in(parts) == ["learn without dropout too", "dropout helps lazy units"]


def test_results_as_claimed_pass() -> None:
    assert (
        failed_in(
            [
                *co_adaptation._show_removed_units(found()),
                *co_adaptation._show_unit_measures(found()),
            ]
        )
        == []
    )


def worse_when_removed(all_of_it: TrainedUnits) -> TrainedUnits:
    return replace(all_of_it, accuracy={0: pair(0.9, 0.9), 50: pair(0.8, 0.5)})


def changed(name: str, own: PairedRuns) -> Callable[[TrainedUnits], TrainedUnits]:
    """Change what was measured of the second layer alone."""

    def change(all_of_it: TrainedUnits) -> TrainedUnits:
        first, second = all_of_it.layers
        return replace(all_of_it, layers=[first, {**second, name: own}])

    return change


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (worse_when_removed, "half the units removed"),
        (changed("mean activation", pair(0.3, 0.6)), "units are less active"),
        (changed(experiment.LENGTH_SPREAD, pair(0.2, 0.2)), "units share work evenly"),
        (changed("|correlation|", pair(0.2, 0.03)), "units remain correlated"),
    ],
)
def test_a_result_that_is_not_as_claimed_breaks_its_check(
    change: Callable[[TrainedUnits], TrainedUnits], check: str
) -> None:
    own = change(found())
    assert failed_in(
        [*co_adaptation._show_removed_units(own), *co_adaptation._show_unit_measures(own)]
    ) == [check]


def test_half_of_the_hidden_units_begin_small(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def look(fleet: Fleet, images: object) -> tuple[()]:
        seen.extend(weight.detach().clone() for weight in fleet.model.weights)
        return ()

    monkeypatch.setattr(experiment, "train", look)
    training = PairedTraining(0.5, range(2), load_images(ASKED, train_size=100))
    experiment.measure_lazy_units(training, all_weights=True)
    untouched = build_fleet(training.pair_settings((16,), 1), range(2)).model.weights
    for axis, (own, before) in enumerate(zip(seen, untouched, strict=True)):
        small, rest = own.movedim(2 - axis, 0), before.detach().movedim(2 - axis, 0)
        torch.testing.assert_close(small[:8], 0.01 * rest[:8])
        assert torch.equal(small[8:], rest[8:])
