"""The steps of the lesson ``masks``: its batch, the rules, and how far each moves weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dropout_lab.layers import InvertedDropout
from dropout_lab.layers.base import Mask
from dropout_lab.lessons.draws import noise
from dropout_lab.lessons.mask_helpers import kept
from dropout_lab.lessons.two_layers import EXAMPLES, UNITS, TwoLayers
from dropout_lab.update_rules import SGD, Adam, UpdateRule

ELEMENT, SHARED, COUNT, TRAINING = range(4)  # what draws are for
EARLIER = 10  # steps that fill what momentum and Adam remember
RATE, MOMENTUM, DECAY = 0.01, 0.9, 0.1
_TRIES = 10_000  # at any p, next to nothing is the chance that none of them will do
_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8  # Kingma & Ba (2015)

Memory = dict[str, Tensor]


def layer_of(p: float, seed: int, *key: int, mask: Mask = "element") -> InvertedDropout:
    """Return a layer at the beginning of its draws: equal names draw equal masks."""
    return InvertedDropout(p, mask=mask, noise=noise(seed, 1, *key))


@dataclass(frozen=True)
class Case:
    """A batch with one mask for all its examples.

    Args:
        net: The network.
        x: Inputs.
        y: Targets.
        p: The chance of dropping.
        seed: Of the lesson.
        draws: How many masks were drawn in vain.
    """

    net: TwoLayers
    x: Tensor
    y: Tensor
    p: float
    seed: int
    draws: int

    @classmethod
    def found(cls, net: TwoLayers, x: Tensor, y: Tensor, p: float, seed: int) -> "Case":
        """Draw masks until one drops a unit that is active for some example, and keeps one."""
        cases = (cls(net, x, y, p, seed, draws) for draws in range(_TRIES))
        return next(
            each
            for each in cases
            if (each.dropped & each.active).any() and (~each.dropped & each.active).any()
        )

    @property
    def active(self) -> Tensor:
        """Which units are above 0 for some example; the others have no gradient in any case."""
        return (self.net.hidden(self.x) > 0).any(dim=0)

    @property
    def layer(self) -> InvertedDropout:
        """The layer just before it draws the mask."""
        return layer_of(self.p, self.seed, SHARED, self.draws, mask="batch")

    @property
    def mask(self) -> Tensor:
        """What is kept, ``(15, 10)``."""
        return kept(self.layer, 1, UNITS).expand(EXAMPLES, UNITS)

    @property
    def dropped(self) -> Tensor:
        """Which units are dropped for every example."""
        return ~self.mask[0]

    def step(self, net: TwoLayers, updates: UpdateRule, layer: InvertedDropout) -> None:
        """Move a network by one step."""
        gradients = torch.autograd.grad(net.loss(self.x, self.y, layer), net.parameters)
        for parameter, gradient in zip(net.parameters, gradients, strict=True):
            parameter.grad = gradient
        updates.step()


@dataclass(frozen=True)
class Rule:
    """How a step moves weights.

    Args:
        name: In words.
        formula: How far it moves a weight w whose gradient is 0.
        make: Makes it for a network.
        still: The formula as a function of w, of what the rule remembers of it, and of its decay.
    """

    name: str
    formula: str
    make: Callable[[TwoLayers], UpdateRule]
    still: Callable[[Tensor, Memory, float], Tensor]

    def moves(self, net: TwoLayers, updates: UpdateRule) -> TwoLayers:
        """Return how far the next step moves each weight and bias of a network at gradient 0."""
        return TwoLayers(
            *(
                self.still(each.detach(), updates.state[each], decay)
                for group in updates.param_groups
                for each, decay in ((each, group["weight_decay"]) for each in group["params"])
            )
        )


def _groups(net: TwoLayers, decay: float = 0.0) -> list[dict[str, Any]]:
    """Return a group for each parameter, in the network's order; biases have no decay."""
    decays = (decay, 0.0, decay, 0.0)
    return [
        {"params": [each], "lr": RATE, "weight_decay": own}
        for each, own in zip(net.parameters, decays, strict=True)
    ]


def _sgd(net: TwoLayers, momentum: float = 0.0, decay: float = 0.0) -> UpdateRule:
    more = {"momentum": momentum, "dampening": 0.0}
    updates = SGD([group | more for group in _groups(net, decay)], nesterov=False)
    if momentum:
        for each in net.parameters:
            updates.state[each]["momentum_buffer"] = torch.zeros_like(each)
    return updates


def _adam_still(w: Tensor, memory: Memory, decay: float) -> Tensor:
    """Return Adam's own part and, with a decoupled decay, what that takes away."""
    step = float(memory["step"]) + 1
    mean = _BETA1 * memory["exp_avg"] / (1 - _BETA1**step)
    square = _BETA2 * memory["exp_avg_sq"] / (1 - _BETA2**step)
    change: Tensor = -RATE * (mean / (square.sqrt() + _EPS) + decay * w)
    return change


RULES = {
    rule.name: rule
    for rule in (
        Rule("SGD", "0", _sgd, lambda w, memory, decay: torch.zeros_like(w)),
        Rule(
            f"momentum {MOMENTUM:g}",
            f"-lr {MOMENTUM:g} v",
            lambda net: _sgd(net, momentum=MOMENTUM),
            lambda w, memory, decay: -RATE * MOMENTUM * memory["momentum_buffer"],
        ),
        Rule(
            f"weight decay {DECAY:g}",
            f"-lr {DECAY:g} w",
            lambda net: _sgd(net, decay=DECAY),
            lambda w, memory, decay: -RATE * decay * w,
        ),
        Rule(
            "Adam",
            "-lr m / (sqrt(s) + eps)",
            lambda net: Adam(_groups(net), decoupled=False),
            _adam_still,
        ),
        Rule(
            f"AdamW, decay {DECAY:g}",
            f"Adam's - lr {DECAY:g} w",
            lambda net: Adam(_groups(net, DECAY), decoupled=True),
            _adam_still,
        ),
    )
}


@dataclass(frozen=True)
class Change:
    """How far a step moved the weights of each hidden unit, ``(7, 10)``, after earlier steps.

    Args:
        moved: In the step with the mask for all examples.
        still: What the rule's formula gives for gradients of 0.
        size: The largest weight.
    """

    moved: Tensor
    still: Tensor
    size: float

    @classmethod
    def under(cls, rule: Rule, case: Case) -> "Change":
        """Train with a mask for each example; then make a step with one for all."""
        net = case.net.copy()
        updates, layer = rule.make(net), layer_of(case.p, case.seed, TRAINING)
        for _ in range(EARLIER):
            case.step(net, updates, layer)
        before, still = net.around(), rule.moves(net, updates).around()
        case.step(net, updates, case.layer)
        return cls(net.around() - before, still, float(before.abs().max()))

    def off(self, dropped: Tensor) -> float:
        """How far a weight of a dropped unit is from the formula, in roundings of a weight."""
        error = (self.moved - self.still)[:, dropped].abs().max()
        return float(error) / (torch.finfo(torch.float64).eps * (self.size + RATE))
