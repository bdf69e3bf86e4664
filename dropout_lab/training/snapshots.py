"""Save learned features and histograms of activations of trained networks.

Nothing here affects training: random numbers come from a separate stream, and modes are restored.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dropout_lab.config.sizes import HISTOGRAM_EXAMPLES
from dropout_lab.data import Splits
from dropout_lab.model import MLP
from dropout_lab.rng import Purpose, stream

MAX_FEATURES = 100
_APPROXIMATE_BINS = 100

Floats = np.ndarray[Any, np.dtype[np.float64]]


def activation_rows(model: MLP, splits: Splits, seeds: Sequence[int]) -> list[list[dict[str, Any]]]:
    """Return the rows of each run in activations.csv, by column: histograms of its hidden layers.

    The activations are those of a mini-batch of test examples, dropout off. Runs with the same seed
    have the same mini-batch. Each layer has a histogram of all activations, and a histogram of the
    mean of each unit over the mini-batch.

    Args:
        model: The networks.
        splits: The data.
        seeds: The seed of each run.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, section 7.2 and Fig. 8.
    """
    test = splits.test
    size = min(HISTOGRAM_EXAMPLES, len(test))
    generators = [stream(Purpose.SNAPSHOTS, seed, 0) for seed in seeds]
    samples = [
        torch.from_numpy(generator.choice(len(test), size, replace=False))
        for generator in generators
    ]
    indices = torch.stack(samples).to(test.labels.device)  # (runs, examples)
    hidden: list[Tensor] = []
    was_training = model.training
    try:
        with torch.inference_mode():
            model.eval()(splits.pixels(test.images[indices]), hidden)
    finally:
        model.train(was_training)
    return [list(_histogram_rows([h[run] for h in hidden])) for run in range(model.runs)]


def _histogram_rows(hidden: Sequence[Tensor]) -> Iterator[dict[str, Any]]:
    for layer, activations in enumerate(hidden, start=1):
        h = activations.double().cpu().numpy()  # (examples, units)
        for of, values in (("unit_mean", h.mean(axis=0)), ("activation", h)):
            for row in histogram(values.ravel()):
                yield {"layer": layer, "of": of, **row}


def histogram(values: Floats) -> list[dict[str, float]]:
    """Return the nonempty bins of a histogram: low (inclusive), high, count, and mean value.

    The bin width is the smallest power of two that gives at most about 100 bins from 0 to the
    values, and edges are multiples of it. So the bins of two histograms are always nested, and both
    can be plotted on one axis.

    Args:
        values: Finite numbers.
    """
    span = max(float(values.max()), 0.0) - min(float(values.min()), 0.0)
    width = 2.0 ** math.ceil(math.log2(span / _APPROXIMATE_BINS)) if span > 0 else 1.0
    bins, bin_of_value, counts = np.unique(
        np.floor(values / width), return_inverse=True, return_counts=True
    )
    totals = np.bincount(bin_of_value, weights=values)
    return [
        {"low": k * width, "high": (k + 1) * width, "count": count, "mean": total / count}
        for k, count, total in zip(bins.tolist(), counts.tolist(), totals.tolist(), strict=True)
    ]


def features(
    model: MLP, splits: Splits, seeds: Sequence[int]
) -> "list[tuple[np.ndarray[Any, np.dtype[np.float16]], np.ndarray[Any, np.dtype[np.int64]]]]":
    """Return for each run the incoming weights and the indices of units of the first hidden layer.

    If there are more than 100 units, a sample of 100 is returned. Runs with the same seed and width
    have the same sample. With maxout, each linear piece of a unit counts as one unit.

    Shape:
        Weights: ``(units, rows, columns)`` or ``(units, rows, columns, 3)``, an image of each unit,
        float16; indices: ``(units,)``.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, section 7.1 and Fig. 7.
    """
    weights = model.weights[0].detach()  # (runs, pixels, units)
    features_of_runs = []
    for run, seed in enumerate(seeds):
        count = weights.shape[2]
        sample = stream(Purpose.SNAPSHOTS, seed, 1).permutation(count)[:MAX_FEATURES]
        units = np.sort(sample)
        images = weights[run][:, torch.from_numpy(units).to(weights.device)].T  # (units, pixels)
        features_of_runs.append((images.half().cpu().numpy().reshape(-1, *splits.shape), units))
    return features_of_runs
