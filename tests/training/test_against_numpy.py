"""Regularizers and optimizer forms against a training written out in NumPy, in float64.

Ten updates, so that the second epoch begins inside them; no dropout, since the layers have their
own proofs. Every formula stands here as the papers have it, with its own backward pass.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dropout_lab.data import Splits
from dropout_lab.rng import Purpose, stream
from dropout_lab.training import Fleet, train
from tests.conftest import make_runs

CPU = torch.device("cpu")
UPDATES, BATCH = 10, 64
Array = NDArray[np.float64]


@dataclass
class Recipe:
    """What the training in NumPy does beside plain SGD with momentum 0.9 at rate 0.05."""

    logistic: bool = False
    learning_rate: Callable[[int, int], float] = lambda t, e: 0.05  # of update and epoch
    momentum: Callable[[int, int], float] = lambda t, e: 0.9
    dampening: bool = False
    l2: float = 0.0
    l1: float = 0.0
    l1_from: int = 0
    radius: dict[int, float] = field(default_factory=dict)  # of each bounded matrix
    sparsity: float = 0.0
    target: float = 0.1
    damping: float = 0.9
    smoothing: float = 0.0
    penalty: float = 0.0
    noise: float = 0.0
    falling: bool = False


class Net:
    """A net of the small tests' shape, its velocities and its running means."""

    def __init__(self, weights: list[Array], recipe: Recipe) -> None:
        self.recipe = recipe
        self.w = [w.copy() for w in weights]
        self.b = [np.zeros(w.shape[1]) for w in weights]
        self.v = [np.zeros_like(p) for p in (*self.w, *self.b)]
        self.means = [np.full(w.shape[1], recipe.target) for w in weights[:-1]]

    def gradients(self, x: Array, labels: NDArray[np.int64]) -> list[Array]:
        """Pass forward and back; return the gradient of the mean loss for weights and biases."""
        recipe, batch = self.recipe, len(x)
        h = [x]
        for w, b in zip(self.w[:-1], self.b[:-1], strict=True):
            z = h[-1] @ w + b
            h.append(1 / (1 + np.exp(-z)) if recipe.logistic else np.maximum(z, 0))
        z = h[-1] @ self.w[-1] + self.b[-1]
        probabilities = np.exp(z - z.max(1, keepdims=True))
        probabilities /= probabilities.sum(1, keepdims=True)
        targets = np.full_like(probabilities, recipe.smoothing / 10)
        targets[np.arange(batch), labels] += 1 - recipe.smoothing
        delta = (probabilities - targets) / batch
        if recipe.penalty:  # of p_k log p_k, summed: p_k (log p_k - sum p log p)
            logs = np.log(probabilities)
            negative = (probabilities * logs).sum(1, keepdims=True)
            delta += recipe.penalty * probabilities * (logs - negative) / batch
        g_w: list[Array] = [np.zeros(0)] * len(self.w)
        g_b: list[Array] = [np.zeros(0)] * len(self.w)
        for i in reversed(range(len(self.w))):
            g_w[i], g_b[i] = h[i].T @ delta, delta.sum(0)
            if i == 0:
                break
            back = delta @ self.w[i].T
            if recipe.sparsity:
                m = self.means[i - 1]
                m[:] = recipe.damping * m + (1 - recipe.damping) * h[i].mean(0)
                slope = m * (1 - m) if recipe.logistic else 1.0
                back += recipe.sparsity * (m - recipe.target) / slope / batch
            delta = back * (h[i] * (1 - h[i]) if recipe.logistic else (h[i] > 0))
        for w, g in zip(self.w, g_w, strict=True):
            g += recipe.l2 * w
        return g_w + g_b

    def update(self, gradients: list[Array], t: int, epoch: int) -> None:
        recipe = self.recipe
        m, rate = recipe.momentum(t, epoch), recipe.learning_rate(t, epoch)
        for i, (p, g) in enumerate(zip((*self.w, *self.b), gradients, strict=True)):
            if i < len(self.w) and t >= recipe.l1_from:
                g = g + recipe.l1 * np.sign(p)
            self.v[i] = m * self.v[i] + (1 - m if recipe.dampening else 1) * g
            p -= rate * self.v[i]
        for matrix, radius in recipe.radius.items():
            for column in self.w[matrix].T:
                norm = math.sqrt((column**2).sum())
                if norm > radius:
                    column *= radius / norm


def trained_in_numpy(splits: Splits, start: Fleet, recipe: Recipe) -> Net:
    net = Net([w[0].detach().numpy() for w in start.model.weights], recipe)
    images, labels = (a.numpy() for a in (splits.train.images, splits.train.labels))
    t = 0
    for epoch in (0, 1):
        order = stream(Purpose.DATA_ORDER, 0, epoch + 1).permutation(len(images))
        noise = stream(Purpose.INPUT_NOISE, 0, 0, epoch + 1)
        for first in range(0, len(order), BATCH):
            if t == UPDATES:
                break
            batch = order[first : first + BATCH]
            x = images[batch] / 255.0
            if recipe.noise:
                draws = noise.standard_normal(x.shape, dtype=np.float32)
                deviation = recipe.noise * (1 - t / UPDATES if recipe.falling else 1)
                x = x + deviation * draws.astype(np.float64)
            net.update(net.gradients(x, labels[batch]), t, epoch)
            t += 1
    return net


CASES: dict[str, tuple[list[str], Recipe]] = {
    "plain": ([], Recipe()),
    "l2": (["regularization.l2=0.02"], Recipe(l2=0.02)),
    "l1": (["regularization.l1=0.01"], Recipe(l1=0.01)),
    "l1_from": (
        ["regularization.l1=0.01", "regularization.l1_from=6"],
        Recipe(l1=0.01, l1_from=6),
    ),
    "max_norm": (["regularization.max_norm=1.2"], Recipe(radius=dict.fromkeys(range(3), 1.2))),
    "max_squared_norm, hidden": (
        ["regularization.max_squared_norm=1.5", "regularization.max_norm_on=hidden"],
        Recipe(radius=dict.fromkeys(range(2), math.sqrt(1.5))),
    ),
    "max_norm of each matrix": (
        ["regularization.max_norm=[1.3,1.1,null]"],
        Recipe(radius={0: 1.3, 1: 1.1}),
    ),
    "uniform weights, output 0": (
        ["model.init=uniform", "model.init_range=[0.05,0.2,0]", "regularization.max_norm=0.7"],
        Recipe(radius=dict.fromkeys(range(3), 0.7)),
    ),
    "kl_sparsity, relu": (["regularization.kl_sparsity=0.5"], Recipe(sparsity=0.5)),
    "kl_sparsity, logistic": (
        [
            "model.activation=logistic", "regularization.kl_sparsity=0.1",
            "regularization.kl_sparsity_target=0.2", "regularization.kl_sparsity_damping=0.6",
        ],
        Recipe(logistic=True, sparsity=0.1, target=0.2, damping=0.6),
    ),
    "label_smoothing": (["regularization.label_smoothing=0.1"], Recipe(smoothing=0.1)),
    "input_noise": (["regularization.input_noise=0.3"], Recipe(noise=0.3)),
    "input_noise, linear": (
        ["regularization.input_noise=1", "regularization.input_noise_schedule=linear"],
        Recipe(noise=1, falling=True),
    ),
    "confidence_penalty": (["regularization.confidence_penalty=0.5"], Recipe(penalty=0.5)),
    "hinton_2012": (
        [
            "training.momentum=0.9", "training.momentum_schedule=linear",
            "training.start_momentum=0.5", "training.momentum_epochs=4",
            "training.dampening=true", "training.learning_rate=1",
            "training.learning_rate_schedule=exponential", "training.learning_rate_decay=0.9",
        ],
        Recipe(
            momentum=lambda t, e: 0.5 + 0.4 * e / 4,
            learning_rate=lambda t, e: 0.9**e,
            dampening=True,
        ),
    ),
    "deepnet": (
        [
            "training.momentum=0.9", "training.momentum_schedule=exponential",
            "training.start_momentum=0.5", "training.momentum_updates=5",
            "training.learning_rate_schedule=inverse_time", "training.learning_rate_updates=5",
            "model.init=fan_out", "regularization.max_norm=1",
        ],
        Recipe(
            momentum=lambda t, e: 0.9 - 0.4 * math.exp(-t / 5),
            learning_rate=lambda t, e: 0.05 / (1 + t / 5),
            radius=dict.fromkeys(range(3), 1.0),
        ),
    ),
    "cosine, warmup": (
        [
            "training.learning_rate_schedule=cosine", "training.learning_rate_end=0.1",
            "training.warmup=0.5",
        ],
        Recipe(
            learning_rate=lambda t, e: (
                0.05 * min(1, (t + 1) / 4) * (0.1 + 0.9 * math.cos(math.pi * t / 20) ** 2)
            )
        ),
    ),
    "one_cycle": (
        ["training.learning_rate_schedule=one_cycle", "training.learning_rate_peak=0.5"],
        Recipe(
            learning_rate=lambda t, e: 0.05 * (
                0.04 + 0.96 * math.sin(math.pi * t / 8) ** 2
                if t <= 4
                else 4e-6 + (1 - 4e-6) * math.cos(math.pi * (t - 4) / 10) ** 2
            )
        ),
    ),
    "everything": (
        [
            "model.activation=logistic", "training.dampening=true",
            "training.learning_rate_schedule=linear", "training.learning_rate_end=0.5",
            "regularization.l2=0.01", "regularization.l1=0.005", "regularization.l1_from=3",
            "regularization.kl_sparsity=0.05", "regularization.label_smoothing=0.2",
            "regularization.input_noise=0.1", "regularization.max_norm=1.1",
            "regularization.max_norm_on=[0,2]",
        ],
        Recipe(
            logistic=True, dampening=True, learning_rate=lambda t, e: 0.05 * (1 - 0.5 * t / 10),
            l2=0.01, l1=0.005, l1_from=3, sparsity=0.05, smoothing=0.2, noise=0.1,
            radius={0: 1.1, 2: 1.1},
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_training_is_that_written_out_in_numpy(
    name: str, small_splits: Splits, float64: None
) -> None:
    settings, recipe = CASES[name]
    length = ["training.epochs=null", f"training.updates={UPDATES}", "dropout.variant=none"]
    runs = make_runs(*length, *settings)
    net = trained_in_numpy(small_splits, Fleet(runs, CPU), recipe)
    plain = trained_in_numpy(small_splits, Fleet(runs, CPU), Recipe(logistic=recipe.logistic))
    fleet = Fleet(runs, CPU)
    list(train(fleet, small_splits))
    assert fleet.updates == UPDATES
    for ours, theirs in zip(fleet.model.parameters(), (*net.w, *net.b), strict=True):
        numbers = torch.from_numpy(theirs).view_as(ours[0])
        torch.testing.assert_close(ours[0].detach(), numbers, rtol=1e-9, atol=1e-12)
    moved = max(np.abs(a - b).max() for a, b in zip(net.w, plain.w, strict=True))
    assert (moved > 1e-3) == (name != "plain")  # the setting makes a difference that would be seen
