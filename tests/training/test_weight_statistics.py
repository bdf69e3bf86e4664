"""Condensation of incoming weights, against numbers worked by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dropout_lab.config.sections.evaluation import diagnostic_columns
from dropout_lab.data import Splits
from dropout_lab.training import Fleet, train
from dropout_lab.training.weight_statistics import weight_orientations, weight_similarity
from tests.conftest import assert_same_bits, make_runs, make_sweep

CPU = torch.device("cpu")
CONDENSATION = "evaluation.diagnostics=weight_condensation"


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
