"""The update rules of torch.optim without its ``Optimizer`` class, whose import is slow.

Creating an ``Optimizer`` imports torch's compiler (``torch._dynamo``), which takes more than a
second. These classes call the functions below ``Optimizer`` instead, which run the same kernels.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

ParameterGroup = dict[str, Any]
_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8  # defaults of torch.optim.Adam
_ALPHA = 0.99  # default of torch.optim.RMSprop, which has the same eps


class UpdateRule:
    """Base class of the update rules: parameter groups, their state, and the optimizer step.

    Args:
        groups: Groups with ``params``, ``lr`` and ``weight_decay``, as in torch.optim.

    Attributes:
        param_groups: The groups. Their hyperparameters may change between steps.
        state: The state of each parameter, with the names of torch.optim.
    """

    def __init__(self, groups: Sequence[ParameterGroup]) -> None:
        self.param_groups = groups
        self.state: dict[Tensor, dict[str, Tensor]] = {
            parameter: {} for group in groups for parameter in group["params"]
        }

    @torch.no_grad()
    def step(self) -> None:
        """Update each parameter that has a gradient."""
        for group in self.param_groups:
            with_gradient = [
                parameter for parameter in group["params"] if parameter.grad is not None
            ]
            if with_gradient:
                self._update(group, with_gradient, [parameter.grad for parameter in with_gradient])

    def _update(
        self, group: ParameterGroup, parameters: list[Tensor], gradients: list[Tensor]
    ) -> None:
        raise NotImplementedError


class SGD(UpdateRule):
    """Same as torch.optim.SGD. With momentum, the caller must create each ``momentum_buffer``.

    Args:
        groups: Groups as in :class:`UpdateRule`, with ``momentum`` and ``dampening``.
        nesterov: Whether to use Nesterov momentum.
    """

    def __init__(self, groups: Sequence[ParameterGroup], *, nesterov: bool) -> None:
        super().__init__(groups)
        self.nesterov = nesterov

    def _update(
        self, group: ParameterGroup, parameters: list[Tensor], gradients: list[Tensor]
    ) -> None:
        sgd(
            parameters,
            gradients,
            [self.state[parameter].get("momentum_buffer") for parameter in parameters],
            fused=True,
            nesterov=self.nesterov,
            maximize=False,
            **{key: group[key] for key in ("lr", "weight_decay", "momentum", "dampening")},
        )


class Adam(UpdateRule):
    """Same as torch.optim.Adam or, with ``decoupled`` weight decay, torch.optim.AdamW."""

    def __init__(self, groups: Sequence[ParameterGroup], *, decoupled: bool) -> None:
        super().__init__(groups)
        self.rule = adamw if decoupled else adam

    def _update(
        self, group: ParameterGroup, parameters: list[Tensor], gradients: list[Tensor]
    ) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[parameter] for parameter in parameters]
        self.rule(
            parameters,
            gradients,
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            maximize=False,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            beta1=_BETA1,
            beta2=_BETA2,
            eps=_EPS,
        )


class RMSprop(UpdateRule):
    r"""Same as torch.optim.RMSprop with its defaults, without momentum and without centering.

    .. math:: v \leftarrow 0.99 v + 0.01 g^2, \qquad
              w \leftarrow w - \mathrm{lr} \, g / (\sqrt v + 10^{-8})

    starting at v = 0, without the bias correction of Adam.

    Paper:
        Tieleman and Hinton (2012), Lecture 6.5: rmsprop, COURSERA: Neural Networks for Machine
        Learning, with a decay of 0.9; PyTorch uses 0.99.
    """

    def _update(
        self, group: ParameterGroup, parameters: list[Tensor], gradients: list[Tensor]
    ) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32),
                    "square_avg": torch.zeros_like(parameter),
                }
        states = [self.state[parameter] for parameter in parameters]
        rmsprop(
            parameters,
            gradients,
            [state["square_avg"] for state in states],
            [],
            [],
            [state["step"] for state in states],
            maximize=False,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            alpha=_ALPHA,
            eps=_EPS,
            momentum=0.0,
            centered=False,
        )
