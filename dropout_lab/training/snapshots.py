"""What is looked at in trained networks: the features they learned, and how active their units are.

Nothing here is felt by the training: draws come from a stream of their own, modes are restored.
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

FEATURES = 100  # of the first hidden layer, at most
_SIDE = 28  # pixels of an image
_BINS = 100  # of a histogram, about, at most

ACTIVATION_COLUMNS = ("layer", "of", "low", "high", "count", "mean")
Floats = np.ndarray[Any, np.dtype[np.float64]]


def activation_rows(model: MLP, splits: Splits, seeds: Sequence[int]) -> list[list[dict[str, Any]]]:
    """Return each run's rows of activations.csv, by column: histograms of its hidden layers.

    Each run sees a mini-batch of test examples, dropout off, which its seed names: the same for
    every run of that seed. Of each layer there is a histogram of all activations and one of the
    mean of each unit over the mini-batch.

    Args:
        model: The networks.
        splits: Where the test part is.
        seeds: The seed of each run.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, section 7.2 and Fig. 8.
    """
    test = splits.test
    size = min(HISTOGRAM_EXAMPLES, len(test))
    draws = [stream(Purpose.AT_END, seed, 0) for seed in seeds]
    picked = [torch.from_numpy(draw.choice(len(test), size, replace=False)) for draw in draws]
    indices = torch.stack(picked).to(test.labels.device)  # (runs, examples)
    hidden: list[Tensor] = []
    was_training = model.training
    try:
        with torch.inference_mode():
            model.eval()(splits.pixels(test.images[indices]), hidden)
    finally:
        model.train(was_training)
    return [list(_rows([h[run] for h in hidden])) for run in range(model.runs)]


def _rows(hidden: Sequence[Tensor]) -> Iterator[dict[str, Any]]:
    for layer, activations in enumerate(hidden, start=1):
        h = activations.double().cpu().numpy()  # (examples, units)
        for of, values in (("unit_mean", h.mean(axis=0)), ("activation", h)):
            for row in histogram(values.ravel()):
                yield {"layer": layer, "of": of, **row}


def histogram(values: Floats) -> list[dict[str, float]]:
    """Return the bins that are not empty: low, which is in it, high, count, and mean of its values.

    Edges are multiples of a power of two, the smallest that leaves about a hundred bins between
    the values and 0. So of any two histograms the finer falls into the bins of the coarser, and
    both can be drawn on one axis whatever the other's range was.

    Args:
        values: Finite numbers.
    """
    span = max(float(values.max()), 0.0) - min(float(values.min()), 0.0)
    width = 2.0 ** math.ceil(math.log2(span / _BINS)) if span > 0 else 1.0
    bins, which, counts = np.unique(
        np.floor(values / width), return_inverse=True, return_counts=True
    )
    totals = np.bincount(which, weights=values)
    return [
        {"low": k * width, "high": (k + 1) * width, "count": count, "mean": total / count}
        for k, count, total in zip(bins.tolist(), counts.tolist(), totals.tolist(), strict=True)
    ]


def features(
    model: MLP, seeds: Sequence[int]
) -> "list[tuple[np.ndarray[Any, np.dtype[np.float16]], np.ndarray[Any, np.dtype[np.int64]]]]":
    """Return for each run the incoming weights of units of the first hidden layer, and which.

    Of more than a hundred units a hundred are drawn, by the run's seed: the same for every run of
    that seed and width. Under maxout each linear piece of a unit has weights of its own and is
    counted by itself.

    Shape:
        Weights: ``(units, 28, 28)``, float16; indices: ``(units,)``.

    Paper:
        Srivastava et al. (2014), JMLR 15:1929-1958, section 7.1 and Fig. 7.
    """
    weights = model.weights[0].detach()  # (runs, 784, units)
    kept = []
    for run, seed in enumerate(seeds):
        count = weights.shape[2]
        drawn = stream(Purpose.AT_END, seed, 1).permutation(count)[:FEATURES]
        units = np.sort(drawn)
        own = weights[run][:, torch.from_numpy(units).to(weights.device)].T  # (units, 784)
        kept.append((own.half().cpu().numpy().reshape(-1, _SIDE, _SIDE), units))
    return kept
