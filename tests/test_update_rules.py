"""Our updates against torch.optim's own, bit for bit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from dropout_lab.update_rules import SGD, Adam, RMSprop, UpdateRule

Groups = list[dict[str, Any]]
PLAIN, MOMENTUM = {"momentum": 0.0, "dampening": 0.0}, {"momentum": 0.9, "dampening": 0.0}
KINDS: dict[
    str, tuple[Callable[[Groups], UpdateRule], Callable[[Groups], torch.optim.Optimizer]]
] = {
    "sgd": (
        lambda groups: SGD([{**g, **PLAIN} for g in groups], nesterov=False),
        lambda groups: torch.optim.SGD(groups, fused=True),
    ),
    "momentum": (
        lambda groups: SGD([{**g, **MOMENTUM} for g in groups], nesterov=False),
        lambda groups: torch.optim.SGD(groups, momentum=0.9, fused=True),
    ),
    "nesterov": (
        lambda groups: SGD([{**g, **MOMENTUM} for g in groups], nesterov=True),
        lambda groups: torch.optim.SGD(groups, momentum=0.9, nesterov=True, fused=True),
    ),
    "adam": (
        lambda groups: Adam(groups, decoupled=False),
        lambda groups: torch.optim.Adam(groups, fused=True),
    ),
    "adamw": (
        lambda groups: Adam(groups, decoupled=True),
        lambda groups: torch.optim.AdamW(groups, fused=True),
    ),
    "rmsprop": (RMSprop, torch.optim.RMSprop),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_five_steps_are_those_of_torch_optim(kind: str) -> None:
    """Two groups, rates that change, and a parameter that has no gradient in the first step."""
    torch.manual_seed(0)
    start = [torch.randn(3, 4), torch.randn(5), torch.randn(2, 2)]
    gradients = [[torch.randn_like(each) for each in start] for _ in range(5)]
    ended = []
    for make in KINDS[kind]:
        one, two, late = (each.clone() for each in start)
        groups: Groups = [
            {"params": [one, late], "lr": 0.1, "weight_decay": 0.01},
            {"params": [two], "lr": 0.05, "weight_decay": 0.0},
        ]
        optimizer: Any = make(groups)
        if kind in ("momentum", "nesterov"):
            for each in (one, two, late):
                optimizer.state[each]["momentum_buffer"] = torch.zeros_like(each)
        for t, drawn in enumerate(gradients):
            for group in optimizer.param_groups:
                group["lr"] *= 0.9
            one.grad, two.grad, late.grad = drawn[0], drawn[1], drawn[2] if t else None
            optimizer.step()
        ended.append((one, two, late, optimizer.state))
    (*ours, our_state), (*theirs, their_state) = ended
    for our, their, began in zip(ours, theirs, (start[0], start[1], start[2]), strict=True):
        assert torch.equal(our, their)
        assert not torch.equal(our, began)
        for name, remembered in our_state[our].items():
            assert torch.equal(remembered, their_state[their][name])
