"""The stochastic delta rule by hand: how deviations grow and decay, and who updates them."""

import pytest
import torch

from dropout_lab.layers import DropoutLinear, StochasticDeltaRule
from tests.conftest import make_runs
from tests.layers.cases import place
from tests.recorded import Recorded


def set_up(**options: float) -> StochasticDeltaRule:
    layer = StochasticDeltaRule(0.5, **options)
    layer.setup(torch.tensor([[1.0, -1.0], [2.0, 0.0]]), "relu")
    return layer


def test_the_start_by_hand() -> None:
    """P = 1/5: a quarter of the mean square, (1 + 1 + 4 + 0) / 4 = 3/2."""
    layer = StochasticDeltaRule(0.2)
    layer.setup(torch.tensor([[1.0, -1.0], [2.0, 0.0]]), "relu")
    torch.testing.assert_close(layer.deviation, torch.full((2, 2), 0.375**0.5))
    assert not layer.deviation.requires_grad


def test_an_update_by_hand() -> None:
    """Each deviation grows by half of the size of the gradient, and nine tenths of it remain."""
    layer = set_up(noise_rate=0.5, noise_decay=0.9)
    start = layer.deviation.clone()
    layer.on_gradient(torch.tensor([[0.2, -0.4], [0.0, 1.0]]))
    grown = start + torch.tensor([[0.1, 0.2], [0.0, 0.5]])
    torch.testing.assert_close(layer.deviation, 0.9 * grown)


def test_the_noise_by_hand() -> None:
    """Weights w + s n with one draw for a batch; pre-activations x w + |x s| n for an example."""
    layer = set_up()
    with torch.no_grad():
        layer.deviation.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    weight = torch.tensor([[1.0, -1.0], [2.0, 0.0]])
    layer.mask, layer.noise = "batch", Recorded(torch.tensor([[1.0, -1.0], [0.5, 0.0]]))
    z = layer.connect(torch.eye(2), weight, torch.tensor([[10.0, 20.0]]))
    assert z.tolist() == [[12.0, 17.0], [13.5, 20.0]]
    layer.mask, layer.noise = "element", Recorded(torch.tensor([[2.0, -1.0]]))
    z = layer.connect(torch.tensor([[1.0, 1.0]]), weight, None)
    torch.testing.assert_close(z, torch.tensor([[3 + 2 * 10**0.5, -1 - 20**0.5]]))
    assert layer.eval().connect(torch.eye(2), weight, None).tolist() == weight.tolist()


def test_without_gradients_the_noise_decays_to_0() -> None:
    layer = set_up(noise_decay=0.5)
    for _ in range(200):
        layer.on_gradient(torch.zeros(2, 2))
    assert not layer.deviation.any()


def test_a_run_at_p_0_never_gets_noise() -> None:
    at = place(runs=2)
    layer = StochasticDeltaRule(torch.tensor([0.0, 0.4]))
    layer.setup(at.weight, "relu")
    layer.on_gradient(torch.ones_like(at.weight))
    assert not layer.deviation[0].any()
    assert layer.deviation[1].all()


def test_a_step_of_dropout_linear_updates_the_deviations() -> None:
    linear = DropoutLinear(3, 2, StochasticDeltaRule(0.3, noise_rate=2.0, noise_decay=1.0))
    before = linear.dropout.deviation.clone()
    linear(torch.randn(8, 3)).square().mean().backward()
    linear.constrain()
    grown = before + 2 * linear.weight.grad.abs().T
    torch.testing.assert_close(linear.dropout.deviation, grown)


def test_training_updates_the_deviations_of_each_run_by_its_gradient(
    small_splits, float64: None
) -> None:
    """Written out for an update of a fleet of two runs: the gradient of each run's own loss."""
    from dropout_lab.training.fleet import Fleet
    from dropout_lab.training.objective import Objective

    settings = ["dropout.variant=stochastic_delta", "dropout.p=0.3", "dropout.placement=[1]"]
    fleet = Fleet(make_runs(*settings, seeds=(0, 1)), torch.device("cpu"))
    model, (layer, weight, _) = fleet.model, fleet.model.places()[1]
    objective = Objective(model, fleet.settings.dropout, 100, fleet.regularizers)
    objective.open_epoch(1)
    batch = small_splits.train[torch.arange(64).view(2, 32)]
    before = layer.deviation.clone()
    objective(small_splits.pixels(batch.images).double(), batch.labels, 0.0).total.sum().backward()
    model.constrain()
    torch.testing.assert_close(layer.deviation, 0.99 * (before + 0.1 * weight.grad.abs()))


@pytest.mark.parametrize("options", [{"noise_rate": -1.0}, {"noise_decay": 1.1}])
def test_values_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="it must be a number"):
        StochasticDeltaRule(0.5, **options)
