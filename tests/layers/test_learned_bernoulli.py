"""Learned Bernoulli dropout: the ARM estimate by hand, without bias, and in training."""

import itertools
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from dropout_lab.data import Splits
from dropout_lab.layers import ConcreteDropout, LearnedBernoulliDropout, StandardDropout
from dropout_lab.training import Fleet, train
from dropout_lab.training.objective import Objective
from tests.conftest import make_runs
from tests.layers.cases import place, seeded
from tests.recorded import lanes

CPU = torch.device("cpu")


def test_it_is_standard_dropout_until_it_learns() -> None:
    x = torch.randn(40, 30)
    ours, theirs = (
        kind(0.25, noise=seeded()) for kind in (LearnedBernoulliDropout, StandardDropout)
    )
    assert torch.equal(ours(x), theirs(x))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_the_term_by_hand() -> None:
    """Draws 0.75 and 0.5, then 0.25 and 0: sums of u - 1/2 are 1/4 and -3/4.

    Differences 2 and 4: the mean of 1/2 and -3 is -5/4. The value of the term is 0.
    """
    layer = LearnedBernoulliDropout(0.3)
    draws = lanes(0.75, 0.5, 0.25, 0.0).view(2, 2)
    term = layer.mirrored_term(draws, torch.tensor([2.0, 4.0]))
    assert float(term.detach()) == 0
    (gradient,) = torch.autograd.grad(term, layer.logit)
    assert float(gradient) == pytest.approx(-1.25, abs=1e-3)


def test_the_estimate_has_no_bias(float64: None) -> None:
    """For a function of three units, over 40,000 pairs of masks: within five standard errors.

    The expectation over all 8 masks, differentiated by phi, where a unit is kept with sigmoid(phi).
    """
    n, p = 40_000, 0.3
    value = torch.randn(2, 2, 2)

    def loss_of(kept: torch.Tensor) -> torch.Tensor:
        a, b, c = kept.long().unbind(dim=-1)
        return value[a, b, c]

    layer = LearnedBernoulliDropout(p)
    draws = seeded().lanes((n, 3), CPU)
    u = (draws.double() + 2**15 + 0.5) / 2**16
    difference = loss_of(u >= p) - loss_of(1 - u >= p)
    estimates = difference * (u - 0.5).sum(dim=-1)
    term = layer.mirrored_term(draws, difference)
    (gradient,) = torch.autograd.grad(term, layer.logit)
    assert float(gradient) == pytest.approx(float(estimates.mean()), rel=1e-9)
    phi = torch.tensor(math.log((1 - p) / p)).requires_grad_()
    q = phi.sigmoid()
    expected = torch.zeros(())
    for mask in itertools.product((0, 1), repeat=3):
        expected = expected + q ** sum(mask) * (1 - q) ** (3 - sum(mask)) * value[mask]
    (wanted,) = torch.autograd.grad(expected, phi)
    assert abs(float(gradient - wanted)) < 5 * float(estimates.std()) / math.sqrt(n)


def test_the_penalty_is_that_of_concrete_dropout_with_unscaled_weights(float64: None) -> None:
    at = place(runs=2)
    ps = torch.tensor([0.2, 0.4])
    ours = LearnedBernoulliDropout(ps, length_scale=2.0).penalty(at.weight, 1.0)
    scaled = at.weight * (1 - ps).view(2, 1, 1)
    theirs = ConcreteDropout(ps, length_scale=2.0).penalty(scaled, 1.0)
    torch.testing.assert_close(ours, theirs)


def test_training_compares_each_mask_with_its_mirror(float64: None) -> None:
    """The gradient of the logits of two places, written out from the draws of the streams."""
    settings = ["dropout.variant=learned_bernoulli", "dropout.p=0.3", "dropout.length_scale=0"]
    fleet = Fleet(make_runs(*settings), CPU)
    model = fleet.model
    generator = torch.Generator().manual_seed(1)
    x, labels = torch.rand(1, 6, 784, generator=generator), torch.arange(6)[None]
    model.open_epoch(1)
    objective = Objective(model, fleet.settings.dropout, 500, fleet.regularizers)
    step = objective(x, labels, 0.0)
    step.total.sum().backward()
    model.open_epoch(1)
    sizes = [model.weights[index].shape[1] for index in (1, 2)]
    sources = [model.dropouts[index].noise for index in (1, 2)]
    draws = [s.lanes((1, 6, size), CPU)[0] for s, size in zip(sources, sizes, strict=True)]

    def loss_of(mirrored: bool) -> torch.Tensor:
        h = x[0]
        for layer in range(3):
            h = h @ model.weights[layer][0] + model.biases[layer][0]
            if layer < 2:
                u = (draws[layer].double() + 2**15 + 0.5) / 2**16
                h = h.relu() * ((1 - u if mirrored else u) >= float(model.dropouts[1].p))
        return cross_entropy(h, labels[0], reduction="none")

    difference = (loss_of(mirrored=False) - loss_of(mirrored=True)).detach()
    for hidden, drawn in zip((1, 2), draws, strict=True):
        u = (drawn.double() + 2**15 + 0.5) / 2**16
        entropy_slope = 0.3 * 0.7 * math.log(0.7 / 0.3) * u.shape[1] / 500  # of -K H / N
        wanted = float((difference * (u - 0.5).sum(dim=1)).mean()) + entropy_slope
        assert float(model.dropouts[hidden].logit.grad) == pytest.approx(wanted, rel=1e-6)
    assert all(
        layer.noise is source for layer, source in zip(model.dropouts[1:], sources, strict=True)
    )


def test_a_useless_p_falls(small_splits: Splits) -> None:
    """With few updates, dropping units raises the loss: p falls in every run."""
    settings = ["dropout.variant=learned_bernoulli", "dropout.p=0.5", "training.optimizer=adam"]
    settings += ["training.learning_rate=0.02", "training.epochs=6", "dropout.length_scale=0"]
    fleet = Fleet(make_runs(*settings, seeds=(0, 1, 2)), CPU)
    list(train(fleet, small_splits))
    for layer in list(fleet.model.dropouts)[1:]:
        assert (layer.p < 0.48).all()
