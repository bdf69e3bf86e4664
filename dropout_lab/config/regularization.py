"""The section regularization: what keeps weights, activations and outputs in check."""

import math
from typing import Literal

from pydantic import Field

from dropout_lab.config.types import (
    BelowOne,
    Bounds,
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
    """Regularizers other than dropout. Biases are not regularized."""

    l2: Strength = Field(
        0.0,
        description="L2 penalty: adds l2 * w to the gradient of a weight; with adamw, decoupled "
        "weight decay.",
    )
    l1: Strength = Field(
        0.0, description="L1 penalty: adds l1 * sign(w) to the gradient of a weight."
    )
    l1_from: Whole | None = Field(
        None, description="Number of updates after which l1 begins to act. null: 0."
    )
    max_norm: Positive | Bounds | None = Field(
        None,
        description="Largest norm of each unit's incoming weights: one number, or a list with one "
        "for each weight matrix (null for no bound).",
    )
    max_squared_norm: Positive | Bounds | None = Field(
        None,
        description="Largest squared norm of each unit's incoming weights: a number or a list, as "
        "for max_norm.",
    )
    max_norm_on: Literal["all", "hidden"] | LayerIndices | None = Field(
        None,
        description="Weight matrices that the bound acts on: all; hidden (all but that of the "
        "output units); or a list of matrix numbers (0 leaves the input). null: all.",
    )
    kl_sparsity: Strength = Field(
        0.0,
        description="Strength of the penalty that moves each hidden unit's mean activation to "
        "kl_sparsity_target.",
    )
    kl_sparsity_target: Strength | None = Field(
        None, description="Wanted mean activation, with kl_sparsity. null: 0.1."
    )
    kl_sparsity_damping: BelowOne | None = Field(
        None,
        description="Share of the running mean activation that a batch keeps, with kl_sparsity. "
        "null: 0.9.",
    )
    label_smoothing: BelowOne = Field(
        0.0, description="Label smoothing s: training targets are (1 - s) one-hot + s / classes."
    )
    confidence_penalty: Strength = Field(
        0.0,
        description="Confidence penalty beta: subtracts beta times the entropy of the predicted "
        "probabilities (nats) from the training loss.",
    )
    input_noise: Strength = Field(
        0.0,
        description="Standard deviation of the normal noise added to each pixel during training.",
    )
    input_noise_schedule: Literal["constant", "linear"] | None = Field(
        None,
        description="How that standard deviation changes during training. linear: falls to 0. "
        "null: constant.",
    )


def norm_bounds(settings: RegularizationSettings, matrices: int) -> tuple[float, ...]:
    """Return the bound on the norm of a unit's incoming weights in each matrix.

    It is infinite where there is none.

    Args:
        settings: The section.
        matrices: How many there are, one more than hidden layers.
    """
    squared = settings.max_squared_norm
    given = settings.max_norm if squared is None else squared
    on = settings.max_norm_on
    named = on if isinstance(on, tuple) else range(matrices - (on == "hidden"))
    if not isinstance(given, tuple):
        given = tuple(given if matrix in named else None for matrix in range(matrices))
    root = math.sqrt if squared is not None else float
    return tuple(math.inf if bound is None else root(bound) for bound in given)
