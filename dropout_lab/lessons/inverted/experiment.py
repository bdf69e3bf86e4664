"""Run dropout layers of three programs, and train standard and inverted networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dropout_lab.layers import InvertedDropout
from dropout_lab.layers.base import BernoulliDropout
from dropout_lab.lessons.draws import ReplayedMasks, noise_source, normal_draws
from dropout_lab.lessons.reference_layers import NumpyDropout
from dropout_lab.lessons.training import make_settings, make_sgd
from dropout_lab.metrics import losses
from dropout_lab.model import MLP, fleet_p
from dropout_lab.update_rules import Adam, UpdateRule

STEPS = 20
_BATCH_SIZE, _PROBES = 32, 32


@dataclass(frozen=True)
class OptimizerRule:
    """Describe an optimizer and its settings.

    Args:
        learning_rate: The learning rate.
        momentum: The momentum of SGD.
        l2: The L2 strength, a factor of the weight in the gradient.
        adam: Whether the optimizer is Adam; otherwise SGD.
    """

    learning_rate: float
    momentum: float = 0.0
    l2: float = 0.0
    adam: bool = False


SGD_RULE = OptimizerRule(learning_rate=0.05)
ADAM_RULE = OptimizerRule(learning_rate=0.01, adam=True)


@dataclass(frozen=True)
class PowerScaling:
    """Hold the powers of q = 1 - p that scale an inverted network's outgoing weights.

    The scaling applies to the weights that leave dropped units.

    Args:
        weights: The power for the initial weights.
        learning_rate: The power for the learning rate.
        l2: The power for the L2 strength.
    """

    weights: int
    learning_rate: int
    l2: int = 0


EQUIVALENT = PowerScaling(weights=1, learning_rate=2)
_NO_SCALING = PowerScaling(weights=0, learning_rate=0)


@dataclass(frozen=True)
class TrainingCourse:
    """Hold the losses and logits of a network over its training steps.

    Args:
        losses: The cross-entropy of each step's batch in nats, dropout on, before the step.
        logits: The logits in evaluation, before the first and after each step:
            ``(steps + 1, examples, 10)``.
    """

    losses: list[float]
    logits: Tensor

    def logit_differences(self, reference: "TrainingCourse") -> list[float]:
        """Return the largest logit difference over the RMS logit, for each step."""
        logit_rms = reference.logits.square().mean(dim=(1, 2)).sqrt()
        return list(((self.logits - reference.logits).abs().amax(dim=(1, 2)) / logit_rms).tolist())


def train_network(
    variant: str, p: float, seed: int, rule: OptimizerRule, scaling: PowerScaling = _NO_SCALING
) -> TrainingCourse:
    """Train a network 784-32-16-10 for 20 steps in float64, with dropout on its hidden layers.

    Equal seeds give equal initial weights, examples and masks.

    Args:
        variant: ``standard`` or ``inverted``.
        p: The dropout rate.
        seed: The seed of all draws.
        rule: The optimizer.
        scaling: How the network differs from a network with standard dropout.
    """
    settings = make_settings({"model.hidden": (32, 16), "dropout.variant": variant, "dropout.p": p})
    network = MLP(settings, fleet_p([settings]), (seed,), torch.device("cpu")).double()
    dropout_layers = [
        (layer, weight) for layer, weight, _ in network.places() if layer.variant.noisy
    ]
    q = 1 - float(dropout_layers[0][0].p)
    outgoing_weights = [weight for _, weight in dropout_layers]
    with torch.no_grad():
        for weight in outgoing_weights:
            weight *= q**scaling.weights
    other_weights = [
        weight
        for weight in network.weights
        if all(weight is not outgoing for outgoing in outgoing_weights)
    ]
    updates = _make_optimizer(
        rule,
        [
            _parameter_group(
                rule, outgoing_weights, q**scaling.learning_rate, rule.l2 * q**scaling.l2
            ),
            _parameter_group(rule, other_weights, 1.0, rule.l2),
            _parameter_group(rule, list(network.biases), 1.0, 0.0),
        ],
    )
    x = normal_draws((STEPS, _BATCH_SIZE, 784), seed, 10)
    labels = torch.from_numpy(
        noise_source(seed, 11).generator.integers(10, size=(STEPS, _BATCH_SIZE))
    )
    probes = normal_draws((_PROBES, 784), seed, 12)
    network.open_epoch(1)
    logits, noisy_losses = [_eval_logits(network, probes)], []
    for batch, batch_labels in zip(x, labels, strict=True):
        network.zero_grad()
        loss = losses(network.train()(batch[None]), batch_labels[None]).sum()
        loss.backward()
        updates.step()
        noisy_losses.append(loss.item())
        logits.append(_eval_logits(network, probes))
    return TrainingCourse(noisy_losses, torch.stack(logits))


def _parameter_group(
    rule: OptimizerRule, parameters: Sequence[Tensor], factor: float, l2: float
) -> dict[str, Any]:
    return {"params": parameters, "lr": rule.learning_rate * factor, "weight_decay": l2}


def _make_optimizer(rule: OptimizerRule, groups: list[dict[str, Any]]) -> UpdateRule:
    return Adam(groups, decoupled=False) if rule.adam else make_sgd(groups, rule.momentum)


def _eval_logits(network: MLP, probes: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = network.eval()(probes[None])[0]
    return logits


def run_numpy_layer(
    p: float, x: Tensor, output_gradient: Tensor, seed: int, key: int
) -> tuple[NumpyDropout, Tensor, Tensor]:
    """Run NumPy's layer forward and backward: the layer, the output, the input gradient."""
    layer = NumpyDropout(1 - float(InvertedDropout(p).p), noise_source(seed, key).generator)
    output = layer.forward(x.numpy())
    return (
        layer,
        torch.from_numpy(output),
        torch.from_numpy(layer.backward(output_gradient.numpy())),
    )


def run_our_layer(
    p: float, x: Tensor, output_gradient: Tensor, keep_mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Run our layer with a given mask: the output, and the input gradient by autograd."""
    leaf_input = x.clone().requires_grad_()
    output = InvertedDropout(p, noise=ReplayedMasks([keep_mask]))(leaf_input)
    (gradient,) = torch.autograd.grad(output, leaf_input, output_gradient)
    return output.detach(), gradient


def largest_relative_difference(first: Tensor, second: Tensor) -> float:
    """Return the largest relative difference; huge if only one of two values is 0."""
    larger_size = torch.maximum(first.abs(), second.abs()).clamp_min(torch.finfo(first.dtype).tiny)
    return float(((first - second).abs() / larger_size).max())


def weight_gradients(layer: BernoulliDropout, draws: int) -> Tensor:
    """Return the gradient of a weight after a unit of 1, for each mask."""
    weight = torch.ones(draws, dtype=torch.float64, requires_grad=True)
    (layer(torch.ones_like(weight)) * weight).sum().backward()
    assert weight.grad is not None  # noqa: S101  # set by backward
    return weight.grad
