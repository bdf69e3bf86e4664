"""Where lessons get their random numbers: streams of their own, named by the lesson's seed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dropout_lab.noise import NumpyNoise, Purpose, stream

_CPU = torch.device("cpu")


def noise(seed: int, *key: int) -> NumpyNoise:
    """Open a source of draws for a dropout layer; equal names draw the same.

    Args:
        seed: Of the lesson.
        key: Further names it: which layer, which repetition.
    """
    return NumpyNoise(stream(Purpose.LESSON, seed, *key))


def normal(shape: Sequence[int], seed: int, *key: int) -> Tensor:
    """Return standard normal draws in float64, such as weights and inputs that are made up."""
    return noise(seed, *key).normal(shape, _CPU).double()
