"""Lesson ``overfitting``: its numbers by hand, and what breaks each of its checks."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import LessonOptions, overfitting
from dropout_lab.lessons.overfitting import experiment
from dropout_lab.lessons.overfitting.experiment import LearningCurves
from dropout_lab.lessons.paired_differences import Difference
from dropout_lab.lessons.parts import Check, Misconception, Observation, Part, Table
from tests.lessons.conftest import failed_in

SMALL = replace(experiment.QUICK_PLAN, sizes=(100,), units=16, epochs=4, evaluate_every=2, seeds=2)


def made_up(images: int, **columns: list[list[list[float]]]) -> LearningCurves:
    """Return two seeds, measured in epochs 1 and 2: ``[[without], [with]]``, each seed by seed."""
    gap = 100 / images
    whole = {
        "noisy_train_loss": [[[0.9, 0.20], [0.9, 0.21]], [[0.9, 0.50], [0.9, 0.51]]],
        "train_loss": [[[0.5, 0.10], [0.5, 0.11]], [[0.6, 0.20], [0.6, 0.22]]],
        "test_loss": [[[0.7, 0.40], [0.7, 0.41]], [[0.8, 0.30], [0.8, 0.31]]],
        "train_accuracy": [[[0.8, 1.0], [0.8, 1.0]], [[0.7, 0.99], [0.7, 0.98]]],
        "test_accuracy": [[[0.7, 0.90], [0.7, 0.91]], [[0.6, 0.92], [0.6, 0.95]]],
        "loss_gap": [[[0.2, gap], [0.2, gap + 0.01]], [[0.2, 0.1], [0.2, 0.1]]],
        **columns,
    }
    table = {name: torch.tensor(rows, dtype=torch.float64) for name, rows in whole.items()}
    return LearningCurves(images, 10 * images, [1, 2], table)


def rows_in(parts: Iterable[Part]) -> list[Table]:
    return [part for part in parts if isinstance(part, Table)]


def test_differences_are_of_pairs_after_the_last_epoch_by_hand() -> None:
    each = made_up(100)
    assert each.seeds == 2
    assert each.difference("test_loss").tolist() == pytest.approx([-0.10, -0.10])
    assert each.difference("test_accuracy").tolist() == pytest.approx([0.02, 0.04])
    assert each.mean("train_loss").flatten().tolist() == pytest.approx([0.5, 0.105, 0.6, 0.21])
    # mean 3 points, s.d. sqrt(2), standard error sqrt(2) / sqrt(2) = 1
    assert (
        Difference.between_pairs(100 * each.difference("test_accuracy")).format(2) == "+3.00 ± 1.00"
    )
    assert Difference.between_pairs(each.difference("test_accuracy")).z_score == pytest.approx(3)


def test_the_tables_say_what_was_measured() -> None:
    (ends,) = rows_in(overfitting._show_final_values([made_up(100), made_up(200)], 0.5))
    assert [row[0] for row in ends.rows] == [
        "100, no dropout", "100, p = 0.5", "200, no dropout", "200, p = 0.5",
    ]  # fmt: skip
    assert ends.rows[1][1:] == pytest.approx((0.21, 0.305, 0.985, 0.935))
    (gaps,) = rows_in(overfitting._show_differences([made_up(100), made_up(200)]))
    assert gaps.rows[0][0] == "100"
    assert gaps.rows[0][1] == "-0.905 ± 0.005"
    assert gaps.rows[0][3] == "+3.00 ± 1.00"
    (noisy,) = rows_in(overfitting._show_noisy_loss(made_up(200), 0.5))
    assert noisy.rows[1] == pytest.approx((2, 0.505, 0.21, 0.305))


def test_the_trap_counts_the_epochs_in_which_the_test_looks_better() -> None:
    """The noisy loss is above that of the test in both epochs, the clean one in none."""
    look = next(
        p for p in overfitting._show_noisy_loss(made_up(200), 0.5) if isinstance(p, Observation)
    )
    assert "training loss with dropout on in 2 of 2" in look.text
    assert "training loss with dropout off in 0" in look.text


def test_more_images_are_said_to_do_more_only_where_they_did() -> None:
    def said(many: LearningCurves) -> str:
        few = made_up(100, loss_gap=[[[0, 0.9], [0, 0.9]], [[0, 0.5], [0, 0.5]]])
        return next(
            p for p in overfitting._show_differences([few, many]) if isinstance(p, Observation)
        ).text

    assert "5 times as many images reduce overfitting more" in said(
        made_up(500)
    )  # 0.2 without, below 0.5
    assert "dropout reduces overfitting at least as much" in said(made_up(120))  # 0.83 without


def test_of_the_accuracy_only_what_is_seen_is_said_and_with_its_sign() -> None:
    def said(dropped: float) -> str:
        accuracy = [[[0, 0.90], [0, 0.91]], [[0, dropped], [0, dropped + 0.0101]]]
        looks = [
            part
            for part in overfitting._show_differences(
                [made_up(100), made_up(500, test_accuracy=accuracy)]
            )
            if isinstance(part, Observation)
        ]
        return looks[1].text

    assert "at 500 images dropout raises it" in said(0.95)
    assert "at 500 images dropout lowers it" in said(0.85)
    assert "no change of more than 5 standard errors" in said(0.90)


def test_a_smaller_gap_with_a_higher_test_loss_is_called_no_gain() -> None:
    def said(*learned: LearningCurves) -> list[str]:
        return [part.text for part in overfitting._show_harmed_sizes(learned)]

    worse = made_up(200, test_loss=[[[0, 0.30], [0, 0.31]], [[0, 0.40], [0, 0.42]]])
    assert said(made_up(100)) == []
    (told,) = said(made_up(100), worse)
    assert "At 200 images the test loss is higher" in told


def broken(*learned: LearningCurves, gains_from: int | None = 100) -> list[str]:
    return failed_in(list(overfitting.check_claims(learned, gains_from)))


def test_every_check_can_hold_and_can_fail() -> None:
    few, many = made_up(100), made_up(200)
    assert broken(few, many) == []
    wider = made_up(200, loss_gap=[[[0, 0.5], [0, 0.51]], [[0, 0.6], [0, 0.61]]])
    assert broken(few, wider) == ["loss gap is smaller"]
    worse = made_up(200, test_loss=[[[0, 0.30], [0, 0.31]], [[0, 0.40], [0, 0.42]]])
    assert broken(few, worse) == ["test loss, 100+ images"]
    assert broken(few, worse, gains_from=None) == []
    assert broken(many, few) == ["gap shrinks with images"]
    quiet = made_up(200, noisy_train_loss=made_up(200).columns["train_loss"].tolist())
    assert broken(few, quiet) == ["dropout on: higher loss"]


def test_fewer_images_than_the_check_of_the_test_loss_asks_for_have_no_part_in_it() -> None:
    worse = made_up(100, test_loss=[[[0, 0.30], [0, 0.31]], [[0, 0.40], [0, 0.42]]])
    assert broken(worse, made_up(200), gains_from=200) == []
    assert broken(worse, made_up(200), gains_from=100) == ["test loss, 100+ images"]


def test_a_mean_that_may_be_luck_fails() -> None:
    """Differences of 0.1 and 0.3: their mean is 2 standard errors above 0."""
    unsure = made_up(200, loss_gap=[[[0, 0.4], [0, 0.6]], [[0, 0.3], [0, 0.3]]])
    assert "loss gap is smaller" in broken(made_up(100), unsure)


def learned(p: float, seed: int = 0) -> LearningCurves:
    return experiment.train_networks(100, SMALL, LessonOptions((p,), seed))


def test_both_halves_of_a_fleet_begin_alike_and_only_one_drops() -> None:
    each = learned(0.5)
    without, dropped = each.columns["noisy_train_loss"]
    assert each.epochs == [2, 4]
    assert each.updates == 4
    assert each.columns["test_loss"].shape == (2, 2, 2)
    assert bool((dropped > without).all())
    # What is trained without dropout does not know of the p beside it.
    torch.testing.assert_close(learned(0.3).columns["test_loss"][0], each.columns["test_loss"][0])
    assert not torch.equal(
        learned(0.5, seed=1).final_values("test_loss"), each.final_values("test_loss")
    )


def test_a_layer_that_drops_nothing_fails_every_check_of_dropout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing(self: InvertedDropout, x: Tensor) -> Tensor:
        return x

    monkeypatch.setattr(InvertedDropout, "drop", nothing)
    few = learned(0.5)
    assert {"loss gap is smaller", "test loss, 100+ images"} <= set(broken(few, few))


def test_a_quick_lesson_says_and_checks_what_it_has_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overfitting, "QUICK_PLAN", replace(SMALL, sizes=(100, 200)))
    parts = list(overfitting.lesson(LessonOptions((0.5,), quick=True)))
    assert "784-16-16-10" in str(parts[1])
    assert sum(isinstance(part, Misconception) for part in parts) == 2
    assert sum(isinstance(part, Check) for part in parts) == 3
