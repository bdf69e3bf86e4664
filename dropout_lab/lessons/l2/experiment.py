"""Solve a linear model under dropout by enumeration, closed form and SGD."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from dropout_lab.layers import InvertedDropout
from dropout_lab.lessons.draws import (
    ReplayedMasks,
    all_masks,
    mask_probabilities,
    normal_draws,
)

SCALES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)  # of the features
FEATURES, EXAMPLES = len(SCALES), 30
# An expectation adds 2^6 masks x 30 examples, i.e. 1,920 non-negative squares; the relative
# rounding error is at most 1,920 units of float64. Each square is of a sum of 7 numbers, rounded at
# the size of the largest; a factor of 100 leaves room for squares smaller than their parts.
SUM_ROUNDING = 2**FEATURES * EXAMPLES * 2.0**-53
ROUNDING = 100 * SUM_ROUNDING
SGD_RUNS = 64  # enough for a standard error
DESCENT_STEPS = 1000  # heavy-ball momentum leaves about 0.95^1000 = 5e-23 of the start
_MOMENTUM = 0.9
# The maximum of the third derivative of A, with A''(z) = s (1 - s), s the logistic function of z.
_MAX_THIRD_DERIVATIVE = 1 / (6 * math.sqrt(3))
WEIGHT_FACTORS = (2.0, 1.0, 0.5, 0.25, 0.125)
# For each weight factor: the values of p, and the approximation over the exact penalty at each.
PenaltyRatios = Mapping[float, tuple[Sequence[float], Sequence[float]]]


@dataclass(frozen=True)
class LeastSquares:
    """Hold a least-squares problem, to predict ``y`` from ``x``; float64.

    Args:
        x: ``(examples, features)``.
        y: ``(examples,)``.
        weights: The weights that generated ``y``, ``(features,)``; large for a small feature.
    """

    x: Tensor
    y: Tensor
    weights: Tensor


def make_problem(seed: int) -> LeastSquares:
    """Draw correlated features of different scales, and noisy targets."""
    scales = torch.tensor(SCALES, dtype=torch.float64)
    x = (
        normal_draws((EXAMPLES, FEATURES), seed, 0) + 0.7 * normal_draws((EXAMPLES, 1), seed, 1)
    ) * scales
    weights = normal_draws((FEATURES,), seed, 2).sign() / scales
    return LeastSquares(x, x @ weights + normal_draws((EXAMPLES,), seed, 3), weights)


class EnumeratedDropout:
    """Apply dropout with every mask once, to compute expectations without sampling.

    All examples share a mask. This does not change an expectation of a sum over examples, since the
    expectation of a sum is the sum of the expectations.

    Args:
        p: One or more dropout rates, each strictly between 0 and 1.
        units: The number of dropped units; there are 2**units masks.

    Attributes:
        p: The rates that the layer realizes, ``(ps,)``.
        probabilities: The probability of each mask, ``(ps, 2**units)``.
    """

    def __init__(self, p: Sequence[float], units: int) -> None:
        requested_p = torch.tensor(p, dtype=torch.float64).view(-1, 1).expand(-1, 2**units)
        masks = all_masks(units)
        # One mask serves a batch of any size, as if the batch had one example.
        replayed_masks = ReplayedMasks(itertools.repeat(masks.unsqueeze(1)))
        self.layer = InvertedDropout(requested_p, mask="batch", noise=replayed_masks)
        self.p = self.layer.p[:, 0]
        self.probabilities = mask_probabilities(masks, self.p.view(-1, 1))

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``x`` under every mask: ``(ps, masks, examples, units)``."""
        output: Tensor = self.layer(x.expand(*self.probabilities.shape, *x.shape))
        return output

    def mean(self, values: Tensor) -> Tensor:
        """Return the expectation of values ``(ps, masks)`` over the masks: ``(ps,)``."""
        return (self.probabilities * values).sum(dim=1)


def expected_loss(
    dropout: EnumeratedDropout, noisy_features: Tensor, y: Tensor, w: Tensor
) -> Tensor:
    """Compute the expectation of the mean squared error over all masks: ``(ps,)``.

    Args:
        dropout: The masks and their probabilities.
        noisy_features: The features under every mask, ``(ps, masks, examples, features)``.
        y: ``(examples,)``.
        w: ``(ps, features)``.
    """
    predicted = torch.einsum("pmef,pf->pme", noisy_features, w)
    return dropout.mean((y - predicted).square().mean(dim=2))


def penalized_loss(problem: LeastSquares, p: Tensor, w: Tensor) -> Tensor:
    """Compute ``(|y - X w|^2 + p / (1 - p) |Gamma w|^2) / n``, Gamma^2 = diag(X^T X): ``(ps,)``."""
    squared = (problem.y - w @ problem.x.T).square().mean(dim=1)
    penalty: Tensor = p / (1 - p) * (w.square() @ problem.x.square().mean(dim=0))
    return squared + penalty


def closed_form(problem: LeastSquares, p: float) -> Tensor:
    """Compute the minimum of :func:`penalized_loss`: ridge regression scaled by the data."""
    gram = problem.x.T @ problem.x
    solution: Tensor = torch.linalg.solve(
        gram + p / (1 - p) * gram.diag().diag(), problem.x.T @ problem.y
    )
    return solution


def plain_ridge(problem: LeastSquares, strength: float) -> Tensor:
    """Compute the minimum of ``|y - X w|^2 + strength |w|^2``."""
    gram = problem.x.T @ problem.x
    penalty = strength * torch.eye(len(gram)).to(gram)
    solution: Tensor = torch.linalg.solve(gram + penalty, problem.x.T @ problem.y)
    return solution


def matching_ridge_strength(problem: LeastSquares, p: float) -> float:
    """Return the strength of plain ridge whose penalties sum to those of dropout."""
    return float(p / (1 - p) * problem.x.square().sum() / problem.x.shape[1])


def descend(dropout: EnumeratedDropout, problem: LeastSquares) -> Tensor:
    """Minimize the exact expectation by gradient descent from 0: ``(ps, features)``.

    The descent follows (1 - p) times the expectation, which has the same minimum. The second
    derivative has the same trace at every p, so 1 / trace is a safe rate for all p.
    """
    noisy_features = dropout(problem.x)
    w = torch.zeros(len(dropout.p), problem.x.shape[1], dtype=torch.float64, requires_grad=True)
    rate = float(1 / (2 * problem.x.square().mean(dim=0).sum()))
    optimizer = torch.optim.SGD([w], lr=rate, momentum=_MOMENTUM)
    for _ in range(DESCENT_STEPS):
        optimizer.zero_grad()
        ((1 - dropout.p) * expected_loss(dropout, noisy_features, problem.y, w)).sum().backward()
        optimizer.step()
    return w.detach()


def condition_number(problem: LeastSquares, p: float) -> float:
    """Return the condition number of the equations, which amplifies rounding of gradients."""
    gram = problem.x.T @ problem.x
    eigenvalues = torch.linalg.eigvalsh(gram + p / (1 - p) * gram.diag().diag())
    return float(eigenvalues[-1] / eigenvalues[0])


def run_sgd(problem: LeastSquares, layer: InvertedDropout, steps: int) -> Tensor:
    """Run SGD with sampled masks from the least-squares solution: ``(steps, runs, features)``.

    Each step uses all examples, each with its own mask. The rate is constant. Since the gradient is
    linear in w, the mean of w is correct once the start is forgotten, and the average over steps
    converges to the solution (Polyak & Juditsky 1992).

    Args:
        problem: The least-squares problem.
        layer: A layer with a p for each run, ``(runs,)``.
        steps: The number of steps.
    """
    runs = len(layer.p)
    x = problem.x.expand(runs, *problem.x.shape)
    w = closed_form(problem, 0.0).repeat(runs, 1).requires_grad_()
    trace = problem.x.square().mean(dim=0).sum() / (1 - layer.p[0])
    optimizer = torch.optim.SGD([w], lr=float(1 / (2 * trace)))
    path = torch.empty(steps, *w.shape, dtype=torch.float64)
    for step in range(steps):
        optimizer.zero_grad()
        predicted = (layer(x) @ w.unsqueeze(2)).squeeze(2)  # (runs, examples)
        (problem.y - predicted).square().mean(dim=1).sum().backward()
        optimizer.step()
        path[step] = w.detach()
    return path


@dataclass(frozen=True)
class Solutions:
    """Hold the coefficients found with dropout.

    Args:
        p: The dropout rate of the lesson.
        ps: The dropout rates of the path, in rising order.
        minima: The minimum over all masks at each of ``ps``: ``(ps, features)``.
        minimum: The minimum over all masks at ``p``: ``(features,)``.
        sgd_averages: The average of SGD for each run: ``(runs, features)``.
    """

    p: float
    ps: Tensor
    minima: Tensor
    minimum: Tensor
    sgd_averages: Tensor


def logistic_penalties(
    problem: LeastSquares, dropout: EnumeratedDropout, size: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the exact penalty, Wager's, and a bound of their difference: ``(ps,)`` each."""
    b = size * problem.weights
    z = problem.x @ b
    noisy_logits = dropout(problem.x) @ b  # (ps, masks, examples)
    exact = dropout.mean((softplus(noisy_logits) - softplus(z)).sum(dim=2))
    s = torch.sigmoid(z)
    variance = (dropout.p / (1 - dropout.p)).unsqueeze(1) * (problem.x.square() @ b.square())
    quadratic = (s * (1 - s) * variance).sum(dim=1) / 2
    bound = _MAX_THIRD_DERIVATIVE / 6 * dropout.mean((noisy_logits - z).abs().pow(3).sum(dim=2))
    return exact, quadratic, bound
