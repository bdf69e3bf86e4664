"""What a layer is measured to do: against its formula, by hand, and where there is nothing."""

import math

import pytest
import torch
from torch import Tensor

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers import (
    VARIANTS,
    DropConnect,
    Dropout,
    FastDropout,
    GaussianDropConnect,
    InvertedDropout,
    NoDropout,
    StandardDropout,
    UniformDropout,
    UnscaledDropout,
    VariationalADropout,
)
from dropout_lab.layers.noise_measurement import (
    NoiseMeasurement,
    compare_with_claims,
    measure_noise,
)
from dropout_lab.layers.sample_inputs import LayerInputs, sample_inputs, sample_layer
from tests.layers.cases import seeded
from tests.recorded import Recorded, lanes

PS = (0.0, 0.2, 0.45)


def claims(layer: Dropout, found: NoiseMeasurement) -> list[str]:
    """Return a sentence for each claim that the measurement breaks."""
    return [str(claim) for claim in compare_with_claims(layer, found) if claim.is_violated]


def measured(layer: Dropout, at: LayerInputs, **rest: int) -> NoiseMeasurement:
    return measure_noise(layer, at.x, at.weight, at.entering, **rest)


def fields(found: NoiseMeasurement) -> list[Tensor]:
    return [
        found.keep_rate, found.keep_rate_error, found.mean, found.mean_error,
        found.variance, found.variance_error,
    ]  # fmt: skip


@pytest.mark.parametrize("mask", ["element", "batch"])
@pytest.mark.parametrize("name", [n for n, kind in CATALOGUE.items() if kind.noisy])
def test_no_built_in_variant_breaks_what_is_claimed_of_it(name: str, mask: str) -> None:
    at = sample_inputs(runs=3, batch=16, units=32, outputs=8)
    ps = (0.45,) * 3 if CATALOGUE[name].one_p else PS
    layer = sample_layer(VARIANTS[name], ps, at, mask=mask, noise=seeded())
    found = measured(layer, at)
    assert claims(layer, found) == []
    assert all(field.shape == (3,) and field.dtype == torch.float64 for field in fields(found))


def test_by_hand() -> None:
    """Two passes of two units: 4 of 4 coins, then 1 of 4; noise 2 where kept, p = 1/2.

    Means of the passes 2 and 1/2, so 5/4 in all with a standard error of sqrt(9/8 / 2) = 3/4.
    About 5/4 the squares are 9/16 where kept and 25/16 where not: 9/16 and 21/16 on the mean.
    """
    layer = InvertedDropout(0.5, noise=Recorded(lanes(0.9, 0.9, 0.9, 0.9).view(2, 2),
                                                lanes(0.1, 0.9, 0.1, 0.1).view(2, 2)))  # fmt: skip
    found = measure_noise(
        layer, torch.tensor([[3.0, -1.0], [2.0, 5.0]]), torch.ones(2, 3), passes=2
    )
    values = [float(field) for field in fields(found)]
    scatter = 0.75 / math.sqrt(2) / math.sqrt(2)  # of 1 and 1/4
    wanted = [5 / 8, scatter, 5 / 4, 3 / 4, 15 / 16, (21 / 16 - 9 / 16) / 2]
    assert values == pytest.approx(wanted)


def test_weights_are_read_off_by_one_hot_rows() -> None:
    """A weight mask for a batch of 2 x 2 weights: one of four is dropped."""
    draws = lanes(0.9, 0.1, 0.9, 0.9).view(2, 2)
    layer = DropConnect(0.5, mask="batch", noise=Recorded(draws, draws))
    found = measure_noise(
        layer, torch.zeros(7, 2), torch.tensor([[1.0, -2.0], [3.0, 4.0]]), passes=2
    )
    assert float(found.keep_rate) == 0.75
    assert float(found.mean) == 1.5
    assert float(found.keep_rate_error) == pytest.approx(math.sqrt(0.25 / 8))


@pytest.mark.parametrize("kind", [InvertedDropout, StandardDropout, UnscaledDropout, DropConnect])
def test_the_error_is_at_least_that_of_so_many_independent_coins(kind: type[Dropout]) -> None:
    """With mask batch the examples share one coin for each unit; weights have one each.

    The scatter over 64 passes is off by 9 % (1 / sqrt(2 * 63)), five times that is less than half.
    """
    at = sample_inputs(batch=20, units=12, outputs=6)
    for mask, coins in (("element", 20 * 12), ("batch", 12)):
        of_weights = kind is DropConnect
        found = measured(sample_layer(kind, 0.25, at, mask=mask, noise=seeded()), at)
        wanted = math.sqrt(0.25 * 0.75 / (64 * (12 * 6 if of_weights else coins)))
        assert wanted <= float(found.keep_rate_error) <= 1.5 * wanted


def test_forgotten_scaling_is_named_by_the_noise_mean() -> None:
    class Forgotten(UnscaledDropout):
        variant = CATALOGUE["inverted"]

    at = sample_inputs(batch=32, units=32)
    layer = sample_layer(Forgotten, 0.5, at, noise=seeded())
    sentences = claims(layer, measured(layer, at))
    assert [sentence.split()[:2] for sentence in sentences] == [
        ["noise", "mean"], ["noise", "variance"],
    ]  # fmt: skip
    mean, _, error = sentences[0].removeprefix("noise mean ").partition(" ± ")
    assert float(mean) == pytest.approx(0.5, abs=0.02)
    assert error.endswith("; 1 is claimed")


def test_a_sentence_names_the_run() -> None:
    class Forgotten(UnscaledDropout):
        variant = CATALOGUE["inverted"]

    at = sample_inputs(runs=3, batch=32, units=32)
    layer = sample_layer(Forgotten, (0.0, 0.0, 0.5), at, noise=seeded())
    assert all(sentence.startswith("run 2: ") for sentence in claims(layer, measured(layer, at)))


def test_the_chance_of_dropping_is_that_in_force() -> None:
    """A wrong keep rate: coins are tossed at 0.3 and 0.25 is said to be in force."""

    class Lies(InvertedDropout):
        def current_p(self) -> Tensor:
            return torch.full_like(self._p, 0.25)

    at = sample_inputs(batch=32, units=32)
    layer = sample_layer(Lies, 0.3, at, noise=seeded())
    broken = [
        claim.what for claim in compare_with_claims(layer, measured(layer, at)) if claim.is_violated
    ]
    assert "keep rate" in broken


def test_at_p_0_all_is_exact() -> None:
    at = sample_inputs(units=7)
    for kind in (InvertedDropout, DropConnect, UniformDropout, GaussianDropConnect):
        found = measured(sample_layer(kind, 0.0, at, noise=seeded()), at, passes=2)
        assert [float(field) for field in fields(found)] == [1, 0, 1, 0, 0, 0]


def test_at_p_1_nothing_is_claimed_but_that_nothing_is_kept() -> None:
    at = sample_inputs(units=7)
    layer = sample_layer(InvertedDropout, 1.0, at, noise=seeded())
    found = measured(layer, at, passes=2)
    assert float(found.keep_rate) == float(found.mean) == 0
    assert claims(layer, found) == []


def test_a_p_too_small_for_a_drop_to_be_met_breaks_no_claim() -> None:
    """Not one of 2 * 20 coins drops, so the scatter is 0; the claims are off by p."""
    at = sample_inputs(batch=4, units=5)
    layer = sample_layer(InvertedDropout, 2.0**-16, at, noise=seeded())
    found = measured(layer, at, passes=2)
    assert float(found.keep_rate) == 1
    assert claims(layer, found) == []


@pytest.mark.parametrize("fill", [0.0, math.nan, math.inf])
@pytest.mark.parametrize("kind", [InvertedDropout, GaussianDropConnect])
def test_nothing_to_divide_by_is_nan_and_no_claim(kind: type[Dropout], fill: float) -> None:
    """Units that are all 0, and a run that diverged; the run beside it is measured."""
    at = sample_inputs(runs=2, batch=16, units=16)
    at.x[0], at.weight[0] = fill, fill
    layer = sample_layer(kind, (0.4, 0.4), at, noise=seeded())
    found = measured(layer, at)
    assert all(field[0].isnan() for field in (found.mean, found.variance))
    assert all(field[1].isfinite() for field in fields(found))
    assert claims(layer, found) == []


@pytest.mark.parametrize("kind", [NoDropout, FastDropout])
def test_where_nothing_is_noisy_nothing_is_measured(kind: type[Dropout]) -> None:
    at = sample_inputs(runs=2)
    layer = sample_layer(kind, (0.4, 0.4), at)
    found = measured(layer, at)
    assert all(field.isnan().all() for field in fields(found))
    assert claims(layer, found) == []


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_stays_and_no_gradient_is_kept(training: bool) -> None:
    at = sample_inputs()
    at.x.requires_grad_()
    layer = sample_layer(InvertedDropout, 0.4, at).train(training)
    found = measured(layer, at, passes=3)
    assert layer.training == training
    assert not found.mean.requires_grad


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_stays_where_a_layer_raises(training: bool) -> None:
    """It does in training; that would be the mode that is left behind."""
    layer = InvertedDropout(torch.tensor([0.4, 0.4])).train(training)
    with pytest.raises(ValueError, match="leading axes"):
        measure_noise(layer, torch.ones(3, 4, 5), torch.ones(3, 5, 2))
    assert layer.training == training


def test_relu_units_that_are_0_are_left_out() -> None:
    """Half of the units are 0, where kept and dropped look alike."""
    at = sample_inputs(batch=64, units=32)
    x = at.x.clamp_min(0)
    layer = InvertedDropout(0.25, noise=seeded())
    assert 0.6 < float((layer(x) == 0).double().mean()) < 0.65  # 1 - 0.75 / 2
    found = measure_noise(layer, x, at.weight)
    assert float(found.keep_rate) == pytest.approx(0.75, abs=5 * float(found.keep_rate_error))


def test_learned_noise_is_claimed_as_long_as_one_number_stands_behind_p() -> None:
    """An alpha for each unit makes p a mean, which the variance is no function of."""
    at = sample_inputs(batch=8, units=6)
    for alpha_per, what in (("layer", ["noise mean", "noise variance"]), ("unit", ["noise mean"])):
        layer = VariationalADropout(0.3, alpha_per=alpha_per, noise=seeded())
        layer.setup(at.weight, "relu")
        found = measured(layer, at, passes=4)
        assert [claim.what for claim in compare_with_claims(layer, found)] == what


class Silent(InvertedDropout):
    """Inverted dropout whose evaluation gives nothing."""

    def eval_forward(self, x: Tensor) -> Tensor:
        return x * 0


def test_an_evaluation_that_is_0_breaks_the_claim_of_a_mean() -> None:
    """Relative to 0 the noise has no bounds; where the units themselves are 0, nothing is said."""
    layer = Silent(0.5)
    found = measure_noise(layer, torch.rand(8, 5), torch.rand(5, 4))
    assert claims(layer, found) == ["noise mean inf ± 0.000; 1 is claimed"]
    assert claims(layer, measure_noise(layer, torch.zeros(8, 5), torch.rand(5, 4))) == []
