"""The optimizers of torch.optim, with a learning rate and regularizers for each run."""

import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from dropout_lab.config.regularization import norm_bounds
from dropout_lab.config.schema import Settings
from dropout_lab.lr_schedules import Rate
from dropout_lab.update_rules import SGD, Adam, RMSprop, Updates

RunState = list[dict[str, Tensor]]
_SHARED = "step"  # what torch.optim remembers of all runs together; the rest has a run axis


class FleetOptimizer:
    """The optimizer of a fleet.

    torch.optim has one learning rate for a parameter; so neighbouring runs with the same rates
    form a span, and each span's slice of the weights is a parameter of its own.

    Args:
        weights: The weights of each layer, ``(runs, in, out)``.
        biases: The biases of each layer, ``(runs, 1, out)``.
        settings: The settings of each run, in the order of the run axis; they share the optimizer,
            the schedule and the momentum, and may differ in learning rate, l2, l1 and the bounds.
        learned: What the dropout layers learn, ``(runs, ...)``; no regularizer touches it.

    Attributes:
        learning_rates: Of each run, in force in the last step.
    """

    def __init__(
        self,
        weights: Iterable[torch.nn.Parameter],
        biases: Iterable[torch.nn.Parameter],
        settings: Sequence[Settings],
        learned: Iterable[torch.nn.Parameter] = (),
    ) -> None:
        self.weights, self.biases = tuple(weights), tuple(biases)
        self.learned = tuple(learned)
        self.runs = len(settings)
        self._slices: list[tuple[torch.nn.Parameter, slice, Tensor]] = []
        groups = []
        for span, learning_rate, l2 in _spans(settings):
            others = self.biases + self.learned
            kinds = [(self.weights, l2), (others, 0.0)] if l2 else [(self.weights + others, 0.0)]
            for parameters, decay in kinds:  # each costs a call, which a small net feels
                own = [self._slice(parameter, span) for parameter in parameters]
                rates = {"lr": learning_rate, "base_rate": learning_rate, "weight_decay": decay}
                groups.append({"params": own, **rates})
        self.updates = _updates(settings[0], groups)
        self._dampening = settings[0].training.dampening
        self._with_velocity = _with_velocity(settings[0])
        if self._with_velocity:
            # torch.optim lets SGD begin with a copy of the gradient, undamped. From a velocity of
            # 0 its own rule, m v + (1 - dampening) g, holds for the first step too; without
            # dampening that is the same copy.
            for _, _, piece in self._slices:
                self.updates.state[piece]["momentum_buffer"] = torch.zeros_like(piece)
        self._rates = [each.training.learning_rate for each in settings]
        self.learning_rates = list(self._rates)
        device = self.weights[0].device
        l1 = [each.regularization.l1 for each in settings]
        begins = [each.regularization.l1_from or 0 for each in settings]
        self._l1 = torch.tensor(l1, device=device).view(-1, 1, 1) if any(l1) else None
        self._l1_from = torch.tensor(begins, device=device).view(-1, 1, 1)
        self._l1_first = min(begins)  # before it none acts, and nothing is computed
        bounds = [norm_bounds(each.regularization, len(self.weights)) for each in settings]
        self._bounds = [_bounds(each, device) for each in zip(*bounds, strict=True)]

    def step(self, losses: Tensor, rate: Rate) -> None:
        """Move the weights of each run down the gradient of its own loss.

        Args:
            losses: ``(runs,)``.
            rate: What is in force in this update.
        """
        self._set(rate)
        for parameter in (*self.weights, *self.biases, *self.learned):
            parameter.grad = None
        losses.sum().backward()  # each run feels only its own loss
        if self._l1 is not None and rate.update >= self._l1_first:
            l1 = self._l1 * (self._l1_from <= rate.update)
            for weight in self.weights:
                if weight.grad is not None:
                    weight.grad += l1 * weight.detach().sign()
        for parameter, span, piece in self._slices:
            piece.grad = None if parameter.grad is None else parameter.grad[span]
        self.updates.step()
        for weight, bounds in zip(self.weights, self._bounds, strict=True):
            if bounds is not None:
                bound_norms(weight.detach(), bounds)

    def run_states(self) -> list[RunState]:
        """Return what the optimizer remembers of each run, one entry for each parameter."""
        states: list[RunState] = [[] for _ in range(self.runs)]
        for _, span, piece in self._slices:
            state = self.updates.state[piece]
            for offset, run in enumerate(range(span.start, span.stop)):
                states[run].append(
                    {
                        name: (value if name == _SHARED else value[offset]).detach().clone()
                        for name, value in state.items()
                        if value is not None
                    }
                )
        return states

    def load_run_states(self, states: Sequence[RunState]) -> None:
        """Go on from what :meth:`run_states` returned, whatever the spans were then."""
        taken = [iter(state) for state in states]
        for _, span, piece in self._slices:
            own = [next(taken[run]) for run in range(span.start, span.stop)]
            self.updates.state[piece] = {
                name: own[0][name]
                if name == _SHARED
                else torch.stack([state[name] for state in own])
                for name in own[0]
            }

    def _set(self, rate: Rate) -> None:
        """Let torch.optim have the learning rates and the momentum of this update."""
        self.learning_rates = [rate.factor * learning_rate for learning_rate in self._rates]
        for group in self.updates.param_groups:
            group["lr"] = rate.factor * group["base_rate"]
            if self._with_velocity:
                # At a momentum of 0 torch.optim leaves the velocity as it is, and a momentum that
                # rises from there would find an old one; next to 0 the gradient replaces it.
                group["momentum"] = rate.momentum or sys.float_info.min
                group["dampening"] = rate.momentum if self._dampening else 0.0

    def _slice(self, parameter: torch.nn.Parameter, span: slice) -> Tensor:
        piece = parameter.detach()[span]
        self._slices.append((parameter, span, piece))
        return piece


def bound_norms(weight: Tensor, bounds: Tensor) -> None:
    """Shrink, in place, each unit's incoming weights to the norm ``bounds`` where it is above.

    Shape:
        ``weight``: ``(runs, in, out)``, ``bounds``: ``(runs, 1, 1)``.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, section 5.1: ``||w||_2 <= c``.
    """
    norms = torch.linalg.vector_norm(weight, dim=1, keepdim=True)  # (runs, 1, out)
    weight *= torch.where(norms > bounds, bounds / norms, 1.0)


def _bounds(bounds: Sequence[float], device: torch.device) -> Tensor | None:
    """Return the bound of each run on the columns of a weight matrix; none if no run has one."""
    if all(bound == math.inf for bound in bounds):
        return None
    return torch.tensor(bounds, device=device).view(-1, 1, 1)


def _with_velocity(settings: Settings) -> bool:
    """Whether the steps have a momentum, in some update at least."""
    training = settings.training
    rising = training.momentum_schedule != "constant"
    return training.optimizer == "sgd" and (rising or training.momentum > 0)


def _spans(settings: Sequence[Settings]) -> Iterator[tuple[slice, float, float]]:
    """Return the stretches of neighbouring runs that share learning rate and l2."""
    start = 0
    rates = [(each.training.learning_rate, each.regularization.l2) for each in settings]
    for (learning_rate, l2), members in itertools.groupby(rates):
        stop = start + len(list(members))
        yield slice(start, stop), learning_rate, l2
        start = stop


def _updates(settings: Settings, groups: list[dict[str, Any]]) -> Updates:
    training = settings.training
    if training.optimizer == "rmsprop":
        return RMSprop(groups)
    if training.optimizer != "sgd":
        return Adam(groups, decoupled=training.optimizer == "adamw")
    for group in groups:
        group |= {"momentum": training.momentum, "dampening": 0.0}
    return SGD(groups, nesterov=training.nesterov)
