"""torch.optim with a rate for each run, and the regularizers, by hand and against torch."""

import pytest
import torch

from dropout_lab.model import MLP, p_of_fleet
from dropout_lab.optimizer import FleetOptimizer, bound_norms
from dropout_lab.rates import Rate
from tests.conftest import make_sweep

CPU = torch.device("cpu")
CONSTANT = Rate(0, 1.0, 0.9)  # the learning rates and the momentum of the settings


def fleet(*settings: str, seeds: tuple[int, ...] = (0,)) -> tuple[MLP, FleetOptimizer]:
    runs = make_sweep("dropout.variant=none", "dropout.p=0", *settings, seeds=seeds)
    made = [run.settings for run in runs]
    model = MLP(made[0], p_of_fleet(made), [run.seed for run in runs], CPU)
    return model, FleetOptimizer(model.weights, model.biases, made)


def quadratic(model: MLP) -> torch.Tensor:
    """A loss for each run whose gradient is the parameter itself: half the squared norm."""
    return torch.stack(
        [sum(0.5 * p[run].square().sum() for p in model.parameters()) for run in range(model.runs)]
    )


@pytest.mark.parametrize(
    ("settings", "make"),
    [
        (["training.optimizer=sgd", "training.momentum=0"], lambda p, lr: torch.optim.SGD(p, lr)),
        (["training.optimizer=sgd"], lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)),
        (
            ["training.optimizer=sgd", "training.nesterov=true"],
            lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9, nesterov=True),
        ),
        (["training.optimizer=adam"], lambda p, lr: torch.optim.Adam(p, lr)),
        (["training.optimizer=adamw"], lambda p, lr: torch.optim.AdamW(p, lr, weight_decay=0)),
    ],
)
def test_each_run_moves_as_torchs_own_optimizer_would_at_its_rate(
    settings: list[str], make, float64: None
) -> None:
    model, optimizer = fleet(*settings, "training.learning_rate=0.1,0.01")
    rates = [0.1, 0.01]
    twins = [
        [p[run].detach().clone().requires_grad_() for p in model.parameters()] for run in range(2)
    ]
    theirs = [make(twin, rate) for twin, rate in zip(twins, rates, strict=True)]
    for _ in range(5):
        optimizer.step(quadratic(model), CONSTANT)
        for twin, their in zip(twins, theirs, strict=True):
            their.zero_grad()
            sum(0.5 * p.square().sum() for p in twin).backward()
            their.step()
    for run, twin in enumerate(twins):
        for ours, plain in zip(model.parameters(), twin, strict=True):
            torch.testing.assert_close(ours[run], plain, rtol=1e-10, atol=1e-12)


def test_l2_and_l1_by_hand(float64: None) -> None:
    """Plain SGD, rate 0.1, no loss: w - 0.1 (l2 w + l1 sign w); biases stay."""
    model, optimizer = fleet(
        "training.momentum=0",
        "training.learning_rate=0.1",
        "regularization.l2=0.5",
        "regularization.l1=0.2",
    )
    with torch.no_grad():
        model.weights[0].view(-1)[:3] = torch.tensor([2.0, -2.0, 0.0])
        model.biases[0].fill_(3.0)
    optimizer.step(0 * quadratic(model), CONSTANT)
    expected = [2.0 - 0.1 * (1.0 + 0.2), -2.0 + 0.1 * (1.0 + 0.2), 0.0]
    torch.testing.assert_close(model.weights[0].view(-1)[:3].detach(), torch.tensor(expected))
    assert (model.biases[0] == 3).all()


def test_l2_of_adamw_is_decoupled(float64: None) -> None:
    """W (1 - rate * l2), whatever the gradient's scale; here the gradient is 0."""
    model, optimizer = fleet(
        "training.optimizer=adamw", "training.learning_rate=0.1", "regularization.l2=0.5"
    )
    before = model.weights[0].detach().clone()
    optimizer.step(0 * quadratic(model), CONSTANT)
    torch.testing.assert_close(model.weights[0].detach(), before * 0.95)


def test_max_norm_by_hand(float64: None) -> None:
    """Columns (3, 4) and (0.3, 0.4): norms 5 and 0.5; with c = 1 the first becomes (0.6, 0.8)."""
    weight = torch.tensor([[[3.0, 0.3], [4.0, 0.4]]]).repeat(2, 1, 1)
    bound_norms(weight, torch.tensor([1.0, float("inf")]).view(-1, 1, 1))
    torch.testing.assert_close(weight[0], torch.tensor([[0.6, 0.3], [0.8, 0.4]]))
    torch.testing.assert_close(weight[1], torch.tensor([[3.0, 0.3], [4.0, 0.4]]))


def test_a_column_of_zeros_has_no_nan() -> None:
    weight = torch.zeros(1, 4, 3)
    bound_norms(weight, torch.ones(1, 1, 1))
    assert torch.equal(weight, torch.zeros(1, 4, 3))


def test_after_a_step_no_column_is_above_the_bound() -> None:
    model, optimizer = fleet("regularization.max_norm=0.5", seeds=(0, 1))
    optimizer.step(-quadratic(model), CONSTANT)  # uphill, so that the weights grow
    for weight in model.weights:
        assert float(weight.detach().norm(dim=1).max()) <= 0.5 * (1 + 1e-6)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_state_of_the_runs_restores_to_the_same_bits(name: str) -> None:
    settings = (f"training.optimizer={name}", "training.learning_rate=0.1,0.01")
    model, optimizer = fleet(*settings, seeds=(0, 1))
    for _ in range(3):
        optimizer.step(quadratic(model), CONSTANT)
    states = optimizer.run_states()
    twin, resumed = fleet(*settings, seeds=(0, 1))
    twin.load_state_dict(model.state_dict())
    resumed.load_run_states(states)
    for net, stepper in ((model, optimizer), (twin, resumed)):
        for _ in range(2):
            stepper.step(quadratic(net), CONSTANT)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, theirs)
