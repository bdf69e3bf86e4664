"""A linear model under dropout, for lesson ``l2``: every mask at once, and its closed form."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons.draws import Replayed, chances, every_mask, normal

SCALES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)  # of the features: their units differ
FEATURES, EXAMPLES = len(SCALES), 30
# An expectation adds 2^6 masks x 30 examples, 1,920 squares that are not negative: rounding takes
# at most as many units of float64. What is squared is a sum of 7 numbers, rounded at the size of
# the largest; a hundredfold leaves room for squares that come out smaller than their parts.
SUM_ROUNDING = 2**FEATURES * EXAMPLES * 2.0**-53
ROUNDING = 100 * SUM_ROUNDING
_MOMENTUM = 0.9
DESCENT = 1000  # steps; heavy-ball momentum leaves at most about 0.95^1000 = 5e-23 of the start


@dataclass(frozen=True)
class Problem:
    """Least squares: predict ``y`` from ``x``; float64.

    Args:
        x: ``(examples, features)``.
        y: ``(examples,)``.
        weights: Those that made ``y``, ``(features,)``; large where a feature is small.
    """

    x: Tensor
    y: Tensor
    weights: Tensor


def problem(seed: int) -> Problem:
    """Make up correlated features of different scales, and what they predict, with noise."""
    scales = torch.tensor(SCALES, dtype=torch.float64)
    x = (normal((EXAMPLES, FEATURES), seed, 0) + 0.7 * normal((EXAMPLES, 1), seed, 1)) * scales
    weights = normal((FEATURES,), seed, 2).sign() / scales
    return Problem(x, x @ weights + normal((EXAMPLES,), seed, 3), weights)


class AllMasks:
    """Dropout with every mask once, each with its chance: expectations without sampling.

    A mask is shared by all examples. For a sum over examples this is no loss: the expectation of a
    sum is the sum of the expectations, whatever the examples share.

    Args:
        p: One chance of dropping, or several, each strictly between 0 and 1.
        units: That are dropped; 2**units masks.

    Attributes:
        p: Those that the layer has, ``(ps,)``.
        chances: Of each mask, ``(ps, 2**units)``.
    """

    def __init__(self, p: Sequence[float], units: int) -> None:
        asked = torch.tensor(p, dtype=torch.float64).view(-1, 1).expand(-1, 2**units)
        masks = every_mask(units)
        draws = Replayed(itertools.repeat(masks.unsqueeze(1)))  # those of a batch: one example
        self.layer = InvertedDropout(asked, mask="batch", noise=draws)
        self.p = self.layer.p[:, 0]
        self.chances = chances(masks, self.p.view(-1, 1))

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``x`` under every mask: ``(ps, masks, examples, units)``."""
        noisy: Tensor = self.layer(x.expand(*self.chances.shape, *x.shape))
        return noisy

    def mean(self, values: Tensor) -> Tensor:
        """Return the expectation over the masks of values ``(ps, masks)``: ``(ps,)``."""
        return (self.chances * values).sum(dim=1)


def expected_loss(masks: AllMasks, noisy: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Return the expectation of the mean squared error over all masks: ``(ps,)``.

    Args:
        masks: What made ``noisy``.
        noisy: The features under every mask, ``(ps, masks, examples, features)``.
        y: ``(examples,)``.
        w: ``(ps, features)``.
    """
    predicted = torch.einsum("pmef,pf->pme", noisy, w)
    return masks.mean((y - predicted).square().mean(dim=2))


def penalized_loss(of: Problem, p: Tensor, w: Tensor) -> Tensor:
    """Return ``(|y - X w|^2 + p / (1 - p) |Gamma w|^2) / n``, Gamma^2 = diag(X^T X): ``(ps,)``."""
    squared = (of.y - w @ of.x.T).square().mean(dim=1)
    penalty: Tensor = p / (1 - p) * (w.square() @ of.x.square().mean(dim=0))
    return squared + penalty


def closed_form(of: Problem, p: float) -> Tensor:
    """Return the minimum of :func:`penalized_loss`: ridge regression scaled by the data."""
    gram = of.x.T @ of.x
    solution: Tensor = torch.linalg.solve(gram + p / (1 - p) * gram.diag().diag(), of.x.T @ of.y)
    return solution


def plain_ridge(of: Problem, strength: float) -> Tensor:
    """Return the minimum of ``|y - X w|^2 + strength |w|^2``."""
    gram = of.x.T @ of.x
    added = strength * torch.eye(len(gram)).to(gram)
    solution: Tensor = torch.linalg.solve(gram + added, of.x.T @ of.y)
    return solution


def same_strength(of: Problem, p: float) -> float:
    """Return the strength of plain ridge whose penalties sum to those of dropout."""
    return float(p / (1 - p) * of.x.square().sum() / of.x.shape[1])


def descended(masks: AllMasks, of: Problem) -> Tensor:
    """Return where gradient descent on the exact expectation ends, from 0: ``(ps, features)``.

    What is followed is (1 - p) times the expectation, which has the same minimum. Its second
    derivative has the same trace at every p, and 1 / trace is a safe rate for all of them.
    """
    noisy = masks(of.x)
    w = torch.zeros(len(masks.p), of.x.shape[1], dtype=torch.float64, requires_grad=True)
    rate = float(1 / (2 * of.x.square().mean(dim=0).sum()))
    optimizer = torch.optim.SGD([w], lr=rate, momentum=_MOMENTUM)
    for _ in range(DESCENT):
        optimizer.zero_grad()
        ((1 - masks.p) * expected_loss(masks, noisy, of.y, w)).sum().backward()
        optimizer.step()
    return w.detach()


def condition(of: Problem, p: float) -> float:
    """Return how much larger than their own the error is that gradients' rounding makes in w."""
    gram = of.x.T @ of.x
    eigenvalues = torch.linalg.eigvalsh(gram + p / (1 - p) * gram.diag().diag())
    return float(eigenvalues[-1] / eigenvalues[0])


def sampled(of: Problem, layer: InvertedDropout, steps: int) -> Tensor:
    """Return the path of SGD with sampled masks from least squares: ``(steps, runs, features)``.

    Each step takes all examples, each with a mask of its own. The rate is constant: the gradient
    is linear in w, so that once the start is forgotten, w is right on average, and the average
    over steps comes as near as one likes (Polyak & Juditsky 1992).

    Args:
        of: What is learned.
        layer: With a p for each run, ``(runs,)``.
        steps: How many.
    """
    runs = len(layer.p)
    x = of.x.expand(runs, *of.x.shape)
    w = closed_form(of, 0.0).repeat(runs, 1).requires_grad_()
    trace = of.x.square().mean(dim=0).sum() / (1 - layer.p[0])
    optimizer = torch.optim.SGD([w], lr=float(1 / (2 * trace)))
    path = torch.empty(steps, *w.shape, dtype=torch.float64)
    for step in range(steps):
        optimizer.zero_grad()
        predicted = (layer(x) @ w.unsqueeze(2)).squeeze(2)  # (runs, examples)
        (of.y - predicted).square().mean(dim=1).sum().backward()
        optimizer.step()
        path[step] = w.detach()
    return path
