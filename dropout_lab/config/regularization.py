"""The section regularization: what keeps weights, activations and outputs in check."""

import math
from typing import Literal

from pydantic import Field

from dropout_lab.config.section import (
    BelowOne,
    LayerIndices,
    Positive,
    Section,
    Strength,
    Whole,
)

# What kl_sparsity draws to, and how slowly its running means follow, where the settings give none:
# those of deepnet, the code of Srivastava et al. 2014.
KL_TARGET, KL_DAMPING = 0.1, 0.9


class RegularizationSettings(Section):
    """What is done against overfitting beside dropout. Biases are left alone."""

    l2: Strength = Field(
        0.0, description="adds l2 * w to a weight's gradient; with adamw, decoupled from it"
    )
    l1: Strength = Field(0.0, description="adds l1 * sign(w) to a weight's gradient")
    l1_from: Whole | None = Field(
        None, description="updates done when l1 begins to act; null = 0, from the first on"
    )
    max_norm: Positive | None = Field(
        None, description="bound on the norm of each unit's incoming weights"
    )
    max_squared_norm: Positive | None = Field(
        None, description="bound on the squared norm of each unit's incoming weights"
    )
    max_norm_on: Literal["all", "hidden"] | LayerIndices | None = Field(
        None,
        description="the weight matrices bounded: a word, or indices, matrix i leaving place i; "
        "hidden = all but that of the output units; null = all",
    )
    kl_sparsity: Strength = Field(
        0.0, description="draws each hidden unit's mean activation to kl_sparsity_target"
    )
    kl_sparsity_target: Strength | None = Field(
        None, description="the mean activation wanted, with kl_sparsity; null = 0.1"
    )
    kl_sparsity_damping: BelowOne | None = Field(
        None, description="share of the running mean that a batch leaves; null = 0.9"
    )
    label_smoothing: BelowOne = Field(
        0.0, description="s: the targets are (1 - s) one-hot + s / 10, in training only"
    )
    input_noise: Strength = Field(
        0.0, description="s.d. of the normal noise added to each pixel, in training only"
    )


def bounded_matrices(settings: RegularizationSettings, matrices: int) -> tuple[int, ...]:
    """Return the indices of the weight matrices that ``max_norm_on`` names.

    Args:
        settings: The section.
        matrices: How many there are, one more than hidden layers.
    """
    match settings.max_norm_on:
        case None | "all":
            return tuple(range(matrices))
        case "hidden":
            return tuple(range(matrices - 1))
        case tuple() as named:
            return named


def norm_bound(settings: RegularizationSettings) -> float:
    """Return the bound on the norm of a unit's incoming weights; infinite without one."""
    if settings.max_squared_norm is not None:
        return math.sqrt(settings.max_squared_norm)
    return math.inf if settings.max_norm is None else settings.max_norm
