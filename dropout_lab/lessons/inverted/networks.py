"""Standard networks, and inverted ones that follow them step by step; for lesson ``inverted``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from dropout_lab import update_rules as rules
from dropout_lab.analysis import style
from dropout_lab.lessons.draws import noise, normal
from dropout_lab.lessons.training import settings
from dropout_lab.metrics import losses
from dropout_lab.model import MLP, fleet_p

STEPS = 20
_BATCH, _PROBES = 32, 32
_LEAST = 1e-17  # a difference of 0 is drawn here


@dataclass(frozen=True)
class Rule:
    """How weights are moved.

    Args:
        rate: Learning rate.
        momentum: Of SGD.
        l2: Added to the gradient, times the weight.
        adam: Whether it is Adam.
    """

    rate: float
    momentum: float = 0.0
    l2: float = 0.0
    adam: bool = False

    def but(self, **changes: Any) -> "Rule":
        """Return this rule with some of it changed."""
        return replace(self, **changes)


SGD = Rule(rate=0.05)
ADAM = Rule(rate=0.01, adam=True)


@dataclass(frozen=True)
class Way:
    """Powers of q = 1 - p by which an inverted network differs where weights leave dropped units.

    Args:
        weights: Of the initial weights.
        rate: Of the learning rate.
        l2: Of the strength of L2.
    """

    weights: int
    rate: int
    l2: int = 0


SAME = Way(weights=1, rate=2)
_AS_IT_IS = Way(weights=0, rate=0)


@dataclass(frozen=True)
class Course:
    """A network over its steps.

    Args:
        losses: Cross-entropy of each step's batch in nats, dropout on, before the step.
        logits: In evaluation, at the start and after each step: ``(steps + 1, examples, 10)``.
    """

    losses: list[float]
    logits: Tensor

    def apart(self, other: "Course") -> list[float]:
        """Return the largest difference of the logits over their size, for each step."""
        size = other.logits.square().mean(dim=(1, 2)).sqrt()
        return list(((self.logits - other.logits).abs().amax(dim=(1, 2)) / size).tolist())


def follow(variant: str, p: float, seed: int, rule: Rule, way: Way = _AS_IT_IS) -> Course:
    """Train a network 784-32-16-10 for 20 steps in float64, with dropout after its hidden layers.

    Equal seeds give equal initial weights, examples and masks.

    Args:
        variant: ``standard`` or ``inverted``.
        p: The chance of dropping.
        seed: Of all that is drawn.
        rule: How the weights are moved.
        way: How this network differs from one of standard dropout.
    """
    wanted = settings({"model.hidden": (32, 16), "dropout.variant": variant, "dropout.p": p})
    net = MLP(wanted, fleet_p([wanted]), (seed,), torch.device("cpu")).double()
    noisy = [(layer, weight) for layer, weight, _ in net.places() if layer.variant.noisy]
    q = 1 - float(noisy[0][0].p)
    leaving = [weight for _, weight in noisy]
    with torch.no_grad():
        for weight in leaving:
            weight *= q**way.weights
    other_weights = [each for each in net.weights if all(each is not own for own in leaving)]
    updates = _updates(
        rule,
        [
            _group(rule, leaving, q**way.rate, rule.l2 * q**way.l2),
            _group(rule, other_weights, 1.0, rule.l2),
            _group(rule, list(net.biases), 1.0, 0.0),
        ],
    )
    x = normal((STEPS, _BATCH, 784), seed, 10)
    labels = torch.from_numpy(noise(seed, 11).generator.integers(10, size=(STEPS, _BATCH)))
    probes = normal((_PROBES, 784), seed, 12)
    net.open_epoch(1)
    logits, noisy_losses = [_evaluated(net, probes)], []
    for batch, wanted_classes in zip(x, labels, strict=True):
        net.zero_grad()
        loss = losses(net.train()(batch[None]), wanted_classes[None]).sum()
        loss.backward()
        updates.step()
        noisy_losses.append(loss.item())
        logits.append(_evaluated(net, probes))
    return Course(noisy_losses, torch.stack(logits))


def _group(rule: Rule, parameters: Sequence[Tensor], factor: float, l2: float) -> dict[str, Any]:
    return {
        "params": parameters,
        "lr": rule.rate * factor,
        "weight_decay": l2,
        "momentum": rule.momentum,
        "dampening": 0.0,
    }


def _updates(rule: Rule, groups: list[dict[str, Any]]) -> rules.UpdateRule:
    if rule.adam:
        return rules.Adam(groups, decoupled=False)
    updates = rules.SGD(groups, nesterov=False)
    if rule.momentum:
        for parameter, state in updates.state.items():
            state["momentum_buffer"] = torch.zeros_like(parameter)
    return updates


def _evaluated(net: MLP, probes: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = net.eval()(probes[None])[0]
    return logits


def picture(p: float, standard: Course, inverted: dict[str, Course]) -> Figure:
    """Draw the losses of the networks, and how far the inverted ones are from the standard one."""
    figure = style.new_figure(10, 4.4)
    left, right = figure.subplots(1, 2)
    steps = range(STEPS + 1)
    looks = {
        "both": ("inverted: W times q, rate times q²", style.variant_colour("inverted"), "-"),
        "weights only": ("inverted: W times q only", style.variant_colour("targeted_unit"), "--"),
        "rate only": ("inverted: rate times q² only", style.variant_colour("dropconnect"), "-."),
    }
    for name, (label, colour, dashes) in looks.items():
        course = inverted[name]
        if name != "rate only":  # another network from the start, whose loss can be anywhere
            left.plot(steps[1:], course.losses, dashes, color=colour, label=label)
        apart = [max(each, _LEAST) for each in course.apart(standard)]
        right.plot(steps, apart, dashes, color=colour, label=label)
    colour, marker = style.variant_look("standard")
    look: Any = {"color": colour, "markerfacecolor": "none", "markeredgewidth": 1.8, "zorder": 3}
    left.plot(steps[1:], standard.losses, marker, label="standard", **look)
    left.set_title("training, dropout on")
    left.set_ylabel("cross-entropy of the batch, nats")
    right.set_title("evaluation: distance from standard")
    right.set_ylabel("largest difference of the logits\nover their root mean square")
    right.set_yscale("log")
    right.set_ylim(_LEAST / 2, None)
    right.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
    for axes in (left, right):
        axes.set_xlabel("SGD step")
        axes.set_xticks(range(0, STEPS + 1, 5))
    lowest, highest = left.get_ylim()
    left.set_ylim(lowest, highest + 0.4 * (highest - lowest))  # room for the legend
    left.legend(loc="upper right")
    right.legend(loc="center")  # between rounding and what is no rounding
    style.heading(figure, f"Standard and inverted dropout are one network: q = 1 − p, p = {p:g}")
    style.footnote(
        figure,
        "784-32-16-10, float64, the same masks; n = 1 seed; left out on the left: rate times "
        "q² only, another network from the start;\nright: a difference of 0 is drawn at 1e-17",
    )
    return figure
