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
    """What is done against overfitting beside dropout. Biases are left alone."""

    l2: Strength = Field(
        0.0, description="adds l2 * w to a weight's gradient; with adamw, decoupled from it"
    )
    l1: Strength = Field(0.0, description="adds l1 * sign(w) to a weight's gradient")
    l1_from: Whole | None = Field(
        None, description="updates done when l1 begins to act; null = 0, from the first on"
    )
    max_norm: Positive | Bounds | None = Field(
        None,
        description="bound on the norm of each unit's incoming weights: one number, or a list of "
        "one for each weight matrix, null for one without a bound",
    )
    max_squared_norm: Positive | Bounds | None = Field(
        None,
        description="bound on the squared norm of each unit's incoming weights: a number or a "
        "list, as for max_norm",
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
    confidence_penalty: Strength = Field(
        0.0,
        description="beta: subtracts beta times the entropy of the class probabilities, in nats, "
        "from the loss, in training only",
    )
    input_noise: Strength = Field(
        0.0, description="s.d. of the normal noise added to each pixel, in training only"
    )
    input_noise_schedule: Literal["constant", "linear"] | None = Field(
        None,
        description="how that s.d. changes from update to update; linear: evenly to 0 after the "
        "last; null = constant",
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
