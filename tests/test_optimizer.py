"""torch.optim with a rate for each run, and the regularizers, by hand and against torch."""

import pytest
import torch

from dropout_lab.lr_schedules import StepHyperparameters
from dropout_lab.model import MLP, fleet_p
from dropout_lab.optimizer import FleetOptimizer, bound_norms
from tests.conftest import make_sweep

CPU = torch.device("cpu")
TORCHS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}
CONSTANT = StepHyperparameters(0, 1.0, 0.9)  # the learning rates and the momentum of the settings


def fleet(*settings: str, seeds: tuple[int, ...] = (0,)) -> tuple[MLP, FleetOptimizer]:
    runs = make_sweep("dropout.variant=none", "dropout.p=0", *settings, seeds=seeds)
    made = [run.settings for run in runs]
    model = MLP(made[0], fleet_p(made), [run.seed for run in runs], CPU)
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
        (["training.optimizer=rmsprop"], lambda p, lr: torch.optim.RMSprop(p, lr)),
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


@pytest.mark.parametrize("name", TORCHS)
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


def linear(model: MLP) -> torch.Tensor:
    """A loss for each run whose gradient is 1 for every parameter."""
    return torch.stack([sum(p[run].sum() for p in model.parameters()) for run in range(model.runs)])


def moves(optimizer: FleetOptimizer, model: MLP, rates: list[StepHyperparameters]) -> list[float]:
    """Return how far a weight has gone after each step under a gradient of 1."""
    start = model.weights[0].detach().clone()
    gone = []
    for rate in rates:
        optimizer.step(linear(model), rate)
        moved = start - model.weights[0].detach()
        torch.testing.assert_close(moved, moved[:1, :1, :1].expand_as(moved), rtol=0, atol=1e-6)
        gone.append(float(moved[0, 0, 0]))
    return gone


def test_rmsprop_by_hand_and_without_the_momentum_of_the_settings(float64: None) -> None:
    """Gradient 1, rate 0.1: v = 0.01, 0.0199; steps of 0.1 / 0.1 = 1 and 0.1 / sqrt(0.0199)."""
    model, optimizer = fleet(
        "training.optimizer=rmsprop", "training.learning_rate=0.1", "training.momentum=0.9"
    )
    found = moves(optimizer, model, [CONSTANT, CONSTANT])
    assert found == pytest.approx([1, 1 + 0.1 / 0.0199**0.5], rel=1e-6)


def test_dampening_by_hand_from_the_first_step_on(float64: None) -> None:
    """Gradient 1, rate 1, momentum 1/2: v = 1/2, 3/4, 7/8; torch's own would begin with v = 1."""
    model, optimizer = fleet(
        "training.learning_rate=1", "training.momentum=0.5", "training.dampening=true"
    )
    found = moves(optimizer, model, [StepHyperparameters(t, 1.0, 0.5) for t in range(3)])
    assert found == pytest.approx([0.5, 1.25, 2.125], rel=1e-12)


def test_dampening_follows_the_momentum_in_force(float64: None) -> None:
    """Momentum 0, 1/2, 3/4: v = 1, 1/2 + 1/2, 3/4 + 1/4; the steps stay those of rate 1."""
    model, optimizer = fleet(
        "training.learning_rate=1", "training.momentum=0.75", "training.dampening=true",
        "training.momentum_schedule=linear", "training.start_momentum=0",
        "training.momentum_epochs=2",
    )  # fmt: skip
    rates = [StepHyperparameters(t, 1.0, momentum) for t, momentum in enumerate((0.0, 0.5, 0.75))]
    assert moves(optimizer, model, rates) == pytest.approx([1, 2, 3], rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_momentum_that_rises_from_zero_has_the_last_gradient_to_go_on_from(
    dtype: torch.dtype,
) -> None:
    """Momentum 0, 0, 1/2, 1/2: v = 1, 1, 3/2, 7/4; torch's own would have v = 1 at the third."""
    torch.set_default_dtype(dtype)
    try:
        model, optimizer = fleet(
            "training.learning_rate=1", "training.momentum=0.5",
            "training.momentum_schedule=linear", "training.start_momentum=0",
            "training.momentum_epochs=2",
        )  # fmt: skip
        rates = [
            StepHyperparameters(t, 1.0, momentum) for t, momentum in enumerate((0.0, 0.0, 0.5, 0.5))
        ]
        found = moves(optimizer, model, rates)
    finally:
        torch.set_default_dtype(torch.float32)
    assert found == pytest.approx([1, 2, 3.5, 5.25], rel=1e-6)


def test_a_momentum_schedule_that_falls_to_zero_keeps_its_velocity(float64: None) -> None:
    """Momentum 1/2, 1/2, 0: v = 1, 3/2, 1, and the settings' own momentum is 0."""
    model, optimizer = fleet(
        "training.learning_rate=1", "training.momentum=0", "training.momentum_schedule=linear",
        "training.start_momentum=0.5", "training.momentum_epochs=2",
    )  # fmt: skip
    rates = [StepHyperparameters(t, 1.0, momentum) for t, momentum in enumerate((0.5, 0.5, 0.0))]
    assert moves(optimizer, model, rates) == pytest.approx([1, 2.5, 3.5], rel=1e-12)


@pytest.mark.parametrize("name", TORCHS)
def test_the_factor_scales_each_runs_own_rate(name: str, float64: None) -> None:
    """Against torch's optimizers with their rate set before each step."""
    model, optimizer = fleet(
        f"training.optimizer={name}", "training.learning_rate=0.01,0.1", "regularization.l2=0.1"
    )
    base, made = (0.01, 0.1), TORCHS[name]
    more = {"momentum": 0.9} if name == "sgd" else {}
    twins = [[w[run].detach().clone().requires_grad_() for w in model.weights] for run in range(2)]
    theirs = [
        getattr(torch.optim, made)(t, lr, weight_decay=0.1, **more)
        for t, lr in zip(twins, base, strict=True)
    ]
    for t, factor in enumerate((1.0, 0.5, 0.25)):
        optimizer.step(quadratic(model), StepHyperparameters(t, factor, 0.9))
        assert optimizer.learning_rates == [factor * rate for rate in base]
        for twin, their, rate in zip(twins, theirs, base, strict=True):
            their.param_groups[0]["lr"] = factor * rate
            their.zero_grad()
            sum(0.5 * w.square().sum() for w in twin).backward()
            their.step()
    for run, twin in enumerate(twins):
        for ours, plain in zip(model.weights, twin, strict=True):
            torch.testing.assert_close(ours[run], plain, rtol=1e-10, atol=1e-12)


def test_l1_acts_from_its_update_on_each_run_by_its_own(float64: None) -> None:
    """No loss, rate 0.1, l1 0.2: nothing before update 5, a step of 0.02 towards 0 in it."""
    model, optimizer = fleet(
        "training.momentum=0", "training.learning_rate=0.1", "regularization.l1=0.2",
        "regularization.l1_from=5,6",
    )  # fmt: skip
    with torch.no_grad():
        model.weights[0][:, 0, :3] = torch.tensor([1.0, -1.0, 0.0])
    for update, steps in ((4, (0, 0)), (5, (1, 0)), (6, (2, 1))):
        optimizer.step(0 * quadratic(model), StepHyperparameters(update, 1.0, 0.0))
        for run, taken in enumerate(steps):
            found = model.weights[0][run, 0, :3].detach()
            expected = torch.tensor([1 - 0.02 * taken, -1 + 0.02 * taken, 0.0])
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("key", ["max_norm", "max_squared_norm"])
def test_each_matrix_and_run_has_its_own_bound(key: str, float64: None) -> None:
    """Columns of norm 6 become 2, 6 and 4 under [2, null, 4], 3 under 3, and stay under null."""
    values = {
        "max_norm": ("[2,null,4]", "3", "null"),
        "max_squared_norm": ("[4,null,16]", "9", "null"),
    }[key]
    model, optimizer = fleet("training.momentum=0", f"regularization.{key}={','.join(values)}")
    with torch.no_grad():
        for weight in model.weights:
            weight *= 6 / weight.norm(dim=1, keepdim=True)
    optimizer.step(0 * quadratic(model), CONSTANT)
    expected = ((2, 6, 4), (3, 3, 3), (6, 6, 6))
    for run, norms in enumerate(expected):
        for weight, norm in zip(model.weights, norms, strict=True):
            found = weight[run].detach().norm(dim=0)
            torch.testing.assert_close(found, torch.full_like(found, norm), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("settings", "radius", "bounded"),
    [
        (["max_norm=0.5"], 0.5, (0, 1, 2)),
        (["max_norm=0.5", "max_norm_on=all"], 0.5, (0, 1, 2)),
        (["max_squared_norm=0.25"], 0.5, (0, 1, 2)),
        (["max_squared_norm=15"], 15**0.5, (0, 1, 2)),
        (["max_norm=0.5", "max_norm_on=hidden"], 0.5, (0, 1)),
        (["max_norm=0.5", "max_norm_on=[0,2]"], 0.5, (0, 2)),
        (["max_squared_norm=0.25", "max_norm_on=[1]"], 0.5, (1,)),
    ],
)
def test_no_column_is_above_its_bound_and_the_others_are_left_alone(
    settings: list[str], radius: float, bounded: tuple[int, ...], float64: None
) -> None:
    """Every other column is made twice as long as the bound, the rest half as long."""
    model, optimizer = fleet("training.momentum=0", *(f"regularization.{s}" for s in settings))
    before = []
    with torch.no_grad():
        for weight in model.weights:
            weight /= weight.norm(dim=1, keepdim=True)
            weight[:, :, ::2] *= 2 * radius
            weight[:, :, 1::2] *= radius / 2
            before.append(weight.clone())
    optimizer.step(0 * quadratic(model), CONSTANT)
    for matrix, (old, weight) in enumerate(zip(before, model.weights, strict=True)):
        expected = old.clone()
        if matrix in bounded:
            expected[:, :, ::2] /= 2
            assert float(weight.detach().norm(dim=1).max()) <= radius * (1 + 1e-12)
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-12, atol=0)
        assert torch.equal(weight[:, :, 1::2], old[:, :, 1::2])
