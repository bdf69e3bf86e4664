"""Condensation of weights and flatness of the loss, against numbers worked by hand."""

import itertools
import math
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dropout_lab.config.sections.evaluation import diagnostic_columns
from dropout_lab.data import Splits
from dropout_lab.model import MLP
from dropout_lab.rng import Purpose, stream
from dropout_lab.training import Fleet, train
from dropout_lab.training.weight_statistics import (
    loss_rises,
    random_directions,
    weight_orientations,
    weight_similarity,
)
from tests.conftest import assert_same_bits, make_runs, make_sweep

CPU = torch.device("cpu")
CONDENSATION = "evaluation.diagnostics=weight_condensation"
FLATNESS = "evaluation.diagnostics=flatness"


def columns(*vectors: tuple[float, ...]) -> Tensor:
    """One run, a column for each unit."""
    return torch.tensor(vectors).T.unsqueeze(0)


def test_similarity_by_hand() -> None:
    """Of (1, 0), (3, 4) and (0, -2) the cosines are 3/5, 0 and -4/5."""
    found = weight_similarity(columns((1, 0), (3, 4), (0, -2)))
    assert found.tolist() == pytest.approx([(0.6 + 0 + 0.8) / 3])


def test_orientations_by_hand() -> None:
    """Two of four vectors differ by a factor, and one is opposite to them: three orientations."""
    found = weight_orientations(columns((1, 0), (5, 0), (-1, 0), (0, 2)))
    assert found.tolist() == [3 / 4]


def test_the_longest_unit_represents_its_orientation() -> None:
    """At 0, 15 and 30 degrees, cos 15 = 0.966 and cos 30 = 0.866.

    If the vector in the middle is the longest, it represents all three. If it is the shortest, the
    two others have an orientation each.
    """
    at = [(math.cos(math.radians(a)), math.sin(math.radians(a))) for a in (0, 15, 30)]
    for length, expected in ((3.0, 1 / 3), (0.1, 2 / 3)):
        first, middle, last = at
        scaled = (length * middle[0], length * middle[1])
        assert weight_orientations(columns(first, scaled, last)).tolist() == [expected]


def test_units_without_weights_do_not_count() -> None:
    vectors = columns((1, 0), (0, 0), (1, 0))
    assert weight_similarity(vectors).tolist() == pytest.approx([1.0])
    assert weight_orientations(vectors).tolist() == [1 / 2]
    empty = torch.zeros(1, 3, 4)
    assert weight_similarity(empty).isnan().all()
    assert weight_orientations(empty).isnan().all()


@pytest.mark.parametrize(("components", "expected"), [(3, 0.5), (785, 0.0285)])
def test_random_directions_have_the_similarity_that_is_documented(
    components: int, expected: float
) -> None:
    draws = np.random.default_rng(0).standard_normal((1, components, 400))
    assert weight_similarity(torch.from_numpy(draws)).item() == pytest.approx(expected, rel=0.03)


def test_a_loop_over_units_finds_the_same() -> None:
    generator = np.random.default_rng(1)
    vectors = torch.from_numpy(generator.normal(size=(2, 3, 40)))
    for found, run in zip(weight_orientations(vectors).tolist(), vectors.numpy(), strict=True):
        chosen: list[np.ndarray] = []
        for unit in sorted(run.T, key=lambda v: -np.linalg.norm(v)):
            unit = unit / np.linalg.norm(unit)
            if all(unit @ other <= 0.95 for other in chosen):
                chosen.append(unit)
        assert found == len(chosen) / 40
        assert 1 < len(chosen) < 40
    pairs = list(itertools.combinations(range(40), 2))
    run = vectors[0].numpy() / np.linalg.norm(vectors[0].numpy(), axis=0)
    mean = np.mean([abs(run[:, a] @ run[:, b]) for a, b in pairs])
    assert weight_similarity(vectors)[0].item() == pytest.approx(mean)


def test_the_columns_of_a_study_are_those_of_its_weights_and_biases(small_splits: Splits) -> None:
    runs = make_sweep(CONDENSATION, "dropout.p=0.2,0.5", "training.epochs=2")
    fleet = Fleet(runs, CPU)
    records = list(train(fleet, small_splits))[-1].records
    announced = diagnostic_columns(runs[0].settings)
    assert announced == (
        "weight_similarity_1", "weight_similarity_2", "weight_orientations_1",
        "weight_orientations_2",
    )  # fmt: skip
    for index in range(2):
        found = records[index].diagnostics
        assert set(found) == set(announced)
        for layer in (0, 1):
            weight, bias = (
                each[layer][index] for each in (fleet.model.weights, fleet.model.biases)
            )
            vectors = torch.cat([weight, bias]).detach().unsqueeze(0)
            expected = weight_similarity(vectors).item()
            assert found[f"weight_similarity_{layer + 1}"] == pytest.approx(expected)
            assert bias.any()


def test_it_leaves_the_training_unchanged(small_splits: Splits) -> None:
    fleets = []
    for settings in ((), (CONDENSATION,)):
        fleets.append(Fleet(make_runs("training.epochs=2", *settings), CPU))
        list(train(fleets[-1], small_splits))
    assert_same_bits(*fleets)


class Tiny(nn.Module):
    """One input, two classes, no hidden layer: the logits are x w."""

    def __init__(self, *weights: tuple[float, float]) -> None:
        super().__init__()
        self.weights = nn.ParameterList([torch.tensor(weights).unsqueeze(1)])  # (runs, 1, 2)
        self.runs = len(weights)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = x @ self.weights[0]
        return logits


def test_the_rise_of_the_loss_by_hand(float64: None) -> None:
    """At x = 1, w = (1, -1) and class 0, the loss is log(1 + exp(-2)).

    A weight of one component moves by a times itself, up or down by the sign s of its draw. Then
    the difference of the logits is 2 + a (s_0 - s_1).
    """
    model = Tiny((1.0, -1.0), (1.0, -1.0))
    x, labels, seeds = torch.ones(1, 1, 1), torch.zeros(1, dtype=torch.int64), (4, 9)
    with torch.no_grad():
        found = loss_rises(cast(MLP, model), x, labels, seeds)
    assert tuple(found) == (10, 25, 50)
    for run, seed in enumerate(seeds):
        sums = []
        for number in range(5):
            draw = stream(Purpose.FLATNESS, seed, number, 0).standard_normal((1, 2), np.float32)
            sums.append(float(np.sign(draw[0, 0]) - np.sign(draw[0, 1])))
        assert len(set(sums)) > 1
        for percentage, rises in found.items():
            losses = [math.log1p(math.exp(-2 - percentage / 100 * each)) for each in sums]
            expected = sum(losses) / 5 - math.log1p(math.exp(-2))
            assert rises[run].item() == pytest.approx(expected, abs=1e-9)


def test_each_unit_moves_by_its_own_length() -> None:
    weights = [torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))]
    weights[0][1, :, 2] = 0
    directions = [random_directions(weights, (0, 1), number)[0] for number in (0, 1)]
    for direction in directions:
        torch.testing.assert_close(direction.norm(dim=1), weights[0].norm(dim=1))
    assert not torch.allclose(*directions)
    again = random_directions([10 * weights[0]], (0, 1), 0)[0]
    torch.testing.assert_close(again, 10 * directions[0])
    alone = random_directions([weights[0][1:]], (1,), 0)[0]
    torch.testing.assert_close(alone[0], directions[0][1])


def test_the_rise_is_that_of_a_network_of_torch(small_splits: Splits) -> None:
    """On the training examples, dropout off, by nn.Linear with the moved weights."""
    runs = make_sweep(FLATNESS, "dropout.p=0.2,0.5", "training.epochs=2")
    fleet = Fleet(runs, CPU)
    records = list(train(fleet, small_splits))[-1].records
    assert diagnostic_columns(runs[0].settings) == ("loss_rise_10", "loss_rise_25", "loss_rise_50")
    x, labels = small_splits.pixels(small_splits.train.images), small_splits.train.labels
    assert len(x) <= 1_000  # so all examples are measured

    def loss(run: int, direction: int | None) -> float:
        weights = [weight.detach()[run : run + 1] for weight in fleet.model.weights]
        if direction is not None:
            moves = random_directions(weights, fleet.seeds[run : run + 1], direction)
            weights = [w + 0.25 * move for w, move in zip(weights, moves, strict=True)]
        layers: list[nn.Module] = []
        for weight, bias in zip(weights, fleet.model.biases, strict=True):
            linear = nn.Linear(*weight.shape[1:])
            linear.load_state_dict({"weight": weight[0].T, "bias": bias.detach()[run, 0]})
            layers += [linear, nn.ReLU()]
        with torch.no_grad():
            return float(nn.functional.cross_entropy(nn.Sequential(*layers[:-1])(x), labels))

    for run in (0, 1):
        expected = np.mean([loss(run, number) for number in range(5)]) - loss(run, None)
        found = records[run].diagnostics["loss_rise_25"]
        assert found == pytest.approx(expected, rel=1e-3)
        assert found > 0


def test_weights_come_back_to_the_bit_also_after_an_error(small_splits: Splits) -> None:
    fleets = []
    for settings in ((), (FLATNESS,)):
        fleets.append(Fleet(make_runs("training.epochs=2", *settings), CPU))
        list(train(fleets[-1], small_splits))
    assert_same_bits(*fleets)
    model = Tiny((1.0, -1.0))
    with pytest.raises(RuntimeError):
        loss_rises(cast(MLP, model), torch.ones(1, 1, 1), torch.zeros(3, dtype=torch.int64), (0,))
    calls = 0

    def fails_later(module: nn.Module, given: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt

    model.register_forward_pre_hook(fails_later)
    labels = torch.zeros(1, dtype=torch.int64)
    with torch.no_grad(), pytest.raises(KeyboardInterrupt):
        loss_rises(cast(MLP, model), torch.ones(1, 1, 1), labels, (0,))
    assert model.weights[0].tolist() == [[[1.0, -1.0]]]


def test_company_changes_no_measurement(small_splits: Splits, float64: None) -> None:
    both = "evaluation.diagnostics=[weight_condensation,flatness]"
    runs = make_sweep(both, "dropout.p=0.25,0.5", "training.epochs=2", seeds=(0, 1))
    together = list(train(Fleet(runs, CPU), small_splits))[-1].records
    for index, run in enumerate(runs):
        alone = list(train(Fleet([run], CPU), small_splits))[-1].records[0].diagnostics
        for name, value in alone.items():
            assert together[index].diagnostics[name] == pytest.approx(value, rel=1e-6), name
