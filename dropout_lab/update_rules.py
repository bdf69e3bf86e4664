"""The update rules of torch.optim without its Optimizer, whose first use takes over a second.

Making an ``Optimizer`` imports torch's compiler (``torch._dynamo``), which nothing here uses and
which takes longer than all else between ``import torch`` and the first training step. The functions
below that class do without, and are the same kernels on the same numbers.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

Group = dict[str, Any]
_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8  # Adam's, as torch.optim has them by default
_ALPHA = 0.99  # RMSprop's, with the same eps


class Updates:
    """Groups of parameters, what is remembered of each, and the step that moves them.

    Args:
        groups: Each with its ``params`` and its ``lr`` and ``weight_decay``, read at every step.

    Attributes:
        param_groups: The groups; their numbers may change from step to step.
        state: What is remembered of each parameter, by the names of torch.optim.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.param_groups = groups
        self.state: dict[Tensor, dict[str, Tensor]] = {
            parameter: {} for group in groups for parameter in group["params"]
        }

    @torch.no_grad()
    def step(self) -> None:
        """Move each parameter that has a gradient."""
        for group in self.param_groups:
            moving = [parameter for parameter in group["params"] if parameter.grad is not None]
            if moving:
                self._move(group, moving, [parameter.grad for parameter in moving])

    def _move(self, group: Group, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        raise NotImplementedError


class SGD(Updates):
    """torch.optim.SGD. With a momentum, each parameter has its ``momentum_buffer`` from the start.

    Args:
        groups: As of :class:`Updates`, with their ``momentum`` and ``dampening``.
        nesterov: Whether the gradient is taken ahead of the velocity.
    """

    def __init__(self, groups: Sequence[Group], *, nesterov: bool) -> None:
        super().__init__(groups)
        self.nesterov = nesterov

    def _move(self, group: Group, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        sgd(
            parameters,
            gradients,
            [self.state[parameter].get("momentum_buffer") for parameter in parameters],
            fused=True,
            nesterov=self.nesterov,
            maximize=False,
            **{key: group[key] for key in ("lr", "weight_decay", "momentum", "dampening")},
        )


class Adam(Updates):
    """torch.optim.Adam or, with ``decoupled`` weight decay, torch.optim.AdamW."""

    def __init__(self, groups: Sequence[Group], *, decoupled: bool) -> None:
        super().__init__(groups)
        self.rule = adamw if decoupled else adam

    def _move(self, group: Group, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        remembered = [self.state[parameter] for parameter in parameters]
        self.rule(
            parameters,
            gradients,
            [each["exp_avg"] for each in remembered],
            [each["exp_avg_sq"] for each in remembered],
            [],
            [each["step"] for each in remembered],
            fused=True,
            amsgrad=False,
            maximize=False,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            beta1=_BETA1,
            beta2=_BETA2,
            eps=_EPS,
        )


class RMSprop(Updates):
    r"""torch.optim.RMSprop without momentum and without centering, as it is by default.

    .. math:: v \leftarrow 0.99 v + 0.01 g^2, \qquad
              w \leftarrow w - \mathrm{lr} \, g / (\sqrt v + 10^{-8})

    from v = 0, without Adam's correction of the first steps.

    Paper:
        Tieleman and Hinton (2012), Lecture 6.5: rmsprop, COURSERA: Neural Networks for Machine
        Learning, whose decay is 0.9; 0.99 is PyTorch's.
    """

    def _move(self, group: Group, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32),
                    "square_avg": torch.zeros_like(parameter),
                }
        remembered = [self.state[parameter] for parameter in parameters]
        rmsprop(
            parameters,
            gradients,
            [each["square_avg"] for each in remembered],
            [],
            [],
            [each["step"] for each in remembered],
            maximize=False,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            alpha=_ALPHA,
            eps=_EPS,
            momentum=0.0,
            centered=False,
        )
