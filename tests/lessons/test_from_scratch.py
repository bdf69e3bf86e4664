"""Lesson ``from-scratch``: the library's layer, sums by hand, and what breaks each check."""

import pytest
import torch
from torch import nn

from dropout_lab.lessons import LessonOptions, from_scratch
from dropout_lab.lessons.from_scratch import experiment
from dropout_lab.lessons.from_scratch.experiment import (
    IMPLEMENTATIONS,
    PUBLISHED,
    LibraryDropout,
    ScaledNetworks,
    TrainedImplementations,
    scale_in_evaluation,
)
from dropout_lab.lessons.paired_differences import Difference, final_values
from dropout_lab.lessons.training import load_images, make_settings, train_fleet
from tests.lessons.conftest import failed_in


class Given(TrainedImplementations):
    """Results with F1 and NLL that are given, way by way."""

    def __init__(self, **moved: float) -> None:
        super().__init__({}, 6)
        self.moved_parameters = moved

    def f1(self, way: str) -> list[float]:
        noise = [0.01 * ((7 * seed + len(way)) % 5) for seed in range(6)]
        return [0.9 + each - self.moved_parameters.get(way, 0.0) for each in noise]

    def loss(self, way: str) -> list[float]:
        return [1.2 - each for each in self.f1(way)]


def test_the_librarys_layer_is_nn_dropout_to_the_bit() -> None:
    x = torch.rand(3, 40)
    torch.manual_seed(1)
    ours = LibraryDropout(0.25)(x)
    torch.manual_seed(1)
    assert torch.equal(ours, nn.Dropout(0.25)(x))
    assert torch.equal(LibraryDropout(0.25).eval()(x), x)


def test_a_paired_difference_by_hand() -> None:
    """1, 2, 3: mean 2, s.d. 1, standard error 1 / sqrt(3)."""
    found = Difference.between_pairs([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.standard_error == pytest.approx(3**-0.5)
    assert found.z_score == pytest.approx(2 * 3**0.5)
    assert not found.is_significant
    assert Difference.between_pairs([1.0, 2.0], [1.0, 2.0]).z_score == 0
    means = Difference.between_means([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert means.mean == 2.0
    assert means.standard_error == pytest.approx((5 / 3) ** 0.5)


def test_a_library_that_does_better_breaks_both_of_its_checks() -> None:
    assert failed_in(list(from_scratch._compare_with_torch(Given()))) == []
    apart = Given(ours=0.2)
    assert failed_in(list(from_scratch._compare_with_torch(apart))) == [
        "same F1 as nn.Dropout",
        "same NLL as nn.Dropout",
    ]


def test_an_unscaled_layer_that_does_no_harm_breaks_its_check() -> None:
    harmed = Given(**{PUBLISHED: 0.2})
    assert failed_in(list(from_scratch._show_missing_scaling(harmed, checked=True))) == []
    assert failed_in(list(from_scratch._show_missing_scaling(Given(), checked=True))) == [
        "no scaling costs NLL"
    ]


def test_a_remedy_that_is_the_right_way_up_breaks_its_checks() -> None:
    losses = ([0.3, 0.31, 0.32], [0.4, 0.42, 0.41], [0.7, 0.73, 0.71])
    given = [ScaledNetworks("", 1.0, each, each) for each in losses]
    assert failed_in(list(from_scratch._compare_factors(given))) == []
    assert failed_in(list(from_scratch._compare_factors(given[::-1]))) == [
        "times 1 - p, not over it",
        "times 1 / (1 - p) harms",
    ]


def test_factors_after_training_leave_the_network_as_it_was() -> None:
    images = load_images(LessonOptions(p=()), train_size=100)
    values = {**IMPLEMENTATIONS[PUBLISHED].values, "training.epochs": 1, "model.hidden": [20, 20]}
    trained = train_fleet([make_settings(values)], [0, 1], images)
    before = trained.fleet.model.weights[-1].detach().clone()
    found = scale_in_evaluation(trained, 0.5, images)
    assert [each.factor for each in found] == [0.5, 1.0, 2.0]
    assert found[1].loss == final_values(trained.records, "test_loss")
    assert torch.equal(trained.fleet.model.weights[-1], before)


@pytest.mark.parametrize(("activation", "one"), [("linear", True), ("relu", False)])
def test_only_without_an_activation_three_layers_are_one(activation: str, one: bool) -> None:
    images = load_images(LessonOptions(p=()), train_size=100)
    values = {"model.activation": activation, "training.epochs": 1, "model.hidden": [20, 20]}
    trained = train_fleet([make_settings(values)], [0], images)
    x = images.pixels(images.test.images[:5]).double().unsqueeze(0)
    largest, relative = experiment.merged_layer_errors(trained, x)
    assert (largest < 1e-12) == (relative < 1e-12) == one


def test_a_forward_pass_that_returns_the_output_moves_its_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = load_images(LessonOptions(p=()), train_size=200)

    def trained() -> experiment.WrongOutputResult:
        return experiment.train_wrong_output(
            0.5, 0, images, epochs=1, batch_size=100, learning_rate=0.001
        )

    before = torch.get_rng_state()
    wrong = trained()
    assert wrong.moved_parameters == 0
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr(
        experiment.WrongOutput,
        "forward",
        lambda self, x: nn.functional.pad(self.layer_3(self.layer_1(x)), (0, 502), value=-9.0),
    )
    assert trained().moved_parameters > 0
