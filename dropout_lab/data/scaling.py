"""Normalize the features of a table, each on its own, as the training set says."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Floats = np.ndarray[Any, np.dtype[Any]]
_FEATURES_AT_ONCE = 64  # in double precision, with a mask; bounds the memory


@dataclass(frozen=True)
class Scaling:
    """The map from a feature x to ``(x - shift) * scale``, where a missing x is the mean.

    Args:
        mean: ``(features,)``, float32, as the others.
        shift: In units of the feature.
        scale: The factor.
    """

    mean: Tensor
    shift: Tensor
    scale: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Return normalized features of the same shape, float32, none missing."""
        return torch.where(x.isnan(), self.mean, x).sub_(self.shift).mul_(self.scale)


def fit_scaling(x: Tensor, normalize: str) -> Scaling:
    """Compute from the training set how each feature is normalized. Constant features become 0.

    Args:
        x: The features of the training set, ``(examples, features)``, NaN where one is missing.
        normalize: ``unit`` maps the smallest and the largest value to 0 and 1; ``standard`` gives
            mean 0 and SD 1 over the examples that have the feature.
    """
    fitted = [_fit(block.numpy(), normalize) for block in x.split(_FEATURES_AT_ONCE, dim=1)]
    mean, shift, scale = (np.concatenate(parts) for parts in zip(*fitted, strict=True))
    return Scaling(*(torch.from_numpy(part.astype(np.float32)) for part in (mean, shift, scale)))


def _fit(x: Floats, normalize: str) -> tuple[Floats, Floats, Floats]:
    """Return the mean, shift and scale of each feature in double precision."""
    values = np.ma.masked_invalid(x)
    mean = values.mean(axis=0, dtype=np.float64)
    if normalize == "unit":
        shift = values.min(axis=0)
        spread = values.max(axis=0).astype(np.float64) - shift
    else:
        shift, spread = mean, values.std(axis=0, dtype=np.float64)
    # A feature that no training example has is masked: it becomes 0 everywhere.
    spread = np.ma.filled(spread, 0.0)
    scale = np.divide(1.0, spread, out=np.zeros(len(spread)), where=spread > 0)
    return np.ma.filled(mean, 0.0), np.ma.filled(shift, 0.0).astype(np.float64), scale
