"""The histograms and features of trained networks, against numpy and the weights themselves."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from dropout_lab.config.sizes import HISTOGRAM_EXAMPLES
from dropout_lab.data import Splits
from dropout_lab.rng import Purpose, stream
from dropout_lab.training import Fleet, infer, train
from dropout_lab.training.inference import inference_rows, reliability_rows
from dropout_lab.training.snapshots import activation_rows, features, histogram
from tests.conftest import assert_same_bits, make_runs, make_sweep

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def fleet(small_splits: Splits) -> Fleet:
    """Two seeds, trained for two epochs."""
    fleet = Fleet(make_runs("training.epochs=2", seeds=(3, 4)), CPU)
    list(train(fleet, small_splits))
    return fleet


def test_a_histogram_worked_by_hand() -> None:
    """From -1 to 3 a hundred bins are 0.04 wide; the power of two above it is 1/16."""
    values = np.array([-1.0, 0.0, 0.0, 0.06, 0.0625, 3.0])
    assert [tuple(row.values()) for row in histogram(values)] == [
        (-1.0, -0.9375, 1, -1.0), (0.0, 0.0625, 3, 0.02), (0.0625, 0.125, 1, 0.0625),
        (3.0, 3.0625, 1, 3.0),
    ]  # fmt: skip
    assert histogram(np.zeros(5)) == [{"low": 0.0, "high": 1.0, "count": 5, "mean": 0.0}]
    (row,) = histogram(np.full(3, -0.25))
    assert row == {"low": -0.25, "high": -0.24609375, "count": 3, "mean": -0.25}


@pytest.mark.parametrize("scale", [1e-30, 0.003, 1.0, 7.3, 4e6])
def test_any_two_histograms_share_an_axis(scale: float) -> None:
    """The bins of the finer one lie whole in those of the coarser, and none holds another's."""
    generator = np.random.default_rng(0)
    fine, coarse = (np.abs(generator.normal(size=2_000)) * scale * k for k in (1, 11))
    bins = histogram(fine)
    assert 45 <= len(bins) <= 101
    assert sum(row["count"] for row in bins) == 2_000
    for row in bins:
        own = fine[(fine >= row["low"]) & (fine < row["high"])]
        assert row["count"] == len(own)
        assert row["mean"] == pytest.approx(own.mean())
    width = histogram(coarse)[0]["high"] - histogram(coarse)[0]["low"]
    for row in bins:
        inside = np.nextafter(row["high"], row["low"])
        assert np.floor(row["low"] / width) == np.floor(inside / width)


def test_the_histograms_are_those_of_the_hidden_units_on_the_seeds_own_mini_batch(
    fleet: Fleet, small_splits: Splits
) -> None:
    rows = activation_rows(fleet.model, small_splits, fleet.seeds)
    test = small_splits.test
    for run, seed in enumerate(fleet.seeds):
        draw = stream(Purpose.SNAPSHOTS, seed, 0)
        picked = draw.choice(len(test), HISTOGRAM_EXAMPLES, replace=False)
        assert len(set(picked)) == HISTOGRAM_EXAMPLES
        h = small_splits.pixels(test.images[torch.from_numpy(picked)]).double().numpy()
        for layer in (1, 2):
            weight, bias = fleet.model.weights[layer - 1], fleet.model.biases[layer - 1]
            h = np.maximum(
                h @ weight[run].detach().double().numpy() + bias[run].detach().numpy(), 0
            )
            for of, values in (("activation", h), ("unit_mean", h.mean(axis=0))):
                own = [row for row in rows[run] if (row["layer"], row["of"]) == (layer, of)]
                assert sum(row["count"] for row in own) == values.size
                counts = [row["count"] for row in own]
                mean = np.average([row["mean"] for row in own], weights=counts)
                assert mean == pytest.approx(values.mean(), rel=1e-5)
        zeros = next(r for r in rows[run] if r["layer"] == 2 and r["of"] == "activation")
        assert zeros["low"] == 0
        assert zeros["count"] >= (h == 0).sum() > 0  # the peak that a ReLU has there


def test_the_runs_of_a_seed_see_the_same_examples_whatever_their_company(
    fleet: Fleet, small_splits: Splits
) -> None:
    alone = Fleet(fleet.runs[1:], CPU)
    for own, trained in zip(alone.model.parameters(), fleet.model.parameters(), strict=True):
        own.data = trained.data[1:].clone()
    (rows,) = activation_rows(alone.model, small_splits, alone.seeds)
    of_units = [row for row in rows if row["of"] == "unit_mean"]
    together = activation_rows(fleet.model, small_splits, fleet.seeds)[1]
    assert of_units == [row for row in together if row["of"] == "unit_mean"]


def test_features_are_the_weights_of_a_hundred_units_as_images(small_splits: Splits) -> None:
    runs = make_sweep("model.hidden=[130]", "dropout.p=0.2,0.5", seeds=(0, 1))
    fleet = Fleet(runs, CPU)
    kept = features(fleet.model, small_splits, fleet.seeds)
    for run, (images, units) in enumerate(kept):
        assert images.dtype == np.float16
        assert images.shape == (100, 28, 28)
        assert len(set(units)) == 100
        assert max(units) < 130
        weights = fleet.model.weights[0][run].detach().numpy()
        for image, unit in zip(images, units, strict=True):
            assert image[5, 7] == np.float16(weights[5 * 28 + 7, unit])
    seeds = [run.seed for run in runs]
    first, other = seeds.index(0), seeds.index(1)
    assert_array_equal(kept[first][1], kept[seeds.index(0, first + 1)][1])  # whatever the p
    assert set(kept[first][1]) != set(kept[other][1])


def test_of_few_units_all_are_kept_and_of_maxout_each_piece(small_splits: Splits) -> None:
    fleet = Fleet(make_runs("model.activation=maxout", "model.pieces=3"), CPU)
    ((images, units),) = features(fleet.model, small_splits, fleet.seeds)
    assert_array_equal(units, np.arange(48))  # 16 units of 3 pieces
    assert images.shape == (48, 28, 28)


def test_the_bins_make_the_calibration_error_again(small_splits: Splits) -> None:
    fleet = Fleet(
        make_runs("evaluation.inference=monte_carlo", "evaluation.samples=5", seeds=(0, 1)), CPU
    )
    list(train(fleet, small_splits))
    inferred = infer(fleet.model, small_splits, fleet.settings.evaluation, fleet.seeds)
    for run in range(2):
        rows = reliability_rows(inferred, run)
        assert [(row["inference"], row["bin"]) for row in rows] == [
            (name, index) for name in ("mean", "monte_carlo") for index in range(1, 16)
        ]
        for scores in inference_rows(inferred, run):
            own = [row for row in rows if row["inference"] == scores["inference"]]
            n = np.array([row["examples"] for row in own])
            assert n.sum() == 1_000
            filled = [row for row in own if row["examples"]]
            assert all(
                (row["bin"] - 1) / 15 < row["confidence"] <= row["bin"] / 15 + 1e-9
                for row in filled
            )
            gaps = [abs(r["accuracy"] - r["confidence"]) * r["examples"] for r in filled]
            assert sum(gaps) / 1_000 == pytest.approx(scores["test_ece"])
            right = sum(row["accuracy"] * row["examples"] for row in filled)
            assert right / 1_000 == pytest.approx(scores["test_accuracy"])
            assert all(np.isnan(row["accuracy"]) for row in own if not row["examples"])


def test_nothing_of_it_is_felt_by_the_training(small_splits: Splits) -> None:
    """Looked at after every epoch, the networks go on to the same bits."""
    looked, undisturbed = (Fleet(make_runs(seeds=(0, 1)), CPU) for _ in range(2))
    looked.model.train()
    for _ in train(looked, small_splits):
        mode = looked.model.training
        activation_rows(looked.model, small_splits, looked.seeds)
        features(looked.model, small_splits, looked.seeds)
        assert looked.model.training == mode
    list(train(undisturbed, small_splits))
    assert_same_bits(looked, undisturbed)
