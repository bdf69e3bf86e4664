"""An optimizer for a fleet, with a learning rate and weight regularizers for each run."""

import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from dropout_lab.config.schema import Settings
from dropout_lab.config.sections.regularization import norm_bounds
from dropout_lab.lr_schedules import StepHyperparameters
from dropout_lab.update_rules import SGD, Adam, RMSprop, UpdateRule

RunState = list[dict[str, Tensor]]
_ROWS = 256  # of a weight matrix, squared at once
_SHARED_STATE = "step"  # without a run axis in the state of torch.optim


class FleetOptimizer:
    """Update the parameters of a fleet, each run with its own learning rate and regularizers.

    torch.optim has one learning rate per parameter. So consecutive runs with equal rates form a
    span, and each span's slice of the weights is a separate parameter.

    Args:
        weights: The weights of each layer, ``(runs, in, out)``.
        biases: The biases of each layer, ``(runs, 1, out)``.
        settings: The settings of each run, in the order of the run axis; they share the optimizer,
            the schedule and the momentum, and may differ in learning rate, l2, l1 and the bounds.
        learned: Learned parameters of the dropout layers, ``(runs, ...)``, without regularizers.

    Attributes:
        learning_rates: The learning rate of each run in the last step.
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
            for parameters, decay in kinds:  # one kind if possible: each costs a call per step
                slices = [self._slice(parameter, span) for parameter in parameters]
                rates = {"lr": learning_rate, "base_rate": learning_rate, "weight_decay": decay}
                groups.append({"params": slices, **rates})
        self.update_rule = _update_rule(settings[0], groups)
        self._dampening = settings[0].training.dampening
        self._uses_momentum = _uses_momentum(settings[0])
        if self._uses_momentum:
            # The first step of torch.optim.SGD copies the gradient without dampening. With an
            # initial velocity of 0, the rule m v + (1 - dampening) g holds in the first step too.
            # Without dampening, both are equal.
            for _, _, piece in self._slices:
                self.update_rule.state[piece]["momentum_buffer"] = torch.zeros_like(piece)
        self._base_learning_rates = [each.training.learning_rate for each in settings]
        self.learning_rates = list(self._base_learning_rates)
        device = self.weights[0].device
        l1 = [each.regularization.l1 for each in settings]
        starts = [each.regularization.l1_from or 0 for each in settings]
        self._l1 = torch.tensor(l1, device=device).view(-1, 1, 1) if any(l1) else None
        self._l1_start = torch.tensor(starts, device=device).view(-1, 1, 1)
        self._l1_first = min(starts)  # no l1 before this update
        bounds = [norm_bounds(each.regularization, len(self.weights)) for each in settings]
        self._norm_bounds = [_norm_bounds(each, device) for each in zip(*bounds, strict=True)]

    def step(self, losses: Tensor, hyperparameters: StepHyperparameters) -> None:
        """Update the parameters of each run with the gradient of its own loss.

        Args:
            losses: The loss of each run, ``(runs,)``.
            hyperparameters: The scheduled hyperparameters of this update.
        """
        self._set_hyperparameters(hyperparameters)
        for parameter in (*self.weights, *self.biases, *self.learned):
            parameter.grad = None
        losses.sum().backward()  # the gradient of a run depends only on its own loss
        if self._l1 is not None and hyperparameters.update >= self._l1_first:
            l1 = self._l1 * (self._l1_start <= hyperparameters.update)
            for weight in self.weights:
                if weight.grad is not None:
                    weight.grad += l1 * weight.detach().sign()
        for parameter, span, piece in self._slices:
            piece.grad = None if parameter.grad is None else parameter.grad[span]
        self.update_rule.step()
        for weight, bounds in zip(self.weights, self._norm_bounds, strict=True):
            if bounds is not None:
                bound_norms(weight.detach(), bounds)

    def run_states(self) -> list[RunState]:
        """Return the optimizer state of each run, one entry for each parameter."""
        states: list[RunState] = [[] for _ in range(self.runs)]
        for _, span, piece in self._slices:
            state = self.update_rule.state[piece]
            for offset, run in enumerate(range(span.start, span.stop)):
                states[run].append(
                    {
                        name: (value if name == _SHARED_STATE else value[offset]).detach().clone()
                        for name, value in state.items()
                        if value is not None
                    }
                )
        return states

    def load_run_states(self, states: Sequence[RunState]) -> None:
        """Restore what :meth:`run_states` returned; the spans may have been different then."""
        iterators = [iter(state) for state in states]
        for _, span, piece in self._slices:
            span_states = [next(iterators[run]) for run in range(span.start, span.stop)]
            self.update_rule.state[piece] = {
                name: span_states[0][name]
                if name == _SHARED_STATE
                else torch.stack([state[name] for state in span_states])
                for name in span_states[0]
            }

    def _set_hyperparameters(self, hyperparameters: StepHyperparameters) -> None:
        """Write the hyperparameters of this update to the parameter groups."""
        self.learning_rates = [
            hyperparameters.factor * learning_rate for learning_rate in self._base_learning_rates
        ]
        for group in self.update_rule.param_groups:
            group["lr"] = hyperparameters.factor * group["base_rate"]
            if self._uses_momentum:
                # With a momentum of exactly 0, torch.optim does not update the velocity, and a
                # momentum that rises later would use an outdated one. So use a tiny momentum.
                group["momentum"] = hyperparameters.momentum or sys.float_info.min
                group["dampening"] = hyperparameters.momentum if self._dampening else 0.0

    def _slice(self, parameter: torch.nn.Parameter, span: slice) -> Tensor:
        piece = parameter.detach()[span]
        self._slices.append((parameter, span, piece))
        return piece


def bound_norms(weight: Tensor, bounds: Tensor) -> None:
    """Scale down, in place, the incoming weights of each unit whose norm exceeds ``bounds``.

    Shape:
        ``weight``: ``(runs, in, out)``, ``bounds``: ``(runs, 1, 1)``.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, section 5.1: ``||w||_2 <= c``.
    """
    # vector_norm along this dimension takes ten times as long; the pieces stay in the cache.
    squares = torch.zeros_like(bounds)
    for piece in weight.split(_ROWS, dim=1):
        squares = squares + piece.square().sum(dim=1, keepdim=True)
    norms = squares.sqrt()  # (runs, 1, out)
    weight *= torch.where(norms > bounds, bounds / norms, 1.0)


def _norm_bounds(bounds: Sequence[float], device: torch.device) -> Tensor | None:
    """Return each run's norm bound of a weight matrix; None if no run has a finite bound."""
    if all(bound == math.inf for bound in bounds):
        return None
    return torch.tensor(bounds, device=device).view(-1, 1, 1)


def _uses_momentum(settings: Settings) -> bool:
    """Return whether any update uses momentum."""
    training = settings.training
    rising = training.momentum_schedule != "constant"
    return training.optimizer == "sgd" and (rising or training.momentum > 0)


def _spans(settings: Sequence[Settings]) -> Iterator[tuple[slice, float, float]]:
    """Yield spans of consecutive runs with equal learning rate and l2, and these two values."""
    start = 0
    rates = [(each.training.learning_rate, each.regularization.l2) for each in settings]
    for (learning_rate, l2), members in itertools.groupby(rates):
        stop = start + len(list(members))
        yield slice(start, stop), learning_rate, l2
        start = stop


def _update_rule(settings: Settings, groups: list[dict[str, Any]]) -> UpdateRule:
    training = settings.training
    if training.optimizer == "rmsprop":
        return RMSprop(groups)
    if training.optimizer != "sgd":
        return Adam(groups, decoupled=training.optimizer == "adamw")
    for group in groups:
        group |= {"momentum": training.momentum, "dampening": 0.0}
    return SGD(groups, nesterov=training.nesterov)
