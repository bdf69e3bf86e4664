"""Train with a shared mask and measure how far each update rule moves the weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dropout_lab import update_rules
from dropout_lab.layers import InvertedDropout
from dropout_lab.layers.base import Mask
from dropout_lab.lessons.draws import noise_source
from dropout_lab.lessons.mask_helpers import (
    sample_keep_mask,
)
from dropout_lab.lessons.training import make_sgd
from dropout_lab.lessons.two_layers import EXAMPLES, UNITS, TwoLayerNetwork
from dropout_lab.update_rules import Adam

ELEMENT_KEY, SHARED_KEY, COUNT_KEY, TRAINING_KEY = range(4)  # one random stream each
EARLIER_STEPS = 10  # updates that fill the state of momentum and Adam
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 0.1
_MAX_TRIES = 10_000  # at any p, the probability that no mask is accepted is negligible
_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8  # Kingma & Ba (2015)
OptimizerState = dict[str, Tensor]


def make_layer(p: float, seed: int, *key: int, mask: Mask = "element") -> InvertedDropout:
    """Create a layer with a new noise source; equal seeds and keys give equal masks."""
    return InvertedDropout(p, mask=mask, noise=noise_source(seed, 1, *key))


@dataclass(frozen=True)
class SharedMaskBatch:
    """Hold a network and a batch whose examples share one mask.

    Args:
        network: The network.
        x: The inputs.
        y: The targets.
        p: The dropout rate.
        seed: The seed of the lesson.
        rejected_masks: The number of masks drawn before the mask in use.
    """

    network: TwoLayerNetwork
    x: Tensor
    y: Tensor
    p: float
    seed: int
    rejected_masks: int

    @classmethod
    def draw(
        cls, network: TwoLayerNetwork, x: Tensor, y: Tensor, p: float, seed: int
    ) -> "SharedMaskBatch":
        """Draw masks until a mask drops an active unit and keeps an active unit."""
        batches = (
            cls(network, x, y, p, seed, rejected_masks) for rejected_masks in range(_MAX_TRIES)
        )
        return next(
            batch
            for batch in batches
            if (batch.dropped_units & batch.active_units).any()
            and (~batch.dropped_units & batch.active_units).any()
        )

    @property
    def active_units(self) -> Tensor:
        """Return which units are above 0 for some example; only these can have a gradient."""
        return (self.network.hidden(self.x) > 0).any(dim=0)

    @property
    def layer(self) -> InvertedDropout:
        """Create the layer; its next draw is the mask of this batch."""
        return make_layer(self.p, self.seed, SHARED_KEY, self.rejected_masks, mask="batch")

    @property
    def keep_mask(self) -> Tensor:
        """Return the mask for every example, ``(15, 10)``."""
        return sample_keep_mask(self.layer, 1, UNITS).expand(EXAMPLES, UNITS)

    @property
    def dropped_units(self) -> Tensor:
        """Return which units are dropped for every example."""
        return ~self.keep_mask[0]

    def update(
        self, network: TwoLayerNetwork, updates: update_rules.UpdateRule, layer: InvertedDropout
    ) -> None:
        """Update a network with the gradients of this batch."""
        gradients = torch.autograd.grad(network.loss(self.x, self.y, layer), network.parameters)
        for parameter, gradient in zip(network.parameters, gradients, strict=True):
            parameter.grad = gradient
        updates.step()


@dataclass(frozen=True)
class UpdateRule:
    """Describe how an optimizer updates a weight.

    Args:
        name: The name of the rule in text.
        formula: The change of a weight w at gradient 0.
        make_optimizer: Creates the optimizer of a network.
        zero_gradient_step: The formula as a function of w, the optimizer's state and the decay.
    """

    name: str
    formula: str
    make_optimizer: Callable[[TwoLayerNetwork], update_rules.UpdateRule]
    zero_gradient_step: Callable[[Tensor, OptimizerState, float], Tensor]

    def predict_step(
        self, network: TwoLayerNetwork, updates: update_rules.UpdateRule
    ) -> TwoLayerNetwork:
        """Compute the next change of each weight and bias at gradient 0 from the formula."""
        return TwoLayerNetwork(
            *(
                self.zero_gradient_step(parameter.detach(), updates.state[parameter], decay)
                for group in updates.param_groups
                for parameter, decay in (
                    (parameter, group["weight_decay"]) for parameter in group["params"]
                )
            )
        )


def _parameter_groups(network: TwoLayerNetwork, decay: float = 0.0) -> list[dict[str, Any]]:
    """Create a group for each parameter, in the network's order; biases have no decay."""
    weight_decays = (decay, 0.0, decay, 0.0)
    return [
        {"params": [parameter], "lr": LEARNING_RATE, "weight_decay": parameter_decay}
        for parameter, parameter_decay in zip(network.parameters, weight_decays, strict=True)
    ]


def _adam_zero_gradient_step(w: Tensor, state: OptimizerState, decay: float) -> Tensor:
    """Compute Adam's step and the decoupled decay at gradient 0."""
    step = float(state["step"]) + 1
    first_moment = _BETA1 * state["exp_avg"] / (1 - _BETA1**step)
    second_moment = _BETA2 * state["exp_avg_sq"] / (1 - _BETA2**step)
    change: Tensor = -LEARNING_RATE * (first_moment / (second_moment.sqrt() + _EPS) + decay * w)
    return change


UPDATE_RULES = {
    rule.name: rule
    for rule in (
        UpdateRule(
            "SGD",
            "0",
            lambda network: make_sgd(_parameter_groups(network)),
            lambda w, state, decay: torch.zeros_like(w),
        ),
        UpdateRule(
            f"momentum {MOMENTUM:g}",
            f"-lr {MOMENTUM:g} v",
            lambda network: make_sgd(_parameter_groups(network), MOMENTUM),
            lambda w, state, decay: -LEARNING_RATE * MOMENTUM * state["momentum_buffer"],
        ),
        UpdateRule(
            f"weight decay {WEIGHT_DECAY:g}",
            f"-lr {WEIGHT_DECAY:g} w",
            lambda network: make_sgd(_parameter_groups(network, WEIGHT_DECAY)),
            lambda w, state, decay: -LEARNING_RATE * decay * w,
        ),
        UpdateRule(
            "Adam",
            "-lr m / (sqrt(s) + eps)",
            lambda network: Adam(_parameter_groups(network), decoupled=False),
            _adam_zero_gradient_step,
        ),
        UpdateRule(
            f"AdamW, decay {WEIGHT_DECAY:g}",
            f"Adam's - lr {WEIGHT_DECAY:g} w",
            lambda network: Adam(_parameter_groups(network, WEIGHT_DECAY), decoupled=True),
            _adam_zero_gradient_step,
        ),
    )
}


@dataclass(frozen=True)
class WeightChange:
    """Compare the change of each hidden unit's weights, ``(7, 10)``, with the formula.

    Args:
        measured_step: The change in the update with the shared mask.
        predicted_step: The change that the formula gives at gradient 0.
        largest_weight: The largest absolute weight.
    """

    measured_step: Tensor
    predicted_step: Tensor
    largest_weight: float

    @classmethod
    def measure(cls, rule: UpdateRule, batch: SharedMaskBatch) -> "WeightChange":
        """Train with a mask for each example, then update once with the shared mask."""
        network = batch.network.copy()
        updates, layer = rule.make_optimizer(network), make_layer(batch.p, batch.seed, TRAINING_KEY)
        for _ in range(EARLIER_STEPS):
            batch.update(network, updates, layer)
        weights_before = network.weights_by_unit()
        predicted = rule.predict_step(network, updates).weights_by_unit()
        batch.update(network, updates, batch.layer)
        return cls(
            network.weights_by_unit() - weights_before, predicted, float(weights_before.abs().max())
        )

    def formula_error(self, dropped_units: Tensor) -> float:
        """Return how far dropped units' weights are from the formula, in roundings."""
        error = (self.measured_step - self.predicted_step)[:, dropped_units].abs().max()
        return float(error) / (
            torch.finfo(torch.float64).eps * (self.largest_weight + LEARNING_RATE)
        )
