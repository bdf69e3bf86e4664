"""The fleet's networks against plain PyTorch ones, and where dropout sits in them."""

from pathlib import Path

import pytest
import torch
from torch import nn

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.layers import (
    VARIANTS,
    BatchwiseDropout,
    Dropout,
    NoDropout,
    UnitDropout,
    affine,
)
from dropout_lab.layers.sample_inputs import move_from_start
from dropout_lab.model import MLP, fleet_p, initial_weights
from dropout_lab.rng import NumpyNoise, Purpose, stream
from dropout_lab.study.weights import weights_bytes
from tests.conftest import make_config, make_runs, make_sweep, with_variant
from tests.layers.cases import BY_GRADIENT

CPU = torch.device("cpu")


def model_of(*settings: str, seeds: tuple[int, ...] = (0,)) -> MLP:
    runs = make_runs(*settings, seeds=seeds)
    made = [run.settings for run in runs]
    return MLP(made[0], fleet_p(made), seeds, CPU)


def plain_twin(model: MLP, activation: type[nn.Module], run: int = 0) -> nn.Sequential:
    layers: list[nn.Module] = []
    for weight, bias in zip(model.weights, model.biases, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[2])
        linear.load_state_dict({"weight": weight[run].T, "bias": bias[run, 0]})
        layers += [linear, activation()]
    return nn.Sequential(*layers[:-1])


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("relu", nn.ReLU),
        ("logistic", nn.Sigmoid),
        ("tanh", nn.Tanh),
        ("selu", nn.SELU),
        ("linear", nn.Identity),
    ],
)
def test_without_dropout_it_is_the_plain_network(
    name: str, activation: type[nn.Module], float64: None
) -> None:
    model = model_of("dropout.variant=none", f"model.activation={name}", seeds=(0, 1))
    x = torch.randn(2, 5, 784)
    logits = model(x)
    for run in range(2):
        torch.testing.assert_close(logits[run], plain_twin(model, activation, run)(x[run]))


def test_examples_given_once_are_seen_by_every_run(float64: None) -> None:
    model = model_of("dropout.variant=none", seeds=(0, 1))
    x = torch.randn(1, 5, 784)
    torch.testing.assert_close(model(x), model(x.repeat(2, 1, 1)))


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        ("he", 2 / 784),
        ("glorot", 2 / (784 + 16)),
        ("lecun", 1 / 784),
        ("fan_out", 1 / 16),
        ("normal", 0.03**2),
    ],
)
def test_initial_weights_have_the_variance_they_say(init: str, variance: float) -> None:
    std = ["model.init_std=0.03"] if init == "normal" else []
    model = model_of(f"model.init={init}", *std)
    first, n = model.weights[0].detach(), 784 * 16
    assert abs(float(first.mean())) < 5 * (variance / n) ** 0.5
    assert abs(float(first.var()) / variance - 1) < 5 * (2 / n) ** 0.5
    assert all(not bias.any() for bias in model.biases)


def test_uniform_weights_are_the_streams_draws_within_the_range_of_their_matrix(
    float64: None,
) -> None:
    """2 r u - r with u the stream's; the range 0 gives zeros and moves no other draw."""
    model = model_of("model.init=uniform", "model.init_range=[0.3,0.05,0]", seeds=(0, 5))
    for run, seed in enumerate((0, 5)):
        draws = stream(Purpose.INITIAL_WEIGHTS, seed)
        for weight, limit in zip(model.weights, (0.3, 0.05, 0.0), strict=True):
            u = draws.random(tuple(weight[run].shape), dtype="float32").astype("float64")
            expected = torch.from_numpy(2 * limit * u - limit)
            torch.testing.assert_close(weight[run].detach(), expected, rtol=1e-12, atol=1e-15)
    assert torch.equal(model.weights[2], torch.zeros_like(model.weights[2]))
    one = model_of("model.init=uniform", "model.init_range=0.3", seeds=(0, 5))
    assert torch.equal(one.weights[0], model.weights[0])
    assert float(one.weights[2].detach().abs().max()) > 0.25


def test_uniform_weights_fill_their_range_evenly() -> None:
    """Mean 0 and variance r**2 / 3, within 5 standard errors; 4/45 r**4 is that of a square."""
    first = model_of("model.init=uniform", "model.init_range=0.3").weights[0].detach().double()
    n = first.numel()
    assert float(first.abs().max()) <= 0.3 + 1e-7
    assert abs(float(first.mean())) < 5 * 0.3 * (1 / 3 / n) ** 0.5
    assert abs(float((first / 0.3).square().mean()) - 1 / 3) < 5 * (4 / 45 / n) ** 0.5


def test_a_run_with_uniform_weights_is_the_same_alone_and_together() -> None:
    settings = ("model.init=uniform", "model.init_range=[0.1,0.2,0]")
    together, alone = model_of(*settings, seeds=(0, 1)), model_of(*settings, seeds=(1,))
    for ours, theirs in zip(together.weights, alone.weights, strict=True):
        assert torch.equal(ours[1], theirs[0])


def test_fan_out_counts_the_units_above_and_not_their_pieces() -> None:
    """Of deepnet's 784-1024-1024-2048-10 the columns begin at norms 0.88, 1, 0.71 and 14.3."""
    model = model_of("model.init=fan_out", "model.activation=maxout", "model.pieces=3")
    for weight, units in zip(model.weights, (16, 12, 10), strict=True):
        n = weight[0].numel()
        assert abs(float(weight.detach().var()) * units - 1) < 5 * (2 / n) ** 0.5
    settings = make_config("model.init=fan_out").model
    sizes = (784, 1024, 1024, 2048, 10)
    norms = [float(w.norm(dim=1).mean()) for w in initial_weights(settings, sizes, (0,))]
    assert norms == pytest.approx([0.88, 1.0, 0.71, 14.3], rel=0.02)


def test_hidden_activations_are_handed_out_before_their_dropout(float64: None) -> None:
    model = model_of("dropout.p=0.5").train()
    model.open_epoch(1)
    x = torch.randn(1, 5, 784)
    hidden: list[torch.Tensor] = []
    model(x, hidden)
    assert [tuple(h.shape) for h in hidden] == [(1, 5, 16), (1, 5, 12)]
    first = (x[0] @ model.weights[0][0] + model.biases[0][0]).relu()
    torch.testing.assert_close(hidden[0][0], first)
    model.eval()
    quiet: list[torch.Tensor] = []
    model(x, quiet)
    torch.testing.assert_close(quiet[0], hidden[0])
    second = (quiet[0][0] @ model.weights[1][0] + model.biases[1][0]).relu()
    torch.testing.assert_close(quiet[1][0], second)


def test_initial_weights_follow_the_seed_and_nothing_of_dropout() -> None:
    sizes = (784, 16, 12, 10)
    settings = make_config().model
    together = initial_weights(settings, sizes, (0, 1))
    alone = initial_weights(settings, sizes, (1,))
    assert all(torch.equal(a[1], b[0]) for a, b in zip(together, alone, strict=True))
    assert not torch.equal(together[0][0], together[0][1])
    for change in ("dropout.p=0.1", "dropout.variant=gaussian", "dropout.placement=all"):
        other = model_of(change)
        assert all(torch.equal(a[0], b[0]) for a, b in zip(together, other.weights, strict=True))


@pytest.mark.parametrize(
    ("settings", "places"),
    [
        (["dropout.placement=input"], {0}),
        (["dropout.placement=hidden"], {1, 2}),
        (["dropout.placement=all"], {0, 1, 2}),
        (["dropout.placement=[2]"], {2}),
        (["dropout.placement=[0,2]"], {0, 2}),
        (["dropout.placement=hidden", "dropout.input_p=0.2"], {0, 1, 2}),
        (["dropout.variant=none"], set()),
    ],
)
def test_placement_names_the_layers_that_are_dropped_from(
    settings: list[str], places: set[int]
) -> None:
    model = model_of(*settings)
    found = {i for i, layer in enumerate(model.dropouts) if not isinstance(layer, NoDropout)}
    assert found == places


def test_each_place_has_its_own_p() -> None:
    model = model_of("dropout.placement=all", "dropout.p=[0.125,0.25,0.5]")
    assert [float(layer.p[0]) for layer in model.dropouts] == [0.125, 0.25, 0.5]


def test_each_run_of_a_fleet_has_its_own_p() -> None:
    settings = [run.settings for run in make_sweep("dropout.p=0.25,0.5,0.75")]
    model = MLP(settings[0], fleet_p(settings), (0, 0, 0), CPU)
    assert model.dropouts[1].p.tolist() == [0.25, 0.5, 0.75]


def hidden_zeros(position: str, activation: str) -> torch.Tensor:
    """Return what enters the output layer when everything in the last hidden layer is dropped."""
    model = model_of(
        "dropout.placement=[2]",
        "dropout.p=1",
        f"dropout.position={position}",
        f"model.activation={activation}",
    )
    model.open_epoch(1)
    with torch.no_grad():
        model.weights[2].copy_(torch.eye(12, 10))
        result: torch.Tensor = model(torch.randn(1, 3, 784))
    return result


def test_position_after_and_before_the_activation() -> None:
    """Logistic tells them apart: dropped before it, a unit is logistic(0) = 1/2; after it, 0."""
    assert torch.equal(hidden_zeros("after", "logistic"), torch.zeros(1, 3, 10))
    torch.testing.assert_close(hidden_zeros("before", "logistic"), torch.full((1, 3, 10), 0.5))


def test_with_relu_the_position_does_not_matter(float64: None) -> None:
    """relu(m x) = m relu(x) for m >= 0: the same draws, the same logits."""
    x = torch.randn(1, 6, 784)
    results = []
    for position in ("after", "before"):
        model = model_of(f"dropout.position={position}")
        model.open_epoch(1)
        results.append(model(x))
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "none"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "maxout"])
def test_every_variant_trains_and_rests_in_the_network(variant: str, activation: str) -> None:
    kind = CATALOGUE[variant]
    if kind.activations and activation not in kind.activations:
        pytest.skip("the config refuses it")
    pieces = ["model.pieces=3"] if activation == "maxout" else []
    activated = [f"model.activation={activation}", *pieces]
    model = model_of(*with_variant(variant), *activated, seeds=(0, 1))
    move_from_start(model.dropouts)
    x = torch.rand(2, 4, 784)
    model.open_epoch(1)
    first, second = model(x), model(x)
    assert torch.equal(first, second) != kind.noisy
    penalty = model.penalty(1.0)
    (first.sum() + (0 if penalty is None else penalty.sum())).backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    model.constrain()
    assert all(p.isfinite().all() for p in model.parameters())
    assert [p.shape[0] for p in model.learned] == [2] * len(model.learned)
    assert bool(model.learned) == (variant in BY_GRADIENT)
    model.eval()
    assert torch.equal(model(x), model(x))


def test_maxout_is_the_largest_piece_of_each_unit(float64: None) -> None:
    model = model_of("dropout.variant=none", "model.activation=maxout", "model.pieces=3")
    assert [tuple(w.shape[1:]) for w in model.weights] == [(784, 48), (16, 36), (12, 10)]
    x = torch.randn(1, 5, 784)
    h = x[0]
    for place, (weight, bias) in enumerate(zip(model.weights, model.biases, strict=True)):
        z = h @ weight[0] + bias[0]
        units = [z[:, 3 * unit : 3 * unit + 3].max(dim=1).values for unit in range(z.shape[1] // 3)]
        h = z if place == 2 else torch.stack(units, dim=1)
    torch.testing.assert_close(model(x)[0], h)


@pytest.mark.parametrize("activation", ["relu", "maxout"])
def test_batchwise_computes_on_submatrices_what_masks_give(
    activation: str, float64: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits and all gradients, against the same net with the layers' own masks."""
    pieces = ["model.pieces=3"] if activation == "maxout" else []
    settings = [*with_variant("batchwise"), f"model.activation={activation}", *pieces]
    x = torch.randn(2, 6, 784)
    found = []
    for masked in (False, True):
        model = model_of(*settings, seeds=(0, 1))
        if masked:
            monkeypatch.setattr(BatchwiseDropout, "select_incoming", Dropout.select_incoming)
            monkeypatch.setattr(BatchwiseDropout, "connect", UnitDropout.connect)
        model.open_epoch(1)
        logits = model(x)
        logits.sin().sum().backward()
        found.append([logits, *(p.grad for p in model.parameters())])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_batchwise_multiplies_small_matrices_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """At p = 0.5 with 784-16-12-10 the products are of 392 x 8, 8 x 6 and 6 x 10."""
    model = model_of(*with_variant("batchwise"), "dropout.p=0.5")
    shapes = []

    def product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(weight.shape[1:]))
        return affine(x, weight, bias)

    monkeypatch.setattr("dropout_lab.layers.batchwise.affine", product)
    model.open_epoch(1)
    model(torch.rand(1, 4, 784))
    assert shapes == [(392, 8), (8, 6), (6, 10)]


def test_what_a_state_dict_of_nn_dropout_has_is_enough(tmp_path: Path) -> None:
    """The weights of a run with a learned variant load into a plain net and back."""
    model = model_of(*with_variant("concrete"))
    plain = nn.Sequential(
        nn.Linear(784, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 12), nn.ReLU(), nn.Dropout(),
        nn.Linear(12, 10),
    )  # fmt: skip
    (tmp_path / "weights.pt").write_bytes(weights_bytes(model, 0, "0123456789ab"))
    plain.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    x = torch.rand(5, 784)
    torch.testing.assert_close(plain.eval()(x), model.eval()(x[None])[0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_takes_bfloat16_products(variant: str) -> None:
    model = model_of(*with_variant(variant), "training.precision=bfloat16", "dropout.p=0.25")
    model.open_epoch(1)
    logits = model(torch.rand(1, 4, 784))
    assert logits.dtype == torch.float32
    logits.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_bfloat16_is_in_the_products_only() -> None:
    exact, rough = model_of(), model_of("training.precision=bfloat16")
    x = torch.rand(1, 4, 784)
    for model in (exact, rough):
        model.eval()
    assert rough(x).dtype == torch.float32
    difference = (exact(x) - rough(x)).abs().max()
    assert 0 < difference < 0.05  # eight bits of mantissa, not twenty-four
    assert all(p.dtype == torch.float32 for p in rough.parameters())


def test_drawing_for_another_purpose_is_from_its_stream_of_seed_place_and_epoch() -> None:
    """And training's own draws go on where they had come to."""
    model, plain = (model_of("dropout.placement=[2]", seeds=(5,)) for _ in range(2))
    shape = (1, 2, 3)
    for each in (model, plain):
        each.open_epoch(1)
        each.noise_sources[0].normal(shape, CPU)
    with model.noise_for(Purpose.DIAGNOSTICS, 3):
        drawn = model.noise_sources[0].normal(shape, CPU)
    alone = NumpyNoise(stream(Purpose.DIAGNOSTICS, 5, 2, 3)).normal(shape[1:], CPU)
    assert torch.equal(drawn[0], alone)
    assert torch.equal(
        model.noise_sources[0].normal(shape, CPU), plain.noise_sources[0].normal(shape, CPU)
    )
