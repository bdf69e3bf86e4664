"""SGD, Adam and AdamW from torch.optim, with a learning rate and regularizers for each run."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from dropout_lab.config.schema import Settings

RunState = list[dict[str, Tensor]]
_SHARED = "step"  # what torch.optim remembers of all runs together; the rest has a run axis


class FleetOptimizer:
    """The optimizer of a fleet.

    torch.optim has one learning rate for a parameter; so neighbouring runs with the same rates
    form a span, and each span's slice of the weights is a parameter of its own.

    Args:
        weights: The weights of each layer, ``(runs, in, out)``.
        biases: The biases of each layer, ``(runs, 1, out)``.
        settings: The settings of each run, in the order of the run axis; they share the optimizer
            and the momentum, and may differ in learning rate, l2, l1 and max_norm.
        learned: What the dropout layers learn, ``(runs, ...)``; no regularizer touches it.
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
            for parameters, decay in ((self.weights, l2), (self.biases + self.learned, 0.0)):
                own = [self._slice(parameter, span) for parameter in parameters]
                groups.append({"params": own, "lr": learning_rate, "weight_decay": decay})
        self.torch_optimizer = _torch_optimizer(settings[0], groups)
        device = self.weights[0].device
        l1 = torch.tensor([each.regularization.l1 for each in settings])
        self._l1 = l1.view(-1, 1, 1).to(device) if l1.any() else None
        bounds = [each.regularization.max_norm for each in settings]
        self._bounds = None
        if any(bound is not None for bound in bounds):
            floats = [float("inf") if bound is None else bound for bound in bounds]
            self._bounds = torch.tensor(floats).view(-1, 1, 1).to(device)

    def step(self, losses: Tensor) -> None:
        """Move the weights of each run down the gradient of its own loss; ``losses``: (runs,)."""
        for parameter in (*self.weights, *self.biases, *self.learned):
            parameter.grad = None
        losses.sum().backward()  # each run feels only its own loss
        if self._l1 is not None:
            for weight in self.weights:
                if weight.grad is not None:
                    weight.grad += self._l1 * weight.detach().sign()
        for parameter, span, piece in self._slices:
            piece.grad = None if parameter.grad is None else parameter.grad[span]
        self.torch_optimizer.step()
        if self._bounds is not None:
            for weight in self.weights:
                bound_norms(weight.detach(), self._bounds)

    def run_states(self) -> list[RunState]:
        """Return what the optimizer remembers of each run, one entry for each parameter."""
        states: list[RunState] = [[] for _ in range(self.runs)]
        for _, span, piece in self._slices:
            state = self.torch_optimizer.state[piece]
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
            self.torch_optimizer.state[piece] = {
                name: own[0][name]
                if name == _SHARED
                else torch.stack([state[name] for state in own])
                for name in own[0]
            }

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


def _spans(settings: Sequence[Settings]) -> Iterator[tuple[slice, float, float]]:
    """Return the stretches of neighbouring runs that share learning rate and l2."""
    start = 0
    rates = [(each.training.learning_rate, each.regularization.l2) for each in settings]
    for (learning_rate, l2), members in itertools.groupby(rates):
        stop = start + len(list(members))
        yield slice(start, stop), learning_rate, l2
        start = stop


def _torch_optimizer(settings: Settings, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    training = settings.training
    match training.optimizer:
        case "sgd":
            return torch.optim.SGD(
                groups, momentum=training.momentum, nesterov=training.nesterov, fused=True
            )
        case "adam":
            return torch.optim.Adam(groups, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, fused=True)
