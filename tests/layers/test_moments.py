"""Mean and variance of what every noisy variant makes of its units, against its formula."""

import math

import pytest
import torch

from dropout_lab.layers import VARIANTS, Dropout, LearnedDropout
from tests.layers.cases import (
    APART,
    LAWS,
    NAMES,
    NOISY,
    ONE_MASK,
    ONE_RATE,
    OWN_MASKS,
    QUIET,
    LayerInputs,
    act,
    make,
    place,
)
from tests.recorded import Forbidden

PAIRS = [(n, p) for n in NOISY for p in (0.1, 0.4, 0.8) if p <= VARIANTS[n].variant.highest_p]


def check_moments(name: str, layer: Dropout, at: LayerInputs, z: torch.Tensor) -> None:
    """Compare samples of the pre-activations, (n, outputs), with the law, to 5 standard errors."""
    mean, variance = LAWS[name](float(layer.p.flatten()[0]), at)
    n = len(z)
    assert ((z.mean(dim=0) - mean).abs() < 5 * (variance / n).sqrt()).all()
    squares = (z - mean).square()  # about the law's mean, so that their mean has no bias
    error = squares.std(dim=0) / math.sqrt(n)
    assert ((squares.mean(dim=0) - variance).abs() < 5 * error + 1e-9).all()


def test_every_noisy_variant_has_its_law() -> None:
    assert sorted(LAWS) == sorted(NOISY)


@pytest.mark.parametrize(
    ("name", "p"), [(n, p) for n, p in PAIRS if n in OWN_MASKS and n not in ONE_RATE]
)
def test_mean_and_variance_over_examples(name: str, p: float, float64: None) -> None:
    at = place(batch=1)
    n = 5_000 if name == "dropconnect" else 20_000
    layer = make(name, p, at)
    check_moments(name, layer, at, act(layer, at.one_example(n)))


@pytest.mark.parametrize(("name", "p"), PAIRS)
def test_mean_and_variance_over_masks_for_a_batch(name: str, p: float, float64: None) -> None:
    """In a fleet of n runs of one example each: each run has its own mask."""
    at, n = place(batch=1), 5_000
    layer = make(name, (p,) * n, at.fleet(n), mask="batch")
    check_moments(name, layer, at, act(layer, at.fleet(n))[:, 0])


@pytest.mark.parametrize("name", [n for n in NOISY if n not in APART])
def test_evaluation_is_the_mean_of_training(name: str, float64: None) -> None:
    at = place(batch=1)
    layer = make(name, 0.4, at, noise=Forbidden()).eval()
    mean, _ = LAWS[name](float(layer.p), at)
    torch.testing.assert_close(act(layer, at)[0], mean, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", APART)
def test_evaluation_leaves_units_and_weights_as_they_are(name: str, float64: None) -> None:
    at = place()
    z = act(make(name, 0.4, at, noise=Forbidden()).eval(), at)
    torch.testing.assert_close(z, at.x @ at.weight + at.bias, rtol=1e-12, atol=1e-12)


def test_what_draws_nothing_is_the_same_in_training_and_in_evaluation() -> None:
    assert [name for name in NAMES if name not in NOISY] == QUIET
    for name in QUIET:
        at = place()
        layer = make(name, 0.4, at, noise=Forbidden())
        trained = act(layer, at)
        assert torch.equal(act(layer.eval(), at), trained)


@pytest.mark.parametrize("name", [n for n in NAMES if issubclass(VARIANTS[n], LearnedDropout)])
def test_learning_starts_at_p(name: str, float64: None) -> None:
    assert float(make(name, 0.375, place()).p) == pytest.approx(0.375, rel=1e-12)


@pytest.mark.parametrize("name", ONE_MASK)
def test_those_with_one_mask_for_a_batch_have_one_whatever_mask_says(name: str) -> None:
    at = place(batch=1, units=40)
    z = act(make(name, 0.4, at, mask="element"), at.one_example(6))
    torch.testing.assert_close(z, z[:1].expand_as(z))
    assert not torch.allclose(z[0], at.x[0] @ at.weight + at.bias[0])
