"""Every variant in anybody's model: as a layer, or in a linear layer; and its state dict."""

import pytest
import torch
from torch import nn

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers import ConcreteDropout, DropoutLinear, FastDropout, LearnedDropout
from tests.layers.cases import BY_GRADIENT, NAMES, UNIT, make

every = pytest.mark.parametrize("name", NAMES)


@every
@pytest.mark.parametrize("bias", [True, False])
def test_a_state_dict_of_nn_dropout_loads_and_only_what_is_learned_is_more(
    name: str, bias: bool
) -> None:
    layer = make(name, 0.4)
    last = nn.Linear(3, 2, bias=bias)
    if name in UNIT:
        ours = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), layer, last)
    else:
        mapped = DropoutLinear(3, 2, layer, bias=bias)
        ours = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Identity(), mapped)
    theirs = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Dropout(), nn.Linear(3, 2, bias=bias))
    learned = sum(p.numel() for p in layer.parameters())
    assert bool(learned) == bool(CATALOGUE[name].learned) == isinstance(layer, LearnedDropout)
    counts = [sum(p.numel() for p in net.parameters()) for net in (ours, theirs)]
    assert counts[0] == counts[1] + learned
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert float(layer.p) == pytest.approx(0.4, abs=1e-5)
    for weight, wanted in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[weight], wanted)
    with pytest.raises(RuntimeError, match="Missing key"):
        ours.load_state_dict({})


@every
def test_the_own_state_dict_brings_back_what_was_learned(name: str) -> None:
    def net() -> DropoutLinear:
        return DropoutLinear(5, 2, make(name, 0.3))

    first, second = net(), net()
    with torch.no_grad():
        for parameter in first.parameters():
            parameter += 0.25 * torch.randn_like(parameter) - 0.2
    second.load_state_dict(first.state_dict(), strict=True)
    assert torch.equal(second.dropout.p, first.dropout.p)
    x = torch.randn(6, 5)
    assert torch.equal(first.eval()(x), second.eval()(x))
    if name != "targeted_unit":  # which asks for the weights that enter
        torch.manual_seed(1)
        trained = first.train()(x)
        torch.manual_seed(1)
        assert torch.equal(second.train()(x), trained)


def test_a_linear_layer_tells_its_dropout_what_comes_next() -> None:
    layer = FastDropout(0.5)
    DropoutLinear(3, 2, layer, activation="softmax")
    assert layer.activation == "softmax"


def test_a_linear_layers_penalty_is_that_of_its_dropout_on_its_weights() -> None:
    linear = DropoutLinear(3, 2, ConcreteDropout(0.25, length_scale=2.0))
    penalty = linear.penalty()
    assert torch.equal(penalty, linear.dropout.penalty(linear.weight.T, 1.0))
    penalty.backward()
    torch.testing.assert_close(linear.weight.grad, 2 * 4 * linear.weight.detach() / 0.75)
    assert linear.bias.grad is None


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_an_optimizer_sees_each_parameter_once(name: str) -> None:
    linear = DropoutLinear(3, 2, make(name, 0.3))
    linear.dropout.p = 0.4  # begins anew, with the parameter that the optimizer has
    parameters = list(linear.parameters())
    learned = list(linear.dropout.parameters())
    assert len({id(parameter) for parameter in parameters}) == len(parameters) == 2 + len(learned)
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    before = linear.dropout.state_dict()
    before = {key: value.clone() for key, value in before.items()}
    x, penalty = torch.randn(6, 3), linear.penalty()
    loss = linear(x).square().mean() + (0 if penalty is None else penalty / 6)
    loss.backward()
    optimizer.step()
    assert all(
        not torch.equal(value, before[key]) for key, value in linear.dropout.state_dict().items()
    )
