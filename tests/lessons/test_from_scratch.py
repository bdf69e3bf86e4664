"""Lesson ``from-scratch``: the library's layer, sums by hand, and what breaks each check."""

import pytest
import torch
from torch import nn

from dropout_lab.lessons import Asked, from_scratch
from dropout_lab.lessons.from_scratch import wrong_output
from dropout_lab.lessons.from_scratch.networks import (
    PUBLISHED,
    WAYS,
    LibraryDropout,
    Results,
    Scaled,
    scaled_in_evaluation,
)
from dropout_lab.lessons.paired_differences import Difference, last
from dropout_lab.lessons.training import settings, splits, train_fleet
from tests.lessons.conftest import failed_in


class Given(Results):
    """Results with F1 and NLL that are given, way by way."""

    def __init__(self, **moved: float) -> None:
        super().__init__({}, 6)
        self.moved = moved

    def f1(self, way: str) -> list[float]:
        noise = [0.01 * ((7 * seed + len(way)) % 5) for seed in range(6)]
        return [0.9 + each - self.moved.get(way, 0.0) for each in noise]

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
    found = Difference.of([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.error == pytest.approx(3**-0.5)
    assert found.off == pytest.approx(2 * 3**0.5)
    assert not found.seen
    assert Difference.of([1.0, 2.0], [1.0, 2.0]).off == 0
    means = Difference.of_means([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert means.mean == 2.0
    assert means.error == pytest.approx((5 / 3) ** 0.5)


def test_a_library_that_does_better_breaks_both_of_its_checks() -> None:
    assert failed_in(list(from_scratch._same_as_the_library(Given()))) == []
    apart = Given(ours=0.2)
    assert failed_in(list(from_scratch._same_as_the_library(apart))) == [
        "F1 is that of nn.Dropout",
        "and so is the NLL",
    ]


def test_an_unscaled_layer_that_does_no_harm_breaks_its_check() -> None:
    harmed = Given(**{PUBLISHED: 0.2})
    assert failed_in(list(from_scratch._no_scaling(harmed, checked=True))) == []
    assert failed_in(list(from_scratch._no_scaling(Given(), checked=True))) == [
        "no scaling costs NLL"
    ]


def test_a_remedy_that_is_the_right_way_up_breaks_its_checks() -> None:
    losses = ([0.3, 0.31, 0.32], [0.4, 0.42, 0.41], [0.7, 0.73, 0.71])
    given = [Scaled("", 1.0, each, each) for each in losses]
    assert failed_in(list(from_scratch._upside_down(given))) == []
    assert failed_in(list(from_scratch._upside_down(given[::-1]))) == [
        "times 1 - p, not over it",
        "times 1 / (1 - p) harms",
    ]


def test_factors_after_training_leave_the_network_as_it_was() -> None:
    images = splits(Asked(p=()), train_size=100)
    values = {**WAYS[PUBLISHED].values, "training.epochs": 1, "model.hidden": [20, 20]}
    trained = train_fleet([settings(values)], [0, 1], images)
    before = trained.fleet.model.weights[-1].detach().clone()
    found = scaled_in_evaluation(trained, 0.5, images)
    assert [each.factor for each in found] == [0.5, 1.0, 2.0]
    assert found[1].loss == last(trained.records, "test_loss")
    assert torch.equal(trained.fleet.model.weights[-1], before)


@pytest.mark.parametrize(("activation", "one"), [("linear", True), ("relu", False)])
def test_only_without_an_activation_three_layers_are_one(activation: str, one: bool) -> None:
    images = splits(Asked(p=()), train_size=100)
    values = {"model.activation": activation, "training.epochs": 1, "model.hidden": [20, 20]}
    trained = train_fleet([settings(values)], [0], images)
    x = images.pixels(images.test.images[:5]).double().unsqueeze(0)
    largest, relative = from_scratch._from_one_map(trained, x)
    assert (largest < 1e-12) == (relative < 1e-12) == one


def test_a_forward_pass_that_returns_the_output_moves_its_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = splits(Asked(p=()), train_size=200)

    def trained() -> wrong_output.WronglyTrained:
        return wrong_output.train_wrong_output(
            0.5, 0, images, epochs=1, batch_size=100, learning_rate=0.001
        )

    before = torch.get_rng_state()
    wrong = trained()
    assert wrong.moved == 0
    assert torch.equal(torch.get_rng_state(), before)
    monkeypatch.setattr(
        wrong_output.WrongOutput,
        "forward",
        lambda self, x: nn.functional.pad(self.layer_3(self.layer_1(x)), (0, 502), value=-9.0),
    )
    assert trained().moved > 0
