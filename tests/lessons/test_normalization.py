"""Lesson ``normalization``: its numbers by hand, and what breaks each of its checks."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dropout_lab.config.schema import Settings
from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons import LessonOptions, normalization
from dropout_lab.lessons.normalization import experiment
from dropout_lab.lessons.normalization.experiment import (
    LinearLayer,
    Measured,
    TrainedShift,
    make_layer,
    measure_batch_noise,
    network_settings,
    train_and_measure,
)
from dropout_lab.lessons.parts import Part, Table
from dropout_lab.lessons.training import load_images
from dropout_lab.normalization import Normalization
from dropout_lab.rng import Purpose, stream
from tests.lessons.conftest import failed_in

ASKED = LessonOptions(p=(0.5,), quick=True)


def tables(parts: list[Part]) -> list[Table]:
    return [part for part in parts if isinstance(part, Table)]


def test_the_variance_by_hand() -> None:
    """Of h = 1 and 3, and w = 2: z is 2 and 6, with variance 4, and E[h^2] is 5.

    At p = 0.5 the noise adds 1 * 5 * 4 = 20: z is 0, 4, 0 or 12, with mean 4 and variance 24.
    """
    layer = LinearLayer(torch.tensor([[1.0], [3.0]]).double(), torch.tensor([[2.0]]).double())
    assert layer.mean.tolist() == [4]
    assert layer.variance_off.tolist() == [4]
    assert layer.variance_on(0.5).tolist() == [24]
    assert layer.enumerated_variance(0.5).tolist() == [24]
    assert layer.shift(0.5) == 6


def test_one_unit_has_the_shift_of_li_et_al() -> None:
    """For a unit with mean c and variance v: ((c^2 + v) / (1 - p) - c^2) / v."""
    h = make_layer(3).h[:, :1]
    c, v = float(h.mean()), float(h.var(correction=0))
    expected = ((c**2 + v) / 0.8 - c**2) / v
    assert LinearLayer(h, torch.ones(1, 1).double()).shift(0.2) == pytest.approx(expected)


def test_measured_by_hand() -> None:
    """Of 1, 2, 3 the mean is 2, the SD 1 and the standard error 1 / sqrt(3)."""
    found = Measured.over(torch.tensor([1.0, 2.0, 3.0]))
    assert found.mean == 2
    assert found.standard_error == pytest.approx(3**-0.5)
    assert found.z_score(1) == pytest.approx(3**0.5)


def test_the_noise_of_a_batch_that_has_all_examples_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "BATCH_SIZES", (1, experiment.EXAMPLES))
    one, whole = measure_batch_noise(make_layer(0), 500, 0)
    assert one.expected == 1
    assert one.measured.mean == pytest.approx(1, abs=5 * one.measured.standard_error)
    assert whole.expected == 0
    assert whole.measured.mean == pytest.approx(0, abs=1e-25)


def test_corrected_networks_have_the_statistics_of_torch() -> None:
    """By nn.BatchNorm1d with momentum 1 over the training images, layer after layer."""
    images = load_images(ASKED, train_size=100)
    kept: list[Any] = []
    correct = experiment._correct_statistics

    def keep(model: Any, images: Any) -> Tensor:
        loss = correct(model, images)
        kept.append(model)
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "_correct_statistics", keep)
        found = train_and_measure(0.5, 1, 1, (0, 1), images)
    (model,) = kept
    h = images.pixels(images.train.images)
    layers = zip(model.weights, model.biases, model.normalizations, strict=False)
    for weight, bias, norm in layers:
        z = h @ weight.detach()[1] + bias.detach()[1]
        theirs = nn.BatchNorm1d(z.shape[1], momentum=1.0)
        theirs.weight.data, theirs.bias.data = norm.gain.detach()[1, 0], norm.shift.detach()[1, 0]
        theirs(z)
        torch.testing.assert_close(norm.mean[1, 0], theirs.running_mean)
        torch.testing.assert_close(norm.variance[1, 0], theirs.running_var)
        h = theirs.eval()(z).relu().detach()
    assert found.corrected_loss.shape == found.spread.shape == (2,)
    assert not torch.allclose(found.loss, found.corrected_loss)


def made_up(place: int, spread: list[float], largest: float = 0.0) -> TrainedShift:
    """Return two networks whose shift is 2 where dropout is before the normalization."""
    losses = torch.tensor([0.4, 0.5]).double()
    form = torch.tensor([2.0, 2.0] if place == 1 else [1.0, 1.0]).double()
    values = torch.tensor(spread).double()
    return TrainedShift(place, form, Measured(1.0, 0.01), largest, values, losses, losses - 0.1)


def test_the_table_of_the_correction_says_what_was_measured() -> None:
    trained = [made_up(0, [1.0, 1.0]), made_up(1, [0.5, 0.52], 3.0), made_up(2, [1.0, 0.98])]
    parts = list(normalization._show_correction(trained))
    (table,) = tables(parts)
    assert table.rows[1] == (
        "after layer 1", "0.510 ± 0.010", "0.450 ± 0.050", "0.350 ± 0.050", "-0.100 ± 0.000",
    )  # fmt: skip
    assert failed_in(parts) == []  # 0.49 is 49 standard errors


def test_units_with_the_right_variance_break_its_check() -> None:
    trained = [made_up(place, [1.0, 0.99]) for place in (0, 1, 2)]
    assert failed_in(list(normalization._show_correction(trained))) == ["too little variance"]


def test_a_formula_without_the_noise_breaks_the_first_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LinearLayer, "variance_on", lambda self, p: self.variance_off)
    parts = list(normalization._show_closed_form(make_layer(0), 0.5))
    assert failed_in(parts) == ["the variance by formula"]


def test_a_layer_that_drops_more_breaks_the_measured_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    constants = InvertedDropout.constants
    monkeypatch.setattr(
        InvertedDropout, "constants", lambda self, p: constants(self, p + (1 - p) * 0.1)
    )
    parts = list(normalization._show_shift(make_layer(0), ASKED))
    parts += normalization._show_running_statistics(make_layer(0), 0.5, ASKED)
    assert failed_in(parts) == ["the shift, measured", "the running variance"]


def test_a_normalization_that_keeps_its_start_breaks_the_running_variance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forward = Normalization.forward

    def frozen(self: Normalization, x: Tensor) -> Tensor:
        self.frozen = True
        return forward(self, x)

    monkeypatch.setattr(Normalization, "forward", frozen)
    parts = list(normalization._show_running_statistics(make_layer(0), 0.5, ASKED))
    assert failed_in(parts) == ["the running variance"]


def test_dropout_at_another_place_breaks_the_checks_of_networks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dropout after the first layer for both: the last network has a shift, too."""

    def first(p: float, place: int, epochs: int) -> Settings:
        return network_settings(p, min(place, 1), 1)

    monkeypatch.setattr(experiment, "network_settings", first)
    parts = list(normalization._show_places(0.5, ASKED))
    assert failed_in(parts) == ["no shift after the last"]


def test_batches_with_replacement_break_the_noise_of_a_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Replaced:
        def __init__(self, purpose: Purpose, seed: int, *key: int) -> None:
            self.generator = stream(purpose, seed, *key)

        def permuted(self, values: Any, axis: int) -> Any:
            return self.generator.integers(np.shape(values)[1], size=np.shape(values))

    monkeypatch.setattr(experiment, "stream", Replaced)
    parts = list(normalization._show_batch_noise(make_layer(0), ASKED))
    assert failed_in(parts) == ["the noise of a batch"]
