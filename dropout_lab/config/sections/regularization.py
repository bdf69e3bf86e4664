"""The section regularization: bounds and penalties on weights, activations and outputs."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from dropout_lab.catalogue import CATALOGUE
from dropout_lab.config.sections.dropout import is_baseline
from dropout_lab.config.sizes import training_examples, training_length
from dropout_lab.config.types import (
    ABOVE_0,
    BelowOne,
    Bounds,
    Complaint,
    ConditionalKeys,
    LayerIndices,
    NonNegativeInt,
    Positive,
    Rules,
    Section,
    Strength,
)
from dropout_lab.printable import shown

if TYPE_CHECKING:
    from dropout_lab.config.schema import Settings

# Where the settings give none: those of deepnet, the code of Srivastava et al. 2014.
KL_TARGET, KL_DAMPING = 0.1, 0.9


class RegularizationSettings(Section):
    """Regularizers other than dropout. Biases are not regularized."""

    conditional_keys: ClassVar[ConditionalKeys] = {
        "l1": {ABOVE_0: {"l1_from": 0}},
        "max_norm": {ABOVE_0: {"max_norm_on": "all"}},
        "max_squared_norm": {ABOVE_0: {"max_norm_on": "all"}},
        "kl_sparsity": {
            ABOVE_0: {"kl_sparsity_target": KL_TARGET, "kl_sparsity_damping": KL_DAMPING}
        },
        "input_noise": {ABOVE_0: {"input_noise_schedule": "constant"}},
    }

    l2: Strength = Field(
        0.0,
        description="L2 penalty: adds l2 * w to the gradient of a weight; with adamw, decoupled "
        "weight decay.",
    )
    l1: Strength = Field(
        0.0, description="L1 penalty: adds l1 * sign(w) to the gradient of a weight."
    )
    l1_from: NonNegativeInt | None = Field(
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

    The bound is infinite for a matrix without a bound. The number of weight matrices is one more
    than the number of hidden layers.
    """
    squared = settings.max_squared_norm
    given = settings.max_norm if squared is None else squared
    on = settings.max_norm_on
    named = on if isinstance(on, tuple) else range(matrices - (on == "hidden"))
    if not isinstance(given, tuple):
        given = tuple(given if matrix in named else None for matrix in range(matrices))
    root = math.sqrt if squared is not None else float
    return tuple(math.inf if bound is None else root(bound) for bound in given)


def check_norm_bounds(settings: "Settings") -> Iterator[Complaint]:
    """Check that there is one bound on norms, and that its weight matrices exist."""
    section, hidden = settings.regularization, len(settings.model.hidden)
    if section.max_norm is not None and section.max_squared_norm is not None:
        yield (
            "regularization.max_squared_norm",
            "regularization.max_squared_norm and max_norm are both given; give one of them (the "
            "first is the square of the second).",
        )
    named = section.max_norm_on
    for key in ("max_norm", "max_squared_norm"):
        bounds = getattr(section, key)
        if not isinstance(bounds, tuple):
            continue
        if len(bounds) != hidden + 1:
            yield (
                f"regularization.{key}",
                f"regularization.{key} lists {len(bounds)} bounds for {hidden + 1} weight "
                "matrices; give one number, or one for each matrix (null for none).",
            )
        if not any(bounds):
            yield (
                f"regularization.{key}",
                f"regularization.{key} is {shown(bounds)}, which bounds nothing; write null.",
            )
        if named not in (None, "all"):
            yield (
                "regularization.max_norm_on",
                f"regularization.max_norm_on is {shown(named)}, but {key} is a list with a bound "
                "for each matrix; write null there for a matrix without a bound, and leave "
                "max_norm_on out.",
            )
    if not isinstance(named, tuple):
        return
    outside = [matrix for matrix in named if matrix > hidden]
    if outside:
        yield (
            "regularization.max_norm_on",
            f"regularization.max_norm_on names matrix {outside[0]}; with {hidden} hidden layers "
            f"they are 0 (leaving the input) to {hidden} (entering the output).",
        )
    if len(set(named)) < len(named):
        yield (
            "regularization.max_norm_on",
            f"regularization.max_norm_on is {list(named)}; name each matrix once.",
        )


def check_kl_sparsity(settings: "Settings") -> Iterator[Complaint]:
    """Check that units can reach the target of kl_sparsity, and that the variant computes all."""
    section, variant = settings.regularization, settings.dropout.variant
    if section.kl_sparsity == 0:
        return
    target = section.kl_sparsity_target
    if target is not None and settings.model.activation == "logistic" and not 0 < target < 1:
        yield (
            "regularization.kl_sparsity_target",
            f"regularization.kl_sparsity_target is {target:g}, but the mean of a logistic unit "
            "lies between 0 and 1; give a target in (0, 1), e.g. 0.1.",
        )
    if CATALOGUE[variant].one_p and not is_baseline(settings):
        yield (
            "regularization.kl_sparsity",
            f"regularization.kl_sparsity needs the activation of every unit, but {variant} does "
            "not compute those it drops; take another variant, e.g. inverted with mask: batch.",
        )


def check_l1_from(settings: "Settings") -> Iterator[Complaint]:
    """Check that l1 begins before the training ends."""
    first, l1 = settings.regularization.l1_from, settings.regularization.l1
    _, updates = training_length(settings, training_examples(settings))
    if l1 and first is not None and first >= updates > 0:
        yield (
            "regularization.l1_from",
            f"regularization.l1_from is {first}, and the training has {updates} updates, of which "
            f"the last begins when {updates - 1} are done; give at most that.",
        )


RULES: Rules = {
    check_norm_bounds: {"model", "regularization"},
    check_kl_sparsity: {"model", "dropout", "regularization"},
    check_l1_from: {"dataset", "training", "regularization"},
}
