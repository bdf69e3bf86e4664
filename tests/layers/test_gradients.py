"""The gradient of every variant against finite differences, the draws held fixed, in float64."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from dropout_lab.layers import Dropout
from tests.layers.cases import (
    BY_ARM,
    BY_GRADIENT,
    NAMES,
    PENALIZED,
    SURROGATE,
    LayerInputs,
    act,
    make,
    place,
    ps_of_runs,
    seeded,
)


class Connected(nn.Module):
    """A layer at a place, so that its parameters can be handed over with its inputs."""

    def __init__(self, layer: Dropout, at: LayerInputs) -> None:
        super().__init__()
        self.layer, self.at = layer, at

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        self.layer.noise = seeded()
        return act(self.layer, LayerInputs(x, weight, bias, self.at.entering)).sin()


class Penalized(nn.Module):
    """A layer's penalty, in the midst of the warm-up."""

    def __init__(self, layer: Dropout) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, weight: Tensor) -> Tensor | None:
        of_weights = self.layer.penalty(weight, 0.07)
        return self.layer.batch_penalty(weight.mT, 0.07) if of_weights is None else of_weights


def agrees_with_differences(module: nn.Module, **inputs: Tensor) -> bool:
    """Compare the gradient to the inputs and to the module's parameters."""
    own = dict(module.named_parameters())

    def function(*values: Tensor) -> Tensor:
        given = dict(zip([*own, *inputs], values, strict=True))
        result: Tensor = functional_call(
            module, {key: given[key] for key in own}, kwargs={key: given[key] for key in inputs}
        )
        return result

    values = [
        tensor.detach().clone().requires_grad_(tensor.requires_grad)
        for tensor in (*own.values(), *inputs.values())
    ]
    return torch.autograd.gradcheck(function, values)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["element", "batch", "evaluation"])
def test_of_what_the_weights_make(name: str, mode: str, float64: None) -> None:
    at = place(runs=2, units=4, outputs=3)
    training = mode != "evaluation"
    mask = {"mask": mode} if training else {}
    layer = make(name, ps_of_runs(name, 0.2, 0.4), at, **mask).train(training)
    inputs = {"x": at.x, "weight": at.weight, "bias": at.bias}
    for key, tensor in {**inputs, **dict(layer.named_parameters())}.items():
        tensor.requires_grad_(not training or key != SURROGATE.get(name))
    assert agrees_with_differences(Connected(layer, at), **inputs)


@pytest.mark.parametrize("name", [*PENALIZED, "information"])
def test_of_the_penalty(name: str, float64: None) -> None:
    """Of a batch, whose units are the transposed weights, or of the weights."""
    at = place(runs=2, units=4, outputs=3)
    layer = make(name, (0.2, 0.4), at)
    penalty = layer.penalty(at.weight, 1.0) if name in PENALIZED else layer.batch_penalty(at.x, 1.0)
    assert penalty.shape == (2,)
    assert agrees_with_differences(Penalized(layer), weight=at.weight.requires_grad_())


@pytest.mark.parametrize("name", [name for name in BY_GRADIENT if name not in BY_ARM])
def test_every_learned_parameter_is_reached(name: str) -> None:
    """By the data's loss and by the penalty; not where p is 0, where nothing is learned."""
    at = place(runs=2)
    layer = make(name, (0.0, 0.4), at)
    losses = [act(layer, at).sin().sum()]
    for penalty in (layer.penalty(at.weight, 1.0), layer.batch_penalty(at.x, 1.0)):
        if penalty is not None:
            assert float(penalty[0].detach()) == 0
            losses.append(penalty.sum())
    assert len(losses) == (1 if name == "guided" else 2)
    for loss in losses:
        for gradient in torch.autograd.grad(loss, list(layer.parameters())):
            assert not gradient[0].any()
            assert gradient[1].any()


@pytest.mark.parametrize("name", NAMES)
def test_who_has_a_penalty(name: str) -> None:
    at = place()
    layer = make(name, 0.4, at)
    assert (layer.penalty(at.weight, 1.0) is not None) == (name in PENALIZED)
    assert (layer.batch_penalty(at.x, 1.0) is not None) == (name == "information")
